//! What the configuration says about the journal.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Where the journal lies, and how much room it leaves to others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The folder; created where it is missing.
    pub dir: PathBuf,
    /// Below this many free bytes on its disk, appends answer [`AppendError::Full`](crate::AppendError::Full).
    #[serde(default = "min_free_bytes")]
    pub min_free_bytes: u64,
}

fn min_free_bytes() -> u64 {
    64 << 20
}

impl Settings {
    /// The defaults for a folder: 64 MiB stay free.
    pub fn new(dir: &Path) -> Settings {
        Settings { dir: dir.to_owned(), min_free_bytes: min_free_bytes() }
    }
}
