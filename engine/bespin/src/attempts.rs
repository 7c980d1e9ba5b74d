//! Who runs an attempt: the instance that its entry names, and within this process the attempts themselves.
//!
//! After a restart the process has no attempts and another instance id, so that what the earlier one
//! started is lost: a run observes that, and nothing here remembers it.

use decide::run::{Instance, Outcome};
use futures::FutureExt;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// A step of a run, and which attempt at it.
type Key = (String, String, u32);

/// Knows the server instances that exist.
pub trait Owners: Send + Sync + 'static {
    /// The instance that this process is.
    fn instance(&self) -> &Instance;

    /// Whether an instance exists, so that what it started goes on. Of one that nothing is known of: no.
    fn exists(&self, instance: &Instance) -> bool;
}

/// The owner registry of a server that is alone with its journal: the store admits one process,
/// so that no other instance exists.
pub struct Alone(Instance);

impl Alone {
    /// Names this process by a new id, a ULID, at its start.
    pub fn start() -> Alone {
        Alone(Instance(ulid::Ulid::generate().to_string()))
    }
}

impl Owners for Alone {
    fn instance(&self) -> &Instance {
        &self.0
    }

    fn exists(&self, instance: &Instance) -> bool {
        *instance == self.0
    }
}

/// The attempts of all runs.
#[derive(Default)]
pub struct Attempts {
    all: Mutex<BTreeMap<Key, Attempt>>,
}

enum Attempt {
    Alive(JoinHandle<()>),
    Ended(Outcome),
}

/// What is known about one run's attempts.
#[derive(Debug, Default)]
pub struct Known {
    /// Those under way, as step and attempt.
    pub alive: BTreeSet<(String, u32)>,
    /// Those that ended and are not forgotten yet.
    pub exits: BTreeMap<(String, u32), Outcome>,
}

impl Attempts {
    /// Starts an attempt unless it is known already; `ended` is called after its end.
    pub fn start<F>(
        self: &Arc<Self>,
        run: &str,
        step: &str,
        attempt: u32,
        work: F,
        ended: impl FnOnce() + Send + 'static,
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let key = (run.to_owned(), step.to_owned(), attempt);
        let mut all = self.lock();
        if all.contains_key(&key) {
            return;
        }
        let (attempts, mine) = (self.clone(), key.clone());
        let handle = tokio::spawn(async move {
            let outcome = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(outcome) => outcome,
                // A panic in the host must not look like a step that hangs.
                Err(_) => Outcome::Transient { because: "the server failed while it ran the step; see its log".into() },
            };
            attempts.lock().insert(mine, Attempt::Ended(outcome));
            ended();
        });
        all.insert(key, Attempt::Alive(handle));
    }

    /// Stops an attempt and returns when it is gone. It leaves no exit behind.
    pub async fn stop(&self, run: &str, step: &str, attempt: u32) {
        let removed = self.lock().remove(&(run.to_owned(), step.to_owned(), attempt));
        if let Some(Attempt::Alive(handle)) = removed {
            handle.abort();
            let _cancelled = handle.await;
        }
    }

    /// What is known about a run's attempts.
    pub fn of(&self, run: &str) -> Known {
        let mut known = Known::default();
        for ((_, step, attempt), state) in self.range(&self.lock(), run) {
            let key = (step.clone(), *attempt);
            match state {
                Attempt::Alive(_) => {
                    known.alive.insert(key);
                }
                Attempt::Ended(outcome) => {
                    known.exits.insert(key, outcome.clone());
                }
            }
        }
        known
    }

    /// Forgets the exits of a run that its journal knows by now.
    pub fn forget(&self, run: &str, recorded: impl Fn(&str, u32) -> bool) {
        self.lock().retain(|(of, step, attempt), state| {
            of != run || matches!(state, Attempt::Alive(_)) || !recorded(step, *attempt)
        });
    }

    fn range<'a>(
        &self,
        all: &'a BTreeMap<Key, Attempt>,
        run: &str,
    ) -> impl Iterator<Item = (&'a Key, &'a Attempt)> + use<'a> {
        let run = run.to_owned();
        all.range((run.clone(), String::new(), 0)..).take_while(move |((of, ..), _)| *of == run)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Attempt>> {
        self.all.lock().expect("nobody panics while holding the attempts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_attempt_is_alive_until_it_ends_and_a_stopped_one_leaves_nothing() {
        let attempts = Arc::new(Attempts::default());
        let (ended, wait) = tokio::sync::oneshot::channel();
        attempts.start("r", "a", 1, std::future::pending(), || {});
        attempts.start("r", "b", 1, async { Outcome::Lost }, move || ended.send(()).unwrap());
        wait.await.expect("b ends");
        assert!(attempts.of("r").alive.contains(&("a".into(), 1)));
        assert_eq!(attempts.of("r").exits[&("b".to_owned(), 1)], Outcome::Lost);
        attempts.stop("r", "a", 1).await;
        attempts.forget("r", |step, _| step == "b");
        assert!(attempts.of("r").alive.is_empty() && attempts.of("r").exits.is_empty());
    }

    #[tokio::test]
    async fn a_panic_of_the_host_is_an_end_like_any_other() {
        let attempts = Arc::new(Attempts::default());
        let (ended, wait) = tokio::sync::oneshot::channel();
        attempts.start("r", "a", 1, async { panic!("boom") }, move || ended.send(()).unwrap());
        wait.await.expect("it ends");
        assert!(matches!(attempts.of("r").exits[&("a".to_owned(), 1)], Outcome::Transient { .. }));
    }
}
