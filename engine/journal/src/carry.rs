//! Carries the journal elsewhere: backup, verify, export and restore.
//!
//! A backup is lines of JSON: a header, one line for each entry in the order
//! of the global sequence, and a last line with the count and the SHA-256 of
//! every byte before it. A backup that was cut short has no last line. Where
//! streams have summaries, the format is 2, and a line for each stream's base
//! stands before the entries.

use crate::disk::{Batch, StoreFolder, Unopened};
use crate::stored::{Meta, StoredEntry, refuse_version};
use crate::{Entry, Error, Hold, Journal, keys, opening, restored};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// The version of the backup's own format, where no stream has a base.
const FORMAT: u32 = 1;
/// The version where streams have bases; an older Bespin refuses it.
const FORMAT_WITH_BASES: u32 = 2;
/// How many entries are read at once.
const PAGE: usize = 500;
/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 16 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    journal: u32,
    up_to: u64,
}

/// A stream's base: below it, entries may be gone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseLine {
    base: u64,
    stream: String,
}

/// What a backup's lines between the first and the last are.
enum BackupLine {
    Base(BaseLine),
    Entry(Entry),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    entries: u64,
    sha256: String,
}

/// What a backup was found to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Entries of all streams together.
    pub entries: u64,
    /// Streams that have at least one entry.
    pub streams: u64,
    /// The newest global sequence of the journal that it was made from.
    pub up_to: u64,
    /// The SHA-256 of everything before the last line, in hexadecimal.
    pub sha256: String,
}

/// A consistent backup of everything up to the newest entry of this moment, as
/// lines that end in a newline. Appends go on meanwhile; removals are refused.
pub fn backup(journal: Journal) -> BoxStream<'static, Result<String, Error>> {
    let start = async move {
        let hold = journal.hold().await;
        // The bases come first: one that moves from here on has lost nothing below it while this holds.
        let mut streams = journal.streams("").await?;
        streams.retain(|stream| stream.base > 0);
        let known = streams.iter().map(|stream| stream.last_seq).max().unwrap_or_default();
        let stopped = |_| Error("the journal's writer has stopped".into());
        let up_to = *journal.newest().wait_for(|newest| *newest >= known).await.map_err(stopped)?;
        let mut hasher = Sha256::new();
        let format = if streams.is_empty() { FORMAT } else { FORMAT_WITH_BASES };
        let mut header = line(&Header { journal: format, up_to }, &mut hasher)?;
        for stream in streams {
            header.push_str(&line(&BaseLine { base: stream.base, stream: stream.name }, &mut hasher)?);
        }
        let walk = EntryWalk { journal, up_to, after: 0, entries: 0, hasher, _hold: hold };
        let rest = futures::stream::try_unfold(Some(walk), |walk| async move {
            let Some(mut walk) = walk else { return Ok(None) };
            Ok(Some(match walk.page().await? {
                Some(lines) => (lines, Some(walk)),
                None => {
                    let trailer = Trailer { entries: walk.entries, sha256: hex::encode(walk.hasher.finalize()) };
                    (line(&trailer, &mut Sha256::new())?, None)
                }
            }))
        });
        Ok::<_, Error>(futures::stream::iter([Ok(header)]).chain(rest))
    };
    futures::stream::once(start).try_flatten().boxed()
}

struct EntryWalk {
    journal: Journal,
    up_to: u64,
    after: u64,
    entries: u64,
    hasher: Sha256,
    _hold: Hold,
}

impl EntryWalk {
    async fn page(&mut self) -> Result<Option<String>, Error> {
        let mut entries = self.journal.tail(self.after, PAGE).await?;
        entries.retain(|entry| entry.seq <= self.up_to);
        let Some(last) = entries.last() else { return Ok(None) };
        self.after = last.seq;
        self.entries += entries.len() as u64;
        let mut lines = String::new();
        for entry in &entries {
            lines.push_str(&line(entry, &mut self.hasher)?);
        }
        Ok(Some(lines))
    }
}

fn line(value: &impl Serialize, hasher: &mut Sha256) -> Result<String, Error> {
    let mut text = serde_json::to_string(value).map_err(|error| Error(format!("encoding a line: {error}")))?;
    text.push('\n');
    hasher.update(text.as_bytes());
    Ok(text)
}

/// The entries of the streams whose name starts with `prefix`, stream by
/// stream, one line of JSON each, for people and their tools.
pub fn export(journal: Journal, prefix: &str) -> BoxStream<'static, Result<String, Error>> {
    let prefix = prefix.to_owned();
    let start = async move {
        let streams = journal.streams(&prefix).await?;
        let each = futures::stream::iter(streams).then(move |stream| {
            let journal = journal.clone();
            async move {
                let entries = journal.read(&stream.name).await?;
                let lines: Result<String, Error> =
                    entries.iter().map(|entry| line(entry, &mut Sha256::new())).collect();
                lines
            }
        });
        Ok::<_, Error>(each)
    };
    futures::stream::once(start).try_flatten().boxed()
}

