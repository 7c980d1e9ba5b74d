//! Takes back what sled does to a damaged store when it opens it: it cuts its log and writes over what came after.
//!
//! It touches the segments since its newest snapshot, and its snapshots. Both are kept aside until the store is found to
//! be sound.

use super::carve::{SEGMENT, segment_order};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the files were before sled opened them.
pub(super) struct BeforeOpening {
    dir: PathBuf,
    /// The segments, one behind the other, in a file without a name.
    aside: File,
    segments: Vec<(u64, usize)>,
    len: u64,
    snapshots: Vec<(PathBuf, Vec<u8>)>,
}

impl BeforeOpening {
    /// Keeps aside what sled may change. Nobody else has the store open.
    pub(super) fn keep(dir: &Path) -> std::io::Result<BeforeOpening> {
        let mut snapshots = Vec::new();
        for path in snapshots_in(dir)? {
            let bytes = std::fs::read(&path)?;
            snapshots.push((path, bytes));
        }
        // A snapshot's name is the log's position that it goes up to.
        let names = snapshots.iter().filter_map(|(path, _)| path.extension()?.to_str());
        let newest = names.filter_map(|name| u64::from_str_radix(name, 16).ok()).max().unwrap_or_default();
        let since = newest / SEGMENT as u64 * SEGMENT as u64;
        let (log, mut aside) = (File::open(dir.join("db"))?, tempfile::tempfile_in(dir)?);
        let (len, mut segments, mut segment) = (log.metadata()?.len(), Vec::new(), vec![0; SEGMENT]);
        for base in (0..len).step_by(SEGMENT) {
            let bytes = &mut segment[..SEGMENT.min((len - base) as usize)];
            log.read_exact_at(bytes, base)?;
            // One whose header is damaged may be any.
            if segment_order(bytes).is_none_or(|order| order >= since) && bytes.iter().any(|byte| *byte != 0) {
                aside.write_all(bytes)?;
                segments.push((base, bytes.len()));
            }
        }
        Ok(BeforeOpening { dir: dir.to_owned(), aside, segments, len, snapshots })
    }

    /// Makes the files what they were; sled has them no longer open.
    pub(super) fn give_back(mut self) -> std::io::Result<()> {
        let log = File::options().write(true).open(self.dir.join("db"))?;
        self.aside.rewind()?;
        let mut segment = vec![0; SEGMENT];
        for (base, len) in self.segments {
            self.aside.read_exact(&mut segment[..len])?;
            log.write_all_at(&segment[..len], base)?;
        }
        log.set_len(self.len)?;
        log.sync_all()?;
        for path in snapshots_in(&self.dir)? {
            if !self.snapshots.iter().any(|(known, _)| *known == path) {
                std::fs::remove_file(path)?;
            }
        }
        for (path, bytes) in self.snapshots {
            let mut file = File::create(path)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
        }
        File::open(&self.dir)?.sync_all()
    }
}

fn snapshots_in(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir)? {
        let path = item?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("snap.")) {
            found.push(path);
        }
    }
    Ok(found)
}
