//! A journal in memory, for the dashboard's own tests and its fixture.

use journal::{AppendError, Entry, Error, NewEntry, Store, StreamInfo, VERSION};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::watch;

/// Entries in the order in which they were appended.
pub struct Memory {
    entries: Mutex<Vec<Entry>>,
    newest: watch::Sender<u64>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory { entries: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

#[async_trait::async_trait]
impl Store for Memory {
    async fn append(&self, stream: &str, expected: u64, new: Vec<NewEntry>) -> Result<u64, AppendError> {
        let mut entries = self.entries.lock().unwrap();
        let actual = entries.iter().filter(|entry| entry.stream == stream).count() as u64;
        if actual != expected {
            return Err(AppendError::Conflict { expected, actual });
        }
        for (at, NewEntry { at_ms, by, kind, body }) in new.into_iter().enumerate() {
            let (seq, index) = (entries.len() as u64 + 1, actual + at as u64);
            entries.push(Entry { seq, stream: stream.into(), index, v: VERSION, at_ms, by, kind, body });
        }
        let seq = entries.len() as u64;
        self.newest.send_replace(seq);
        Ok(seq)
    }

    async fn read(&self, stream: &str) -> Result<Vec<Entry>, Error> {
        Ok(self.entries.lock().unwrap().iter().filter(|entry| entry.stream == stream).cloned().collect())
    }

    async fn tail(&self, after: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        Ok(self.entries.lock().unwrap().iter().filter(|entry| entry.seq > after).take(limit).cloned().collect())
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamInfo>, Error> {
        let mut streams = BTreeMap::new();
        for entry in self.entries.lock().unwrap().iter().filter(|entry| entry.stream.starts_with(prefix)) {
            let new = StreamInfo { name: entry.stream.clone(), len: 0, last_seq: 0 };
            let info = streams.entry(entry.stream.clone()).or_insert(new);
            info.len += 1;
            info.last_seq = entry.seq;
        }
        Ok(streams.into_values().collect())
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}
