//! The fuzz target `manifest`.

#![no_main]

#[path = "../src/manifest.rs"]
mod manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| manifest::check(bytes));
