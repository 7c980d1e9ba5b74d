//! The manifests repository after an abort, as far as a revert needs it.

use super::{Act, Folder, Intent};
use crate::bump::Past;
use crate::next::Timestamp;
use crate::outcome::Outcomes;

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
    /// What the rollout has promised about git.
    pub intent: Intent,
    /// Whether the rollout is still aborted.
    pub abort: AbortStatus,
    /// The repository as it is now, or why it cannot be read.
    pub git: Git,
}

/// Whether an abort is still what the rollout is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// The rollout is still aborted.
    Yes,
    /// Something else walks, or is promoted.
    No,
}

/// A manifests repository, or why it was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Git {
    /// The address is not one that can be used.
    Unusable {
        /// Why, as a sentence with the help.
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
    /// The branch's name without `refs/heads/`.
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
    /// No pull request from that branch is open.
    Absent,
    /// A pull request from that branch is open.
    Open {
        /// The address of its page.
        url: String,
    },
    /// The forge does not take one.
    Refused {
        /// The forge's words, for the person who has to go on.
        because: String,
    },
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was carried out, or it was not needed any more; the next observation sees which.
    Done,
    /// The remote refused it, with this sentence.
    Refused(String),
}

/// What the remote has refused of what one promise needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Its words about a push.
    pub push: Option<String>,
    /// Its words about a pull request.
    pub pull_request: Option<String>,
}

impl Refusals {
    /// Those among the outcomes that came after the promise of this moment: what was refused to an earlier one says
    /// nothing about this one.
    pub fn since(promised: Timestamp, outcomes: &Outcomes<Act, Reply>) -> Refusals {
        let mut refusals = Refusals::default();
        for attempted in outcomes.iter().filter(|attempted| attempted.at >= promised) {
            let Ok(Reply::Refused(because)) = &attempted.result else { continue };
            match &attempted.act {
                Act::Commit { .. } => refusals.push = Some(because.clone()),
                Act::Request { .. } => refusals.pull_request = Some(because.clone()),
                Act::Answer { .. } => {}
            }
        }
        refusals
    }
}
