//! Who compiles a component.
//!
//! What is compiled is a stranger's, and a language's whole runtime takes the
//! compiler seconds and hundreds of MiB. So a server compiles in a process of
//! its own, which is bounded and gone afterwards; what it leaves is an entry of
//! the cache.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Resource, Rlimit, setrlimit};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::Cache;
use crate::engine::{self, Settings};

/// What a compiler of its own may hold, in bytes: JavaScript's runtime takes about 700 MiB.
const MEMORY: u64 = 2 << 30;
/// How long it may compute, in s.
const CPU: u64 = 300;
/// The longest of its sentences, in bytes.
const REASON: usize = 4 << 10;

/// Who compiles a component that the cache does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// This process itself, on a thread that may block.
    #[default]
    Here,
    /// A program, started for each component. It is given the component on its standard input, calls
    /// [`compile_alone`] with the cache of this sandbox, and ends with 0; or it says on its standard output why not.
    Program {
        /// The program's path, absolute or looked up in PATH.
        program: PathBuf,
        /// The arguments that it is started with, before the component is written to it.
        arguments: Vec<OsString>,
    },
}

/// Compiles a component into the cache, as the program of [`Compiler::Program`] does. It bounds this process for good.
///
/// # Errors
/// It is no component, the compiler's bounds were reached, or the cache cannot be written: as a sentence.
pub fn compile_alone(cache: &Path, settings: &Settings, wasm: &[u8]) -> Result<(), String> {
    confine().map_err(|error| format!("the compiler cannot be bounded: {error}"))?;
    let engine = engine::engine(settings).map_err(|error| format!("the engine: {error:#}"))?;
    let cache = Cache::open(cache, &engine, settings.cache_bytes).map_err(|error| format!("the cache: {error}"))?;
    let component = compile(&engine, wasm)?;
    let kept = cache.put(&digest(wasm), &component);
    kept.map_err(|error| format!("the compiled plugin cannot be kept in the cache: {error}"))
}

/// Compiles a component in this process.
pub(crate) fn compile(engine: &Engine, wasm: &[u8]) -> Result<Component, String> {
    if !wasm.starts_with(b"\0asm") {
        return Err("it is no WebAssembly file".to_owned());
    }
    Component::from_binary(engine, wasm).map_err(|error| format!("it is no component, or a damaged one: {error:#}"))
}

/// The name of a component: the SHA-256 of its bytes, in hex.
pub(crate) fn digest(wasm: &[u8]) -> String {
    hex::encode(Sha256::digest(wasm))
}

/// Has a component compiled by a program; the cache has it afterwards.
pub(crate) async fn compile_with(program: &Path, arguments: &[OsString], wasm: &[u8]) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| format!("the compiler: {error}"))?;
    let mut input = child.stdin.take().expect("it is piped");
    let give = async move { input.write_all(wasm).await };
    let (given, ended) = tokio::join!(give, child.wait_with_output());
    let ended = ended.map_err(|error| format!("the compiler: {error}"))?;
    if ended.status.success() {
        return given.map_err(|error| format!("the compiler did not read the component: {error}"));
    }
    let mut said = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    said.truncate(said.floor_char_boundary(REASON));
    if said.is_empty() {
        let (memory, status) = (MEMORY >> 20, ended.status);
        said = format!("it cannot be compiled within {CPU} s and {memory} MiB: the compiler ended with {status}");
    }
    Err(said)
}

fn confine() -> io::Result<()> {
    let bound = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    // Data and not address space: the engine reserves far more than it ever holds.
    bound(Resource::Data, MEMORY)?;
    bound(Resource::Cpu, CPU)?;
    // It holds the cache's key.
    bound(Resource::Core, 0)?;
    Ok(())
}
