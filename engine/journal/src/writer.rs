//! The one thread that writes: everything that waits is one batch, one flush
//! and one sync, and only then is anybody answered.

mod trim;

use crate::disk::{Batch, StoreFolder, WriteError};
use crate::settings::Settings;
use crate::stored::{Durable, Meta, StoredEntry, StreamHead};
use crate::{AppendError, Entry, Error, NewEntry, VERSION, keys, room};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};
use trim::Trim;

/// How many requests may wait; callers beyond it wait for their turn to ask.
pub(crate) const QUEUE: usize = 1024;
/// No batch grows much beyond this many bytes.
const BATCH_BYTES: usize = 128 << 10;
/// The largest entry, in bytes: a run's first entry carries its whole pipeline.
const LARGEST_ENTRY: usize = 4 << 20;

/// What callers ask for.
pub(crate) enum WriterRequest {
    /// Append to a stream.
    Append(Addition),
    /// Remove whole streams, and answer with how many entries went.
    Remove { streams: Vec<String>, answer: oneshot::Sender<Result<u64, Error>> },
}

/// What is to stand at a stream's end.
pub(crate) struct Addition {
    pub stream: String,
    pub expected_len: u64,
    pub entries: Vec<NewEntry>,
    /// Whether the stream's base moves.
    pub role: AdditionRole,
    /// Where the last entry's sequence goes once it is on the disk.
    pub answer: oneshot::Sender<Result<u64, AppendError>>,
}

/// What new entries are to their stream.
pub(crate) enum AdditionRole {
    /// They continue it.
    Next,
    /// The only one of them replaces what lies before it, but for the entries of these indexes.
    Summary { keep: Vec<u64> },
}

/// The writer's own state.
pub(crate) struct StoreWriter {
    disk: Arc<StoreFolder>,
    durable: Arc<RwLock<Durable>>,
    newest: watch::Sender<u64>,
    removing: Arc<tokio::sync::RwLock<()>>,
    dir: PathBuf,
    min_free_bytes: u64,
    /// What is removed bit by bit, while nobody else waits.
    trims: VecDeque<Trim>,
    /// After a failed write nobody knows what the disk holds: nothing more is written.
    broken: Option<WriteError>,
    tell_broken: watch::Sender<Option<String>>,
}

/// What waits for one sync.
#[derive(Default)]
struct AppendGroup {
    batch: Batch,
    bytes: usize,
    heads: BTreeMap<String, StreamHead>,
    meta: Meta,
    answers: Vec<(oneshot::Sender<Result<u64, AppendError>>, u64)>,
    /// What is answered when it is through, and begins when the group is on the disk.
    trims: Vec<Trim>,
}

impl StoreWriter {
    /// Binds the writer to the store and to the index that it alone changes.
    pub(crate) fn new(
        disk: Arc<StoreFolder>,
        durable: Arc<RwLock<Durable>>,
        (newest, tell_broken): (watch::Sender<u64>, watch::Sender<Option<String>>),
        removing: Arc<tokio::sync::RwLock<()>>,
        settings: &Settings,
    ) -> StoreWriter {
        let (dir, min_free_bytes) = (settings.dir.clone(), settings.min_free_bytes);
        let (trims, broken) = (VecDeque::new(), None);
        StoreWriter { disk, durable, newest, removing, dir, min_free_bytes, trims, broken, tell_broken }
    }

