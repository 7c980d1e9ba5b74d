//! The fuzz target `log_lines`. The lines are cut in a file of `images` that is built here alone: without its clients.

#![no_main]
#![expect(dead_code, reason = "only what cuts lines is used of the file")]

#[path = "../src/log_lines.rs"]
mod log_lines;
#[path = "../../images/src/sink.rs"]
mod sink;

use sink::{Lines, LogSink, Stream};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| log_lines::check(bytes));
