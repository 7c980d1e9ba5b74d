//! What a file is said to ask for, and what is said of files that are no plugins.

use std::fs;

use pipeline::permission::Ability;
use sandbox::World;
use sandbox::inspect::{LONGEST, inspect};

use crate::world::component;

#[test]
fn a_component_says_what_it_asks_for() {
    let slack = fs::read(component("slack")).unwrap();
    let inspected = inspect(&slack).unwrap();
    assert_eq!((inspected.world, inspected.size), (World::Step, slack.len() as u64));
    assert!(inspected.contract.starts_with("1."), "{inspected:?}");
    assert!(inspected.asks.contains(&Ability::Http) && inspected.asks.contains(&Ability::Secrets), "{inspected:?}");
    assert!(!inspected.asks.contains(&Ability::Registry), "{inspected:?}");
    assert!(inspected.exports.iter().any(|name| name.starts_with("bespin:plugin/guest@1.")), "{inspected:?}");
}

#[test]
fn what_is_asked_is_what_the_sandbox_links() {
    for name in ["bump", "canary", "container", "image", "push", "slack", "sync"] {
        let wasm = fs::read(component(name)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let sandbox = sandbox::Sandbox::open(dir.path(), sandbox::Settings::default()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let loaded = runtime.block_on(sandbox.load(name, &wasm)).unwrap();
        let inspected = inspect(&wasm).unwrap();
        assert_eq!(inspected.asks, loaded.imports(), "{name}");
        assert_eq!(inspected.digest, format!("sha256:{}", loaded.digest()), "{name}");
    }
}

#[test]
fn what_is_no_plugin_is_refused_with_place_and_help() {
    let real = fs::read(component("sync")).unwrap();
    let renamed = |from: &str, to: &str| {
        let mut wasm = real.clone();
        for at in (0..real.len() - from.len()).filter(|&at| real[at..].starts_with(from.as_bytes())) {
            wasm[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        wasm
    };
    let ghost = renamed("plugin/guest@1", "plugin/ghost@1");
    let evil = renamed("wasi:cli/exit@", "evil:cli/exit@");
    let second = renamed("plugin/cluster@1.", "plugin/cluster@2.");
    for (bytes, because, help) in [
        (&b"#!/bin/sh"[..], "byte 0: it is no WebAssembly file", "the build made"),
        (&b"\0asm\x01\0\0\0"[..], "it is a core module", "wasm32-wasip2"),
        (&b"\0asm\x0d\0\x01\0"[..], "it is of another world: it exports nothing", "guest (the world `step`)"),
        (&real[..real.len() / 2], "it is truncated or damaged", "build it again"),
        (&ghost, "it exports bespin:plugin/ghost@1.", "health-guest"),
        (&evil, "it imports `evil:cli/exit@", "and of WASI"),
        (&second, "built against version 2.", "this version of Bespin offers 1."),
        (&vec![0; usize::try_from(LONGEST).unwrap() + 1], "a plugin has 67108864 at most", "strip"),
    ] {
        let refused = inspect(bytes).expect_err(because);
        assert!(refused.to_string().contains(because) && refused.help.contains(help), "{refused}");
    }
    let half = inspect(&real[..real.len() / 2]).unwrap_err();
    assert!(half.at.is_some_and(|at| at <= real.len() as u64 / 2), "{half:?}");
}
