//! Takes back what sled does to a damaged store when it opens it: it cuts its log and writes over what came after.
//!
//! It touches the segments since its newest snapshot, and its snapshots; of older segments it may empty those that it needs
//! no more, and only what is left there may tell of what is damaged elsewhere. So all of them are kept aside where one is
//! not whole, and else what it touches, until the store is found to be sound; they are put back otherwise. What a process kept aside that was killed meanwhile, or could not put it back, is
//! put back by the next one, unless something was written since: each batch is told in the slots beside the store, which
//! are part of what is kept.

use super::carve::{SEGMENT, is_whole, segment_order};
use crate::seal::checksum;
use crate::slots::SLOTS;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the names of files begin with that hold what is kept aside.
const ASIDE: &str = "opening-";
/// How many bytes of a SHA-256 end such a file, behind the length of its index.
const SUM: usize = 32;
const LENGTH: usize = 8;

/// What the files were before sled opened them.
pub(super) struct BeforeOpening {
    dir: PathBuf,
    /// The segments and the snapshots, one behind the other.
    aside: File,
    index: AsideIndex,
    /// The file's name, for the next process; only [`BeforeOpening::end`] removes it. A store without slots has none:
    /// nobody could tell whether something was written since.
    name: Option<PathBuf>,
}

/// What stands in a file that was kept aside.
#[derive(Default, Serialize, Deserialize)]
struct AsideIndex {
    /// Where each segment was, and how many bytes it had.
    segments: Vec<(u64, usize)>,
    /// Those in which nothing was: sled begins anew in one of them.
    empty: Vec<(u64, usize)>,
    /// The snapshots' names, and how many bytes they had.
    snapshots: Vec<(String, usize)>,
    /// The log's length in bytes.
    len: u64,
    /// The checksum of the slots beside the store.
    slots: u128,
}

impl BeforeOpening {
    /// Keeps aside what sled may change. Nobody else has the store open.
    pub(super) fn keep(dir: &Path) -> std::io::Result<BeforeOpening> {
        let (aside, name) = match slots_of(dir)? {
            Some(_) => {
                let (aside, name) = tempfile::Builder::new().prefix(ASIDE).tempfile_in(dir)?.into_parts();
                (aside, Some(name))
            }
            None => (tempfile::tempfile_in(dir)?, None),
        };
        let mut kept = KeptAside { file: aside, sum: Sha256::new() };
        let mut index = AsideIndex { slots: slots_of(dir)?.unwrap_or_default(), ..AsideIndex::default() };
        let snapshots = snapshots_in(dir)?;
        // A snapshot's name is the log's position that it goes up to.
        let positions = snapshots.iter().filter_map(|path| path.extension()?.to_str());
        let newest = positions.filter_map(|name| u64::from_str_radix(name, 16).ok()).max().unwrap_or_default();
        let since = newest / SEGMENT as u64 * SEGMENT as u64;
        let log = File::open(dir.join("db"))?;
        let mut segment = vec![0; SEGMENT];
        index.len = log.metadata()?.len();
        let since = if all_whole(&log, index.len)? { since } else { 0 };
        for base in (0..index.len).step_by(SEGMENT) {
            let bytes = &mut segment[..SEGMENT.min((index.len - base) as usize)];
            log.read_exact_at(bytes, base)?;
            if bytes.iter().all(|byte| *byte == 0) {
                index.empty.push((base, bytes.len()));
                continue;
            }
            // One whose header is damaged may be any.
            if segment_order(bytes).is_none_or(|order| order >= since) {
                kept.put(bytes)?;
                index.segments.push((base, bytes.len()));
            }
        }
        for path in snapshots {
            let bytes = std::fs::read(&path)?;
            kept.put(&bytes)?;
            index.snapshots.push((file_name(&path), bytes.len()));
        }
        let aside = kept.end(&index)?;
        let name = match name {
            Some(name) => {
                // Before sled cuts its log: a power cut must not take both.
                aside.sync_all()?;
                File::open(dir)?.sync_all()?;
                Some(name.keep()?)
            }
            None => None,
        };
        Ok(BeforeOpening { dir: dir.to_owned(), aside, index, name })
    }

    /// Makes the files what they were; sled has them no longer open. What cannot be is tried again by the next start.
    pub(super) fn give_back(mut self) -> std::io::Result<()> {
        self.put_back()?;
        self.end()
    }

    /// Nobody needs what was kept aside: the files are what they were, or sound. It does not come back after a power cut.
    pub(super) fn end(self) -> std::io::Result<()> {
        let Some(name) = self.name else { return Ok(()) };
        match std::fs::remove_file(name) {
            // Whoever got the store's lock meanwhile has put it back.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed?,
        }
        File::open(self.dir)?.sync_all()
    }

