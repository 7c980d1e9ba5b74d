//! What an image's stream adds up to.

use super::{Entry, Intent};
use crate::request::{Key, Ledger, Response};

/// What an image's stream adds up to: what its step has asked for, and the responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub(super) requests: Ledger<Intent>,
}

impl State {
    /// Folds a stream's entries.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> State {
        State { requests: Ledger::fold(entries) }
    }

    /// How a request ended, once it has.
    pub fn answer(&self, key: &Key) -> Option<&Response> {
        self.requests.response(key)
    }

    /// What a step has asked for.
    pub fn intent(&self, key: &Key) -> Option<&Intent> {
        self.requests.get(key).map(|request| &request.intent)
    }

    /// The requests without a response, in their order.
    pub fn open(&self) -> impl Iterator<Item = (&Key, &Intent)> {
        self.requests.open().map(|request| (&request.key, &request.intent))
    }
}