/// Reads a whole backup and says what it holds, or where it is wrong.
pub fn verify(backup: impl BufRead) -> Result<Verified, Error> {
    walk(backup, |_| Ok(()))
}

/// Restores a backup into `dir`, which must be empty or missing. Nothing is
/// there until the whole backup was found to be sound.
pub fn restore(backup: impl BufRead, dir: &Path) -> Result<Verified, Error> {
    into_empty(dir, |beside| fill(backup, beside))
}

/// Fills a folder beside `dir`, and gives it the name once all of it is on the disk.
pub(crate) fn into_empty<T>(dir: &Path, fill: impl FnOnce(&Path) -> Result<T, Error>) -> Result<T, Error> {
    let io = |what: &str, error: std::io::Error| Error(format!("{what} {}: {error}", dir.display()));
    match std::fs::read_dir(dir).map(|items| items.count()) {
        Ok(1..) => {
            return Err(Error(format!("{} is not empty; restore into an empty folder", dir.display())));
        }
        Ok(0) => std::fs::remove_dir(dir).map_err(|error| io("replacing", error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io("reading", error)),
    }
    let mut name = dir.file_name().ok_or_else(|| Error("a restore needs a folder with a name".into()))?.to_owned();
    name.push(".restoring");
    let beside = dir.with_file_name(name);
    if beside.exists() {
        std::fs::remove_dir_all(&beside).map_err(|error| io("clearing an earlier restore beside", error))?;
    }
    let filled = match fill(&beside) {
        Ok(filled) => filled,
        Err(error) => {
            let _left = std::fs::remove_dir_all(&beside);
            return Err(error);
        }
    };
    std::fs::rename(&beside, dir).map_err(|error| io("naming", error))?;
    let parent =
        dir.canonicalize().ok().and_then(|dir| dir.parent().map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("."));
    std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| io("syncing", error))?;
    Ok(filled)
}

fn fill(backup: impl BufRead, dir: &Path) -> Result<Verified, Error> {
    let mut filling = Filling::begin(dir)?;
    let verified = walk(backup, |line| match line {
        BackupLine::Base(BaseLine { base, stream }) => filling.base(stream, *base),
        BackupLine::Entry(entry) => filling.entry(entry),
    })?;
    filling.end(verified.up_to)?;
    Ok(verified)
}

/// A new store that gets entries as they were.
pub(crate) struct Filling {
    disk: StoreFolder,
    dir: PathBuf,
    batch: Batch,
    waiting: usize,
    meta: Meta,
}

impl Filling {
    /// Makes the store.
    pub(crate) fn begin(dir: &Path) -> Result<Filling, Error> {
        let (disk, _empty) = opening::open(dir).map_err(|unopened| match unopened {
            Unopened::Refused(error) => error,
            Unopened::Damaged(what) => Error(format!("the new store in {} is damaged: {what}", dir.display())),
        })?;
        let (dir, batch, meta) = (dir.to_owned(), Batch::default(), Meta::default());
        Ok(Filling { disk, dir, batch, waiting: 0, meta })
    }

    /// Sets a stream's base, once.
    pub(crate) fn base(&mut self, stream: &str, base: u64) -> Result<(), Error> {
        self.batch.put(keys::base(stream), base.to_be_bytes().to_vec());
        self.write_if(PAGE)
    }

    /// Adds an entry; they come in the order of their sequence.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        self.batch.put(keys::place(&entry.stream, entry.index), entry.seq.to_be_bytes().to_vec());
        self.batch.put(keys::entry(entry.seq), StoredEntry::encode(entry)?);
        self.meta = Meta { newest: entry.seq, entries: self.meta.entries + 1 };
        self.write_if(PAGE)
    }

    /// Writes what waits, and notes that it was restored. The next entry of this journal gets a sequence above `up_to`.
    pub(crate) fn end(mut self, up_to: u64) -> Result<(), Error> {
        self.meta.newest = up_to;
        self.write_if(0)?;
        restored::note(&self.dir, up_to)
    }

    fn write_if(&mut self, many: usize) -> Result<(), Error> {
        self.waiting += 1;
        if self.waiting < many {
            return Ok(());
        }
        self.waiting = 0;
        let written = self.disk.write(std::mem::take(&mut self.batch), self.meta);
        written.map_err(|error| Error(format!("writing the restored journal: {error:?}")))
    }
}

fn wrong(number: u64, what: impl std::fmt::Display) -> Error {
    Error(format!("line {number} of the backup: {what}"))
}

