//! What an image's stream adds up to.

use super::{Entry, Intent};
use crate::request::{Key, Response};
use std::collections::BTreeMap;

/// What an image's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub(super) wants: Vec<(Key, Intent)>,
    pub(super) answers: BTreeMap<Key, Response>,
}

impl State {
    /// Folds a stream's entries.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> State {
        let mut state = State::default();
        for entry in entries {
            match entry {
                Entry::Wanted { key, intent } if state.intent(key).is_none() => {
                    state.wants.push((key.clone(), intent.clone()));
                }
                // A want that is known already is the same want; asked for once more, it may be open again.
                Entry::Wanted { key, .. } => {
                    if state.answer(key).is_some_and(Response::is_transient) {
                        state.answers.remove(key);
                    }
                }
                Entry::Answered { key, answer } => {
                    state.answers.insert(key.clone(), answer.clone());
                }
            }
        }
        state
    }

    /// How a want ended, once it has.
    pub fn answer(&self, key: &Key) -> Option<&Response> {
        self.answers.get(key)
    }

    /// What a step wanted.
    pub fn intent(&self, key: &Key) -> Option<&Intent> {
        self.wants.iter().find(|(known, _)| known == key).map(|(_, intent)| intent)
    }

    /// The wants without an answer, in their order.
    pub fn open(&self) -> impl Iterator<Item = (&Key, &Intent)> {
        self.wants.iter().filter(|(key, _)| !self.answers.contains_key(key)).map(|(key, intent)| (key, intent))
    }
}
