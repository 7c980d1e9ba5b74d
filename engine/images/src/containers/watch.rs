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
use std::path::Path;
use std::time::Duration;

/// How long it looks away.
const EVERY: Duration = Duration::from_millis(500);

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
        if free(place)? < *least_bytes {
            let because = format!("the disk is full: less than {} MiB is free where it writes", least_bytes >> 20);
            return Ok(Some(Ended::Exceeded(Bound::Disk, because)));
        }
    }
    Ok(None)
}

/// What is said of a container that the kernel ended for its memory.
pub(super) fn memory(bounds: &Bounds) -> String {
    format!("out of memory: it may use {} MiB", bounds.memory_bytes >> 20)
}

/// The bytes that are free on the file system of a directory, for those who are not root.
fn free(place: &Path) -> Result<u64, Error> {
    let seen = rustix::fs::statvfs(place).map_err(|error| Error::file("looking at", place, error))?;
    Ok(seen.f_bavail.saturating_mul(seen.f_frsize))
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
