//! Which attempts wait for a free place: of the sandbox, for a container, a build, or Terraform.
//!
//! It knows the attempts of this process alone, as [`Attempts`](crate::attempts::Attempts) does. A run observes it, and
//! writes down that an attempt waits and that it has its place; from its entries follows how long the attempt may take.

use crate::drive::Drivers;
use decide::stream::Stream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// A run's id, a step of it, and which attempt at that.
pub type AttemptKey = (String, String, u32);

/// The waits of all attempts.
#[derive(Default)]
pub struct PlaceWaits {
    drivers: Weak<Drivers>,
    all: Mutex<BTreeMap<AttemptKey, AttemptWaits>>,
}

/// The waits of one attempt.
struct AttemptWaits {
    /// How many of them go on.
    open: u32,
    /// What it waits for, as a sentence.
    because: String,
    /// Since when at least one goes on.
    since: Instant,
    /// How long those took together that are over.
    over: Duration,
}

/// An attempt waits for as long as this is there.
#[must_use = "the wait ends when this is dropped"]
pub struct PlaceWait {
    waits: Arc<PlaceWaits>,
    key: AttemptKey,
}

impl PlaceWaits {
    /// Knows of no wait yet. Whenever one begins or ends, its run's driver looks.
    pub fn new(drivers: &Arc<Drivers>) -> Arc<PlaceWaits> {
        Arc::new(PlaceWaits { drivers: Arc::downgrade(drivers), all: Mutex::default() })
    }

    /// From here on an attempt waits; `because` says for what.
    pub fn begin(self: &Arc<Self>, key: AttemptKey, because: String) -> PlaceWait {
        let mut all = self.lock();
        let waits = all.entry(key.clone()).or_insert_with(|| AttemptWaits {
            open: 0,
            because: String::new(),
            since: Instant::now(),
            over: Duration::ZERO,
        });
        if waits.open == 0 {
            waits.since = Instant::now();
        }
        waits.open += 1;
        waits.because = because;
        drop(all);
        self.poke(&key);
        PlaceWait { waits: self.clone(), key }
    }

    /// The attempts of a run that wait, by step and number, each with what it waits for.
    pub fn of(&self, run: &str) -> BTreeMap<(String, u32), String> {
        let waiting = self.lock();
        let waiting = waiting.iter().filter(|((of, ..), waits)| of == run && waits.open > 0);
        waiting.map(|((_, step, attempt), waits)| ((step.clone(), *attempt), waits.because.clone())).collect()
    }

    /// For how long an attempt has waited, all its waits together.
    pub fn waited(&self, key: &AttemptKey) -> Duration {
        self.lock().get(key).map_or(Duration::ZERO, |waits| {
            waits.over + if waits.open > 0 { waits.since.elapsed() } else { Duration::ZERO }
        })
    }

    /// Forgets an attempt that is over.
    pub fn forget(&self, key: &AttemptKey) {
        self.lock().remove(key);
    }

    fn poke(&self, (run, ..): &AttemptKey) {
        if let Some(drivers) = self.drivers.upgrade() {
            drivers.poke(&Stream::run(run));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, AttemptWaits>> {
        self.all.lock().expect("nobody panics while holding the waits")
    }
}

impl Drop for PlaceWait {
    fn drop(&mut self) {
        if let Some(waits) = self.waits.lock().get_mut(&self.key) {
            waits.open = waits.open.saturating_sub(1);
            if waits.open == 0 {
                waits.over += waits.since.elapsed();
            }
        }
        self.waits.poke(&self.key);
    }
}

/// What is said of a wait where so many places are all in use.
pub fn in_use(places: usize) -> String {
    format!("waiting for a free place: {places} of {places} are in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_add_up_and_overlapping_ones_count_once() {
        let waits = Arc::new(PlaceWaits::default());
        let key = ("user/petclinic/was/1".to_owned(), "test".to_owned(), 1);
        let (began, pause) = (Instant::now(), Duration::from_millis(30));
        let first = waits.begin(key.clone(), in_use(4));
        let expected = "waiting for a free place: 4 of 4 are in use".to_owned();
        assert_eq!(waits.of(&key.0), BTreeMap::from([(("test".to_owned(), 1), expected)]));
        let second = waits.begin(key.clone(), in_use(2));
        tokio::time::sleep(pause).await;
        assert!(waits.waited(&key) >= pause, "while it goes on");
        drop(first);
        assert_eq!(waits.of(&key.0).len(), 1);
        assert!(waits.of("user/petclinic/was/2").is_empty());
        drop(second);
        let waited = waits.waited(&key);
        assert!(waited >= pause && waited <= began.elapsed(), "{waited:?}");
        tokio::time::sleep(pause).await;
        assert_eq!((waits.of(&key.0).len(), waits.waited(&key)), (0, waited), "it is over");
        let third = waits.begin(key.clone(), in_use(4));
        tokio::time::sleep(pause).await;
        assert!(waits.waited(&key) >= waited + pause);
        waits.forget(&key);
        drop(third);
        assert_eq!(waits.waited(&key), Duration::ZERO);
    }
}
