//! Up to where the journal came with a backup.
//!
//! What followed the backup is lost, and the world has gone on: numbers were used, and branches have moved. So what a
//! restored journal says of them counts for less than what is written since.

use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The file in the journal's folder, so that it goes when the journal does.
const FILE: &str = "restored.json";

#[derive(Serialize, Deserialize)]
struct Restored {
    /// The newest sequence that came with the backup.
    up_to: u64,
}

/// Notes in the journal's folder that its entries up to this sequence came with a backup.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn note(journal: &Path, up_to: u64) -> Result<(), String> {
    let path = journal.join(FILE);
    let write = || {
        let text = serde_json::to_string(&Restored { up_to })?;
        let mut file = std::fs::File::create(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::File::open(journal)?.sync_all()
    };
    write().map_err(|error: std::io::Error| format!("noting the restore in {}: {error}", path.display()))
}

/// The newest sequence that came with a backup; 0 where the journal was never restored.
///
/// # Errors
/// The file cannot be read, so that it is not known.
pub(crate) fn restored_up_to(journal: &Path) -> Result<u64, String> {
    let path = journal.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let restored: Restored = serde_json::from_str(&text).map_err(|error| {
        format!("{}: {error}; write {{\"up_to\":N}}, N being `up_to` of `bespin journal verify`", path.display())
    })?;
    Ok(restored.up_to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_is_known_until_the_journal_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(restored_up_to(directory.path()), Ok(0));
        note(directory.path(), 700).unwrap();
        assert_eq!(restored_up_to(directory.path()), Ok(700));
        std::fs::write(directory.path().join(FILE), "7").unwrap();
        assert!(restored_up_to(directory.path()).unwrap_err().contains("bespin journal verify"));
    }
}
