//! What an application's stream holds.

use super::Revision;
use super::intent::{Cause, Intent, Outcome};
use super::state::State;
use crate::request::{Key, Response};
use crate::summary::Endless;
use serde::{Deserialize, Serialize};

/// One entry of an application's stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// A step wants a revision.
    Wanted {
        /// The step of a run that asks.
        key: Key,
        /// The revision that it waits for.
        intent: Intent,
    },
    /// A want has ended.
    Answered {
        /// The step whose request this answers.
        key: Key,
        /// How the request ended, with the outputs that the step gets.
        answer: Response,
    },
    /// A person asks for a sync.
    Asked,
    /// A sync starts; what follows belongs to it until it has ended.
    Syncing {
        /// The commit of each source that is applied.
        revision: Revision,
        /// The digest of what is applied besides the revision.
        parameters: String,
        /// What made the sync start.
        cause: Cause,
    },
    /// A sync has ended.
    Synced {
        /// The commit of each source that was applied.
        revision: Revision,
        /// The digest of what was applied besides the revision.
        parameters: String,
        /// Whether everything was applied, or why not.
        outcome: Outcome,
    },
    /// A person asks to take the application over.
    TakeAsked,
    /// The claim is made: from now on a foreign write is wrong.
    Taken,
    /// A person asks to give the application back.
    GiveAsked,
    /// It is no longer ours.
    Given,
    /// What the stream added up to here: it is read from this entry on.
    Summarized(Box<State>),
}

crate::request::requests!(Entry, Intent, summarized by Summarized);

impl Endless for Entry {
    fn begins(&self) -> bool {
        matches!(self, Entry::Syncing { .. })
    }
}
