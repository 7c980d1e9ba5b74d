//! The fuzz target `lock`.

#![no_main]

#[path = "../src/lock.rs"]
mod lock;
#[path = "../src/places.rs"]
mod places;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lock::check(bytes));
