//! What the steps of a run leave for one another: files at `<dir>/<run id>/<name>/<attempt>`,
//! beside a file `step` that says whose the name is.

use sandbox::{Failure, Stored};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes that one run stores.
const RUN_BYTES: u64 = 256 << 20;
/// The most names that one run stores.
const RUN_NAMES: usize = 1_000;
/// The file that says whose a name is. Attempts are numbers, so that none is called like it.
const OWNER: &str = "step";

/// The artifacts of all runs.
#[derive(Clone)]
pub struct Artifacts {
    dir: PathBuf,
    run_bytes: u64,
    /// Whoever writes looks first at what is there.
    writing: Arc<Mutex<()>>,
}

/// The step of a run that stores something.
#[derive(Clone, Debug)]
pub struct Author {
    /// The run's id, `owner/repo/pipeline/number`.
    pub run: String,
    /// The step's id in the pipeline file.
    pub step: String,
    /// The attempt, from 1.
    pub attempt: u32,
}

impl Artifacts {
    /// Keeps artifacts under `dir`, at most 256 MiB for a run.
    pub fn open(dir: PathBuf) -> Artifacts {
        Artifacts { dir, run_bytes: RUN_BYTES, writing: Arc::default() }
    }

    /// Stores a file, unless the name is another step's or this attempt has stored something else under it.
    ///
    /// # Errors
    /// Rejected where the name is taken or there is no room; transient where the disk says no.
    pub async fn put(&self, author: Author, name: String, content: Vec<u8>) -> Result<(), Failure> {
        let artifacts = self.clone();
        blocking(move || artifacts.write(&author, &name, &content)).await
    }

    /// Reads what the newest attempt has stored under a name.
    ///
    /// # Errors
    /// Rejected where there is none, or it has more than `at_most` bytes; transient where the disk says no.
    pub async fn get(&self, run: &str, name: String, at_most: u64) -> Result<Vec<u8>, Failure> {
        let run = self.run(run)?;
        blocking(move || {
            let missing = || rejected(format!("no step of this run has stored an artifact `{name}`"));
            let newest = newest(&run.join(&name)).map_err(failed)?.ok_or_else(missing)?;
            if newest.bytes > at_most {
                return Err(rejected(format!("artifact `{name}` has {} bytes; {at_most} can be read", newest.bytes)));
            }
            fs::read(newest.path).map_err(failed)
        })
        .await
    }

    /// Lists what the newest attempts have stored.
    ///
    /// # Errors
    /// The disk says no.
    pub async fn list(&self, run: &str) -> Result<Vec<Stored>, Failure> {
        let run = self.run(run)?;
        blocking(move || {
            let mut listed = Vec::new();
            for name in names(&run).map_err(failed)? {
                let place = run.join(&name);
                // A name whose first file is still being written is not there yet.
                let (Some(newest), Some(step)) = (newest(&place).map_err(failed)?, owner(&place).map_err(failed)?)
                else {
                    continue;
                };
                listed.push(Stored { name, size: newest.bytes, step });
            }
            Ok(listed)
        })
        .await
    }

