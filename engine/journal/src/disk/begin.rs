//! How sled's own store begins: made aside, settled, and opened under its lock.

use super::Unopened;
use super::undo::{BeforeOpening, undo_cut_off_start};
use crate::Error;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for a lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why sled did not open a folder, in its words or the system's.
pub(super) enum SledRefusal {
    /// For now, or for a reason outside of its files.
    Passing(String),
    /// By what its files hold.
    Damaged(String),
}

impl SledRefusal {
    pub(super) fn in_folder(self, dir: &Path) -> Unopened {
        match self {
            SledRefusal::Passing(why) => {
                Unopened::Refused(Error(format!("opening the journal in {}: {why}", dir.display())))
            }
            SledRefusal::Damaged(why) => Unopened::Damaged(why),
        }
    }
}

impl From<std::io::Error> for SledRefusal {
    fn from(error: std::io::Error) -> SledRefusal {
        SledRefusal::Passing(error.to_string())
    }
}

/// Makes an empty store where there is none, and gives it its name when it is on the disk: a store that a power cut
/// left half made could not be opened, and nobody would know that it holds nothing.
pub(super) fn make(dir: &Path) -> Result<(), SledRefusal> {
    let db = dir.join("db");
    if db.exists() {
        return Ok(());
    }
    let aside = tempfile::Builder::new().prefix("making-").tempdir_in(dir)?;
    drop(open_unlocked(aside.path())?);
    for name in ["conf", "db"] {
        File::open(aside.path().join(name))?.sync_all()?;
    }
    std::fs::rename(aside.path().join("conf"), dir.join("conf"))?;
    File::open(dir)?.sync_all()?;
    match std::fs::hard_link(aside.path().join("db"), &db) {
        // Another process was as fast; which of the two works here is decided by the store's lock.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => Ok(linked?),
    }
}

