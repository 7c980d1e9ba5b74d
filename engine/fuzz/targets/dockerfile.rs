//! The fuzz target `dockerfile`.

#![no_main]

#[path = "../src/dockerfile.rs"]
mod dockerfile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dockerfile::check(bytes));
