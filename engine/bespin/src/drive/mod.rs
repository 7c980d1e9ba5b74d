//! The only loop in the program: observe, decide, append, act, wait.

mod codec;
mod drivers;
mod fault;
#[cfg(test)]
pub(crate) mod full_disk;
mod turn;

#[cfg(test)]
mod tests;

pub use codec::{encode, read};
pub use drivers::{Begun, Drivers};

use api::board::Board;
use async_trait::async_trait;
use decide::by::By;
use decide::next::{Next, Timestamp};
use decide::outcome::{Failure, Outcomes};
use decide::retry::Retry;
use decide::stream::{Family, Stream};
use decide::summary::{self, Endless, NumberedEntry};
use journal::Journal;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// One stage of a push's way: a pure decision, bound to what it observes and does.
#[async_trait]
pub trait Stage: Send + Sync + 'static {
    /// The stage's name in logs and on the dashboard.
    const NAME: &'static str;
    /// Whose streams it drives.
    const FAMILY: Family;
    /// What it records; serde's adjacently tagged `{kind, body}`.
    type Entry: Serialize + DeserializeOwned + Send + Sync;
    /// What its stream adds up to.
    type State: Send + Sync;
    /// What the world is like, as far as it matters to the decision.
    type Observed: Send + Sync;
    /// What it may cause.
    type Act: Send + Sync;
    /// What the driver keeps of an act beside what came of it: enough to know it again. The act itself, or less where
    /// an act holds whole objects, for this is kept as long as the act is asked for.
    type ActKey: From<Self::Act> + PartialEq + Send + Sync;
    /// What an act answers when it was carried out.
    type Reply: Send + Sync;

    /// Folds a stream. Starting is resuming: a fresh stream has one entry.
    fn replay(&self, entries: &[Written<Self::Entry>]) -> Self::State;
    /// Whether this state still asks for the act: while it does, what came of the act is handed to [`Stage::observe`].
    fn is_current(&self, state: &Self::State, act: &Self::ActKey) -> bool;
    /// Whether what came of an act says more than the next look does. By default everything does.
    fn is_hint(&self, _: &Self::ActKey, _: &Result<Self::Reply, Failure>) -> bool {
        true
    }
    /// Observes the world. An error means that there is no decision at all.
    async fn observe(
        &self,
        turn: &Turn<'_>,
        state: &Self::State,
        outcomes: &Outcomes<Self::ActKey, Self::Reply>,
    ) -> Result<Self::Observed, Trouble>;
    /// Decides. Total and pure; delegates to `decide`.
    fn decide(&self, state: &Self::State, observed: &Self::Observed, now: Timestamp) -> Next<Self::Entry, Self::Act>;
    /// Carries out one act, given the state as it is recorded by now. Called again after any failure or crash.
    async fn act(&self, turn: &Turn<'_>, state: &Self::State, act: &Self::Act) -> Result<Self::Reply, Trouble>;
    /// The entry that replays to this state by itself. A stream without an end is read from there on.
    fn summary(&self, _: &Self::State) -> Option<Self::Entry> {
        None
    }
    /// The indexes of the entries that stay before a summary, for people to read.
    fn kept(&self, _: &[(u64, Written<Self::Entry>)]) -> Vec<u64> {
        Vec::new()
    }
    /// What follows when an act has ended. Most stages act in an order in which each act needs the ones before it.
    fn then(&self, _: &Self::Act, ended: &Result<Self::Reply, Trouble>) -> Then {
        if ended.is_ok() { Then::GoOn } else { Then::Fail }
    }
}

/// What the driver does once an act has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It carries out the next act. What came of this one is the next decision's matter, a failure as well.
    GoOn,
    /// It leaves out the acts that are left in this turn. Why is the next decision's matter.
    Stop,
    /// It leaves them out, and tries the turn again after a pause.
    Fail,
    /// It carries out those that are left, for none of them needs this one, and tries the turn again after a pause.
    FailAtTheEnd,
}

/// What a stage may reach during one turn of its driver.
pub struct Turn<'a> {
    /// The stream that is driven.
    pub stream: &'a Stream,
    drivers: &'a Arc<Drivers>,
}

impl<'a> Turn<'a> {
    /// Binds a turn; tests of a stage make one by hand.
    pub fn new(drivers: &'a Arc<Drivers>, stream: &'a Stream) -> Turn<'a> {
        Turn { stream, drivers }
    }

    /// Where other streams are opened, appended to and woken.
    pub fn drivers(&self) -> &'a Arc<Drivers> {
        self.drivers
    }

    /// The journal that the turn's stream is in.
    pub fn journal(&self) -> &'a Journal {
        self.drivers.journal()
    }

    /// Where the stage publishes its views.
    pub fn board(&self) -> &'a Board {
        self.drivers.board()
    }
}

/// An entry with its moment and its author.
#[derive(Clone, Debug)]
pub struct Written<E> {
    /// Milliseconds since the epoch.
    pub at_ms: Timestamp,
    /// The author of the entry.
    pub by: By,
    /// The entry itself, as its stage wrote it.
    pub entry: E,
}

/// The entries that stay before a summary of their stream.
pub fn kept<E: Endless>(entries: &[(u64, Written<E>)]) -> Vec<u64> {
    let numbered = entries.iter().map(|(index, Written { by, entry, .. })| NumberedEntry { index: *index, by, entry });
    let numbered: Vec<_> = numbered.collect();
    summary::kept(&numbered)
}

/// Why an observation or an act did not work out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// What happened, as a sentence without a full stop.
    pub message: String,
    /// Whether it is worth trying again.
    pub retry: Retry,
}

impl Trouble {
    /// What may pass by itself.
    pub fn passing(message: impl Into<String>) -> Trouble {
        Trouble { message: message.into(), retry: Retry::PASSING }
    }

    /// What may pass by itself, with what was tried.
    pub fn new(tried: &str, error: impl std::fmt::Display) -> Trouble {
        Trouble::passing(format!("{tried}: {error}"))
    }
}

impl From<Trouble> for Failure {
    fn from(Trouble { message, retry }: Trouble) -> Failure {
        Failure { message, retry }
    }
}

impl From<journal::Error> for Trouble {
    fn from(error: journal::Error) -> Trouble {
        Trouble::new("reading the journal", error)
    }
}

impl From<journal::AppendError> for Trouble {
    fn from(error: journal::AppendError) -> Trouble {
        Trouble::new("writing the journal", error)
    }
}

/// The clock, in milliseconds since the epoch: read here and nowhere below. It never goes back while the server runs.
pub fn now() -> Timestamp {
    api::clock::now()
}
