//! A push or a pull request that was received becomes runs.

mod act;
mod files;
mod kept;
mod manual;
mod observe;
mod pull_request;

use crate::drive::{Drivers, Stage, Trouble, Turn, Written};
use crate::index::JournalIndex;
use crate::plugins::Plugins;
use crate::retention::Memory;
use async_trait::async_trait;
use decide::delivery::{self, Act, Change, Entry, File, Observed, Push, Received, State};
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::run::{Commit, Opened};
use decide::stream::{Family, Stream};
use files::Sources;
use forge::Forge;
use kept::KeptCommits;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::Semaphore;

pub use manual::ManualRuns;

/// Knows the numbers that runs have left elsewhere, when the journal does not.
#[async_trait]
pub trait RunNumberFloor: Send + Sync + 'static {
    /// The last number that runs of the pipeline have used, as far as their
    /// traces show; 0 where there are none. `opened` is the run that waits for a number.
    ///
    /// # Errors
    /// A place that may hold traces could not be read, so the number is not known.
    async fn last(&self, opened: &Opened) -> Result<u64, Trouble>;
}

/// The stage `delivery`, on streams `delivery/<hook>/<delivery id>`.
pub struct DeliveryStage {
    forge: Arc<Forge>,
    index: Arc<JournalIndex>,
    floors: BTreeMap<String, u64>,
    external: Arc<dyn RunNumberFloor>,
    plugins: Arc<Plugins>,
    /// The turns in which deliveries observe a repository. They decide nothing: two deliveries that observed at the
    /// same time would find the same number, and the append of the second would be refused.
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// A cache of what git says of commits, which never changes.
    commits: Mutex<KeptCommits<KnownCommit>>,
    /// When each delivery was first looked at, by its stream: it was received before that.
    looked: Mutex<HashMap<Stream, Instant>>,
}

/// What git says of a commit; it never changes.
#[derive(Clone)]
struct KnownCommit {
    commit: Commit,
    sources: Arc<Sources>,
}

/// What a commit holds for a delivery, by what the plugins declare now.
struct AtCommit {
    commit: Commit,
    files: Vec<File>,
}

impl DeliveryStage {
    /// Binds the stage. `floors` holds the last run numbers used elsewhere, by
    /// `owner/repo/pipeline`, and `external` finds those that are neither there nor
    /// in the journal. Steps are checked by what `plugins` declare.
    pub fn new(
        forge: &Arc<Forge>,
        index: Arc<JournalIndex>,
        floors: BTreeMap<String, u64>,
        (external, plugins): (Arc<dyn RunNumberFloor>, Arc<Plugins>),
    ) -> Arc<DeliveryStage> {
        Arc::new(DeliveryStage {
            forge: forge.clone(),
            index,
            floors,
            external,
            plugins,
            gates: Mutex::default(),
            commits: Mutex::default(),
            looked: Mutex::default(),
        })
    }

    /// Goes on with every delivery that has not ended, in the order received.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn resume(&self, drivers: &Arc<Drivers>) -> Result<(), journal::Error> {
        for stream in self.index.pending().await? {
            drivers.ensure(&stream);
        }
        Ok(())
    }

    /// The number that a run gets which is opened once more.
    ///
    /// # Errors
    /// A place that may hold traces of earlier runs could not be read, or the journal, so that it is not known.
    pub async fn number_again(&self, old: &Opened) -> Result<u64, Trouble> {
        let (runs, pipeline) = (self.runs(&old.repository).await?, &old.pipeline.name);
        let external = match delivery::unnumbered_again(old, &runs) {
            Some(opened) => Some(self.external.last(&opened).await?),
            None => None,
        };
        let configured = self.configured(&old.repository).get(pipeline).copied();
        Ok(delivery::next_number(pipeline, &runs, external.into_iter().chain(configured)))
    }

    /// The runs of all repositories, as far as superseding goes.
    pub fn index(&self) -> &JournalIndex {
        &self.index
    }
}

#[async_trait]
impl Memory for DeliveryStage {
    async fn forget(&self, runs: &BTreeSet<String>) {
        self.index.forget(runs).await;
    }

    async fn tidy(&self) {
        if let Err(trouble) = self.tidy_heads().await {
            tracing::warn!(%trouble, "heads of pull requests were left behind");
        }
    }
}

#[async_trait]
impl Stage for DeliveryStage {
    const NAME: &'static str = "delivery";
    const FAMILY: Family = Family::Delivery;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = Act;
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        State::replay(entries.iter().map(|written| (written.at_ms, &written.entry)))
    }

    fn is_current(&self, state: &State, _: &Act) -> bool {
        state.ended.is_none()
    }

    async fn observe(&self, turn: &Turn<'_>, state: &State, _: &Outcomes<Act, ()>) -> Result<Observed, Trouble> {
        let (Some((received, _)), None) = (&state.received, &state.ended) else {
            self.looked.lock().expect("nobody panics while holding the moments").remove(turn.stream);
            return Ok(Observed::Nothing);
        };
        if matches!(received, Received::Push(Push { change: Change::Deleted, .. })) {
            // It may have been made again before this was told.
            turn.drivers().poke(&Stream::heads(received.repository()));
            return Ok(Observed::Nothing);
        }
        self.observe_repository(received).await
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        delivery::decide(state, observed, now)
    }

    async fn act(&self, turn: &Turn<'_>, _: &State, act: &Act) -> Result<(), Trouble> {
        match act {
            Act::Open(opened) => self.open(turn, opened).await,
            Act::Supersede { run, by } => self.supersede(turn, run, by).await,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
