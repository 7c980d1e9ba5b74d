//! The cache of plugins: archives at `<dir>/<repository>/<reference>/<key>`, each name a digest.
//!
//! What a branch saves is found by its own runs and by pull requests against
//! it: whoever can push one branch must not thereby decide what another is
//! built from. A file begins with a line `<ms since the epoch> <key>`; its
//! time of change is when it was used last.

use super::artifacts::{blocking, failed, rejected, there, whole};
use pipeline::Digest;
use sandbox::{Failure, Found, Restore, Save, Saved};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The most bytes that one repository keeps.
const REPOSITORY_BYTES: u64 = 2 << 30;
/// A longer first line is none of ours, in bytes.
const HEAD: u64 = 512;

/// The archives of all repositories.
#[derive(Clone)]
pub struct Archives {
    dir: PathBuf,
    repository_bytes: u64,
    /// Whoever writes looks first at what is there.
    writing: Arc<Mutex<()>>,
}

/// Whose archives a run finds, and whether it may add to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The application's repository, as `owner/repo`.
    pub repository: String,
    /// The references whose archives are found; the first that has the key counts.
    pub references: Vec<String>,
    /// Whether it may write.
    pub mode: Mode,
}

/// Whether a run may write to the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It saves for this reference.
    ReadWrite(String),
    /// It is somebody else's: a fork's pull request.
    ReadOnly,
}

impl Archives {
    /// Keeps archives under `dir`, at most 2 GiB for a repository.
    pub fn open(dir: PathBuf) -> Archives {
        Archives { dir, repository_bytes: REPOSITORY_BYTES, writing: Arc::default() }
    }

    /// Finds the archive of a key, or the newest of the first prefix that any key begins with.
    ///
    /// # Errors
    /// Rejected where it is too long; transient where the disk says no.
    pub async fn restore(&self, reader: Reader, asked: Restore) -> Result<Option<Found>, Failure> {
        let archives = self.clone();
        blocking(move || {
            let Some(entry) = archives.find(&reader, &asked).map_err(failed)? else { return Ok(None) };
            if entry.bytes > asked.at_most {
                return Err(rejected(format!(
                    "archive `{}` has {} bytes; {} can be read",
                    entry.key, entry.bytes, asked.at_most
                )));
            }
            // It may have had to make room since.
            let Some(file) = there(File::options().read(true).append(true).open(&entry.path)).map_err(failed)? else {
                return Ok(None);
            };
            let mut archive = Vec::new();
            let mut reader = BufReader::new(&file);
            reader.skip_until(b'\n').and_then(|_| reader.read_to_end(&mut archive)).map_err(failed)?;
            file.set_modified(SystemTime::now()).map_err(failed)?;
            Ok(Some(Found { key: entry.key, archive }))
        })
        .await
    }

    /// Saves an archive, and lets the repository's least recently used go where there is too much.
    ///
    /// # Errors
    /// The disk says no.
    pub async fn save(&self, reader: Reader, asked: Save) -> Result<Saved, Failure> {
        let archives = self.clone();
        let Mode::ReadWrite(reference) = reader.mode else { return Ok(Saved::ReadOnly) };
        blocking(move || {
            let _alone = archives.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let repository = archives.dir.join(name(&reader.repository));
            let path = repository.join(name(&reference)).join(name(&asked.key));
            if path.exists() {
                return Ok(Saved::Kept);
            }
            let mut content = format!("{} {}\n", crate::drive::now(), asked.key).into_bytes();
            content.extend_from_slice(&asked.archive);
            if content.len() as u64 > archives.repository_bytes {
                return Err(rejected(format!("a repository's cache has {} bytes", archives.repository_bytes)));
            }
            let written = || {
                fs::create_dir_all(path.parent().expect("it was joined to its folder"))?;
                archives.make_room(&repository, content.len() as u64)?;
                whole(&path, &content)
            };
            written().map_err(failed)?;
            Ok(Saved::Saved)
        })
        .await
    }

