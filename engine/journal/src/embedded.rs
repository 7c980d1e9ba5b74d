//! The embedded store: what is durable is kept in an index in memory, and
//! nobody reads past it.

use crate::disk::{StoreFolder, Unopened};
use crate::settings::Settings;
use crate::stored::{Durable, StoredEntry, StreamHead};
use crate::writer::{self, Addition, AdditionRole, StoreWriter, WriterRequest};
use crate::{AppendError, Entry, Error, Hold, Journal, NewEntry, Store, StreamInfo, keys, opening, salvage};
use async_trait::async_trait;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, RwLock};
use tokio::sync::{mpsc, oneshot, watch};

/// Opens or creates the journal in `dir`. An entry of an unknown version, a
/// damaged file, or another process that holds the folder refuse the start.
pub fn open(dir: &Path) -> Result<Journal, Error> {
    open_with(&Settings::new(dir))
}

/// Like [`open`], with other settings than the defaults.
pub fn open_with(settings: &Settings) -> Result<Journal, Error> {
    open_parts(settings).map(|(_, journal)| journal)
}

fn open_parts(settings: &Settings) -> Result<(Arc<StoreFolder>, Journal), Error> {
    let (disk, durable) = opening::open(&settings.dir).map_err(|unopened| match unopened {
        Unopened::Refused(error) => error,
        Unopened::Damaged(what) => salvage::refusal(&settings.dir, &what),
    })?;
    start(disk, durable, settings)
}

fn start(disk: StoreFolder, durable: Durable, settings: &Settings) -> Result<(Arc<StoreFolder>, Journal), Error> {
    let (disk, durable) = (Arc::new(disk), Arc::new(RwLock::new(durable)));
    let newest = durable.read().expect("fresh lock").meta.newest;
    let (newest_sender, newest) = watch::channel(newest);
    let (tell_broken, broken) = watch::channel(None);
    let (requests, queue) = mpsc::channel(writer::QUEUE);
    let removing = Arc::new(tokio::sync::RwLock::new(()));
    let telling = (newest_sender, tell_broken.clone());
    let writer = StoreWriter::new(disk.clone(), durable.clone(), telling, removing.clone(), settings);
    let thread = std::thread::Builder::new()
        .name("journal".into())
        .spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| writer.run(queue))).is_err() {
                tell_broken.send_replace(Some("the journal's writer panicked".into()));
            }
        })
        .map_err(|error| Error(format!("starting the journal's writer: {error}")))?;
    let journal = Embedded {
        disk: Some(disk.clone()),
        durable,
        newest,
        broken,
        requests: Some(requests),
        removing,
        thread: Some(thread),
    };
    Ok((disk, Arc::new(journal)))
}

/// The entries of a stream from index `from` to below `len`. Those that are removed meanwhile are left out.
fn walk(disk: &StoreFolder, stream: &str, from: u64, len: u64) -> Result<Vec<Entry>, Error> {
    if from >= len {
        return Ok(Vec::new());
    }
    let (mut seqs, from) = (Vec::new(), keys::place(stream, from));
    disk.scan(&from[..stream.len() + 2], &from, |key, value| {
        let Some(index) = keys::number(key).filter(|index| *index < len) else { return Ok(false) };
        seqs.extend(keys::number(value));
        Ok(index + 1 < len)
    })?;
    let mut entries = Vec::with_capacity(seqs.len());
    for seq in seqs {
        if let Some(value) = disk.get(&keys::entry(seq))? {
            entries.push(StoredEntry::decode(seq, &value)?);
        }
    }
    Ok(entries)
}

