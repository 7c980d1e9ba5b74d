//! How much room the disk has.

use crate::Error;
use std::path::Path;

/// The bytes that this process may still write on the disk of `dir`.
pub(crate) fn free_bytes(dir: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(dir)
        .map_err(|error| Error(format!("asking {} for its free space: {error}", dir.display())))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