    fn find(&self, reader: &Reader, asked: &Restore) -> std::io::Result<Option<Entry>> {
        let folder = |reference: &String| self.dir.join(name(&reader.repository)).join(name(reference));
        let folders: Vec<_> = reader.references.iter().map(folder).collect();
        for folder in &folders {
            if let Some(entry) = Entry::read(&folder.join(name(&asked.key)))? {
                return Ok(Some(entry));
            }
        }
        if asked.prefixes.is_empty() {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for folder in &folders {
            for file in files(folder)? {
                entries.extend(Entry::read(&file)?);
            }
        }
        let newest = |prefix: &String| {
            let fits = entries.iter().filter(|entry| entry.key.starts_with(prefix));
            fits.max_by_key(|entry| entry.saved_ms).cloned()
        };
        Ok(asked.prefixes.iter().find_map(newest))
    }

    /// Removes the least recently used archives of a repository until `more` bytes fit.
    fn make_room(&self, repository: &Path, more: u64) -> std::io::Result<()> {
        let mut used = Vec::new();
        for reference in files(repository)? {
            for file in files(&reference)? {
                let meta = fs::metadata(&file)?;
                used.push((meta.modified()?, meta.len(), file));
            }
        }
        used.sort();
        let mut total = more + used.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
        for (_, bytes, file) in used {
            if total <= self.repository_bytes {
                break;
            }
            fs::remove_file(file)?;
            total -= bytes;
        }
        Ok(())
    }
}

/// An archive on disk.
#[derive(Clone)]
struct Entry {
    key: String,
    saved_ms: u64,
    bytes: u64,
    path: PathBuf,
}

impl Entry {
    /// None where there is none, or it is none of ours.
    fn read(path: &Path) -> std::io::Result<Option<Entry>> {
        let Some(file) = there(File::open(path))? else { return Ok(None) };
        let length = file.metadata()?.len();
        let mut head = Vec::new();
        BufReader::new(file.take(HEAD)).read_until(b'\n', &mut head)?;
        let line = std::str::from_utf8(&head).ok().and_then(|head| head.strip_suffix('\n'));
        let Some((saved, key)) = line.and_then(|line| line.split_once(' ')) else { return Ok(None) };
        let Ok(saved_ms) = saved.parse() else { return Ok(None) };
        // What a crash left half written has no such name.
        if path.file_name().is_none_or(|file| file != name(key).as_str()) {
            return Ok(None);
        }
        Ok(Some(Entry { key: key.to_owned(), saved_ms, bytes: length - head.len() as u64, path: path.to_owned() }))
    }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in there(fs::read_dir(folder))?.into_iter().flatten() {
        files.push(entry?.path());
    }
    Ok(files)
}

/// The name of a file or a folder. A digest, for the text may be any.
fn name(text: &str) -> String {
    Digest::of(text.as_bytes()).hex().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(repository: &str, reference: &str) -> Reader {
        let (repository, reference) = (repository.to_owned(), reference.to_owned());
        Reader { repository, references: vec![reference.clone()], mode: Mode::ReadWrite(reference) }
    }

    async fn save(archives: &Archives, reader: &Reader, key: &str, archive: &[u8]) -> Saved {
        archives.save(reader.clone(), Save { key: key.to_owned(), archive: archive.to_vec() }).await.unwrap()
    }

    async fn restore(archives: &Archives, reader: &Reader, key: &str, prefixes: &[&str]) -> Option<(String, Vec<u8>)> {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        let asked = Restore { key: key.to_owned(), prefixes, at_most: 100 };
        archives.restore(reader.clone(), asked).await.unwrap().map(|found| (found.key, found.archive))
    }

    #[tokio::test]
    async fn a_key_stays_as_it_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let (archives, main) = (Archives::open(dir.path().to_owned()), reader("o/r", "refs/heads/main"));
        assert_eq!(restore(&archives, &main, "maven-1", &[]).await, None);
        assert_eq!(save(&archives, &main, "maven-1", b"one\ntwo").await, Saved::Saved);
        assert_eq!(save(&archives, &main, "maven-1", b"evil").await, Saved::Kept);
        assert_eq!(save(&archives, &main, "npm-1", b"npm").await, Saved::Saved);
        let archives = Archives::open(dir.path().to_owned());
        let maven = Some(("maven-1".to_owned(), b"one\ntwo".to_vec()));
        assert_eq!(restore(&archives, &main, "maven-1", &[]).await, maven);
        assert_eq!(restore(&archives, &main, "maven-2", &["gradle-", "maven-", "npm-"]).await, maven);
        assert_eq!(restore(&archives, &main, "maven-2", &["gradle-"]).await, None);
        // A crash in the midst of saving leaves a file of another name.
        let folder = dir.path().join(name("o/r")).join(name("refs/heads/main"));
        fs::write(folder.join(".tmp1"), "99999999999999 maven-3\nhal").unwrap();
        assert_eq!(restore(&archives, &main, "maven-3", &["maven-3", "maven-"]).await, maven);
        let asked = Restore { key: "maven-1".to_owned(), prefixes: Vec::new(), at_most: 6 };
        assert!(matches!(archives.restore(main, asked).await, Err(Failure::Rejected(_))));
    }

