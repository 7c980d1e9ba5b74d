//! A journal on a disk that may be full, for tests.

use journal::{AppendError, Entry, Error, Hold, Journal, NewEntry, Store, StreamInfo};
use std::sync::atomic::{AtomicBool, Ordering};

/// A journal whose appends find a full disk while it is told so.
pub(crate) struct FullDisk {
    pub(crate) journal: Journal,
    pub(crate) full: AtomicBool,
}

#[async_trait::async_trait]
impl Store for FullDisk {
    async fn append(&self, stream: &str, expected: u64, entries: Vec<NewEntry>) -> Result<u64, AppendError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(AppendError::Full("no space left on device".into()));
        }
        self.journal.append(stream, expected, entries).await
    }
    async fn summarize(
        &self,
        stream: &str,
        expected: u64,
        summary: NewEntry,
        keep: Vec<u64>,
    ) -> Result<u64, AppendError> {
        self.journal.summarize(stream, expected, summary, keep).await
    }
    async fn read_current(&self, stream: &str) -> Result<Vec<Entry>, Error> {
        self.journal.read_current(stream).await
    }
    async fn read_from(&self, stream: &str, index: u64) -> Result<Vec<Entry>, Error> {
        self.journal.read_from(stream, index).await
    }
    async fn tail(&self, after: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        self.journal.tail(after, limit).await
    }
    async fn streams(&self, prefix: &str) -> Result<Vec<StreamInfo>, Error> {
        self.journal.streams(prefix).await
    }
    fn newest(&self) -> tokio::sync::watch::Receiver<u64> {
        self.journal.newest()
    }
    async fn remove(&self, streams: Vec<String>) -> Result<u64, Error> {
        self.journal.remove(streams).await
    }
    async fn hold(&self) -> Hold {
        self.journal.hold().await
    }
}
