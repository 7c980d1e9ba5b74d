//! The run: which steps start, wait for a person, are tried again, are skipped; when it ends.

mod act;
mod answer;
mod observe;

use crate::attempts::{Attempts, Owners};
use crate::drive::{Stage, Then, Trouble, Turn, Written};
use crate::index::JournalIndex;
use crate::leftovers::Leftovers;
use crate::places::PlaceWaits;
use crate::steps::Executor;
use async_trait::async_trait;
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::retry::Retry;
use decide::run::{self, Act, Entry, Observed, Opened, RunOutcome, SinceBackup, State};
use decide::stream::{Family, Stream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub use answer::answer;

/// The stage `run`, on streams `run/<run id>`.
pub struct RunStage {
    attempts: Arc<Attempts>,
    executor: Arc<dyn Executor>,
    reporter: Arc<dyn Reporter>,
    leftovers: Arc<Leftovers>,
    index: Arc<JournalIndex>,
    owners: Arc<dyn Owners>,
    /// What the forge was told last of each driven run, by stream: it spares repetition, and nothing rests on it.
    told: Mutex<BTreeMap<Stream, String>>,
    url: String,
    waits: Arc<PlaceWaits>,
    lost: Option<Arc<dyn LostTime>>,
}

/// Knows what the world shows of the time between a backup and its restore.
#[async_trait]
pub trait LostTime: Send + Sync + 'static {
    /// What it shows of a run that came with the backup, before its bump; `None` where there is nothing.
    ///
    /// # Errors
    /// It cannot be seen now.
    async fn shows(&self, run: &Opened) -> Result<Option<SinceBackup>, Trouble>;
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
        executor: Arc<dyn Executor>,
        reporter: Arc<dyn Reporter>,
        leftovers: Arc<Leftovers>,
        index: Arc<JournalIndex>,
        owners: Arc<dyn Owners>,
        url: String,
    ) -> Self {
        let (attempts, told, waits) = Default::default();
        RunStage { attempts, executor, reporter, leftovers, index, owners, told, url, waits, lost: None }
    }

    /// With what judges runs that came with a backup, before they go on.
    #[must_use]
    pub fn judging(self, lost: Arc<dyn LostTime>) -> Self {
        RunStage { lost: Some(lost), ..self }
    }

    /// With what knows which attempts wait for a free place.
    #[must_use]
    pub fn queueing(self, waits: Arc<PlaceWaits>) -> Self {
        RunStage { waits, ..self }
    }
}

#[async_trait]
impl Stage for RunStage {
    const NAME: &'static str = "run";
    const FAMILY: Family = Family::Run;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = Act;
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        fold(entries)
    }

    fn is_current(&self, state: &State, _: &Act) -> bool {
        state.outcome().is_none()
    }

    async fn observe(&self, turn: &Turn<'_>, state: &State, _: &Outcomes<Act, ()>) -> Result<Observed, Trouble> {
        self.observe_attempts(turn, state).await
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        run::decide(state, observed, now)
    }

    async fn act(&self, turn: &Turn<'_>, state: &State, act: &Act) -> Result<(), Trouble> {
        match state.opened() {
            Some(opened) => self.carry_out(turn, state, opened, act).await,
            None => Ok(()),
        }
    }

    /// What the forge is told holds nothing else up; while the run goes on, neither does a token without the right.
    fn then(&self, act: &Act, ended: &Result<(), Trouble>) -> Then {
        match (act, ended) {
            (_, Ok(())) => Then::GoOn,
            (Act::Report { outcome: None, .. }, Err(trouble)) if trouble.retry == Retry::NeedsPerson => Then::GoOn,
            (Act::Report { .. }, Err(_)) => Then::FailAtTheEnd,
            (_, Err(_)) => Then::Fail,
        }
    }
}

fn fold(entries: &[Written<Entry>]) -> State {
    State::replay(entries.iter().map(|written| (written.at_ms, &written.by, &written.entry)))
}

#[cfg(test)]
mod tests;
