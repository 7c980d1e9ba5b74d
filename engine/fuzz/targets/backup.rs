//! The fuzz target `backup`.

#![no_main]

#[path = "../src/backup.rs"]
mod backup;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| backup::check(bytes));
