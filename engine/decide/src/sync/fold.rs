//! How a stream's entries add up to an application's state.

use super::entry::Entry;
use super::intent::Cause;
use super::state::{Custody, Ended, Healing, OpenRequest, Operation, State};
use crate::next::Timestamp;
use crate::request::Key;

/// How many ended syncs are remembered.
const HISTORY: usize = 10;

impl State {
    /// Folds a stream, each entry with its moment.
    pub fn fold<'a>(entries: impl IntoIterator<Item = (Timestamp, &'a Entry)>) -> State {
        let mut state = State::default();
        for (at, entry) in entries {
            state.add(at, entry);
        }
        state
    }

    fn add(&mut self, at: Timestamp, entry: &Entry) {
        match entry {
            Entry::Wanted { key, .. } | Entry::Answered { key, .. } => self.take_in(at, key, entry),
            Entry::Asked => self.asked = Some(at),
            Entry::Syncing { revision, parameters, cause } => {
                let (revision, parameters, cause) = (revision.clone(), parameters.clone(), cause.clone());
                self.asked = None;
                self.healing = match cause {
                    Cause::Healing(attempts) => Some(Healing { attempts, last: at }),
                    _ => None,
                };
                self.operation = Some(Operation { revision, parameters, cause, since: at });
            }
            Entry::Synced { outcome, .. } => {
                if let Some(operation) = self.operation.take() {
                    self.history.insert(0, Ended { operation, outcome: outcome.clone(), at });
                    self.history.truncate(HISTORY);
                }
            }
            Entry::TakeAsked => self.custody = Custody::Taking { since: at },
            Entry::Taken => self.custody = Custody::Taken { at },
            Entry::GiveAsked => self.custody = Custody::Giving,
            Entry::Given => self.custody = Custody::AsFound,
            Entry::Summarized(state) => *self = (**state).clone(),
        }
    }

    /// The entry from which the stream can be read from here on.
    pub fn summary(&self) -> Entry {
        Entry::Summarized(Box::new(State { requests: self.requests.summary(), ..self.clone() }))
    }

    /// Takes in what an entry says about a request.
    fn take_in(&mut self, at: Timestamp, key: &Key, entry: &Entry) {
        self.requests.apply(entry);
        let open = self.requests.get(key).filter(|request| request.is_open());
        let known = self.open.iter().position(|want| want.key == *key);
        match (open, known) {
            (Some(request), None) => {
                self.open.push(OpenRequest { key: key.clone(), intent: request.intent.clone(), since: at });
            }
            (None, Some(known)) => drop(self.open.remove(known)),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}
