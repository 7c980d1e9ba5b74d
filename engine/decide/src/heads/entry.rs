//! What is written down of a repository's heads.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of the journal of a repository's heads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// The first look: all of them.
    Looked {
        /// The id that each branch and tag stands at, by its full reference; zeros where one is gone that was told of before.
        heads: BTreeMap<String, String>,
    },
    /// A later look: those that stand elsewhere than before.
    Moved {
        /// The id that each stands at by now, by its full reference; zeros where it is gone.
        heads: BTreeMap<String, String>,
    },
    /// What all earlier entries add up to; the stream is read from here on.
    Summary {
        /// The id that each branch and tag stood at when it was last looked at, by its full reference.
        heads: BTreeMap<String, String>,
    },
}

impl Entry {
    /// What it says of heads, whichever look it was.
    pub fn heads(&self) -> &BTreeMap<String, String> {
        match self {
            Entry::Looked { heads } | Entry::Moved { heads } | Entry::Summary { heads } => heads,
        }
    }
}
