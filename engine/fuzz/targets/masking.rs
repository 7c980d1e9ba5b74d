//! The fuzz target `masking`. The masker stands in two files of the server, which are built here alone.

#![no_main]
#![expect(dead_code, reason = "not all of the files is used")]

#[path = "../../bespin/src/logs/forms.rs"]
mod forms;
#[path = "../../bespin/src/logs/mask.rs"]
mod mask;
#[path = "../src/masking.rs"]
mod masking;

use mask::{MaskedText, Masker, PieceEnd};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| masking::check(bytes));
