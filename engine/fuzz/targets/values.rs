//! The fuzz target `values`. The checks stand in the sandbox's own file, which is built here alone: without wasmtime.

#![no_main]

/// In place of the sandbox's own, which knows more kinds.
mod abilities {
    /// Why a value is refused.
    #[derive(Debug, PartialEq)]
    #[non_exhaustive]
    pub(crate) enum Failure {
        /// It has not the form.
        Rejected(String),
        /// Never.
        #[expect(dead_code, reason = "a match on a failure has more than one arm")]
        Other,
    }
}
#[path = "../../sandbox/src/host/value.rs"]
mod value;
#[path = "../src/values.rs"]
mod values;

use abilities::Failure;
use value::*;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| values::check(bytes));