    /// Works until the last caller is gone.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<WriterRequest>) {
        while let Some(first) = self.next(&mut queue) {
            let mut group = self.start();
            let mut next = Some(first);
            while let Some(request) = next.take() {
                match request {
                    WriterRequest::Append(addition) => {
                        self.join(&mut group, addition);
                        if group.bytes < BATCH_BYTES {
                            next = queue.try_recv().ok();
                        }
                    }
                    WriterRequest::Remove { streams, answer } => {
                        self.commit(std::mem::take(&mut group));
                        let removed = self.remove(&streams);
                        let _gone = answer.send(removed);
                        group = self.start();
                    }
                }
            }
            self.commit(group);
            self.trim();
        }
    }

    /// The next request; what is to be removed is removed until there is one.
    fn next(&mut self, queue: &mut mpsc::Receiver<WriterRequest>) -> Option<WriterRequest> {
        while !self.trims.is_empty() {
            match queue.try_recv() {
                Ok(request) => return Some(request),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.trim(),
            }
        }
        queue.blocking_recv()
    }

    fn head(&self, stream: &str) -> Option<StreamHead> {
        self.durable.read().expect("nothing panics while it holds the index").heads.get(stream).copied()
    }

    fn start(&self) -> AppendGroup {
        let meta = self.durable.read().expect("nothing panics while it holds the index").meta;
        AppendGroup { meta, ..AppendGroup::default() }
    }

    /// Puts one append into the group, or answers why not.
    fn join(&self, group: &mut AppendGroup, addition: Addition) {
        let Addition { stream, expected_len: expected, entries, role, answer } = addition;
        let known = group.heads.get(&stream).copied();
        let head = known.or_else(|| self.head(&stream)).unwrap_or_default();
        let refused = if head.len != expected {
            Some(AppendError::Conflict { expected, actual: head.len })
        } else {
            keys::refuse_name(&stream).map(|why| AppendError::Failed(Error(why)))
        };
        let encoded = match refused {
            Some(refused) => Err(refused),
            None => encode(&stream, head, group.meta.newest, entries).map_err(AppendError::Failed),
        };
        match encoded {
            Err(refused) => {
                let _gone = answer.send(Err(refused));
            }
            Ok(encoded) => {
                let mut head = head;
                for (seq, value) in encoded {
                    group.bytes += value.len() + stream.len() + 64;
                    group.batch.put(keys::place(&stream, head.len), seq.to_be_bytes().to_vec());
                    group.batch.put(keys::entry(seq), value);
                    head = StreamHead { len: head.len + 1, last_seq: seq, ..head };
                    group.meta = Meta { newest: seq, entries: group.meta.entries + 1 };
                }
                match role {
                    AdditionRole::Summary { keep } if expected > 0 => {
                        head.base = expected;
                        group.bytes += stream.len() + 64;
                        group.batch.put(keys::base(&stream), expected.to_be_bytes().to_vec());
                        group.trims.push(Trim::new(&stream, head, keep, answer));
                    }
                    _ => group.answers.push((answer, head.last_seq)),
                }
                if head.len > 0 {
                    group.heads.insert(stream, head);
                }
            }
        }
    }

    /// Writes the group, moves the edge that readers stop at, answers everybody.
    fn commit(&mut self, mut group: AppendGroup) {
        if group.answers.is_empty() && group.trims.is_empty() {
            return;
        }
        let written = match self.may_write(group.bytes) {
            Err(error) => Err(error),
            Ok(()) if group.bytes == 0 => Ok(()),
            Ok(()) => self.write(std::mem::take(&mut group.batch), group.meta),
        };
        if written.is_ok() {
            let mut durable = self.durable.write().expect("nothing panics while it holds the index");
            durable.heads.append(&mut group.heads);
            durable.meta = group.meta;
            drop(durable);
            self.newest.send_if_modified(|newest| std::mem::replace(newest, group.meta.newest) != group.meta.newest);
        }
        if written.is_ok() {
            self.trims.extend(std::mem::take(&mut group.trims));
        }
        group.answers.extend(group.trims.into_iter().map(Trim::into_answer));
        for (answer, last_seq) in group.answers {
            let _gone = answer.send(match &written {
                Ok(()) => Ok(last_seq),
                Err(WriteError::Full(why)) => Err(AppendError::Full(why.clone())),
                Err(WriteError::Failed(why)) => Err(AppendError::Failed(Error(why.clone()))),
            });
        }
    }

    fn may_write(&self, bytes: usize) -> Result<(), WriteError> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        let free = room::free_bytes(&self.dir).map_err(|error| WriteError::Failed(error.0))?;
        // The store may copy pages that a batch touches, so ask for more than the batch.
        let needed = self.min_free_bytes.saturating_add(4 * bytes as u64);
        if free < needed {
            return Err(WriteError::Full(format!(
                "{} has {free} free bytes, and {needed} are needed",
                self.dir.display()
            )));
        }
        Ok(())
    }

    fn write(&mut self, batch: Batch, meta: Meta) -> Result<(), WriteError> {
        self.disk.write(batch, meta).map_err(|error| {
            let say = |why: String| {
                format!("{why}; what the disk holds is unknown now: make room, then start the server again")
            };
            let (error, why) = match error {
                WriteError::Full(why) => (WriteError::Full(say(why.clone())), say(why)),
                WriteError::Failed(why) => (WriteError::Failed(say(why.clone())), say(why)),
            };
            self.broken = Some(error.clone());
            self.tell_broken.send_replace(Some(why));
            error
        })
    }

    fn remove(&mut self, streams: &[String]) -> Result<u64, Error> {
        let removing = self.removing.clone();
        let Ok(_alone) = removing.try_write() else {
            return Err(Error("streams stay while a backup reads them; try again when it is done".into()));
        };
        // Removing makes room in the end, so that the check for room is not asked.
        if self.broken.is_some() {
            return Err(Error("the journal failed earlier, and nothing more is written".into()));
        }
        streams.iter().map(|stream| self.remove_one(stream)).sum()
    }

    fn remove_one(&mut self, stream: &str) -> Result<u64, Error> {
        let (mut batch, mut meta, mut removed) = (Batch::default(), self.start().meta, 0);
        let from = keys::place(stream, 0);
        self.disk.scan(&from[..stream.len() + 2], &from, |key, value| {
            batch.remove(key.to_vec());
            batch.remove(keys::entry(keys::number(value).unwrap_or_default()));
            removed += 1;
            Ok(true)
        })?;
        batch.remove(keys::base(stream));
        meta.entries -= removed;
        self.write(batch, meta).map_err(|error| match error {
            WriteError::Full(why) | WriteError::Failed(why) => Error(why),
        })?;
        let mut durable = self.durable.write().expect("nothing panics while it holds the index");
        durable.heads.remove(stream);
        durable.meta = meta;
        Ok(removed)
    }
}

/// Stamps version, sequence and index on entries, and encodes them.
fn encode(stream: &str, head: StreamHead, newest: u64, entries: Vec<NewEntry>) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let stamp = |(n, new): (u64, NewEntry)| {
        let NewEntry { at_ms, by, kind, body } = new;
        let (seq, index) = (newest + 1 + n, head.len + n);
        let entry = Entry { seq, stream: stream.to_owned(), index, v: VERSION, at_ms, by, kind, body };
        let value = StoredEntry::encode(&entry)?;
        if value.len() > LARGEST_ENTRY {
            return Err(Error(format!("an entry of {} bytes is over the limit of {LARGEST_ENTRY}", value.len())));
        }
        Ok((seq, value))
    };
    (0..).zip(entries).map(stamp).collect()
}
