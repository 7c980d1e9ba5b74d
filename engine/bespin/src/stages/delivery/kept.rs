//! A cache that is bounded by how much it holds, and not only by how many.

use std::collections::HashMap;

/// How many commits' pipelines are kept in memory.
const MOST: usize = 64;
/// How many bytes they may have together. A commit's files have a quarter of it at most.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What git says of commits, by repository and id.
pub(super) struct KeptCommits<T> {
    known: HashMap<(String, String), T>,
    bytes: usize,
}

impl<T> Default for KeptCommits<T> {
    fn default() -> Self {
        KeptCommits { known: HashMap::new(), bytes: 0 }
    }
}

impl<T: Clone> KeptCommits<T> {
    pub(super) fn get(&self, key: &(String, String)) -> Option<T> {
        self.known.get(key).cloned()
    }

    /// Keeps what has so many bytes, unless that is too many; where there is no room, everything else goes.
    pub(super) fn keep(&mut self, key: (String, String), commit: T, bytes: usize) {
        if bytes > MOST_BYTES || self.known.contains_key(&key) {
            return;
        }
        if self.known.len() >= MOST || self.bytes + bytes > MOST_BYTES {
            (self.known, self.bytes) = (HashMap::new(), 0);
        }
        self.bytes += bytes;
        self.known.insert(key, commit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_by_number_and_by_bytes() {
        let key = |n: usize| ("user/petclinic".to_owned(), n.to_string());
        for (bytes, room) in [(1, MOST), (MOST_BYTES / 4, 4), (MOST_BYTES, 1)] {
            let mut kept = KeptCommits::default();
            for n in 0..3 * MOST {
                kept.keep(key(n), n, bytes);
                kept.keep(key(n), n, bytes);
                let held = (0..3 * MOST).filter(|n| kept.get(&key(*n)).is_some()).count();
                assert!((1..=room).contains(&held), "{held} of {bytes} bytes");
                assert_eq!((kept.bytes, kept.get(&key(n))), (held * bytes, Some(n)));
            }
        }
        let mut kept = KeptCommits::default();
        kept.keep(key(1), 1, 1);
        kept.keep(key(2), 2, MOST_BYTES + 1);
        assert_eq!(
            (kept.get(&key(1)), kept.get(&key(2))),
            (Some(1), None),
            "one that is too large takes no other's place"
        );
    }
}
