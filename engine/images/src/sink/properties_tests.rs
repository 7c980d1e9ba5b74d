//! Any bytes, in any pieces.

use super::*;
use crate::corpus;
use proptest::prelude::*;

#[path = "../../../fuzz/src/log_lines.rs"]
mod log_lines;

#[test]
fn the_corpus_holds() {
    corpus::hold("log_lines", log_lines::check);
}

proptest! {
    #![proptest_config(corpus::cases(48))]

    #[test]
    fn nearly_lines(bytes in corpus::nearly("log_lines"), any in prop::collection::vec(any::<u8>(), 0..200)) {
        log_lines::check(&bytes);
        log_lines::check(&any);
    }
}
