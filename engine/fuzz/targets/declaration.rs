//! The fuzz target `declaration`.

#![no_main]

#[path = "../src/declaration.rs"]
mod declaration;
#[path = "../src/places.rs"]
mod places;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| declaration::check(bytes));