/// Opens, and waits a little where a process that is just ending still holds the folder.
pub(super) fn open_unlocked(dir: &Path) -> Result<(sled::Db, Option<BeforeOpening>), SledRefusal> {
    // Only the writer flushes, so that nothing is written behind its back.
    let config = sled::Config::new().path(dir).cache_capacity(16 << 20).flush_every_ms(None);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = settle(dir)?;
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        // Whatever the system refused has a number; what sled itself found in its files has none.
        let (why, by_the_system) = match opened {
            Ok(Ok(db)) => return Ok((db, before)),
            Ok(Err(sled::Error::Io(error))) => (error.to_string(), error.raw_os_error().is_some()),
            Ok(Err(error)) => (error.to_string(), false),
            Err(_) => ("the store panicked when it was opened".into(), false),
        };
        if by_the_system || !why.contains("could not acquire lock") {
            let why = given_back(before, why);
            return Err(if by_the_system { SledRefusal::Passing(why) } else { SledRefusal::Damaged(why) });
        }
        // sled has read nothing yet.
        before.map_or(Ok(()), BeforeOpening::end)?;
        if Instant::now() >= deadline {
            return Err(SledRefusal::Passing("another process holds its lock; one folder has one server".into()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes back what opening a store has done to its files; answers why it is not open, and whether that failed as well.
pub(super) fn given_back(before: Option<BeforeOpening>, why: String) -> String {
    match before.map_or(Ok(()), BeforeOpening::give_back) {
        Ok(()) => why,
        Err(error) => format!("{why}, and its files could not be made what they were ({error})"),
    }
}

/// Makes durable what the last process left, before anything is concluded from it, and removes the snapshot that it did
/// not finish: sled would take it for its newest.
fn settle(dir: &Path) -> std::io::Result<Option<BeforeOpening>> {
    let file = match File::open(dir.join("db")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // Whoever has the store's own lock may be writing one.
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        locked => locked?,
    }
    undo_cut_off_start(dir)?;
    for item in std::fs::read_dir(dir)? {
        let name = item?.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            std::fs::remove_file(dir.join(name))?;
        }
    }
    file.sync_all()?;
    match BeforeOpening::keep(dir) {
        // A sound journal starts on a full disk as well; a damaged one is refused all the same.
        Err(error) if super::is_full(&error) => {
            tracing::warn!("the disk has no room to keep the journal's log aside while it is opened");
            Ok(None)
        }
        kept => kept.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::super::carve;
    use super::*;
    use crate::{NewEntry, inspect, open};
    use decide::by::By;
    use std::collections::BTreeMap;

    async fn append(journal: &crate::Journal, at: u64) {
        let body = serde_json::json!({ "padding": "x".repeat(700) });
        let entry = NewEntry { at_ms: 1_795_000_000_000 + at, by: By::Server, kind: "counted".into(), body };
        journal.append("run/a", at, vec![entry]).await.unwrap();
    }

    /// So much that it lies in one segment: of those before its newest snapshot sled needs none, and may empty them.
    async fn filled(dir: &Path) {
        let journal = open(dir).unwrap();
        for at in 0..60 {
            append(&journal, at).await;
        }
    }

    fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
        let files = std::fs::read_dir(dir).unwrap().map(|item| item.unwrap());
        let files = files.filter(|item| item.file_type().unwrap().is_file());
        files.map(|item| (item.file_name().into_string().unwrap(), std::fs::read(item.path()).unwrap())).collect()
    }

    fn copy(store: &Path, flip: usize) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("blobs")).unwrap();
        for (name, mut bytes) in contents(store) {
            if name == "db" {
                bytes[flip] ^= 1;
            }
            std::fs::write(copy.path().join(name), bytes).unwrap();
        }
        copy
    }

    /// The files that are not what they were, each with its length and the first byte that differs.
    fn differing(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        let bytes = |all: &BTreeMap<String, Vec<u8>>, name: &String| all.get(name).cloned().unwrap_or_default();
        let differing = names.filter(|name| before.get(*name) != after.get(*name));
        let told = differing.map(|name| {
            let (was, is) = (bytes(before, name), bytes(after, name));
            let at = was.iter().zip(&is).position(|(was, is)| was != is);
            format!("{name}: {} and {} bytes, from {at:?} on", was.len(), is.len())
        });
        told.collect()
    }

    /// As far as a start comes that is killed once sled has opened the store.
    fn killed(dir: &Path) {
        let before = settle(dir).unwrap();
        let config = sled::Config::new().path(dir).flush_every_ms(None);
        drop(catch_unwind(AssertUnwindSafe(|| config.open())));
        std::mem::forget(before);
    }

    #[tokio::test]
    async fn a_start_that_is_killed_while_it_opens_a_damaged_store_costs_nothing() {
        let store = tempfile::tempdir().unwrap();
        filled(store.path()).await;
        let len = contents(store.path())["db"].iter().rposition(|byte| *byte != 0).unwrap();
        let mut changed = 0;
        for flip in (30..len).step_by(len / 12) {
            let (control, damaged) = (copy(store.path(), flip), copy(store.path(), flip));
            let before = contents(damaged.path());
            killed(damaged.path());
            let left = differing(&before, &contents(damaged.path()));
            changed += usize::from(left.iter().any(|name| name.starts_with("db") || name.starts_with("snap.")));
            let expected = inspect(control.path()).unwrap();
            assert_eq!(inspect(damaged.path()).unwrap(), expected, "flip at {flip}");
            assert_eq!(differing(&before, &contents(damaged.path())), [""; 0], "flip at {flip}");
            killed(damaged.path());
            let (again, once) = (open(damaged.path()), open(control.path()));
            assert_eq!(again.err().map(|error| error.0.len()), once.err().map(|error| error.0.len()), "flip at {flip}");
        }
        assert!(changed > 0, "sled changed nothing: there was nothing to take back");
    }

    #[tokio::test]
    async fn segments_from_before_the_newest_snapshot_are_given_back_as_well() {
        let store = tempfile::tempdir().unwrap();
        for round in 0..4 {
            // Each start leaves a snapshot.
            let journal = open(store.path()).unwrap();
            for at in 0..25 {
                let body = serde_json::json!({ "padding": "x".repeat(60_000) });
                let entry = NewEntry { at_ms: 1, by: By::Server, kind: "counted".into(), body };
                journal.append(&format!("run/{round}"), at, vec![entry]).await.unwrap();
            }
            if round > 0 {
                journal.remove(vec![format!("run/{}", round - 1)]).await.unwrap();
            }
        }
        let log = contents(store.path()).remove("db").unwrap();
        let in_use = |segment: &&[u8]| segment.iter().any(|byte| *byte != 0);
        let torn = log.chunks(carve::SEGMENT).filter(in_use).filter(|segment| !carve::is_whole(segment)).count();
        let used = log.chunks(carve::SEGMENT).filter(in_use).count();
        assert!(2 * torn < used, "of a sound log nothing more than sled touches is kept aside: {torn} of {used}");
        let len = log.iter().rposition(|byte| *byte != 0).unwrap();
        for flip in (30..len).step_by(len / 6) {
            let damaged = copy(store.path(), flip);
            let before = contents(damaged.path());
            killed(damaged.path());
            let expected = inspect(copy(store.path(), flip).path()).unwrap();
            assert_eq!(inspect(damaged.path()).unwrap(), expected, "flip at {flip}");
            assert_eq!(differing(&before, &contents(damaged.path())), [""; 0], "flip at {flip} of {len}");
        }
    }

    #[tokio::test]
    async fn a_start_that_is_refused_for_now_keeps_a_damaged_store_as_it_was() {
        let store = tempfile::tempdir().unwrap();
        filled(store.path()).await;
        let len = contents(store.path())["db"].iter().rposition(|byte| *byte != 0).unwrap();
        for flip in (30..len).step_by(len / 12) {
            let damaged = copy(store.path(), flip);
            let before = contents(damaged.path());
            // One of the next steps fails, and nobody gives anything back.
            drop(open_unlocked(damaged.path()));
            let (once, again) = (inspect(copy(store.path(), flip).path()), inspect(damaged.path()));
            assert_eq!(again.unwrap(), once.unwrap(), "flip at {flip}");
            assert_eq!(differing(&before, &contents(damaged.path())), [""; 0], "flip at {flip}");
        }
    }

    #[tokio::test]
    async fn what_was_kept_aside_is_not_put_over_what_was_written_since() {
        let store = tempfile::tempdir().unwrap();
        filled(store.path()).await;
        killed(store.path());
        let (name, aside) = contents(store.path()).into_iter().find(|(name, _)| name.starts_with("opening-")).unwrap();
        let journal = open(store.path()).unwrap();
        assert!(!store.path().join(&name).exists(), "it is gone once the store is known to be sound");
        append(&journal, 60).await;
        drop(journal);
        for left in [&aside[..], &aside[..aside.len() - 1], &aside[..7], &[]] {
            std::fs::write(store.path().join(&name), left).unwrap();
            let journal = open(store.path()).unwrap();
            assert_eq!(journal.read("run/a").await.unwrap().len(), 61);
            assert!(!store.path().join(&name).exists());
        }
    }
}
