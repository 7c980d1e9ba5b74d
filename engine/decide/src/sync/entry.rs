//! What the sync writes down, and what it may cause.

use super::object::Id;
use crate::want::{Answer, Key};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a step wants of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The application is synced to this commit, or to one that contains it.
    pub revision: String,
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
        answer: Answer,
    },
    /// A person asks for a sync.
    Asked,
    /// A sync starts; what follows belongs to it until it has ended.
    Syncing {
        /// The commit.
        revision: String,
        /// The digest of what is applied besides the commit.
        parameters: String,
        /// Why.
        cause: Cause,
    },
    /// A sync has ended.
    Synced {
        /// The commit.
        revision: String,
        /// The digest of what was applied besides the commit.
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
        /// To which commit.
        by: String,
    },
}

impl Outcome {
    /// The outcome in words.
    pub fn spoken(&self) -> String {
        match self {
            Outcome::Succeeded => "succeeded".into(),
            Outcome::Failed { because } => format!("failed: {because}"),
            Outcome::Superseded { by } => format!("superseded by {}", short(by)),
        }
    }
}

/// A commit as people say it.
pub fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// What the sync may cause. Each is absolute and may be repeated.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// The namespace is there.
    CreateNamespace(String),
    /// The API server would accept all of these; nothing is written.
    Rehearse(Vec<Value>),
    /// The replaced managers' share is ours, if the object is still as it was read.
    Adopt {
        /// The live object, as it was read.
        live: Value,
        /// The new `managedFields`.
        managed: Value,
    },
    /// The field is also owned by the second manager.
    HandOver(Value),
    /// These objects, of one kind, are as sent.
    Apply(Vec<Value>),
    /// The object is gone, if it is still as it was read.
    Prune {
        /// Which object.
        id: Id,
        /// Its `apiVersion`.
        api_version: String,
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        resource_version: String,
    },
    /// The Application's status says this.
    Status(Value),
    /// Argo CD lets the Application go.
    LetGo,
    /// The Application carries our annotation.
    Claim,
    /// The Application carries neither our annotation nor the one that keeps Argo CD off.
    Release,
}
