//! What the journal of a repository's heads adds up to.

use super::entry::Entry;
use crate::delivery::NOTHING;
use std::collections::BTreeMap;

/// Where the heads stood when they were last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The id of each, by its full reference; `None` before the first look.
    pub heads: Option<BTreeMap<String, String>>,
}

impl State {
    /// Folds the entries of a repository's heads.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> State {
        let mut state = State::default();
        for entry in entries {
            if matches!(entry, Entry::Looked { .. } | Entry::Summary { .. }) {
                state.heads = None;
            }
            let heads = state.heads.get_or_insert_default();
            heads.extend(entry.heads().iter().map(|(name, at)| (name.clone(), at.clone())));
            heads.retain(|_, at| at != NOTHING);
        }
        state
    }

    /// The entry that adds up to the same by itself; `None` before the first look.
    pub fn summary(&self) -> Option<Entry> {
        self.heads.clone().map(|heads| Entry::Summary { heads })
    }
}
