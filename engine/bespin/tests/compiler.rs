//! The program compiles plugins for its servers, in a process of its own.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use sandbox::{Compiler, Sandbox, Settings};
use std::path::Path;

fn sandbox(cache: &Path) -> Sandbox {
    let program = env!("CARGO_BIN_EXE_bespin").into();
    let arguments = vec!["compile-plugin".into(), cache.into()];
    Sandbox::open(cache, Settings { compiler: Compiler::Program { program, arguments }, ..Settings::default() })
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_compiled_into_the_cache_and_nonsense_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("plugins");
    let sandbox = sandbox(&cache);
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sandbox/tests/released/1.0.0.wasm");
    let wasm = std::fs::read(released).unwrap();
    let loaded = sandbox.load("released", &wasm).await.unwrap();
    let entry = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(loaded.digest());
    assert!(std::fs::read_dir(&cache).unwrap().any(|file| entry(&file.unwrap().file_name())));

    let damaged = sandbox.load("damaged", &wasm[..wasm.len() / 2]).await.err().unwrap().to_string();
    assert!(damaged.starts_with("cannot load the plugin `damaged`: it is no component, or a damaged one"), "{damaged}");
    let text = sandbox.load("text", b"name: petclinic").await.err().unwrap().to_string();
    assert_eq!(text, "cannot load the plugin `text`: it is no WebAssembly file");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compiler_inherits_no_variable_of_the_server() {
    assert!(std::env::var_os("PATH").is_some(), "there is something to inherit");
    let dir = tempfile::tempdir().unwrap();
    // It says its environment, as a compiler says why it refuses.
    let arguments = vec!["-c".into(), "/usr/bin/env; exit 1".into()];
    let compiler = Compiler::Program { program: "/bin/sh".into(), arguments };
    let sandbox = Sandbox::open(dir.path(), Settings { compiler, ..Settings::default() }).unwrap();
    let said = sandbox.load("any", b"\0asm").await.err().unwrap().to_string();
    assert!(said.contains("PWD="), "it ran: {said}");
    for (name, _) in std::env::vars().filter(|(name, _)| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str())) {
        assert!(!said.contains(&format!("{name}=")), "{name} is inherited: {said}");
    }
}
