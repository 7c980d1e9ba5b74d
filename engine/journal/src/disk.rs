//! The only file that knows sled: ordered keys, and batches that are on the
//! disk when `write` returns.
//!
//! sled's own `flush` ends in `sync_file_range` on Linux, which writes no
//! metadata and leaves the disk's cache alone, and it never syncs the files of
//! its `blobs` folder. So every write here is followed by our own syncs.

use crate::Error;
use crate::parts::{self, PART, StorePart};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How much is written before it is synced, in bytes: of more, sled may write over what it has moved and not yet settled.
const WINDOW: usize = 64 << 10;
/// How long to wait for a lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open store. Closing happens on drop, when the last clone of the handle goes.
pub(crate) struct StoreFolder {
    db: sled::Db,
    file: File,
    blobs: PathBuf,
    synced: Mutex<HashSet<PathBuf>>,
    /// How many values were read.
    #[cfg(test)]
    pub(crate) values_read: std::sync::atomic::AtomicU64,
}

/// Changes that take effect together or not at all.
#[derive(Default)]
pub(crate) struct Batch {
    puts: sled::Batch,
    parts: Vec<StorePart>,
    removes: Vec<Vec<u8>>,
}

impl Batch {
    /// Sets a key. One whose value may be long is set once.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let (kept, parts) = parts::split(&key, value);
        self.parts.extend(parts);
        self.puts.insert(key, kept);
    }

    /// Removes a key with all parts of its value; nothing where it is absent.
    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.removes.push(key);
    }
}

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The disk is full.
    Full(String),
    /// The store failed for another reason, in its own words; what the disk holds is then unknown.
    Failed(String),
}

impl StoreFolder {
    /// Opens or creates the store in `dir`, and makes its files' names durable.
    pub(crate) fn open(dir: &Path) -> Result<StoreFolder, Error> {
        let say = |what: &str, error: &dyn std::fmt::Display| {
            Error(format!(
                "{what} the journal in {}: {error}; if it is damaged, restore a backup into an empty folder",
                dir.display()
            ))
        };
        std::fs::create_dir_all(dir).map_err(|error| say("creating", &error))?;
        make(dir).map_err(|error| say("creating", &error))?;
        let db = open_unlocked(dir).map_err(|error| say("opening", &error))?;
        let sync = || {
            db.flush()?;
            let file = File::open(dir.join("db"))?;
            file.sync_all()?;
            File::open(dir.join("conf"))?.sync_all()?;
            File::open(dir)?.sync_all()?;
            if let Some(parent) = dir.canonicalize()?.parent() {
                File::open(parent)?.sync_all()?;
            }
            Ok::<File, std::io::Error>(file)
        };
        let file = sync().map_err(|error| say("syncing", &error))?;
        let disk = StoreFolder {
            db,
            file,
            blobs: dir.join("blobs"),
            synced: Mutex::default(),
            #[cfg(test)]
            values_read: Default::default(),
        };
        guard(|| disk.sweep()).map_err(|error| say("opening", &error.0))?;
        Ok(disk)
    }

    /// Applies a batch; it is on the disk when this returns.
    pub(crate) fn write(&self, batch: Batch) -> Result<(), WriteError> {
        catch_unwind(AssertUnwindSafe(|| {
            let Batch { puts: mut changes, parts, removes } = batch;
            let mut parts_gone = Vec::new();
            for key in removes {
                let kept = self.db.get(&key)?.unwrap_or_default();
                parts_gone.extend(parts::keys(&key, &kept).into_iter().map(|part| (part, None)));
                changes.remove(key);
            }
            self.write_parts(parts)?;
            self.apply(changes)?;
            self.write_parts(parts_gone)
        }))
        .unwrap_or_else(|_| Err(sled::Error::ReportableBug("the store panicked while writing".into())))
        .map_err(|error| match error {
            sled::Error::Io(error) if is_full(&error) => WriteError::Full(error.to_string()),
            other => WriteError::Failed(other.to_string()),
        })
    }