struct Embedded {
    disk: Option<Arc<StoreFolder>>,
    durable: Arc<RwLock<Durable>>,
    newest: watch::Receiver<u64>,
    broken: watch::Receiver<Option<String>>,
    requests: Option<mpsc::Sender<WriterRequest>>,
    removing: Arc<tokio::sync::RwLock<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Embedded {
    async fn ask<T>(&self, request: WriterRequest, answer: oneshot::Receiver<T>) -> Result<T, Error> {
        let gone = || Error("the journal's writer has stopped".into());
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(request).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    async fn add(
        &self,
        stream: &str,
        expected_len: u64,
        entries: Vec<NewEntry>,
        role: AdditionRole,
    ) -> Result<u64, AppendError> {
        let (answer, answered) = oneshot::channel();
        let addition = Addition { stream: stream.to_owned(), expected_len, entries, role, answer };
        let appended = self.ask(WriterRequest::Append(addition), answered).await?;
        #[cfg(feature = "faults")]
        if appended.is_ok() {
            crate::fault::after_append();
        }
        appended
    }

    fn head(&self, stream: &str) -> Option<StreamHead> {
        self.durable.read().expect("nothing panics while it holds the index").heads.get(stream).copied()
    }

    /// Reads a stream from the index that its head says.
    async fn read_at(&self, stream: &str, from: impl Fn(StreamHead) -> u64) -> Result<Vec<Entry>, Error> {
        loop {
            let Some(head) = self.head(stream) else { return Ok(Vec::new()) };
            let (name, from) = (stream.to_owned(), from(head));
            let entries = self.look(move |disk| walk(disk, &name, from, head.len)).await?;
            // What a summary replaced meanwhile may be missing, and the summary is not in it.
            if self.head(stream).is_none_or(|now| now.base == head.base) {
                return Ok(entries);
            }
        }
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&StoreFolder) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let disk = self.disk.clone().ok_or_else(|| Error("the journal is closed".into()))?;
        let looked = tokio::task::spawn_blocking(move || look(&disk)).await;
        looked.map_err(|error| Error(format!("reading the journal: {error}")))?
    }
}

#[async_trait]
impl Store for Embedded {
    async fn append(&self, stream: &str, expected_len: u64, entries: Vec<NewEntry>) -> Result<u64, AppendError> {
        self.add(stream, expected_len, entries, AdditionRole::Next).await
    }

    async fn summarize(
        &self,
        stream: &str,
        expected_len: u64,
        summary: NewEntry,
        keep: Vec<u64>,
    ) -> Result<u64, AppendError> {
        self.add(stream, expected_len, vec![summary], AdditionRole::Summary { keep }).await
    }

    async fn read_current(&self, stream: &str) -> Result<Vec<Entry>, Error> {
        self.read_at(stream, |head| head.base).await
    }

    async fn read_from(&self, stream: &str, index: u64) -> Result<Vec<Entry>, Error> {
        self.read_at(stream, |_| index).await
    }

