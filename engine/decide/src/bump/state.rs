//! What a bump's stream adds up to.

use super::{Entry, Intent};
use crate::request::{Key, Ledger, Response};

/// What a bump's stream adds up to: what its step has asked for, and the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    requests: Ledger<Intent>,
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

    /// The requests without a response, in their order.
    pub fn open(&self) -> impl Iterator<Item = (&Key, &Intent)> {
        self.requests.open().map(|request| (&request.key, &request.intent))
    }
}
