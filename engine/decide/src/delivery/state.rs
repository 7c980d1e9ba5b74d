//! What a delivery's journal adds up to.

use super::entry::{Entry, Received};
use crate::next::Timestamp;

/// What a delivery's journal adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What was received and when, once it was.
    pub received: Option<(Received, Timestamp)>,
    /// When the repository first answered that the commit cannot be read; an outage before counts for nothing.
    pub missed: Option<Timestamp>,
    /// How it ended, once it did.
    pub ended: Option<Ended>,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With these runs open, by their ids.
    Opened(Vec<String>),
    /// With no run, for this reason.
    Ignored(String),
}

impl State {
    /// Folds a delivery's journal, given as entries with their moments.
    pub fn replay<'a>(entries: impl IntoIterator<Item = (Timestamp, &'a Entry)>) -> State {
        let mut state = State::default();
        for (at, entry) in entries {
            match entry {
                Entry::Received(push) => state.received = Some((Received::Push(push.clone()), at)),
                Entry::Proposed(asked) => state.received = Some((Received::PullRequest(asked.clone()), at)),
                Entry::Missed { .. } => state.missed = state.missed.or(Some(at)),
                Entry::Opened { runs, .. } => state.ended = Some(Ended::Opened(runs.clone())),
                Entry::Ignored { because } => state.ended = Some(Ended::Ignored(because.clone())),
            }
        }
        state
    }
}