    async fn tail(&self, after_seq: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        let newest = *self.newest.borrow();
        if after_seq >= newest || limit == 0 {
            return Ok(Vec::new());
        }
        self.look(move |disk| {
            let mut entries = Vec::new();
            disk.scan(keys::ENTRY, &keys::entry(after_seq + 1), |key, value| {
                let Some(seq) = keys::number(key).filter(|seq| *seq <= newest) else { return Ok(false) };
                entries.push(StoredEntry::decode(seq, value)?);
                Ok(entries.len() < limit)
            })?;
            Ok(entries)
        })
        .await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamInfo>, Error> {
        let durable = self.durable.read().expect("nothing panics while it holds the index");
        let from = durable.heads.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        let found = from.take_while(|(name, _)| name.starts_with(prefix));
        let info = |(name, head): (&String, &StreamHead)| {
            let StreamHead { len, base, last_seq } = *head;
            StreamInfo { name: name.clone(), len, base, last_seq }
        };
        Ok(found.map(info).collect())
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    fn broken(&self) -> watch::Receiver<Option<String>> {
        self.broken.clone()
    }

    async fn remove(&self, streams: Vec<String>) -> Result<u64, Error> {
        let (answer, answered) = oneshot::channel();
        self.ask(WriterRequest::Remove { streams, answer }, answered).await?
    }

    async fn hold(&self) -> Hold {
        Hold::new(self.removing.clone().read_owned().await)
    }
}

impl Drop for Embedded {
    /// Waits for the writer, so that the folder can be opened again at once.
    fn drop(&mut self) {
        self.requests.take();
        self.disk.take();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Batch;
    use crate::slots::SlotsFile;
    use crate::stored::{Meta, Totals};
    use decide::by::By;
    use std::sync::atomic::Ordering;

    /// A journal of one entry, with whatever is wrong with it.
    fn opened(v: u32, index: u64, entries: u64) -> String {
        opened_with(v, index, entries, None)
    }

    /// A journal of one entry and perhaps a base.
    fn based(base: Option<u64>, index: u64) -> String {
        opened_with(1, index, 1, base)
    }

    fn opened_with(v: u32, index: u64, entries: u64, base: Option<u64>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let (stream, body) = ("run/a/1".to_owned(), serde_json::Value::Null);
        let entry = Entry { seq: 4, stream, index, v, at_ms: 0, by: By::Server, kind: "opened".into(), body };
        let mut batch = Batch::default();
        batch.put(keys::entry(4), StoredEntry::encode(&entry).unwrap());
        batch.put(keys::place("run/a/1", index), 4u64.to_be_bytes().to_vec());
        if let Some(base) = base {
            batch.put(keys::base("run/a/1"), base.to_be_bytes().to_vec());
        }
        let (disk, _) = opening::open(dir.path()).unwrap();
        disk.write(batch, Meta { newest: 4, entries }).unwrap();
        drop(disk);
        open(dir.path()).err().map_or_else(|| "opens".into(), |error| error.0)
    }

    #[tokio::test]
    async fn a_failed_write_is_the_last_one_and_its_reason_is_told() {
        let dir = tempfile::tempdir().unwrap();
        // Nobody looked at what this store holds, so that it refuses to write.
        let disk = StoreFolder::open(dir.path()).unwrap();
        let (disk, journal) = start(disk, Durable::default(), &Settings::new(dir.path())).unwrap();
        let mut broken = journal.broken();
        assert_eq!(*broken.borrow_and_update(), None);
        let refused = journal.append("s", 0, numbered(0, 1)).await.unwrap_err();
        let why = broken.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert!(why.starts_with("the store was not checked; what the disk holds is unknown now"), "{why}");
        assert_eq!(refused.to_string(), why);
        disk.begin(Totals::default(), SlotsFile::create(dir.path()).unwrap());
        assert_eq!(
            journal.append("s", 0, numbered(0, 1)).await.unwrap_err().to_string(),
            why,
            "no write is tried again"
        );
    }

    fn numbered(from: u64, to: u64) -> Vec<NewEntry> {
        let new = |n| NewEntry { at_ms: n, by: By::Server, kind: "counted".into(), body: serde_json::json!(n) };
        (from..to).map(new).collect()
    }

    #[tokio::test]
    async fn a_look_at_a_summarized_stream_reads_as_much_after_100_000_entries_as_after_10() {
        // In memory, where it can be: it is no disk that is tried, and there are many syncs.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (disk, journal) = open_parts(&Settings::new(dir.path())).unwrap();
        let (mut len, mut costs) = (0, Vec::new());
        for past in [10, 1_000, 100_000] {
            while len < past {
                let to = past.min(len + 5_000);
                journal.append("app/a", len, numbered(len, to)).await.unwrap();
                let mut summary = numbered(to, to + 1);
                journal.summarize("app/a", to, summary.pop().unwrap(), (3..8).collect()).await.unwrap();
                len = to + 1;
            }
            journal.append("app/a", len, numbered(len, len + 2)).await.unwrap();
            len += 2;
            let before = disk.values_read.load(Ordering::SeqCst);
            let current = journal.read_current("app/a").await.unwrap();
            assert_eq!(current.iter().map(|entry| entry.index).collect::<Vec<_>>(), [len - 3, len - 2, len - 1]);
            costs.push(disk.values_read.load(Ordering::SeqCst) - before);
            let all = journal.read("app/a").await.unwrap();
            assert_eq!(
                all.iter().map(|entry| entry.index).collect::<Vec<_>>(),
                [3, 4, 5, 6, 7, len - 3, len - 2, len - 1]
            );
        }
        // A place and an entry for each of the three.
        assert_eq!(costs, [6, 6, 6]);
    }

    #[test]
    fn a_start_is_refused_by_version_stream_and_damage() {
        assert_eq!(opened(1, 0, 1), "opens");
        assert_eq!(
            opened(9, 0, 1),
            "entry 0 of the stream run/a/1 has the format version 9, and this Bespin reads versions 1 to 1; \
             start the Bespin that wrote it, or a newer one"
        );
        assert!(opened(1, 1, 1).contains("the stream run/a/1 lacks its entry 0"));
        assert!(opened(1, 0, 2).contains("it holds 1 entries and 1 places, and recorded 2"));
        assert_eq!(based(Some(7), 7), "opens");
        assert!(based(None, 7).contains("the stream run/a/1 lacks its entry 0"));
        assert!(based(Some(6), 7).contains("the stream run/a/1 lacks its entry 6"));
        assert!(based(Some(8), 7).contains("the stream run/a/1 lacks its summary, the entry 8"));
    }
}
