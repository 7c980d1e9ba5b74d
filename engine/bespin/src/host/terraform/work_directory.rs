//! Where Terraform works: a folder of its own for each call, with the pushed commit in it, and a user of its own.
//!
//! The folder is a disk as containers have them, so that it is bounded where the server is root. What the repository
//! runs can do what it likes below `files`, and is taken for nobody's friend when something is read from there; what
//! must not be changed any more lies beside it, in a folder of root's. The same folder and workspace of a run have the
//! same path each time, for a plan may have the path in it.

use super::super::disk::{self, Disk};
use crate::places::in_use;
use images::containers::User;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::collections::HashSet;
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OnceCell, OwnedSemaphorePermit, Semaphore};

/// The file with a configuration of Terraform's own command line, which says nothing.
const NO_CLI: &str = "terraform.rc";
/// How long an earlier process's Terraform is waited for: longer than its supervisor gives it to end.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long it takes to see that a lock is free.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// All work directories of the server.
pub(super) struct WorkDirectories {
    /// Holds all of them; every user may pass it.
    work: PathBuf,
    bytes: u64,
    users: Users,
    at_once: u32,
    places: Arc<Semaphore>,
    /// The numbers that nobody uses.
    free: Mutex<Vec<u32>>,
    /// The places that somebody uses.
    used: Mutex<HashSet<PathBuf>>,
    /// Told when a place is free again.
    freed: Notify,
    swept: OnceCell<()>,
}

/// The users of the machine that Terraform runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Users {
    /// The server's own user, for only root can be somebody else.
    Own(User),
    /// This one and those after it, one for each call.
    From(u32),
}

/// A place and a number, both one call's alone until it is dropped.
pub(super) struct Claim {
    directories: Arc<WorkDirectories>,
    place: PathBuf,
    number: Option<(u32, OwnedSemaphorePermit)>,
}

/// One call's work directory. Dropped, it is removed.
pub(super) struct WorkDirectory {
    claim: Option<Claim>,
    place: PathBuf,
    lock: PathBuf,
    files: PathBuf,
    user: User,
    own: Option<u32>,
}

impl WorkDirectories {
    /// Makes the folder that holds them, or takes the one that is there.
    ///
    /// # Errors
    /// It cannot be made, or somebody else can write to it.
    pub(super) fn open(work: PathBuf, bytes: u64, users: Users, at_once: u32) -> std::io::Result<WorkDirectories> {
        match DirBuilder::new().mode(0o711).create(&work) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let seen = std::fs::symlink_metadata(&work)?;
        if !seen.is_dir() || seen.uid() != rustix::process::geteuid().as_raw() || seen.mode() & 0o022 != 0 {
            let because = format!("{} is there, and is no folder that only this server writes to", work.display());
            return Err(Error::new(ErrorKind::PermissionDenied, because));
        }
        std::fs::set_permissions(&work, Permissions::from_mode(0o711))?;
        for number in 0..at_once {
            let lock = lock(&work, number);
            std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock)?;
        }
        let (places, free) = (Arc::new(Semaphore::new(at_once as usize)), Mutex::new((0..at_once).rev().collect()));
        let (used, freed, swept) = Default::default();
        Ok(WorkDirectories { work, bytes, users, at_once, places, free, used, freed, swept })
    }

    /// Waits until nothing runs any more that an earlier process of this server started, and removes what it left.
    async fn sweep(&self) -> std::io::Result<()> {
        let sweep = || {
            let work = self.work.clone();
            blocking(move || {
                let entries = std::fs::read_dir(&work)?.collect::<Result<Vec<_>, _>>()?;
                let (folders, locks): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.path().is_dir());
                for lock in locks {
                    free(&lock.path(), PATIENCE)?;
                }
                folders.iter().try_for_each(|folder| disk::remove(&folder.path()))
            })
        };
        self.swept.get_or_try_init(sweep).await.copied()
    }

    /// Waits for the place named `name`, and only then for one of the numbers: whoever waits for a place keeps nobody
    /// from working in another. Where it has to wait, `queued` is told for what; what it returns is dropped once it
    /// waits for that no more.
    ///
    /// # Errors
    /// What an earlier process of the server left cannot be removed.
    pub(super) async fn claim<W>(self: &Arc<Self>, name: &str, queued: impl Fn(String) -> W) -> std::io::Result<Claim> {
        self.sweep().await?;
        let place = self.work.join(name);
        self.take(&place, &queued).await;
        let mut claim = Claim { directories: self.clone(), place, number: None };
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _queued = queued(in_use(self.at_once as usize));
                self.places.clone().acquire_owned().await.map_err(Error::other)?
            }
        };
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().expect("a place has a number");
        claim.number = Some((number, permit));
        Ok(claim)
    }

    /// Waits until nobody uses a place: the same folder of the same run is planned or applied by one step at a time.
    async fn take<W>(&self, place: &Path, queued: impl Fn(String) -> W) {
        let mut told = None;
        loop {
            let freed = self.freed.notified();
            if self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(place.to_owned()) {
                return;
            }
            let because = || "waiting for a free place: another step of this run works in the folder".to_owned();
            told.get_or_insert_with(|| queued(because()));
            freed.await;
        }
    }
}

