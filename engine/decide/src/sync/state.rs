//! What an application's stream adds up to.

use super::Revision;
use super::entry::{Cause, Entry, Intent, Outcome};
use crate::next::Timestamp;
use crate::request::{Key, Ledger, Response};

/// How many ended syncs are remembered.
const HISTORY: usize = 10;

/// What an application's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Requests without a response, oldest first.
    pub open: Vec<Want>,
    /// The sync that is under way.
    pub operation: Option<Operation>,
    /// Syncs that ended, newest first.
    pub history: Vec<Ended>,
    /// When a person asked for a sync that has not started yet.
    pub asked: Option<Timestamp>,
    /// How the last healing in a row stands.
    pub healing: Option<Healing>,
    /// Who holds the application, as far as people asked.
    pub custody: Custody,
    requests: Ledger<Intent>,
}

/// A request without a response.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// The step that waits.
    pub key: Key,
    /// The revision that it waits for.
    pub intent: Intent,
    /// When it was asked for, or asked for once more, in ms since the epoch.
    pub since: Timestamp,
}

/// A sync that is under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The commit of each source that is applied.
    pub revision: Revision,
    /// The digest of what is applied besides it.
    pub parameters: String,
    /// What made it start.
    pub cause: Cause,
    /// When it started, in ms since the epoch.
    pub since: Timestamp,
}

/// A sync that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The sync as it was while it was under way.
    pub operation: Operation,
    /// Whether everything was applied, or why not.
    pub outcome: Outcome,
    /// When it ended, in ms since the epoch.
    pub at: Timestamp,
}

/// Healing attempts in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Healing {
    /// How many there were.
    pub attempts: u32,
    /// When the last one started.
    pub last: Timestamp,
}

/// Who holds the application, as far as people asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Custody {
    /// Nobody asked for a change.
    #[default]
    AsFound,
    /// A person asked to take it.
    Taking {
        /// When the person asked, in ms since the epoch.
        since: Timestamp,
    },
    /// It is ours since the claim.
    Taken {
        /// When: foreign writes from then on are wrong.
        at: Timestamp,
    },
    /// A person asked to give it back.
    Giving,
}

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
        }
    }

    /// Takes in what an entry says about a request.
    fn take_in(&mut self, at: Timestamp, key: &Key, entry: &Entry) {
        self.requests.apply(entry);
        let open = self.requests.get(key).filter(|request| request.is_open());
        let known = self.open.iter().position(|want| want.key == *key);
        match (open, known) {
            (Some(request), None) => {
                self.open.push(Want { key: key.clone(), intent: request.intent.clone(), since: at });
            }
            (None, Some(known)) => drop(self.open.remove(known)),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// How a request ended, once it has.
    pub fn answer(&self, key: &Key) -> Option<&Response> {
        self.requests.response(key)
    }

    /// How the last sync of this revision with these parameters ended, git
    /// having moved on not counted.
    pub fn ended(&self, revision: &Revision, parameters: &str) -> Option<&Ended> {
        let same = |ended: &&Ended| {
            let operation = &ended.operation;
            operation.revision == *revision
                && operation.parameters == parameters
                && !matches!(ended.outcome, Outcome::Superseded { .. })
        };
        self.history.iter().find(same)
    }
}
