//! Finds the one byte of a message that was flipped: a checksum of 32 bits tells which one, and what it was.

/// What each byte adds to the checksum of CRC-32, as sled reckons it.
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

const TABLE: [u32; 256] = table();

/// The byte of `len` and the bits of it that make a checksum differ by `difference`, where `behind` more bytes follow.
pub(super) fn flipped(difference: u32, len: usize, behind: usize) -> Option<(usize, u8)> {
    let zero = |sum: u32| sum >> 8 ^ TABLE[(sum & 0xff) as usize];
    // What each of the eight bits of the byte at hand does to the sum.
    let mut bits: [u32; 8] = std::array::from_fn(|bit| TABLE[1 << bit]);
    for _byte in 0..behind {
        bits = bits.map(zero);
    }
    for at in (0..len).rev() {
        let mut sums = [0; 256];
        for flip in 1..256_usize {
            let low = flip & flip.wrapping_neg();
            sums[flip] = sums[flip ^ low] ^ bits[low.trailing_zeros() as usize];
            if sums[flip] == difference {
                return Some((at, flip as u8));
            }
        }
        bits = bits.map(zero);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_one_byte_is_found_by_the_checksum() {
        let sound: Vec<u8> = (0..500_u32).map(|n| (n * n % 251) as u8).collect();
        let sum = crc32fast::hash(&sound);
        for (at, bits) in [(0, 1), (1, 0xff), (250, 0x80), (398, 7), (399, 0x10)] {
            let mut flipped_one = sound.clone();
            flipped_one[at] ^= bits;
            assert_eq!(flipped(sum ^ crc32fast::hash(&flipped_one), 400, 100), Some((at, bits)));
        }
        assert_eq!(flipped(0, 400, 100), None);
    }
}
