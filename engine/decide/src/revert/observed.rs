//! The manifests repository after an abort, as far as a revert needs it.

use super::{Act, Folder};
use crate::bump::Past;
use crate::outcome::Outcomes;

/// What is observed of git and of the forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nothing was looked at: no request is open, or the open one was dropped.
    Nothing,
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
    /// What the remote said when it refused the last push for good, if it did.
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
    /// The remote refused it for good, with this sentence.
    Refused(String),
}

/// What the remote has refused of what one request needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Its words about a push.
    pub push: Option<String>,
    /// Its words about a pull request.
    pub pull_request: Option<String>,
}

impl Refusals {
    /// Those among the outcomes of one stream, which are all of one promise.
    pub fn of(outcomes: &Outcomes<Act, Reply>) -> Refusals {
        let mut refusals = Refusals::default();
        for attempted in outcomes.iter() {
            let Ok(Reply::Refused(because)) = &attempted.result else { continue };
            match &attempted.act {
                Act::Commit { .. } => refusals.push = Some(because.clone()),
                Act::Request { .. } => refusals.pull_request = Some(because.clone()),
                Act::Notify => {}
            }
        }
        refusals
    }
}