    fn write_parts(&self, parts: Vec<StorePart>) -> Result<(), sled::Error> {
        let mut parts = parts.into_iter().peekable();
        while parts.peek().is_some() {
            let mut window = sled::Batch::default();
            for (key, part) in parts.by_ref().take(WINDOW / PART) {
                match part {
                    Some(part) => window.insert(key, part),
                    None => window.remove(key),
                }
            }
            self.apply(window)?;
        }
        Ok(())
    }

    fn apply(&self, changes: sled::Batch) -> Result<(), sled::Error> {
        self.db.apply_batch(changes)?;
        self.db.flush()?;
        self.sync_blobs()?;
        Ok(self.file.sync_data()?)
    }

    /// Removes the parts of values that are not there: a power cut came before the value was, or after it was removed.
    fn sweep(&self) -> Result<(), sled::Error> {
        let mut orphans = Vec::new();
        for part in self.db.scan_prefix(parts::KEY).keys() {
            let part = part?;
            if parts::owner(&part).is_some_and(|owner| matches!(self.db.contains_key(owner), Ok(false))) {
                orphans.push((part.to_vec(), None));
            }
        }
        self.write_parts(orphans)
    }

    /// Pages above an eighth of a mebibyte lie in files of their own: there are none since values have parts.
    fn sync_blobs(&self) -> std::io::Result<()> {
        let listing = match std::fs::read_dir(&self.blobs) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let present: HashSet<PathBuf> = listing.map(|item| Ok(item?.path())).collect::<std::io::Result<_>>()?;
        let mut synced = self.synced.lock().expect("nothing panics while it holds the set");
        if *synced == present {
            return Ok(());
        }
        for path in present.difference(&synced) {
            File::open(path)?.sync_all()?;
        }
        File::open(&self.blobs)?.sync_all()?;
        *synced = present;
        Ok(())
    }

    /// The value of a key, put together from its parts; `None` where it is absent.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        guard(|| {
            let Some(kept) = self.db.get(key)? else { return Ok(None) };
            Ok(self.whole(key, &kept)?.map(Cow::into_owned))
        })
    }

    /// Reads the keys from `from` on that start with `prefix`, in order, until `each` answers false.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut verdict = Ok(());
        guard(|| {
            for item in self.db.range(from.to_vec()..) {
                let (key, kept) = item?;
                if !key.starts_with(prefix) {
                    break;
                }
                let Some(value) = self.whole(&key, &kept)? else { continue };
                match each(&key, &value) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        verdict = Err(error);
                        break;
                    }
                }
            }
            Ok(())
        })?;
        verdict
    }

    /// A value with its parts; `None` if it was removed since its key was read.
    fn whole<'k>(&self, key: &[u8], kept: &'k [u8]) -> Result<Option<Cow<'k, [u8]>>, sled::Error> {
        #[cfg(test)]
        self.values_read.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut whole = Cow::Borrowed(kept);
        for (n, part) in parts::keys(key, kept).into_iter().enumerate() {
            match (n, self.db.get(part)?) {
                (0, Some(part)) => whole = Cow::Owned(part.to_vec()),
                (_, Some(part)) => whole.to_mut().extend_from_slice(&part),
                // A value goes before its parts.
                (_, None) if self.db.get(key)?.is_none() => return Ok(None),
                (n, None) => {
                    let lost = format!("a value has lost its part {n}; restore a backup into an empty folder");
                    return Err(std::io::Error::other(lost).into());
                }
            }
        }
        Ok(Some(whole))
    }
}

