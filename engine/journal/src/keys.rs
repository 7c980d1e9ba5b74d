//! Keys in order: entries by their global sequence, places by (stream, index).

/// The bookkeeping record's key.
pub(crate) const META: &[u8] = b"m";
/// What every entry's key starts with.
pub(crate) const ENTRY: &[u8] = b"e";
/// What every place's key starts with.
pub(crate) const PLACE: &[u8] = b"s";
/// What the key of every stream's base starts with; the stream's name follows.
pub(crate) const BASE: &[u8] = b"b";

/// The longest stream name, in bytes.
pub(crate) const LONGEST_NAME: usize = 1024;

/// The key of an entry's content.
pub(crate) fn entry(seq: u64) -> Vec<u8> {
    let mut key = ENTRY.to_vec();
    key.extend(seq.to_be_bytes());
    key
}

/// The key that leads from (stream, index) to the entry's sequence.
pub(crate) fn place(stream: &str, index: u64) -> Vec<u8> {
    let mut key = PLACE.to_vec();
    key.extend(stream.as_bytes());
    // No name contains it, so that `a` and `a/b` do not mix.
    key.push(0);
    key.extend(index.to_be_bytes());
    key
}

/// The key of the index that a stream's newest summary has; there is none for a stream without one.
pub(crate) fn base(stream: &str) -> Vec<u8> {
    [BASE, stream.as_bytes()].concat()
}

/// The stream whose base is under this key.
pub(crate) fn stream_of_base(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(BASE)?).ok()
}

/// Reads a big-endian number off the end of a key or a value.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let tail = bytes.len().checked_sub(8)?;
    Some(u64::from_be_bytes(bytes[tail..].try_into().ok()?))
}

/// What stands under a key, for people.
pub(crate) fn describe(key: &[u8]) -> String {
    let place = |key: &[u8]| {
        let (name, index) = key.strip_prefix(PLACE)?.split_last_chunk::<8>()?;
        let name = std::str::from_utf8(name.strip_suffix(b"\0")?).ok()?;
        Some(format!("the place of entry {} of {name}", u64::from_be_bytes(*index)))
    };
    match key.split_first() {
        Some((b'e', seq)) => format!("the entry with sequence {}", number(seq).unwrap_or_default()),
        Some((b'm', _)) => "the record of the totals".into(),
        Some((b'p', owner)) => format!("a part of {}", describe(&owner[..owner.len().saturating_sub(4)])),
        Some((b'b', _)) => format!("the base of {}", stream_of_base(key).unwrap_or("a stream")),
        _ => place(key).unwrap_or_else(|| "a value".into()),
    }
}

/// Says what is wrong with a stream's name, if anything.
pub(crate) fn refuse_name(stream: &str) -> Option<String> {
    if stream.is_empty() {
        return Some("a stream needs a name".into());
    }
    if stream.len() > LONGEST_NAME {
        return Some(format!("a stream's name has at most {LONGEST_NAME} bytes, not {}", stream.len()));
    }
    stream.contains('\0').then(|| format!("the stream name {stream:?} contains a NUL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_stream_and_index() {
        let sorted = [place("a", 0), place("a", 255), place("a", 256), place("a/b", 0), place("b", 0)];
        assert!(sorted.is_sorted());
        assert!([entry(1), entry(255), entry(256), entry(u64::MAX)].is_sorted());
        assert_eq!(number(&entry(77)), Some(77));
        assert_eq!(number(b"short"), None);
        assert_eq!(stream_of_base(&base("app/a")), Some("app/a"));
        assert_eq!(stream_of_base(META), None);
    }

    #[test]
    fn keys_are_told_in_words() {
        assert_eq!(describe(&entry(7)), "the entry with sequence 7");
        assert_eq!(describe(&place("app/a", 3)), "the place of entry 3 of app/a");
        assert_eq!(describe(&base("app/a")), "the base of app/a");
        let part = [&b"p"[..], &entry(7), &[0; 4]].concat();
        assert_eq!(describe(&part), "a part of the entry with sequence 7");
        for odd in [&b""[..], b"p", b"ppppp", b"s", b"e", b"m"] {
            assert!(!describe(odd).is_empty());
        }
    }

    #[test]
    fn bad_names_are_refused() {
        assert!(refuse_name("").is_some() && refuse_name("a\0b").is_some());
        assert!(refuse_name(&"x".repeat(LONGEST_NAME + 1)).is_some());
        assert_eq!(refuse_name("run/user/petclinic/was/56"), None);
    }
}