impl Claim {
    /// Makes the work directory, with what `fill` puts into its `src`.
    ///
    /// # Errors
    /// The disk says no, or `fill` does.
    pub(super) async fn make(
        self,
        fill: impl FnOnce(&Path) -> std::io::Result<()> + Send + 'static,
    ) -> std::io::Result<WorkDirectory> {
        let (number, _) = self.number.as_ref().expect("whoever has a claim has a number");
        let (user, own) = match self.directories.users {
            Users::Own(user) => (user, None),
            Users::From(first) => (User { uid: first + number, gid: first + number }, Some(first + number)),
        };
        let (place, bytes, lock) = (self.place.clone(), self.directories.bytes, lock(&self.directories.work, *number));
        let files = PathBuf::new();
        let mut work = WorkDirectory { claim: Some(self), place, lock, files, user, own };
        // It goes along, so that nothing is removed that is still being made.
        blocking(move || {
            disk::remove(&work.place)?;
            private_to_pass(&work.place)?;
            let Disk { files, .. } = disk::open(&work.place, bytes, user, |to| {
                for folder in ["src", "home", "tmp", "data", "out"] {
                    std::fs::create_dir(to.join(folder))?;
                }
                std::fs::write(to.join(NO_CLI), "")?;
                std::fs::set_permissions(to, Permissions::from_mode(0o700))?;
                fill(&to.join("src"))
            })?;
            work.files = files;
            Ok(work)
        })
        .await
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let number = self.number.take();
        let mut free = self.directories.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.extend(number.as_ref().map(|(number, _)| *number));
        drop(free);
        self.directories.used.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
        self.directories.freed.notify_waiters();
        // Last, for whoever is let in next finds a number.
        drop(number);
    }
}

