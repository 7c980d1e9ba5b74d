//! Up to where a journal came with a backup.
//!
//! What followed the backup is lost, and the world has gone on. The file lies in the journal's folder, so that it goes
//! when the journal does, and is there before the restored journal has its name.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::path::Path;

const FILE: &str = "restored.json";

#[derive(Serialize, Deserialize)]
struct Restored {
    /// The newest sequence that came with the backup.
    up_to: u64,
}

/// Notes in the journal's folder that its entries up to this sequence came with a backup.
pub(crate) fn note(journal: &Path, up_to: u64) -> Result<(), Error> {
    let path = journal.join(FILE);
    let write = || {
        let text = serde_json::to_string(&Restored { up_to })?;
        let mut file = std::fs::File::create(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::File::open(journal)?.sync_all()
    };
    write().map_err(|error: std::io::Error| Error(format!("noting the restore in {}: {error}", path.display())))
}

/// The newest sequence that came with a backup; 0 where the journal in `dir` was never restored.
///
/// # Errors
/// The file cannot be read, so that it is not known.
pub fn restored_up_to(dir: &Path) -> Result<u64, Error> {
    let path = dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error(format!("{}: {error}", path.display()))),
    };
    let restored: Restored = serde_json::from_str(&text).map_err(|error| {
        let help = "write {\"up_to\":N}, N being `up_to` of `bespin journal verify`";
        Error(format!("{}: {error}; {help}", path.display()))
    })?;
    Ok(restored.up_to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_is_known_until_the_journal_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(restored_up_to(directory.path()).unwrap(), 0);
        note(directory.path(), 700).unwrap();
        assert_eq!(restored_up_to(directory.path()).unwrap(), 700);
        std::fs::write(directory.path().join(FILE), "7").unwrap();
        assert!(restored_up_to(directory.path()).unwrap_err().0.contains("bespin journal verify"));
    }
}