    /// Removes what a run has stored. Repeatable.
    ///
    /// # Errors
    /// The run's id is no path, or the disk says no.
    pub async fn remove_run(&self, run: &str) -> std::io::Result<()> {
        let place = self.place(run).ok_or(ErrorKind::InvalidInput)?;
        match tokio::fs::remove_dir_all(place).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn write(&self, author: &Author, name: &str, content: &[u8]) -> Result<(), Failure> {
        let run = self.run(&author.run)?;
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let place = run.join(name);
        match owner(&place).map_err(failed)? {
            Some(step) if step != author.step => {
                return Err(rejected(format!("the artifact `{name}` is the step `{step}`'s; take another name")));
            }
            _ => {}
        }
        let path = place.join(author.attempt.to_string());
        match fs::read(&path) {
            Ok(there) if there == content => return Ok(()),
            Ok(_) => return Err(rejected(format!("this attempt has stored something else as `{name}`"))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        self.room(&run, name, content.len() as u64)?;
        let written = || {
            fs::create_dir_all(&place)?;
            if owner(&place)?.is_none() {
                whole(&place.join(OWNER), author.step.as_bytes())?;
            }
            whole(&path, content)
        };
        written().map_err(failed)
    }

    /// Whether a run may store this much more.
    fn room(&self, run: &Path, name: &str, more: u64) -> Result<(), Failure> {
        let (mut total, mut count) = (more, 1);
        for there in names(run).map_err(failed)? {
            count += usize::from(there != name);
            for attempt in attempts(&run.join(there)).map_err(failed)? {
                total += attempt.bytes;
            }
        }
        if total > self.run_bytes {
            return Err(rejected(format!(
                "the artifacts of this run would have {total} bytes; {} are kept",
                self.run_bytes
            )));
        }
        if count > RUN_NAMES {
            return Err(rejected(format!("this run has stored {RUN_NAMES} artifacts, and no more are kept")));
        }
        Ok(())
    }

    fn run(&self, run: &str) -> Result<PathBuf, Failure> {
        self.place(run).ok_or_else(|| rejected(format!("`{run}` is no run")))
    }

    /// The folder of a run; an id that would lead elsewhere has none.
    fn place(&self, run: &str) -> Option<PathBuf> {
        let plain = !run.is_empty() && Path::new(run).components().all(|part| matches!(part, Component::Normal(_)));
        plain.then(|| self.dir.join(run))
    }
}

struct Attempt {
    number: u32,
    bytes: u64,
    path: PathBuf,
}

fn attempts(place: &Path) -> std::io::Result<Vec<Attempt>> {
    let mut attempts = Vec::new();
    for entry in there(fs::read_dir(place))?.into_iter().flatten() {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            attempts.push(Attempt { number, bytes: entry.metadata()?.len(), path: entry.path() });
        }
    }
    Ok(attempts)
}

fn newest(place: &Path) -> std::io::Result<Option<Attempt>> {
    Ok(attempts(place)?.into_iter().max_by_key(|attempt| attempt.number))
}

fn owner(place: &Path) -> std::io::Result<Option<String>> {
    there(fs::read_to_string(place.join(OWNER)))
}

fn names(run: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in there(fs::read_dir(run))?.into_iter().flatten() {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// None where there is nothing.
pub(super) fn there<T>(read: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file that is there whole or not at all, also after the power failed.
pub(super) fn whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    fs::File::open(dir)?.sync_all()
}

/// Runs work on files on a thread for such work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::Transient(error.to_string())))
}

pub(super) fn rejected(because: String) -> Failure {
    Failure::Rejected(because)
}

pub(super) fn failed(error: std::io::Error) -> Failure {
    Failure::Transient(format!("the server's disk: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(run: &str, step: &str, attempt: u32) -> Author {
        Author { run: run.to_owned(), step: step.to_owned(), attempt }
    }

    async fn put(artifacts: &Artifacts, author: Author, name: &str, content: &str) -> Result<(), Failure> {
        artifacts.put(author, name.to_owned(), content.as_bytes().to_vec()).await
    }

    #[tokio::test]
    async fn what_was_stored_stays_and_the_newest_attempt_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts"));
        put(&artifacts, author("o/r/p/1", "test", 1), "report", "one").await.unwrap();
        put(&artifacts, author("o/r/p/1", "test", 1), "report", "one").await.expect("the same again is free");
        let other = put(&artifacts, author("o/r/p/1", "test", 1), "report", "two").await.unwrap_err();
        assert!(matches!(&other, Failure::Rejected(because) if because.contains("something else")), "{other:?}");
        let taken = put(&artifacts, author("o/r/p/1", "lint", 1), "report", "one").await.unwrap_err();
        assert!(matches!(&taken, Failure::Rejected(because) if because.contains("`test`'s")), "{taken:?}");
        put(&artifacts, author("o/r/p/1", "test", 2), "report", "two!").await.unwrap();
        // After a restart as before it.
        let artifacts = Artifacts::open(dir.path().join("artifacts"));
        assert_eq!(artifacts.get("o/r/p/1", "report".into(), 10).await.unwrap(), b"two!");
        let listed = artifacts.list("o/r/p/1").await.unwrap();
        assert_eq!(listed, [Stored { name: "report".into(), size: 4, step: "test".into() }]);
        assert!(artifacts.get("o/r/p/1", "report".into(), 3).await.is_err(), "it has four bytes");
        assert!(artifacts.get("o/r/p/2", "report".into(), 10).await.is_err(), "it is another run's");
        assert_eq!(artifacts.list("o/r/p/2").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_run_has_so_much_room_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts { run_bytes: 10, ..Artifacts::open(dir.path().to_owned()) };
        put(&artifacts, author("o/r/p/1", "a", 1), "x", "123456").await.unwrap();
        let full = put(&artifacts, author("o/r/p/1", "a", 1), "y", "12345").await.unwrap_err();
        assert!(matches!(&full, Failure::Rejected(because) if because.contains("11 bytes; 10 are kept")), "{full:?}");
        put(&artifacts, author("o/r/p/2", "a", 1), "y", "12345").await.expect("another run has room of its own");
        artifacts.remove_run("o/r/p/1").await.unwrap();
        artifacts.remove_run("o/r/p/1").await.expect("once more is no error");
        assert_eq!(artifacts.list("o/r/p/1").await.unwrap(), []);
        assert_eq!(artifacts.list("o/r/p/2").await.unwrap().len(), 1);
        for run in ["", "..", "/tmp", "../x"] {
            assert!(artifacts.remove_run(run).await.is_err(), "{run}");
        }
    }
}
