//! How sled's own store begins: made aside, settled, and opened under its lock.

use super::Unopened;
use super::undo::BeforeOpening;
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
        if by_the_system {
            return Err(SledRefusal::Passing(why));
        }
        if !why.contains("could not acquire lock") {
            let given_back = before.map_or(Ok(()), BeforeOpening::give_back);
            return Err(SledRefusal::Damaged(match given_back {
                Ok(()) => why,
                Err(error) => format!("{why}, and its files could not be made what they were ({error})"),
            }));
        }
        if Instant::now() >= deadline {
            return Err(SledRefusal::Passing("another process holds its lock; one folder has one server".into()));
        }
        std::thread::sleep(Duration::from_millis(20));
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
