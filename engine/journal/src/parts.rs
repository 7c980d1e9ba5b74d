//! Long values in parts, so that the store never needs a file of its own for one.
//!
//! sled writes a page above an eighth of a mebibyte into a file beside its log,
//! and the log's pointer to it without waiting: a power cut between the two
//! takes one value out of a batch and leaves the rest of the batch. A page is
//! up to some twenty keys; with parts of this size it stays below.
//!
//! Parts are written before what stands in their value's place, and removed
//! after it: without it they mean nothing.

/// The longest value that is kept whole, and the longest part, in bytes.
pub(crate) const PART: usize = 4096;
/// What a part's key starts with; the value's own key and the part's number follow.
pub(crate) const KEY: &[u8] = b"p";
/// What stands in a long value's place begins with it, and nothing else does: it is in no JSON and no small number.
const MARK: u8 = 0xff;

/// A part, or what removes it.
pub(crate) type StorePart = (Vec<u8>, Option<Vec<u8>>);

/// What stands in a value's place, which may be itself, and its parts with their keys.
pub(crate) fn split(key: &[u8], value: Vec<u8>) -> (Vec<u8>, Vec<StorePart>) {
    if value.len() <= PART && value.first() != Some(&MARK) {
        return (value, Vec::new());
    }
    let parts = value.chunks(PART).map(<[u8]>::to_vec);
    let parts: Vec<_> = (0..).zip(parts).map(|(n, part)| (part_key(key, n), Some(part))).collect();
    (mark(parts.len()), parts)
}

/// The key of the value that a part is of; `None` for what is no part's key.
pub(crate) fn owner(part: &[u8]) -> Option<&[u8]> {
    part.strip_prefix(KEY)?.split_last_chunk::<4>().map(|(key, _)| key)
}

/// The keys of a value's parts, by what stands under its own key; none for a value that is whole.
pub(crate) fn keys(key: &[u8], kept: &[u8]) -> Vec<Vec<u8>> {
    let Some((&MARK, count)) = kept.split_first() else { return Vec::new() };
    let count = count.try_into().map_or(0, u32::from_be_bytes);
    (0..count).map(|n| part_key(key, n)).collect()
}

fn mark(count: usize) -> Vec<u8> {
    let count = u32::try_from(count).expect("a value in memory has fewer parts");
    [&[MARK][..], &count.to_be_bytes()].concat()
}

fn part_key(key: &[u8], n: u32) -> Vec<u8> {
    [KEY, key, &n.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_split_and_what_is_short_stays() {
        for (value, count) in [
            (Vec::new(), 0),
            (vec![b'{'; PART], 0),
            (vec![b'{'; PART + 1], 2),
            (vec![b'{'; 3 * PART], 3),
            (vec![MARK], 1),
        ] {
            let (kept, parts) = split(b"e1", value.clone());
            let of_parts: Vec<_> = parts.iter().map(|(key, _)| key.clone()).collect();
            assert!(of_parts.iter().all(|part| owner(part) == Some(b"e1")));
            assert_eq!((parts.len(), keys(b"e1", &kept)), (count, of_parts));
            let whole = if count == 0 { kept } else { parts.into_iter().flat_map(|(_, part)| part.unwrap()).collect() };
            assert_eq!(whole, value);
        }
        assert_eq!(owner(b"e12345"), None);
    }
}