/// Reads a backup line by line; every rule of the format is checked here.
fn walk(mut backup: impl BufRead, mut each: impl FnMut(&BackupLine) -> Result<(), Error>) -> Result<Verified, Error> {
    let mut hasher = Sha256::new();
    let text = next_line(&mut backup, 1)?.ok_or_else(|| Error("the backup is empty".into()))?;
    let header: Header = serde_json::from_str(&text)
        .map_err(|error| wrong(1, format!("this is no header of a journal's backup ({error})")))?;
    if !(FORMAT..=FORMAT_WITH_BASES).contains(&header.journal) {
        let reads = format!("this Bespin reads the formats {FORMAT} and {FORMAT_WITH_BASES}");
        return Err(wrong(1, format!("the backup has format {}, and {reads}", header.journal)));
    }
    hasher.update(text.as_bytes());
    let mut order = BackupOrder { header, bases: HashMap::new(), lens: HashMap::new(), entries: 0, newest: 0 };
    let mut number = 1;
    loop {
        number += 1;
        let cut =
            || Error(format!("the backup ends after line {} without its last line; it was cut short", number - 1));
        let text = next_line(&mut backup, number)?.ok_or_else(cut)?;
        if let Ok(trailer) = serde_json::from_str::<Trailer>(&text) {
            let (sha256, entries) = (hex::encode(hasher.finalize()), order.entries);
            if trailer.sha256 != sha256 || trailer.entries != entries {
                let says = format!("and says {} with {}", trailer.entries, trailer.sha256);
                return Err(wrong(number, format!("it holds {entries} entries with SHA-256 {sha256}, {says}")));
            }
            if line(&trailer, &mut Sha256::new())? != text {
                return Err(wrong(number, "the last line says what it should, but not as it was written"));
            }
            order.end().map_err(|why| wrong(number, why))?;
            if next_line(&mut backup, number + 1)?.is_some() {
                return Err(wrong(number + 1, "something follows the last line"));
            }
            return Ok(Verified { entries, streams: order.lens.len() as u64, up_to: order.header.up_to, sha256 });
        }
        let line = order.next(&text).map_err(|why| wrong(number, why))?;
        hasher.update(text.as_bytes());
        each(&line)?;
    }
}

/// What the lines so far say of those to come.
struct BackupOrder {
    header: Header,
    bases: HashMap<String, u64>,
    lens: HashMap<String, u64>,
    entries: u64,
    newest: u64,
}

impl BackupOrder {
    fn next(&mut self, text: &str) -> Result<BackupLine, String> {
        if self.header.journal == FORMAT_WITH_BASES
            && self.entries == 0
            && let Ok(base) = serde_json::from_str::<BaseLine>(text)
        {
            let first = base.base > 0 && self.bases.insert(base.stream.clone(), base.base).is_none();
            let refused = keys::refuse_name(&base.stream);
            let refused = refused.or_else(|| (!first).then(|| format!("the base of {} is out of order", base.stream)));
            return refused.map_or(Ok(BackupLine::Base(base)), Err);
        }
        let entry: Entry = serde_json::from_str(text).map_err(|error| format!("this is no entry ({error})"))?;
        if let Some(error) = refuse_version(entry.v, &entry.stream, entry.index) {
            return Err(error.0);
        }
        if let Some(why) = keys::refuse_name(&entry.stream) {
            return Err(why);
        }
        let base = self.bases.get(&entry.stream).copied().unwrap_or_default();
        let len = self.lens.entry(entry.stream.clone()).or_default();
        let follows = (*len..=base.max(*len)).contains(&entry.index);
        if !follows || entry.seq <= self.newest || entry.seq > self.header.up_to {
            let Entry { index, stream, seq, .. } = entry;
            return Err(format!("entry {index} of {stream} with sequence {seq} is out of order"));
        }
        (*len, self.newest) = (entry.index.saturating_add(1), entry.seq);
        self.entries += 1;
        Ok(BackupLine::Entry(entry))
    }

    /// A stream's base is one of its entries.
    fn end(&self) -> Result<(), String> {
        let lost = self.bases.iter().find(|(stream, base)| self.lens.get(*stream).is_none_or(|len| len <= base));
        lost.map_or(Ok(()), |(stream, base)| Err(format!("the summary of {stream}, its entry {base}, is missing")))
    }
}

/// Reads a line with its newline; a line without one was cut short.
fn next_line(backup: &mut impl BufRead, number: u64) -> Result<Option<String>, Error> {
    let mut text = String::new();
    let mut limited = std::io::Read::take(backup, LONGEST_LINE as u64);
    let read =
        limited.read_line(&mut text).map_err(|error| Error(format!("reading line {number} of the backup: {error}")))?;
    if read == 0 {
        return Ok(None);
    }
    if !text.ends_with('\n') {
        return Err(Error(format!("line {number} of the backup was cut short")));
    }
    Ok(Some(text))
}
