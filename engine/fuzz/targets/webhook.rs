//! The fuzz target `webhook`.

#![no_main]

#[path = "../src/webhook.rs"]
mod webhook;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| webhook::check(bytes));