    #[tokio::test]
    async fn nobody_else_finds_it_and_a_fork_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (archives, main) = (Archives::open(dir.path().to_owned()), reader("o/r", "refs/heads/main"));
        save(&archives, &main, "k", b"main").await;
        for other in [reader("o/other", "refs/heads/main"), reader("o/r", "refs/heads/topic")] {
            assert_eq!(restore(&archives, &other, "k", &["k"]).await, None, "{other:?}");
        }
        let fork = Reader { mode: Mode::ReadOnly, ..main.clone() };
        assert_eq!(restore(&archives, &fork, "k", &[]).await, Some(("k".to_owned(), b"main".to_vec())));
        assert_eq!(save(&archives, &fork, "evil", b"evil").await, Saved::ReadOnly);
        assert_eq!(restore(&archives, &main, "evil", &[]).await, None);
        // A pull request finds its own archives before those of its base.
        let references = vec!["refs/pull/1/head".to_owned(), "refs/heads/main".to_owned()];
        let asked = Reader { references, mode: Mode::ReadWrite("refs/pull/1/head".to_owned()), ..main.clone() };
        assert_eq!(restore(&archives, &asked, "k", &[]).await.unwrap().1, b"main");
        save(&archives, &asked, "k", b"pull").await;
        assert_eq!(restore(&archives, &asked, "k", &[]).await.unwrap().1, b"pull");
        assert_eq!(restore(&archives, &main, "k", &[]).await.unwrap().1, b"main");
    }

    #[tokio::test]
    async fn the_least_recently_used_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let archives = Archives { repository_bytes: 100, ..Archives::open(dir.path().to_owned()) };
        let main = reader("o/r", "refs/heads/main");
        for key in ["a", "b"] {
            save(&archives, &main, key, &[0; 25]).await;
        }
        // Both are older than anything that happens now, `a` the older.
        let mut files = files(&files(&files(dir.path()).unwrap()[0]).unwrap()[0]).unwrap();
        files.sort_by_key(|file| Entry::read(file).unwrap().unwrap().key);
        for (file, seconds) in files.iter().zip([1, 2]) {
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            File::options().append(true).open(file).unwrap().set_modified(at).unwrap();
        }
        restore(&archives, &main, "a", &[]).await.expect("it is there, and used now");
        save(&archives, &main, "c", &[0; 25]).await;
        assert!(restore(&archives, &main, "b", &[]).await.is_none(), "it was used least recently");
        assert!(
            restore(&archives, &main, "a", &[]).await.is_some() && restore(&archives, &main, "c", &[]).await.is_some()
        );
        let long = archives.save(main, Save { key: "long".to_owned(), archive: vec![0; 100] }).await;
        assert!(matches!(long, Err(Failure::Rejected(_))), "{long:?}");
    }
}
