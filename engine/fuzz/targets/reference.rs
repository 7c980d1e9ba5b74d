//! The fuzz target `reference`.

#![no_main]

#[path = "../src/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reference::check(bytes));
