//! Long values in parts, so that the store never needs a file of its own for one.
//!
//! sled writes a page above an eighth of a mebibyte into a file beside its log,
//! and the log's pointer to it without waiting: a power cut between the two
//! takes one value out of a batch and leaves the rest of the batch. A page is
//! up to some twenty keys; with parts of this size it stays below.

/// The longest value that is kept whole, and the longest part, in bytes.
const PART: usize = 4096;
/// What a part's key starts with; the value's own key and the part's number follow.
const KEY: &[u8] = b"p";
/// What stands in a long value's place begins with it, and nothing else does: it is in no JSON and no small number.
const MARK: u8 = 0xff;

/// What a value is kept as, each with its key: itself, or what stands in its place and its parts.
pub fn split(key: Vec<u8>, value: Vec<u8>) -> Vec<(Vec<u8>, Vec<u8>)> {
    if value.len() <= PART && value.first() != Some(&MARK) {
        return vec![(key, value)];
    }
    let parts = value.chunks(PART).map(<[u8]>::to_vec);
    let mut kept: Vec<_> = (0..).zip(parts).map(|(n, part)| (part_key(&key, n), part)).collect();
    kept.insert(0, (key, mark(kept.len())));
    kept
}

/// The keys of a value's parts, by what stands under its own key; none for a value that is whole.
pub fn keys(key: &[u8], kept: &[u8]) -> Vec<Vec<u8>> {
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
            let kept = split(b"e1".to_vec(), value.clone());
            let (parts, own) = (&kept[1..], &kept[0]);
            let of_parts: Vec<_> = parts.iter().map(|(key, _)| key.clone()).collect();
            assert_eq!((parts.len(), keys(&own.0, &own.1)), (count, of_parts));
            let whole =
                if count == 0 { own.1.clone() } else { parts.iter().flat_map(|(_, part)| part.clone()).collect() };
            assert_eq!(whole, value);
        }
    }
}
