//! What can be loaded as a plugin, and what is said of the rest.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sandbox::{Abilities, Sandbox, Settings};

use crate::world::{World, component, grants, limits, outputs};

#[tokio::test]
async fn what_is_no_plugin_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(dir.path(), Settings { component_bytes: 1 << 20, ..Settings::default() }).unwrap();
    let real = fs::read(component("sync")).unwrap();
    // An empty core module, and an empty component: valid, and neither is a step.
    let module = b"\0asm\x01\0\0\0";
    let empty = b"\0asm\x0d\0\x01\0";
    for (bytes, because) in [
        (&b""[..], "it is no WebAssembly file"),
        (&b"#!/bin/sh"[..], "it is no WebAssembly file"),
        (&module[..], "it is no component"),
        (&empty[..], "it does not export bespin:plugin/guest"),
        (&real[..real.len() / 2], "it is no component, or a damaged one"),
        (&vec![0; 2 << 20][..], "1048576 are allowed"),
    ] {
        let refused = sandbox.load("mine", bytes).await.err().unwrap().to_string();
        assert!(refused.starts_with("cannot load the plugin `mine`: ") && refused.contains(because), "{refused}");
    }
    let kept = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(kept, 1, "only the key");
    let missing = sandbox.load_file("mine", Path::new("/nowhere/plugin.wasm")).await.err().unwrap().to_string();
    assert!(missing.contains("/nowhere/plugin.wasm"), "{missing}");
}

/// The plugin `sync` with one text in place of another of the same length.
fn patched(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut wasm = fs::read(component("sync")).unwrap();
    let found: Vec<usize> =
        (0..wasm.len() - from.len()).filter(|&at| wasm[at..].starts_with(from.as_bytes())).collect();
    assert!(!found.is_empty(), "{from} is not in it");
    for at in found {
        wasm[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    wasm
}

#[tokio::test]
async fn a_component_for_another_host_is_refused_by_what_it_asks() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(dir.path(), Settings::default()).unwrap();
    for (from, to, because) in [
        ("cluster@1.1.0", "cluster@2.0.0", "built against version 2.0.0 of the contract; this server offers 1.1.0"),
        ("cluster@1.1.0", "clustar@1.1.0", "asks for `bespin:plugin/clustar@1.1.0`"),
        ("wasi:cli/exit@", "evil:cli/exit@", "imports `evil:cli/exit@"),
        ("plugin/guest@1.1.0", "plugin/ghost@1.1.0", "does not export bespin:plugin/guest"),
    ] {
        let refused = sandbox.load("mine", &patched(from, to)).await.err().unwrap().to_string();
        assert!(refused.contains(because), "{refused}");
    }
}

#[tokio::test]
async fn a_newer_minor_that_asks_for_nothing_new_runs() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(dir.path(), Settings::default()).unwrap();
    let newer = sandbox.load("newer", &patched("cluster@1.1.0", "cluster@1.9.0")).await.unwrap();
    let world = Arc::new(World::petclinic()) as Arc<dyn Abilities>;
    let granted = grants(&[("cluster", "*/*/*")]);
    let verdict = sandbox.run(&newer, r#"{"application":"a"}"#, &granted, &limits(), world).await;
    assert_eq!(outputs(verdict)["revision"], "head");
}
