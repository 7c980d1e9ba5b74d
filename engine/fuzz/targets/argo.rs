//! The fuzz target `argo`.

#![no_main]

#[path = "../src/argo.rs"]
mod argo;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| argo::check(bytes));