impl WorkDirectory {
    /// A path below what Terraform may write to.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.files.join(relative)
    }

    /// The configuration of the command line that says nothing.
    pub(super) fn no_cli(&self) -> PathBuf {
        self.path(NO_CLI)
    }

    /// The file that is locked while Terraform runs here.
    pub(super) fn lock(&self) -> PathBuf {
        self.lock.clone()
    }

    /// Who Terraform is, where it is not the server's own user.
    pub(super) fn user(&self) -> Option<u32> {
        self.own
    }

    /// Reads what Terraform left, at most so many bytes; `None` where there is none. Links and other users' files are
    /// not read: the repository can put there what it likes, and the server may read what it may not.
    pub(super) async fn read(&self, relative: &str, at_most: u64) -> std::io::Result<Option<Vec<u8>>> {
        let (root, relative, uid) = (self.files.clone(), relative.to_owned(), self.user.uid);
        blocking(move || read_within(&root, &relative, uid, at_most)).await
    }

    /// Puts a file where Terraform can read it and not change it.
    pub(super) async fn show(&self, name: &str, content: Vec<u8>) -> std::io::Result<PathBuf> {
        let folder = self.files.parent().expect("a disk has a folder").join("shown");
        let (path, user) = (folder.join(name), self.user());
        blocking(move || {
            match DirBuilder::new().mode(0o750).create(&folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let partial = folder.join("partial");
            std::fs::write(&partial, content)?;
            std::fs::set_permissions(&partial, Permissions::from_mode(0o440))?;
            if let Some(group) = user {
                chown(&folder, None, Some(group))?;
                chown(&partial, None, Some(group))?;
            }
            std::fs::rename(&partial, &path)?;
            Ok(path)
        })
        .await
    }
}

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        let (claim, place) = (self.claim.take(), self.place.clone());
        let remove = move || {
            if let Err(error) = disk::remove(&place) {
                tracing::warn!(place = %place.display(), %error, "a folder of Terraform's stays until the next start");
            }
            drop(claim);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Whether there is a folder of this name below another, without any link on the way.
pub(super) fn is_folder(root: &Path, relative: &str) -> bool {
    let mut path = root.to_owned();
    relative.split('/').filter(|name| !name.is_empty()).all(|name| {
        path.push(name);
        std::fs::symlink_metadata(&path).is_ok_and(|seen| seen.is_dir())
    })
}

fn read_within(root: &Path, relative: &str, uid: u32, at_most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let root = File::open(root)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(&root, relative, flags, Mode::empty(), within) {
        Ok(file) => File::from(file),
        Err(error) if error == rustix::io::Errno::NOENT => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let seen = file.metadata()?;
    if !seen.is_file() || seen.uid() != uid || seen.nlink() != 1 {
        return Err(Error::new(ErrorKind::PermissionDenied, format!("`{relative}` is no file of Terraform's own")));
    }
    let mut content = Vec::new();
    file.take(at_most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > at_most {
        let because = format!("`{relative}` has more than {at_most} bytes");
        return Err(Error::new(ErrorKind::FileTooLarge, because));
    }
    Ok(Some(content))
}

/// Waits until nobody holds a lock, for no longer than `patience`.
fn free(lock: &Path, patience: Duration) -> std::io::Result<()> {
    let (file, begun) = (File::open(lock)?, Instant::now());
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => std::thread::sleep(LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => {
                let because = "something of an earlier process of this server still runs and holds the lock";
                let text = format!("{because} {}; `fuser {0}` says what", lock.display());
                return Err(Error::new(ErrorKind::TimedOut, text));
            }
        }
    }
}

fn lock(work: &Path, number: u32) -> PathBuf {
    work.join(format!("lock-{number}"))
}

/// Makes a folder that others may pass and not look into.
fn private_to_pass(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o711).create(folder)?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o711))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_plain_files_of_its_own_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (root, uid) = (dir.path().join("files"), std::fs::metadata(dir.path()).unwrap().uid());
        std::fs::create_dir_all(root.join("out")).unwrap();
        std::fs::write(root.join("out/plan"), "plan").unwrap();
        std::fs::write(dir.path().join("secret"), "hunter2").unwrap();
        symlink("../../secret", root.join("out/link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        std::fs::hard_link(dir.path().join("secret"), root.join("out/hard")).unwrap();
        assert_eq!(read_within(&root, "out/plan", uid, 4).unwrap().unwrap(), b"plan");
        assert!(read_within(&root, "out/none", uid, 4).unwrap().is_none());
        assert!(read_within(&root, "out/plan", uid, 3).unwrap_err().to_string().contains("more than 3 bytes"));
        assert!(read_within(&root, "out/plan", uid + 1, 4).is_err(), "somebody else's");
        for path in ["out/link", "out/hard", "up/secret", "../secret", "out"] {
            assert!(read_within(&root, path, uid, 99).is_err(), "{path}");
        }
    }

    #[test]
    fn a_folder_is_reached_without_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        symlink("a", dir.path().join("link")).unwrap();
        assert!(is_folder(dir.path(), "") && is_folder(dir.path(), "a/b"));
        for path in ["link", "link/b", "a/c"] {
            assert!(!is_folder(dir.path(), path), "{path}");
        }
    }

    async fn make(
        directories: &Arc<WorkDirectories>,
        fill: impl FnOnce(&Path) -> std::io::Result<()> + Send + 'static,
    ) -> std::io::Result<WorkDirectory> {
        directories.claim("one", drop).await?.make(fill).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_waits_for_a_place_keeps_nobody_from_another() {
        let dir = tempfile::tempdir().unwrap();
        let users = Users::Own(disk::user(dir.path()).unwrap());
        let directories = Arc::new(WorkDirectories::open(dir.path().join("work"), 16 << 20, users, 2).unwrap());
        let first = directories.claim("one", drop).await.unwrap();
        let mut waiting = Box::pin(directories.claim("one", drop));
        assert!(futures::poll!(&mut waiting).is_pending(), "the place is taken");
        let second = directories.claim("two", drop).await.unwrap();
        // All numbers are taken: who waits for one and goes away gives its place back.
        let mut third = Box::pin(directories.claim("three", drop));
        assert!(futures::poll!(&mut third).is_pending());
        drop(third);
        drop(first);
        let first = waiting.await.unwrap();
        drop(second);
        let third = directories.claim("three", drop).await.unwrap();
        assert_ne!(first.number.as_ref().unwrap().0, third.number.as_ref().unwrap().0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_ground_after_another_has_the_same_path_and_nothing_of_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let users = Users::Own(disk::user(dir.path()).unwrap());
        let directories = Arc::new(WorkDirectories::open(dir.path().join("work"), 16 << 20, users, 1).unwrap());
        let mut paths = HashSet::new();
        for _ in 0..3 {
            let fill = |src: &Path| std::fs::write(src.join("main.tf"), "");
            let work = make(&directories, fill).await.unwrap();
            assert!(work.path("src/main.tf").exists() && !work.path("src/left").exists());
            std::fs::write(work.path("src/left"), "").unwrap();
            paths.insert(work.path("src"));
        }
        assert_eq!(paths.len(), 1);
        let failed = make(&directories, |_| Err(Error::other("no such commit"))).await.err().unwrap();
        assert!(failed.to_string().contains("no such commit"));
        drop(make(&directories, |_| Ok(())).await.expect("what failed is out of the way"));
        // A work directory is removed behind its owner's back: whoever is let in next finds it gone, and its mount too.
        let _next = directories.claim("one", drop).await.unwrap();
        assert!(!dir.path().join("work/one").exists());
    }

    #[test]
    fn a_lock_that_is_never_free_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("lock-0");
        std::fs::write(&lock, "").unwrap();
        free(&lock, Duration::ZERO).expect("nobody holds it");
        let held = File::open(&lock).unwrap();
        held.lock().unwrap();
        let refused = free(&lock, Duration::from_millis(1)).unwrap_err().to_string();
        assert!(refused.contains(&lock.display().to_string()), "{refused}");
        drop(held);
        // A process that another test starts holds it as well until its program runs.
        free(&lock, Duration::from_secs(10)).expect("it is free again");
    }

    #[test]
    fn a_folder_that_others_write_to_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        let open = || WorkDirectories::open(work.clone(), 1 << 20, Users::From(65_520), 2);
        open().unwrap();
        open().expect("a second start finds it");
        std::fs::set_permissions(&work, Permissions::from_mode(0o777)).unwrap();
        assert!(open().is_err());
        std::fs::remove_dir_all(&work).unwrap();
        symlink(dir.path(), &work).unwrap();
        assert!(open().is_err());
    }
}
