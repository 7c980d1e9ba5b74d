//! Slows down whoever tries passwords.

use decide::next::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

/// Tries are counted in windows of this many ms.
const WINDOW_MS: u64 = 60_000;

/// How many keys are remembered; past it, windows that are over are forgotten.
const MAX_KEYS: usize = 10_000;

/// Counts tries by key, a fixed number each minute.
pub(super) struct Throttle<K> {
    limit: u32,
    tries: Mutex<HashMap<K, (Timestamp, u32)>>,
}

impl<K: Hash + Eq> Throttle<K> {
    pub(super) fn new(limit: u32) -> Throttle<K> {
        Throttle { limit, tries: Mutex::default() }
    }

    /// Takes one try; or, when they are used up, the seconds until the next.
    pub(super) fn take(&self, key: K, now: Timestamp) -> Option<u64> {
        let mut tries = self.tries.lock().expect("nobody panics while counting tries");
        if tries.len() >= MAX_KEYS {
            tries.retain(|_, (since, _)| now.saturating_sub(*since) < WINDOW_MS);
            if tries.len() >= MAX_KEYS && !tries.contains_key(&key) {
                return Some(WINDOW_MS / 1000);
            }
        }
        let (since, count) = tries.entry(key).or_insert((now, 0));
        if now.saturating_sub(*since) >= WINDOW_MS {
            (*since, *count) = (now, 0);
        }
        if *count >= self.limit {
            return Some((WINDOW_MS - now.saturating_sub(*since)).div_ceil(1000).max(1));
        }
        *count += 1;
        None
    }
}
