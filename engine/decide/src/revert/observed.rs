//! The manifests repository after an abort, as far as a revert needs it.

use super::{Folder, Intent};
use crate::bump::Past;
use crate::next::Timestamp;

/// What is observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The rollout's journal promises nothing that is not done.
    Nothing,
    /// A promise, and git.
    Promised(Box<Promised>),
}

/// A promise of a rollout, and git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promised {
    /// When it was promised; by this it is answered.
    pub since: Timestamp,
    /// What was promised.
    pub intent: Intent,
    /// Whether the rollout is still aborted.
    pub abort: AbortStatus,
    /// The repository.
    pub git: Git,
}

/// Whether an abort is still what the rollout is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// It is.
    Yes,
    /// Something else walks, or is promoted.
    No,
}

/// A manifests repository, or why it was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Git {
    /// The address is not one that can be used.
    Unusable {
        /// Why, as a sentence with the mend.
        because: String,
    },
    /// The repository has no such branch.
    NoBranch {
        /// What was looked for.
        branch: String,
    },
    /// The branch that is deployed.
    Branch(Box<Branch>),
}

/// The branch that is deployed, and the one of the pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its short name.
    pub name: String,
    /// The commit that it is at.
    pub head: String,
    /// The folder that is deployed, or why it was not read.
    pub files: Result<Folder, String>,
    /// Bespin's own commits, newest first.
    pub bumps: Vec<Past>,
    /// The branch beside it.
    pub aside: Aside,
    /// The pull request from that branch into this one.
    pub request: Request,
    /// What the remote said when it refused the last push, if it did.
    pub refused: Option<String>,
}

/// The branch of the pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// It is not there, or its commit is in the history of the other branch already.
    Absent,
    /// It has commits of its own.
    There {
        /// The folder there, or why it was not read.
        files: Result<Folder, String>,
    },
}

/// A pull request, as far as the forge tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The forge has no API that Bespin knows.
    NoApi,
    /// None is open.
    Absent,
    /// One is open.
    Open {
        /// Its page.
        url: String,
    },
    /// The forge does not take one.
    Refused {
        /// Its words.
        because: String,
    },
}
