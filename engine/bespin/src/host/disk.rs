//! Directories for containers, each of which can hold only so much.
//!
//! A container may fill what it can write to, also with files that have no name any more, and faster than anybody
//! looks. So a directory is a file system of its own, in a file as large as the directory may become. Mounting one
//! takes root and `mkfs.ext4`; a server without them makes plain directories, and says so once: there a container is
//! stopped only when the disk that it shares with the server runs full.
//!
//! A disk is the folder `<disk>` with `image` (the file system), `mount` (where it is mounted) and, on it, `files`.
//! A plain one is `<disk>` with `files`. What is in `files` is whole: it is made beside it and moved there.

use images::containers::{Floor, User};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

/// What must stay free on the disk that the server itself writes to, in bytes.
const RESERVE: u64 = 1 << 30;
/// What a file system of its own counts as full at, in bytes.
const NOTHING: u64 = 1 << 20;
/// Who containers are where the server is root: nobody on any Debian.
const NOBODY: u32 = 65_532;

/// A directory that is there.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What a container sees.
    pub files: PathBuf,
    /// What must stay free while it writes.
    pub floors: Vec<Floor>,
}

/// The user that containers are: not root, and able to write what this server hands them.
///
/// # Errors
/// The folder, which is the server's own, cannot be looked at.
pub fn user(own: &Path) -> std::io::Result<User> {
    let seen = std::fs::metadata(own)?;
    Ok(match seen.uid() {
        0 => User { uid: NOBODY, gid: NOBODY },
        uid => User { uid, gid: if seen.gid() == 0 { NOBODY } else { seen.gid() } },
    })
}

/// Opens a disk of at most `bytes`, and makes it with what `fill` puts into it where there is none. Blocks.
///
/// # Errors
/// A file system that was damaged, a full disk, or what `fill` says.
pub fn open(
    disk: &Path,
    bytes: u64,
    user: User,
    fill: impl FnOnce(&Path) -> std::io::Result<()>,
) -> std::io::Result<Disk> {
    private(disk)?;
    let shared = Floor { place: disk.to_owned(), least_bytes: RESERVE };
    let (base, floors) = match mounted(disk, bytes)? {
        Some(base) => (base.clone(), vec![shared, Floor { place: base, least_bytes: NOTHING }]),
        None => (disk.to_owned(), vec![shared]),
    };
    let files = base.join("files");
    if !files.exists() {
        let partial = base.join("partial");
        absent(std::fs::remove_dir_all(&partial))?;
        std::fs::create_dir(&partial)?;
        fill(&partial)?;
        // Handed over before any container sees it, so that nothing can be swapped meanwhile.
        if std::fs::metadata(disk)?.uid() != user.uid {
            hand_over(&partial, user)?;
        }
        std::fs::rename(&partial, &files)?;
    }
    Ok(Disk { files, floors })
}

/// Removes a disk and everything on it; harmless where there is none. Blocks.
///
/// # Errors
/// It is still in use, or cannot be removed.
pub fn remove(disk: &Path) -> std::io::Result<()> {
    let mount = disk.join("mount");
    if mount.exists() && is_mounted(disk, &mount)? {
        // What still has a file open there, a container on its way out or a process between fork and exec, keeps the
        // file system until it ends, and not the name.
        run(tool("umount").arg("--lazy").arg(&mount))?;
    }
    absent(std::fs::remove_dir_all(disk))
}

/// Makes a folder that only the server enters: containers' files keep their modes, and other users their distance.
pub fn private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Where the disk's own file system is mounted; `None` where it has none.
fn mounted(disk: &Path, bytes: u64) -> std::io::Result<Option<PathBuf>> {
    let (image, mount) = (disk.join("image"), disk.join("mount"));
    if !image.exists() {
        if disk.join("files").exists() {
            return Ok(None);
        }
        if let Err(error) = format(disk, &image, bytes).and_then(|()| attach(&image, &mount)) {
            absent(std::fs::remove_file(&image))?;
            static SAID: Once = Once::new();
            SAID.call_once(|| tracing::warn!(%error, "containers' disks are not bounded one by one"));
            return Ok(None);
        }
    } else if !is_mounted(disk, &mount)? {
        // The machine was switched off since.
        let checked = tool("e2fsck").args(["-p", "-f"]).arg(&image).stdin(Stdio::null()).output()?;
        if checked.status.code().is_none_or(|code| code > 1) {
            return Err(Error::other("its file system was damaged; start the run again"));
        }
        attach(&image, &mount)?;
    }
    Ok(Some(mount))
}

