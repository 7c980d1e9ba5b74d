//! What an application's stream adds up to.

use super::Revision;
use super::intent::{Cause, Intent, Outcome};
use crate::next::Timestamp;
use crate::request::{Key, Ledger, Response};
use serde::{Deserialize, Serialize};

/// What an application's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct State {
    /// Requests without a response, oldest first.
    pub open: Vec<OpenRequest>,
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
    pub(super) requests: Ledger<Intent>,
}

/// A request without a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OpenRequest {
    /// The step that waits.
    pub key: Key,
    /// The revision that it waits for.
    pub intent: Intent,
    /// When it was asked for, or asked for once more, in ms since the epoch.
    pub since: Timestamp,
}

/// A sync that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ended {
    /// The sync as it was while it was under way.
    pub operation: Operation,
    /// Whether everything was applied, or why not.
    pub outcome: Outcome,
    /// When it ended, in ms since the epoch.
    pub at: Timestamp,
}

/// Healing attempts in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Healing {
    /// How many there were.
    pub attempts: u32,
    /// When the last one started.
    pub last: Timestamp,
}

/// Who holds the application, as far as people asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
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
    pub(super) fn ledger(&self) -> &Ledger<Intent> {
        &self.requests
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
