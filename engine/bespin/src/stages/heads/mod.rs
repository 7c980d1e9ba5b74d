//! Branches and tags that moved without a delivery become deliveries.

mod observe;
mod redelivery;

use crate::drive::{Drivers, Stage, Trouble, Turn, Written};
use crate::index::JournalIndex;
use async_trait::async_trait;
use decide::by::By;
use decide::delivery::{NOTHING, Received};
use decide::heads::{self, Act, Entry, Observed, State};
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::retention::REDELIVERY_MS;
use decide::stream::{Family, Stream};
use forge::Forge;
use forge::redelivery::Webhooks;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// How many repositories are looked at side by side.
const SIDE_BY_SIDE: usize = 8;

/// The stage `heads`, on streams `heads/<owner>/<repository>`.
pub struct HeadsStage {
    forge: Arc<Forge>,
    index: Arc<JournalIndex>,
    /// The hook of each repository, by `owner/repo`.
    hooks: BTreeMap<String, String>,
    places: Semaphore,
    webhooks: Webhooks,
    /// The repositories whose lost deliveries were asked for since the start. Only a hint: a restart asks once more.
    asked: Mutex<BTreeSet<String>>,
}

impl HeadsStage {
    /// Binds the stage. `hooks` holds the hook that each repository's deliveries come by.
    pub fn new(
        forge: &Arc<Forge>,
        index: Arc<JournalIndex>,
        hooks: BTreeMap<String, String>,
        webhooks: Webhooks,
    ) -> Arc<HeadsStage> {
        let places = Semaphore::new(SIDE_BY_SIDE);
        Arc::new(HeadsStage { forge: forge.clone(), index, hooks, places, webhooks, asked: Mutex::default() })
    }

    /// Looks at every repository now, and again every few minutes.
    pub fn watch(&self, drivers: &Arc<Drivers>) {
        if !self.hooks.is_empty() {
            tracing::info!(repositories = self.hooks.len(), "looking for pushes that no webhook told of");
        }
        self.hooks.keys().for_each(|repository| drivers.ensure(&Stream::heads(repository)));
    }
}

#[async_trait]
impl Stage for HeadsStage {
    const NAME: &'static str = "heads";
    const FAMILY: Family = Family::Heads;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = Act;
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        State::replay(entries.iter().map(|written| &written.entry))
    }

    fn is_current(&self, _: &State, _: &Act) -> bool {
        false
    }

    fn summary(&self, state: &State) -> Option<Entry> {
        state.summary()
    }

    fn kept(&self, entries: &[(u64, Written<Entry>)]) -> Vec<u64> {
        seen_gone(entries)
    }

    async fn observe(&self, turn: &Turn<'_>, _: &State, _: &Outcomes<Act, ()>) -> Result<Observed, Trouble> {
        self.observe_heads(turn, turn.stream.rest()).await
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        heads::decide(state, observed, now)
    }

    async fn act(&self, turn: &Turn<'_>, _: &State, act: &Act) -> Result<(), Trouble> {
        match act {
            Act::Open(push) => {
                tracing::info!(push.repository, push.reference, push.after, "it moved, and no delivery told of it");
                let received = Received::Push((**push).clone());
                let opened = turn.drivers().open(&received.stream(), &By::Server, &received.entry()).await;
                opened.map(drop).map_err(|error| Trouble::new("opening a delivery", error))
            }
            Act::AskAgain(lost) => {
                self.ask_again(turn.stream.rest(), lost).await;
                Ok(())
            }
        }
    }
}

/// What was seen to be gone stays before a summary as long as what led there may be told again: what is pushed there anew
/// would count as that otherwise.
fn seen_gone(entries: &[(u64, Written<Entry>)]) -> Vec<u64> {
    let newest = entries.last().map_or(0, |(_, last)| last.at_ms);
    let is_told_again = |written: &Written<Entry>| newest.saturating_sub(written.at_ms) <= REDELIVERY_MS;
    let gone = |(_, written): &&(u64, Written<Entry>)| {
        written.entry.heads().values().any(|at| at == NOTHING) && is_told_again(written)
    };
    entries.iter().filter(gone).map(|(index, _)| *index).collect()
}

#[cfg(test)]
mod tests;
