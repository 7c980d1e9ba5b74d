//! A disk without room for the journal: nothing is accepted, nothing is lost, and with room it goes on by itself. A disk
//! that dies ends the server, with the reason.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;

/// The disk's size, in bytes: the journal leaves 64 MiB free, and the server keeps compiled plugins there.
const SIZE: u64 = 512 << 20;

/// A small disk in memory; it is gone with this value.
struct SmallDisk(tempfile::TempDir);

/// Whether file systems can be mounted; said loudly where not.
fn may_mount() -> bool {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    !world::missing("root, who may mount a small disk,", is_root)
}

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        if !may_mount() {
            return None;
        }
        let disk = SmallDisk(tempfile::tempdir().expect("a folder"));
        let size = format!("size={SIZE},mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "stories"]).arg(disk.path()));
        Some(disk)
    }

    /// One with a file system of its own kind, which can be made to die.
    fn mount_ext4(image: &Path) -> Option<SmallDisk> {
        if !may_mount() || world::missing("mkfs.ext4", world::has("mkfs.ext4")) {
            return None;
        }
        run(Command::new("fallocate").arg("-l").arg(SIZE.to_string()).arg(image));
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image));
        let disk = SmallDisk(tempfile::tempdir().expect("a folder"));
        disk.attach(image);
        Some(disk)
    }

    fn attach(&self, image: &Path) {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(image).arg(self.path()));
        run(Command::new("chmod").arg("0700").arg(self.path()));
    }

    /// From here on every write fails, and what was not synced is lost: `FS_IOC_SHUTDOWN` of Linux.
    fn die(&self) {
        let shutdown = "import fcntl, os, struct, sys\n\
                        fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
        run(Command::new("python3").args(["-c", shutdown]).arg(self.path()));
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes room until only `left` bytes are free.
    fn fill(&self, left: u64) {
        let free = Command::new("df").args(["-B1", "--output=avail"]).arg(self.path()).output().expect("df runs");
        let free = String::from_utf8(free.stdout).expect("df prints numbers");
        let free: u64 = free.lines().last().and_then(|line| line.trim().parse().ok()).expect("df prints a number");
        // The last MiB is left to those who write at the same moment.
        let take = free.checked_sub(left.max(1 << 20)).expect("there is more room than that");
        run(Command::new("fallocate").arg("-l").arg(take.to_string()).arg(self.ballast()));
        if left == 0 {
            // Now the rest, whoever else writes.
            let mut ballast = std::fs::OpenOptions::new().append(true).open(self.ballast()).expect("it is there");
            while ballast.write_all(&[0; 4096]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that it also goes while a server that failed a story still ends.
        let _not_mounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Moves the server's data to the disk.
async fn move_to(estate: &mut Estate, disk: &SmallDisk) {
    estate.bespin.process().stop(PATIENCE).await;
    let (data, moved) = (estate.dir().join("data"), disk.path().join("data"));
    run(Command::new("cp").arg("--archive").arg(&data).arg(&moved));
    std::fs::remove_dir_all(&data).expect("it can be removed");
    std::os::unix::fs::symlink(&moved, &data).expect("a link can be made");
    estate.restart(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_and_with_room_it_goes_on() {
    let Some(disk) = SmallDisk::mount() else { return };
    let mut estate = Estate::start(Kind::Embedded, "1s").await;
    move_to(&mut estate, &disk).await;
    estate.settled().await;

    // No room at all, and so little that the journal would write into what it leaves to others.
    for (n, left) in [(1, 0), (2, 60 << 20)] {
        disk.fill(left);
        let commit = estate.change(n).await;
        let refused = estate.deliver(&commit).await.expect_err("there is no room");
        assert!(refused.to_string().contains("503"), "{refused}");
        let received = format!("delivery/default/{}", &commit.after[..32]);
        assert!(estate.bespin.journal(&received).is_empty(), "what was refused is not recorded");
        disk.make_room();
        // GitHub's own button sends it again.
        estate.deliver(&commit).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(estate.ended(&commit.after).await["state"], "succeeded");
    }

    a_run_waits_for_room(&estate, &disk).await;
}

/// A run that was accepted before the disk was full ends as every other, once there is room.
async fn a_run_waits_for_room(estate: &Estate, disk: &SmallDisk) {
    let head = estate.manifests().head();
    let commit = estate.change(3).await;
    estate.deliver(&commit).await.unwrap_or_else(|error| panic!("{error}"));
    disk.fill(0);
    let refused = || async { estate.bespin.last_words().contains("no room for the journal").then_some(()) };
    eventually("the server says that there is no room", PATIENCE, refused).await;
    let before = estate.bespin.journal("").len();
    let another = estate.change(4).await;
    estate.deliver(&another).await.expect_err("there is no room");
    assert_eq!(estate.bespin.journal("").len(), before, "nothing is written without room");
    disk.make_room();
    assert_eq!(estate.ended(&commit.after).await["state"], "succeeded");
    assert_eq!(estate.manifests().since(&head).len(), 1, "and nothing was done twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_dies_ends_the_server_with_the_reason() {
    let images = tempfile::tempdir().expect("a folder");
    let image = images.path().join("image");
    let Some(disk) = SmallDisk::mount_ext4(&image) else { return };
    let mut estate = Estate::start(Kind::Embedded, "1s").await;
    move_to(&mut estate, &disk).await;
    estate.settled().await;
    let kept = estate.push_change(1).await;
    assert_eq!(estate.ended(&kept.after).await["state"], "succeeded");

    disk.die();
    let lost = estate.change(2).await;
    estate.deliver(&lost).await.expect_err("nothing can be written");
    let status = estate.bespin.process().ended(PATIENCE).await;
    assert!(!status.success(), "a supervisor starts it again: {status}");
    let words = estate.bespin.last_words();
    assert!(words.contains("the journal cannot be written any more"), "it says why: {words}");

    // The disk comes back; whoever was refused sends it again.
    run(Command::new("umount").arg("--lazy").arg(disk.path()));
    disk.attach(&image);
    estate.restart(&[]).await;
    estate.deliver(&lost).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(estate.ended(&lost.after).await["state"], "succeeded");
    assert_eq!(estate.ended(&kept.after).await["number"], 56, "what was accepted before is there");
}
