//! Slows down whoever tries passwords.

use decide::next::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

/// How many keys are remembered; past it, those whose windows began first are forgotten. Whoever has that many
/// sites is not slowed down by any table, and must not keep others out by filling it.
const MAX_KEYS: usize = 10_000;

/// Counts tries by key, a fixed number in each window.
pub(super) struct Throttle<K> {
    limit: u32,
    window_ms: u64,
    tries: Mutex<HashMap<K, (Timestamp, u32)>>,
}

impl<K: Hash + Eq> Throttle<K> {
    /// So many tries for each key in windows of so many ms.
    pub(super) fn new(limit: u32, window_ms: u64) -> Throttle<K> {
        Throttle { limit, window_ms, tries: Mutex::default() }
    }

    /// Takes one try; or, when they are used up, the seconds until the next.
    pub(super) fn take(&self, key: K, now: Timestamp) -> Option<u64> {
        let mut tries = self.tries.lock().expect("nobody panics while counting tries");
        if tries.len() >= MAX_KEYS && !tries.contains_key(&key) {
            self.make_room(&mut tries, now);
        }
        let (since, count) = tries.entry(key).or_insert((now, 0));
        if !self.is_within(*since, now) {
            (*since, *count) = (now, 0);
        }
        if *count >= self.limit {
            return Some(self.seconds(*since, now));
        }
        *count += 1;
        None
    }

    /// The seconds until a key's next try, if its tries are used up; none is taken, and no key is remembered for it.
    pub(super) fn wait(&self, key: &K, now: Timestamp) -> Option<u64> {
        let tries = self.tries.lock().expect("nobody panics while counting tries");
        let (since, count) = tries.get(key).copied()?;
        (self.is_within(since, now) && count >= self.limit).then(|| self.seconds(since, now))
    }

    fn seconds(&self, since: Timestamp, now: Timestamp) -> u64 {
        (self.window_ms - (now - since)).div_ceil(1000).max(1)
    }

    /// Forgets the tries of a key: it was the right one after all.
    pub(super) fn forget(&self, key: &K) {
        self.tries.lock().expect("nobody panics while counting tries").remove(key);
    }

    /// Takes back one try of a key: it was the right one, and the others stand.
    pub(super) fn give_back(&self, key: &K) {
        let mut tries = self.tries.lock().expect("nobody panics while counting tries");
        if let Some((_, count)) = tries.get_mut(key) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many keys are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.tries.lock().expect("nobody panics while counting tries").len()
    }

    /// A clock that was set back begins a new window, so that nobody waits for it to catch up.
    fn is_within(&self, since: Timestamp, now: Timestamp) -> bool {
        now.checked_sub(since).is_some_and(|past| past < self.window_ms)
    }

    fn make_room(&self, tries: &mut HashMap<K, (Timestamp, u32)>, now: Timestamp) {
        tries.retain(|_, (since, _)| self.is_within(*since, now));
        if tries.len() >= MAX_KEYS {
            let mut begun: Vec<Timestamp> = tries.values().map(|(since, _)| *since).collect();
            let half = begun.len() / 2;
            let middle = *begun.select_nth_unstable(half).1;
            tries.retain(|_, (since, _)| *since > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_keeps_nobody_out() {
        let throttle = Throttle::new(1, 60_000);
        for key in 0..3 * MAX_KEYS as u64 {
            assert_eq!(throttle.take(key, key / 1_000), None, "{key}");
            assert!(throttle.tries.lock().unwrap().len() <= MAX_KEYS);
        }
        assert_eq!(throttle.take(3 * MAX_KEYS as u64 - 1, 30), Some(60), "the newest are remembered");
    }

    #[test]
    fn a_clock_that_is_set_back_slows_nobody_down_for_longer() {
        let throttle = Throttle::new(1, 60_000);
        assert_eq!(throttle.take("ann", 7_200_000), None);
        assert_eq!(throttle.take("ann", 7_201_000), Some(59));
        assert_eq!(throttle.take("ann", 1_000), None);
        assert_eq!(throttle.take("ann", 2_000), Some(59));
        throttle.forget(&"ann");
        assert_eq!(throttle.take("ann", 2_000), None);
    }
}
