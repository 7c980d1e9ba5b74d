//! The fuzz target `dockerignore`.

#![no_main]

#[path = "../src/dockerignore.rs"]
mod dockerignore;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dockerignore::check(bytes));
