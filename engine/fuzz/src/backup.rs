//! Backups of the journal: one that is sound says what it holds, and none with another byte is sound.

/// Looks at bytes as a backup; where it is sound, none is that lacks its end, or has a byte of its entries changed.
pub(crate) fn check(bytes: &[u8]) {
    match journal::verify(bytes) {
        Err(journal::Error(why)) => assert!(!why.is_empty()),
        Ok(verified) => {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            assert!(verified.entries + 2 <= lines && verified.streams <= verified.entries, "{verified:?}");
            assert_eq!(verified.sha256.len(), 64);
            assert!(journal::verify(&bytes[..bytes.len() - 1]).is_err(), "its last byte is missing");
            for at in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1;
                assert!(journal::verify(&changed[..]).is_err(), "the byte at {at} is another, and nobody says so");
            }
        }
    }
}
