//! What a bump's stream adds up to.

use super::{Entry, Intent};
use crate::request::{Key, Response};
use std::collections::BTreeMap;

/// What a bump's journal adds up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    wants: BTreeMap<Key, (Intent, Option<Response>)>,
}

impl State {
    /// Folds a journal.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> State {
        let mut state = State::default();
        for entry in entries {
            match entry {
                Entry::Wanted { key, intent } => {
                    let (_, answer) = state.wants.entry(key.clone()).or_insert_with(|| (intent.clone(), None));
                    answer.take_if(|answer| answer.is_transient());
                }
                Entry::Answered { key, answer } => {
                    if let Some((_, slot)) = state.wants.get_mut(key) {
                        slot.get_or_insert_with(|| answer.clone());
                    }
                }
            }
        }
        state
    }

    /// How a want ended, once it has.
    pub fn answer(&self, key: &Key) -> Option<&Response> {
        self.wants.get(key).and_then(|(_, answer)| answer.as_ref())
    }

    /// The wants that have not ended, in the order of their keys.
    pub fn open(&self) -> impl Iterator<Item = (&Key, &Intent)> {
        self.wants.iter().filter(|(_, (_, answer))| answer.is_none()).map(|(key, (intent, _))| (key, intent))
    }
}
