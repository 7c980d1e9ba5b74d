//! Looking after a running container: the bounds that the kernel keeps without saying so.
//!
//! The kernel refuses a process too many and a byte too many, but tells only the program, which may try for ever.
//! A container that has used up its processes or its disk is stopped, and the step says why.

use super::{Bound, Bounds, Ended, Floor, Spec};
use crate::engine::said;
use crate::error::Error;
use bollard::Docker;
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt;
use std::time::Duration;

/// How long it looks away.
const EVERY: Duration = Duration::from_millis(500);
/// What must stay free of a file system's inodes, in percent: files without a byte fill it, too.
const LEAST_INODES: u64 = 5;

/// Looks until a bound is exceeded. It never ends by itself while there is nothing to see.
pub(super) async fn until_exceeded(docker: &Docker, id: &str, spec: &Spec) -> Result<Ended, Error> {
    loop {
        if let Some(full) = full(&spec.floors)? {
            return Ok(full);
        }
        if uses_every_process(docker, id, &spec.bounds).await? {
            let because = format!("all {} processes and threads that it may have are in use", spec.bounds.processes);
            return Ok(Ended::Exceeded(Bound::Processes, because));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether too little is free on a file system that is written to.
pub(super) fn full(floors: &[Floor]) -> Result<Option<Ended>, Error> {
    for Floor { place, least_bytes } in floors {
        let seen = rustix::fs::statvfs(place).map_err(|error| Error::file("looking at", place, error))?;
        // What is free for those who are not root.
        let lacks = if seen.f_bavail.saturating_mul(seen.f_frsize) < *least_bytes {
            format!("{} MiB", least_bytes >> 20)
        } else if lacks_inodes(seen.f_files, seen.f_favail) {
            format!("{LEAST_INODES} % of the inodes")
        } else {
            continue;
        };
        let because = format!("the disk is full: less than {lacks} is free where it writes");
        return Ok(Some(Ended::Exceeded(Bound::Disk, because)));
    }
    Ok(None)
}

/// Whether a file system has few inodes left; some have as many as they need, and count none.
fn lacks_inodes(all: u64, free: u64) -> bool {
    free.saturating_mul(100) < all.saturating_mul(LEAST_INODES)
}

/// What is said of a container that the kernel ended for its memory.
pub(super) fn memory(bounds: &Bounds) -> String {
    format!("out of memory: it may use {} MiB", bounds.memory_bytes >> 20)
}

async fn uses_every_process(docker: &Docker, id: &str, bounds: &Bounds) -> Result<bool, Error> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let mut stats = std::pin::pin!(docker.stats(id, Some(options)));
    match stats.next().await {
        Some(Ok(stats)) => {
            let current = stats.pids_stats.and_then(|pids| pids.current);
            Ok(current.is_some_and(|current| current >= bounds.processes))
        }
        // It is ending, and has no figures any more; whoever waits for it knows soon.
        Some(Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. })) | None => Ok(false),
        Some(Err(error)) => Err(said("measuring the container", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn few_inodes_are_as_bad_as_few_bytes() {
        for (all, free, expected) in [(100, 4, true), (100, 5, false), (100, 0, true), (0, 0, false), (64, 3, true)] {
            assert_eq!(lacks_inodes(all, free), expected, "{free} of {all}");
        }
    }

    #[test]
    fn a_disk_without_inodes_is_full() {
        let place = tempfile::tempdir().unwrap();
        let run = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        if !run(Command::new("mount").args(["-t", "tmpfs", "-o", "nr_inodes=50", "none"]).arg(place.path())) {
            eprintln!("NOT CHECKED: mounting takes root");
            return;
        }
        let floors = [Floor { place: place.path().into(), least_bytes: 1 }];
        let before = full(&floors).unwrap();
        let made = (0..48).filter(|file| std::fs::write(place.path().join(file.to_string()), "").is_ok()).count();
        let after = full(&floors).unwrap();
        assert!(run(Command::new("umount").arg(place.path())));
        assert_eq!(before, None);
        assert!(made > 40, "{made}");
        let because = "the disk is full: less than 5 % of the inodes is free where it writes".to_owned();
        assert_eq!(after, Some(Ended::Exceeded(Bound::Disk, because)));
    }
}
