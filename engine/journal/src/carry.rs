//! Carries the journal elsewhere: backup, verify, export and restore.
//!
//! A backup is lines of JSON: a header, one line for each entry in the order
//! of the global sequence, and a last line with the count and the SHA-256 of
//! every byte before it. A backup that was cut short has no last line.

use crate::disk::{Batch, StoreFolder};
use crate::stored::{Meta, StoredEntry, refuse_version};
use crate::{Entry, Error, Hold, Journal, keys};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// The version of the backup's own format.
const FORMAT: u32 = 1;
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
        let up_to = *journal.newest().borrow();
        let mut hasher = Sha256::new();
        let header = line(&Header { journal: FORMAT, up_to }, &mut hasher)?;
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
    let filled = fill(backup, &beside);
    let verified = match filled {
        Ok(verified) => verified,
        Err(error) => {
            let _left = std::fs::remove_dir_all(&beside);
            return Err(error);
        }
    };
    std::fs::rename(&beside, dir).map_err(|error| io("naming", error))?;
    let parent =
        dir.canonicalize().ok().and_then(|dir| dir.parent().map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("."));
    std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| io("syncing", error))?;
    Ok(verified)
}

fn fill(backup: impl BufRead, dir: &Path) -> Result<Verified, Error> {
    let disk = StoreFolder::open(dir)?;
    let (mut batch, mut waiting, mut meta) = (Batch::default(), 0, Meta::default());
    let write =
        |batch: Batch| disk.write(batch).map_err(|error| Error(format!("writing the restored journal: {error:?}")));
    let verified = walk(backup, |entry| {
        batch.put(keys::place(&entry.stream, entry.index), entry.seq.to_be_bytes().to_vec());
        batch.put(keys::entry(entry.seq), StoredEntry::encode(entry)?);
        meta.entries += 1;
        waiting += 1;
        if waiting >= PAGE {
            waiting = 0;
            write(std::mem::take(&mut batch))?;
        }
        Ok(())
    })?;
    meta.newest = verified.up_to;
    let meta = serde_json::to_vec(&meta).map_err(|error| Error(error.to_string()))?;
    batch.put(keys::META.to_vec(), meta);
    write(batch)?;
    Ok(verified)
}

/// Reads a backup line by line; every rule of the format is checked here.
fn walk(mut backup: impl BufRead, mut each: impl FnMut(&Entry) -> Result<(), Error>) -> Result<Verified, Error> {
    let wrong = |number: u64, what: String| Error(format!("line {number} of the backup: {what}"));
    let mut hasher = Sha256::new();
    let mut lens: HashMap<String, u64> = HashMap::new();
    let (mut number, mut entries, mut newest) = (1, 0, 0);
    let text = next_line(&mut backup, 1)?.ok_or_else(|| Error("the backup is empty".into()))?;
    let header: Header = serde_json::from_str(&text)
        .map_err(|error| wrong(1, format!("this is no header of a journal's backup ({error})")))?;
    if header.journal != FORMAT {
        return Err(wrong(
            1,
            format!("the backup has format {}, and this Bespin reads format {FORMAT}", header.journal),
        ));
    }
    hasher.update(text.as_bytes());
    loop {
        number += 1;
        let cut =
            || Error(format!("the backup ends after line {} without its last line; it was cut short", number - 1));
        let text = next_line(&mut backup, number)?.ok_or_else(cut)?;
        if let Ok(trailer) = serde_json::from_str::<Trailer>(&text) {
            let sha256 = hex::encode(hasher.finalize());
            if trailer.sha256 != sha256 || trailer.entries != entries {
                return Err(wrong(
                    number,
                    format!(
                        "it holds {entries} entries with SHA-256 {sha256}, and says {} with {}",
                        trailer.entries, trailer.sha256
                    ),
                ));
            }
            if next_line(&mut backup, number + 1)?.is_some() {
                return Err(wrong(number + 1, "something follows the last line".into()));
            }
            return Ok(Verified { entries, streams: lens.len() as u64, up_to: header.up_to, sha256 });
        }
        let entry: Entry =
            serde_json::from_str(&text).map_err(|error| wrong(number, format!("this is no entry ({error})")))?;
        if let Some(error) = refuse_version(entry.v, &entry.stream, entry.index) {
            return Err(wrong(number, error.0));
        }
        if let Some(why) = keys::refuse_name(&entry.stream) {
            return Err(wrong(number, why));
        }
        let len = lens.entry(entry.stream.clone()).or_default();
        if entry.index != *len || entry.seq <= newest || entry.seq > header.up_to {
            return Err(wrong(
                number,
                format!("entry {} of {} with sequence {} is out of order", entry.index, entry.stream, entry.seq),
            ));
        }
        (*len, newest) = (*len + 1, entry.seq);
        entries += 1;
        hasher.update(text.as_bytes());
        each(&entry)?;
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
