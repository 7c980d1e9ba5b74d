//! The run: which steps start, wait for a person, are tried again, are skipped; when it ends.

mod act;
mod answer;
mod observe;

use crate::attempts::{Attempts, Owners};
use crate::drive::{Drivers, Stage, Trouble, Written};
use crate::index::JournalIndex;
use crate::leftovers::Leftovers;
use crate::steps::Executor;
use async_trait::async_trait;
use decide::next::{Next, Timestamp};
use decide::run::{self, Act, Entry, Observed, Opened, RunOutcome, State};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

pub use answer::{NotTaken, answer};

/// The stage `run`, on streams `run/<run id>`.
pub struct RunStage {
    drivers: Weak<Drivers>,
    attempts: Arc<Attempts>,
    executor: Arc<dyn Executor>,
    reporter: Arc<dyn Reporter>,
    leftovers: Arc<Leftovers>,
    index: Arc<JournalIndex>,
    owners: Arc<dyn Owners>,
    /// What the driven runs rest on, by stream; it never changes, so acts need not read it again.
    opened: Mutex<BTreeMap<String, Arc<Opened>>>,
    /// What the forge was told last of each driven run, by stream: it spares repetition, and nothing rests on it.
    told: Mutex<BTreeMap<String, String>>,
    url: String,
}

/// Tells the forge how a commit fares.
#[async_trait]
pub trait Reporter: Send + Sync + 'static {
    /// `outcome` is `None` while the run goes on; `url` is where people read about it.
    async fn report(&self, run: &Opened, outcome: Option<RunOutcome>, text: &str, url: &str) -> Result<(), Trouble>;
}

impl RunStage {
    /// Binds the stage. `index` says which run is ahead in a group, `owners` which instances still run
    /// what they started; `url` is where people reach the server.
    pub fn new(
        drivers: &Arc<Drivers>,
        executor: Arc<dyn Executor>,
        reporter: Arc<dyn Reporter>,
        leftovers: Arc<Leftovers>,
        index: Arc<JournalIndex>,
        owners: Arc<dyn Owners>,
        url: String,
    ) -> Self {
        let (drivers, attempts) = (Arc::downgrade(drivers), Arc::default());
        RunStage {
            drivers,
            attempts,
            executor,
            reporter,
            leftovers,
            index,
            owners,
            opened: Mutex::default(),
            told: Mutex::default(),
            url,
        }
    }

    fn driven(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Opened>>> {
        self.opened.lock().expect("nobody panics while holding the opened runs")
    }
}

#[async_trait]
impl Stage for RunStage {
    const NAME: &'static str = "run";
    type Entry = Entry;
    type Recorded = State;
    type Seen = Observed;
    type Act = Act;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        fold(entries)
    }

    async fn observe(&self, stream: &str, state: &State) -> Result<Observed, Trouble> {
        self.observe_attempts(stream, state).await
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        run::decide(state, observed, now)
    }

    async fn act(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
        self.carry_out(stream, act).await
    }
}

fn fold(entries: &[Written<Entry>]) -> State {
    State::replay(entries.iter().map(|written| (written.at_ms, &written.by, &written.entry)))
}

#[cfg(test)]
mod tests;
