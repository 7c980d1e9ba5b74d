//! The lock file: what is read is written, and read again as the same; mistakes lie within it.

use crate::places;
use pipeline::lock::{LOCK, Lock};

/// Looks at bytes as a lock file.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Lock::read(LOCK, text) {
        Ok(lock) => {
            let written = lock.to_string();
            assert_eq!(Lock::read(LOCK, &written).as_ref(), Ok(&lock), "{written}");
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            places::are_within(text, &mistakes);
        }
    }
}
