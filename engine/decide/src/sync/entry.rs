//! What an application's stream holds.

use super::Revision;
use crate::request::{Key, Response};
use serde::{Deserialize, Serialize};

/// What a step wants of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The application is synced to this revision, or to one that contains it.
    pub revision: Revision,
}

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
}

crate::request::requests!(Entry, Intent);

/// Why a sync starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Git moved, and the application is automated.
    Automated,
    /// A step wants it.
    Wanted,
    /// A person asked for it, on the dashboard or by the API.
    Asked,
    /// The cluster drifted; which attempt in a row, from 1.
    Healing(u32),
}

/// How a sync ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that git names is applied; health is not part of it.
    Succeeded,
    /// Something was refused, or degraded on the way.
    Failed {
        /// What, as a sentence.
        because: String,
    },
    /// Git moved on in the middle.
    Superseded {
        /// The revision that git went on to.
        by: Revision,
    },
}
