//! The fuzz target `bump`.

#![no_main]

#[path = "../src/bump.rs"]
mod bump;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bump::check(bytes));
