//! The fuzz target `pipeline_file`.

#![no_main]

#[path = "../src/pipeline_file.rs"]
mod pipeline_file;
#[path = "../src/places.rs"]
mod places;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pipeline_file::check(bytes));
