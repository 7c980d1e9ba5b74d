//! Checksums of what is stored, over the key and the bytes: a flipped bit shows, and so does a value under another's key.
//!
//! A sealed value is a byte that no other value begins with, the checksum, and the bytes.

use sha2::{Digest, Sha256};

/// What a sealed value begins with. No older value does: they are JSON, eight-byte numbers far below it, the mark of a
/// long value, and parts of JSON, and the byte is in no UTF-8.
const SEALED: u8 = 0xfe;
/// How many bytes of the SHA-256 are kept.
const SUM: usize = 16;

/// Why a value is not what was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokenSeal {
    /// It has no checksum.
    Missing,
    /// It is not what its checksum says.
    Wrong,
}

impl std::fmt::Display for BrokenSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            BrokenSeal::Missing => "has no checksum",
            BrokenSeal::Wrong => "is not what its checksum says",
        })
    }
}

/// The checksum of a value under its key. The sum of those of all values does not depend on their order.
pub(crate) fn checksum(key: &[u8], bytes: &[u8]) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update((key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(bytes);
    let whole = hasher.finalize();
    whole.iter().take(SUM).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

/// What is stored in place of a value.
pub(crate) fn seal(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    [&[SEALED][..], &checksum(key, bytes).to_be_bytes(), bytes].concat()
}

/// The checksum and the bytes of what is stored under a key.
pub(crate) fn unseal<'k>(key: &[u8], kept: &'k [u8]) -> Result<(u128, &'k [u8]), BrokenSeal> {
    let Some((&SEALED, rest)) = kept.split_first() else { return Err(BrokenSeal::Missing) };
    let (sum, bytes) = rest.split_first_chunk::<SUM>().ok_or(BrokenSeal::Wrong)?;
    let sum = u128::from_be_bytes(*sum);
    if sum == checksum(key, bytes) { Ok((sum, bytes)) } else { Err(BrokenSeal::Wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_is_itself_under_its_own_key_alone() {
        let sealed = seal(b"e1", b"{}");
        assert_eq!(unseal(b"e1", &sealed), Ok((checksum(b"e1", b"{}"), &b"{}"[..])));
        assert_eq!(unseal(b"e", &seal(b"e1", b"")), Err(BrokenSeal::Wrong));
        assert_ne!(checksum(b"e1", b"{}"), checksum(b"e", b"1{}"), "a key's end is no value's beginning");
        assert_eq!(unseal(b"e1", b"{}"), Err(BrokenSeal::Missing));
        assert_eq!(unseal(b"e1", b""), Err(BrokenSeal::Missing));
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[at] ^= 1 << bit;
                assert!(unseal(b"e1", &flipped).is_err(), "byte {at}, bit {bit}");
            }
            assert!(unseal(b"e1", &sealed[..at]).is_err());
        }
    }
}
