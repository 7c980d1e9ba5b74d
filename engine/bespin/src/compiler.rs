//! Plugins are compiled by this same program, in a process of its own: what a
//! stranger's component makes of the compiler is gone with it.

use sandbox::{Compiler, Settings};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The sandbox of a server whose compiled plugins are in the folder `cache`.
///
/// # Errors
/// This program does not know where it lies.
pub fn settings(cache: &Path) -> Result<Settings, String> {
    let program = program()?;
    let arguments = vec!["compile-plugin".into(), cache.into()];
    Ok(Settings { compiler: Compiler::Program { program, arguments }, ..Settings::default() })
}

/// This program, to be run once more.
///
/// # Errors
/// It does not know where it lies.
pub fn program() -> Result<PathBuf, String> {
    // The link still leads to this program when its file was replaced by a newer one.
    let own = Path::new("/proc/self/exe");
    if own.exists() {
        return Ok(own.into());
    }
    std::env::current_exe().map_err(|error| format!("this program's own file: {error}"))
}

/// Compiles the component on the standard input into the cache. Why not stands on the standard output as well.
///
/// # Errors
/// It cannot be compiled, as a sentence.
pub fn compile(cache: &Path) -> Result<(), String> {
    let settings = Settings::default();
    let mut wasm = Vec::new();
    let read = std::io::stdin().take(settings.component_bytes + 1).read_to_end(&mut wasm);
    let compiled = match read {
        Err(error) => Err(format!("standard input: {error}")),
        Ok(length) if length as u64 > settings.component_bytes => {
            Err(format!("it has more than {} bytes", settings.component_bytes))
        }
        Ok(_) => sandbox::compile_alone(cache, &settings, &wasm),
    };
    compiled.inspect_err(|because| println!("{because}"))
}
