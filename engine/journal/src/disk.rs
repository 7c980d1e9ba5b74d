//! The only file that knows sled: ordered keys, and batches that are on the
//! disk when `write` returns.
//!
//! sled's own `flush` ends in `sync_file_range` on Linux, which writes no
//! metadata and leaves the disk's cache alone, and it never syncs the files of
//! its `blobs` folder. So every write here is followed by our own syncs.

use crate::Error;
use std::collections::HashSet;
use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long to wait for a lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open store. Closing happens on drop, when the last clone of the handle goes.
pub struct Disk {
    db: sled::Db,
    file: File,
    blobs: PathBuf,
    synced: Mutex<HashSet<PathBuf>>,
}

/// Changes that take effect together or not at all.
#[derive(Default)]
pub struct Batch(sled::Batch);

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, value);
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.0.remove(key);
    }
}

/// Why a batch was not written.
#[derive(Debug)]
pub enum WriteError {
    /// The disk is full.
    Full(String),
    /// Anything else.
    Failed(String),
}

impl Disk {
    /// Opens or creates the store in `dir`, and makes its files' names durable.
    pub fn open(dir: &Path) -> Result<Disk, Error> {
        let say = |what: &str, error: &dyn std::fmt::Display| {
            Error(format!(
                "{what} the journal in {}: {error}; if it is damaged, restore a backup into an empty folder",
                dir.display()
            ))
        };
        std::fs::create_dir_all(dir).map_err(|error| say("creating", &error))?;
        // Only the writer flushes, so that nothing is written behind its back.
        let config = sled::Config::new().path(dir).cache_capacity(16 << 20).flush_every_ms(None);
        let db = open_unlocked(&config).map_err(|error| say("opening", &error))?;
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
        Ok(Disk { db, file, blobs: dir.join("blobs"), synced: Mutex::default() })
    }

    /// Applies a batch; it is on the disk when this returns.
    pub fn write(&self, batch: Batch) -> Result<(), WriteError> {
        catch_unwind(AssertUnwindSafe(|| {
            self.db.apply_batch(batch.0)?;
            self.db.flush()?;
            self.sync_blobs()?;
            self.file.sync_data()?;
            Ok(())
        }))
        .unwrap_or_else(|_| Err(sled::Error::ReportableBug("the store panicked while writing".into())))
        .map_err(|error| match error {
            sled::Error::Io(error) if is_full(&error) => WriteError::Full(error.to_string()),
            other => WriteError::Failed(other.to_string()),
        })
    }

    /// Values above an eighth of a mebibyte lie in files of their own.
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

    /// Reads one key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        guard(|| Ok(self.db.get(key)?.map(|value| value.to_vec())))
    }

    /// Reads the keys from `from` on that start with `prefix`, in order, until `each` answers false.
    pub fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut verdict = Ok(());
        guard(|| {
            for item in self.db.range(from.to_vec()..) {
                let (key, value) = item?;
                if !key.starts_with(prefix) {
                    break;
                }
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
}

/// Opens, and waits a little where a process that is just ending still holds the folder.
fn open_unlocked(config: &sled::Config) -> Result<sled::Db, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
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

fn guard<T>(read: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| Error("the journal's store panicked while reading; it may be damaged".into()))?
        .map_err(|error| Error(format!("reading the journal: {error}")))
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