    fn put_back(&mut self) -> std::io::Result<()> {
        let log = File::options().write(true).open(self.dir.join("db"))?;
        self.aside.rewind()?;
        let mut segment = vec![0; SEGMENT];
        for (base, len) in &self.index.segments {
            self.aside.read_exact(&mut segment[..*len])?;
            log.write_all_at(&segment[..*len], *base)?;
        }
        for (base, len) in &self.index.empty {
            log.write_all_at(&vec![0; *len], *base)?;
        }
        log.set_len(self.index.len)?;
        log.sync_all()?;
        for path in snapshots_in(&self.dir)? {
            if !self.index.snapshots.iter().any(|(known, _)| *known == file_name(&path)) {
                std::fs::remove_file(path)?;
            }
        }
        for (name, len) in &self.index.snapshots {
            let mut bytes = vec![0; *len];
            self.aside.read_exact(&mut bytes)?;
            let mut file = File::create(self.dir.join(name))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
        }
        File::open(&self.dir)?.sync_all()
    }
}

/// Whether every segment of a log is empty, or what sled wrote.
fn all_whole(log: &File, len: u64) -> std::io::Result<bool> {
    let mut segment = vec![0; SEGMENT];
    for base in (0..len).step_by(SEGMENT) {
        let bytes = &mut segment[..SEGMENT.min((len - base) as usize)];
        log.read_exact_at(bytes, base)?;
        if bytes.iter().any(|byte| *byte != 0) && !is_whole(bytes) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts back what a process kept aside that ended before it knew whether the store is sound, or could not put it back;
/// what is not whole, or older than the store, goes. Nobody else has the store open.
pub(crate) fn undo_cut_off_start(dir: &Path) -> std::io::Result<()> {
    let slots = slots_of(dir)?;
    for path in named(dir, ASIDE)? {
        let mut aside = File::open(&path)?;
        match whole(&mut aside)? {
            Some(index) if Some(index.slots) == slots => {
                BeforeOpening { dir: dir.to_owned(), aside, index, name: Some(path) }.give_back()?;
                tracing::warn!("the last start ended while it opened the journal; its files are as they were");
            }
            Some(_) => std::fs::remove_file(path)?,
            None => {
                let name = file_name(&path);
                tracing::warn!(
                    name,
                    "the last start ended before it kept all of the journal's log aside; what it kept is removed"
                );
                std::fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

/// A file that is being written, with the checksum of what is in it so far.
struct KeptAside {
    file: File,
    sum: Sha256,
}

impl KeptAside {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sum.update(bytes);
        self.file.write_all(bytes)
    }

    /// Ends the file with its index, the index's length, and the checksum: without them it is not whole.
    fn end(mut self, index: &AsideIndex) -> std::io::Result<File> {
        let index = serde_json::to_vec(index)?;
        self.put(&index)?;
        self.put(&(index.len() as u64).to_be_bytes())?;
        let sum = self.sum.finalize();
        self.file.write_all(&sum)?;
        Ok(self.file)
    }
}

/// The index of a file that was kept aside, if all of it is there.
fn whole(aside: &mut File) -> std::io::Result<Option<AsideIndex>> {
    let len = aside.metadata()?.len();
    let Some(before_sum) = len.checked_sub(SUM as u64) else { return Ok(None) };
    let (mut sum, mut left, mut part) = (Sha256::new(), before_sum, vec![0; SEGMENT]);
    while left > 0 {
        let bytes = &mut part[..SEGMENT.min(usize::try_from(left).unwrap_or(SEGMENT))];
        aside.read_exact(bytes)?;
        sum.update(&*bytes);
        left -= bytes.len() as u64;
    }
    let mut told = [0; SUM];
    aside.read_exact(&mut told)?;
    if sum.finalize()[..] != told {
        return Ok(None);
    }
    let mut length = [0; LENGTH];
    aside.read_exact_at(&mut length, before_sum.saturating_sub(LENGTH as u64))?;
    let length = u64::from_be_bytes(length);
    let Some(at) = before_sum.checked_sub(LENGTH as u64 + length) else { return Ok(None) };
    aside.seek(SeekFrom::Start(at))?;
    let mut index = Vec::new();
    aside.take(length).read_to_end(&mut index)?;
    Ok(serde_json::from_slice(&index).ok())
}

/// The checksum of the slots beside the store; `None` where it has none.
fn slots_of(dir: &Path) -> std::io::Result<Option<u128>> {
    match std::fs::read(dir.join(SLOTS)) {
        Ok(bytes) => Ok(Some(checksum(SLOTS.as_bytes(), &bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn snapshots_in(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    named(dir, "snap.")
}

/// The files whose names begin like this.
fn named(dir: &Path, prefix: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir)? {
        let path = item?.path();
        if file_name(&path).starts_with(prefix) {
            found.push(path);
        }
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
}