/// Makes an empty store where there is none, and gives it its name when it is on the disk: a store that a power cut
/// left half made could not be opened, and nobody would know that it holds nothing.
fn make(dir: &Path) -> Result<(), String> {
    let db = dir.join("db");
    if db.exists() {
        return Ok(());
    }
    let failed = |error: std::io::Error| error.to_string();
    let aside = tempfile::Builder::new().prefix("making-").tempdir_in(dir).map_err(failed)?;
    drop(open_unlocked(aside.path())?);
    let name_it = || {
        for name in ["conf", "db"] {
            File::open(aside.path().join(name))?.sync_all()?;
        }
        std::fs::rename(aside.path().join("conf"), dir.join("conf"))?;
        File::open(dir)?.sync_all()?;
        match std::fs::hard_link(aside.path().join("db"), &db) {
            // Another process was as fast; which of the two works here is decided by the store's lock.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    };
    name_it().map_err(failed)
}

/// Opens, and waits a little where a process that is just ending still holds the folder.
fn open_unlocked(dir: &Path) -> Result<sled::Db, String> {
    // Only the writer flushes, so that nothing is written behind its back.
    let config = sled::Config::new().path(dir).cache_capacity(16 << 20).flush_every_ms(None);
    let deadline = Instant::now() + PATIENCE;
    loop {
        settle(dir).map_err(|error| error.to_string())?;
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let error = match opened {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(error)) => error.to_string(),
            Err(_) => return Err("the store found it damaged".into()),
        };
        if !error.contains("could not acquire lock") {
            return Err(error);
        }
        if Instant::now() >= deadline {
            return Err("another process holds its lock; one folder has one server".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Makes durable what the last process left, before anything is concluded from it, and removes the snapshot that it did
/// not finish: sled would take it for its newest.
fn settle(dir: &Path) -> std::io::Result<()> {
    let file = match File::open(dir.join("db")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    // Whoever has the store's own lock may be writing one.
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(()),
        locked => locked?,
    }
    for item in std::fs::read_dir(dir)? {
        let name = item?.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            std::fs::remove_file(dir.join(name))?;
        }
    }
    file.sync_all()
}

fn guard<T>(read: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| Error("the journal's store panicked while reading; it may be damaged".into()))?
        .map_err(|error| Error(format!("reading the journal: {error}")))
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_comes_back_whole_needs_no_file_of_its_own_and_goes_with_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        let disk = StoreFolder::open(dir.path()).unwrap();
        let long = |n: u8| vec![n; 300_000];
        for n in 0..40 {
            let mut batch = Batch::default();
            batch.put(vec![b'e', n], long(n));
            batch.put(vec![b'm'], vec![n]);
            disk.write(batch).unwrap();
        }
        assert_eq!(disk.get(b"e\x07").unwrap().unwrap(), long(7));
        let mut found = Vec::new();
        let each = |key: &[u8], value: &[u8]| {
            found.push((key.to_vec(), value.len()));
            Ok(true)
        };
        disk.scan(b"e", b"e\x05", each).unwrap();
        assert_eq!(found, (5..40).map(|n| (vec![b'e', n], 300_000)).collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(&disk.blobs).unwrap().count(), 0);

        // As after a power cut before the value itself was written, and after it was removed.
        disk.db.remove(b"e\x08").unwrap();
        drop(disk);
        let disk = StoreFolder::open(dir.path()).unwrap();
        assert_eq!(disk.db.scan_prefix(parts::KEY).count(), 39 * 74);

        let kept = disk.db.get(b"e\x07").unwrap().unwrap();
        disk.db.remove(parts::keys(b"e\x07", &kept).pop().unwrap()).unwrap();
        let error = disk.get(b"e\x07").unwrap_err().0;
        assert!(error.contains("lost its part 73; restore a backup"), "{error}");
        let mut batch = Batch::default();
        (0..40).for_each(|n| batch.remove(vec![b'e', n]));
        disk.write(batch).unwrap();
        assert!(disk.whole(b"e\x07", &kept).unwrap().is_none(), "it was removed while it was read");
        assert_eq!(disk.db.iter().keys().collect::<Result<Vec<_>, _>>().unwrap(), [b"m".to_vec()]);
    }
}