fn format(disk: &Path, image: &Path, bytes: u64) -> std::io::Result<()> {
    if std::fs::metadata(disk)?.uid() != 0 {
        return Err(Error::new(ErrorKind::PermissionDenied, "only root can mount file systems"));
    }
    let partial = image.with_extension("partial");
    std::fs::File::create(&partial)?.set_len(bytes)?;
    // It is thrown away with the run, so that it needs no journal; and it keeps nothing back for root.
    let options = ["-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"];
    run(tool("mkfs.ext4").args(options).arg(&partial))?;
    std::fs::rename(&partial, image)
}

fn attach(image: &Path, mount: &Path) -> std::io::Result<()> {
    private(mount)?;
    run(tool("mount").args(["-t", "ext4", "-o", "loop,nosuid,nodev,noatime"]).arg(image).arg(mount))
}

/// Whether another file system begins here.
fn is_mounted(disk: &Path, mount: &Path) -> std::io::Result<bool> {
    Ok(mount.exists() && std::fs::metadata(mount)?.dev() != std::fs::metadata(disk)?.dev())
}

/// A program of the machine, without the server's environment: secrets may stand there.
fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command
}

fn run(command: &mut Command) -> std::io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

fn hand_over(path: &Path, user: User) -> std::io::Result<()> {
    lchown(path, Some(user.uid), Some(user.gid))?;
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            hand_over(&entry?.path(), user)?;
        }
    }
    Ok(())
}

fn absent(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_filled_once_and_holds_no_more_than_it_may() {
        let data = tempfile::tempdir().unwrap();
        let (disk, user) = (data.path().join("a/b/1"), user(data.path()).unwrap());
        let fill = |to: &Path| std::fs::write(to.join("pushed"), "before");
        let opened = open(&disk, 16 << 20, user, fill).unwrap();
        let pushed = opened.files.join("pushed");
        assert_eq!(std::fs::metadata(&pushed).unwrap().uid(), user.uid);
        std::fs::write(&pushed, "after").unwrap();
        let again = open(&disk, 16 << 20, user, |_| panic!("it was filled")).unwrap();
        assert_eq!(std::fs::read_to_string(again.files.join("pushed")).unwrap(), "after");

        if opened.floors.len() == 2 {
            let error = std::fs::write(opened.files.join("large"), vec![1; 32 << 20]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            // As after a power cut: the file system is there, and nobody has mounted it.
            unmount(&disk.join("mount"));
            let after = open(&disk, 16 << 20, user, |_| panic!("it was filled")).unwrap();
            assert_eq!(std::fs::read_to_string(after.files.join("pushed")).unwrap(), "after");
        }
        remove(&disk).unwrap();
        remove(&disk).unwrap();
        assert!(!disk.exists());
    }

    /// A process that another test has forked and that has not come to its exec holds what is open here: then it is
    /// busy, and soon no more.
    fn unmount(mount: &Path) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while let Err(error) = run(tool("umount").arg(mount)) {
            assert!(error.to_string().contains("busy") && std::time::Instant::now() < end, "{error}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_could_not_be_filled_is_not_there() {
        let data = tempfile::tempdir().unwrap();
        let (disk, user) = (data.path().join("1"), user(data.path()).unwrap());
        open(&disk, 16 << 20, user, |to| {
            std::fs::write(to.join("half"), "")?;
            Err(Error::other("the tar ended early"))
        })
        .unwrap_err();
        let opened = open(&disk, 16 << 20, user, |_| Ok(())).unwrap();
        assert!(!opened.files.join("half").exists());
        remove(&disk).unwrap();
    }
}
