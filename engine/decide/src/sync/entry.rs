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
        /// Whose want.
        key: Key,
        /// What it wants.
        intent: Intent,
    },
    /// A want has ended.
    Answered {
        /// Whose want.
        key: Key,
        /// How.
        answer: Response,
    },
    /// A person asks for a sync.
    Asked,
    /// A sync starts; what follows belongs to it until it has ended.
    Syncing {
        /// What git said.
        revision: Revision,
        /// The digest of what is applied besides the revision.
        parameters: String,
        /// Why.
        cause: Cause,
    },
    /// A sync has ended.
    Synced {
        /// What git said.
        revision: Revision,
        /// The digest of what was applied besides the revision.
        parameters: String,
        /// How.
        outcome: Outcome,
    },
    /// A person asks to take the application over.
    TakeAsked,
    /// It is ours.
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
    /// A person asked.
    Asked,
    /// The cluster drifted; which attempt in a row, from 1.
    Healing(u32),
}

/// How a sync ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything is applied.
    Succeeded,
    /// Something was refused, or degraded on the way.
    Failed {
        /// What, as a sentence.
        because: String,
    },
    /// Git moved on in the middle.
    Superseded {
        /// To which revision.
        by: Revision,
    },
}
