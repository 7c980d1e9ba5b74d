//! Remembers: durable streams of entries, in the embedded store.
//!
//! A stream is an append-only list of entries; `append` names the length it
//! expects, so that two writers cannot both believe to be first. All streams
//! share one global sequence, which is the id of the server-sent events.

mod carry;
mod disk;
mod embedded;
#[cfg(feature = "faults")]
pub mod fault;
mod keys;
mod opening;
mod parts;
mod restored;
mod room;
mod salvage;
mod seal;
mod settings;
mod slots;
mod stored;
mod writer;

pub use carry::{Verified, backup, export, restore, verify};
pub use embedded::{open, open_with};
pub use restored::restored_up_to;
pub use salvage::{InspectedJournal, LastEntry, inspect, mark_restored, salvage};
pub use settings::Settings;

use decide::by::By;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A journal that many parts of the server share.
pub type Journal = Arc<dyn Store>;

/// The version that every new entry carries, and the newest that can be read.
pub const VERSION: u32 = 1;

/// An entry to append.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// Milliseconds since the epoch, from the decision that made the entry.
    pub at_ms: u64,
    /// Who caused the entry: the server, a person, a delivery or a run.
    pub by: By,
    /// What kind of entry, such as `started`.
    pub kind: String,
    /// What it says, as the kind's own JSON.
    pub body: serde_json::Value,
}

/// An entry as it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the whole journal, from 1 upwards, without meaning to gaps.
    pub seq: u64,
    /// The stream it belongs to.
    pub stream: String,
    /// Its place in its stream, from 0.
    pub index: u64,
    /// The format's version, at most [`VERSION`] of the server that wrote it.
    pub v: u32,
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// Who caused the entry, as it was given to the append.
    pub by: By,
    /// What kind of entry.
    pub kind: String,
    /// What the entry says, as the kind's own JSON; this crate does not read it.
    pub body: serde_json::Value,
}

/// A stream's name, and where its present begins and ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// The stream's name, such as `run/user/petclinic/was/56`.
    pub name: String,
    /// The index after its newest entry: how many entries it ever had.
    pub len: u64,
    /// The index of its newest summary, or 0. Entries below it may be gone; from here on none is.
    #[serde(default)]
    pub base: u64,
    /// The global sequence of its newest entry.
    pub last_seq: u64,
}

/// Why an append did not happen. Nothing of it is recorded then.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended first.
    #[error("the stream has {actual} entries, not the expected {expected}")]
    Conflict {
        /// The length that the caller expected.
        expected: u64,
        /// The length that the stream has.
        actual: u64,
    },
    /// The disk has no room; the caller answers 503 and tries later.
    #[error("no room for the journal: {0}")]
    Full(String),
    /// The store failed otherwise.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Why the journal cannot be read or opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// What every backend offers. Durable means: on the disk, not in a cache.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// Appends all entries or none, durably, and returns the last one's global sequence.
    async fn append(&self, stream: &str, expected_len: u64, entries: Vec<NewEntry>) -> Result<u64, AppendError>;
    /// Appends `summary` as the entry `expected_len` and makes it the stream's
    /// base, in one durable step, and returns its global sequence. Then the
    /// entries below the base go, but for those whose index is in `keep`; the
    /// next summary removes what a crash or a [`Hold`] leaves of them.
    async fn summarize(
        &self,
        stream: &str,
        expected_len: u64,
        summary: NewEntry,
        keep: Vec<u64>,
    ) -> Result<u64, AppendError>;
    /// Reads a stream from its newest summary on, or from its beginning where
    /// it has none. What it costs does not depend on what lies before.
    async fn read_current(&self, stream: &str) -> Result<Vec<Entry>, Error>;
    /// Reads a stream from its beginning; empty where there is none. Below its
    /// base there may be gaps, which [`Entry::index`] tells.
    async fn read(&self, stream: &str) -> Result<Vec<Entry>, Error> {
        self.read_from(stream, 0).await
    }
    /// Reads a stream from its entry `index` on, with gaps below its base; empty where it is not that long.
    async fn read_from(&self, stream: &str, index: u64) -> Result<Vec<Entry>, Error>;
    /// Reads up to `limit` entries of all streams whose sequence is above `after_seq`.
    async fn tail(&self, after_seq: u64, limit: usize) -> Result<Vec<Entry>, Error>;
    /// Lists the streams whose name starts with `prefix`, by name.
    async fn streams(&self, prefix: &str) -> Result<Vec<StreamInfo>, Error>;
    /// Follows the newest global sequence.
    fn newest(&self) -> tokio::sync::watch::Receiver<u64>;
    /// Follows why nothing can be written any more, once that is so: the
    /// process should then end with that reason, since only a new one can tell
    /// what the disk holds. An append that was refused for want of room is no
    /// such reason. A backend that cannot tell never says anything.
    fn broken(&self) -> tokio::sync::watch::Receiver<Option<String>> {
        tokio::sync::watch::channel(None).1
    }
    /// Removes whole streams, durably, and returns how many entries went with
    /// them. The caller answers for it that each of them has ended. Refused
    /// while a [`Hold`] lives.
    async fn remove(&self, streams: Vec<String>) -> Result<u64, Error>;
    /// Keeps every stream, and what lies below its base, in its place while a backup reads them.
    async fn hold(&self) -> Hold;
}

/// While it lives, [`Store::remove`] refuses, and [`Store::summarize`] leaves what it would remove.
#[must_use = "dropping it lets entries be removed again"]
pub struct Hold {
    _guard: Box<dyn Send + Sync>,
}

impl Hold {
    /// Wraps a backend's own guard, which is released when this is dropped.
    pub fn new(guard: impl Send + Sync + 'static) -> Hold {
        Hold { _guard: Box::new(guard) }
    }
}

/// Bounded retention: removes all but the `keep` newest of the streams under
/// `prefix` for which `ended` answers true, and returns how many streams went.
/// Newest means by the sequence of the last entry.
pub async fn prune(
    store: &dyn Store,
    prefix: &str,
    keep: usize,
    ended: impl Fn(&StreamInfo) -> bool,
) -> Result<usize, Error> {
    let mut streams = store.streams(prefix).await?;
    streams.sort_by_key(|stream| std::cmp::Reverse(stream.last_seq));
    let gone: Vec<String> = streams.into_iter().skip(keep).filter(|s| ended(s)).map(|s| s.name).collect();
    let count = gone.len();
    if count > 0 {
        store.remove(gone).await?;
    }
    Ok(count)
}
