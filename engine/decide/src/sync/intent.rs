//! What a step asks of an application, why a sync starts, and how it ended.

use super::Revision;
use serde::{Deserialize, Serialize};

/// What a step wants of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The application is synced to this revision, or to one that contains it.
    pub revision: Revision,
}

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
