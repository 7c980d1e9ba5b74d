//! Decides how git stops naming an image whose canary has retreated.
//!
//! Promise and outcome stand in the rollout's journal; this stage has none of
//! its own. Its truth is the branch: as soon as that no longer names the image,
//! whoever saw to it, there is nothing left to do, and a newer image that
//! stands there by then stays. A pull request's branch has a name that follows
//! from what it is about, so that it is found again and never made twice.

mod folder;
mod words;

pub use folder::{Fixed, Folder};

use crate::bump::{Past, Report, Swap};
use crate::next::{Next, Phase, Timestamp, Wake};
use crate::sync::application::Depth;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use words::{body, message, subject};

/// The trailer that names the image which a commit takes away again.
pub const REVERTS_TRAILER: &str = "Bespin-Reverts";

/// By which way git changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A branch with the commit, and a pull request where the forge takes one.
    PullRequest,
    /// The commit, on the branch that is deployed.
    Revert,
}

/// What git shall no longer say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// By which way.
    pub how: How,
    /// The rollout, as `cluster/namespace/name`.
    pub rollout: String,
    /// The manifests repository's address.
    pub repo: String,
    /// The branch that is deployed; the remote's default branch where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The folder that is deployed; empty for the root.
    pub path: String,
    /// How deep; an entry that does not say was written when every folder was read.
    #[serde(default = "every_folder")]
    pub depth: Depth,
    /// Each image with the one before it; at least one.
    pub images: Vec<Swap>,
    /// Why the canary has retreated, as a sentence.
    pub because: String,
}

fn every_folder() -> Depth {
    Depth::Recurse
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The branch does not name the image.
    Clean {
        /// The commit at which it was seen.
        commit: String,
    },
    /// A pull request is open.
    Requested {
        /// Its page.
        url: String,
    },
    /// The commit is on a branch of its own, and a person has to go on from there.
    Pushed {
        /// The branch.
        branch: String,
        /// How, as a sentence.
        because: String,
    },
    /// Another version was rolled out, or this one retried, before it was done.
    Overtaken,
    /// The rollout is not Bespin's to care for any more.
    Dropped {
        /// Why, as a part of a sentence.
        because: String,
    },
    /// It cannot be done.
    Failed {
        /// Why, as a sentence with the mend.
        because: String,
    },
}

/// What is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
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
    /// Whether the retreat still stands.
    pub stands: Stands,
    /// The repository.
    pub git: Git,
}

/// Whether a retreat is still what the rollout is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
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

/// What may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Commit these files on top of `parent` and push, unless the branch moved.
    Commit {
        /// The branch's short name.
        branch: String,
        /// The commit's parent.
        parent: String,
        /// Whole new texts, by path.
        files: Vec<(String, String)>,
        /// The message, trailers included.
        message: String,
    },
    /// Open a pull request.
    Request {
        /// The branch that it merges.
        head: String,
        /// The branch that it merges into.
        base: String,
        /// Its title.
        title: String,
        /// Its text, in Markdown.
        body: String,
    },
    /// Write into the rollout's journal how it ended.
    Answer {
        /// Which promise.
        since: Timestamp,
        /// How.
        outcome: Outcome,
    },
}

/// Nothing is written but into the rollout's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {}

type Move = Next<Entry, Act>;

impl Intent {
    /// The branch of the pull request. It follows from the rollout and its
    /// images, so that it is the same after a crash and after another try.
    pub fn aside(&self) -> String {
        let about: Vec<&str> = self.images.iter().flat_map(|swap| [swap.from.as_str(), swap.to.as_str()]).collect();
        let said = serde_json::json!([self.rollout, self.path, about]).to_string();
        let name = self.rollout.rsplit('/').next().unwrap_or_default();
        format!("bespin/retreat-{name}-{}", hex::encode(&Sha256::digest(said)[..6]))
    }

    /// The images that go and come, as people say them.
    pub fn spoken(&self) -> (String, String) {
        let list =
            |pick: fn(&Swap) -> &String| self.images.iter().map(|s| pick(s).as_str()).collect::<Vec<_>>().join(", ");
        (list(|swap| &swap.from), list(|swap| &swap.to))
    }

    /// What becomes of git, as part of a sentence.
    pub fn told(&self, outcome: Option<&Outcome>) -> String {
        let (from, to) = self.spoken();
        match outcome {
            None if self.how == How::Revert => format!("putting {to} back into {}", self.repo),
            None => format!("preparing a pull request for {} that puts {to} back", self.repo),
            Some(Outcome::Clean { commit }) => format!("git no longer names {from}, at {}", short(commit)),
            Some(Outcome::Requested { url }) => format!("git still names {from}; {url} puts {to} back"),
            Some(Outcome::Pushed { branch, because }) => {
                format!("git still names {from}; the branch `{branch}` of {} puts {to} back: {because}", self.repo)
            }
            Some(Outcome::Overtaken) => "another version came before git was put back".to_owned(),
            Some(Outcome::Dropped { because }) => {
                format!("git is left as it stands, for {because}; if it names {from}, put {to} back by hand")
            }
            // What could not be read may have been mended by somebody.
            Some(Outcome::Failed { because }) => format!("git may still name {from}: {because}"),
        }
    }
}

/// Decides the next move. The clock has no say in it.
pub fn decide(seen: &Seen, _now: Timestamp) -> Next<Entry, Act> {
    let Seen::Promised(promised) = seen else { return Next::done(Wake::Never, "git is as the rollout left it") };
    match &promised.git {
        Git::Unusable { because } => fail(promised, because.clone()),
        Git::NoBranch { branch } => {
            let repo = &promised.intent.repo;
            fail(promised, format!("{repo} has no {branch} that a commit could go to; put the image back by hand"))
        }
        Git::Branch(branch) => on_branch(promised, branch),
    }
}

fn on_branch(promised: &Promised, branch: &Branch) -> Move {
    let intent = &promised.intent;
    let report = match read(&branch.files, &intent.images) {
        Ok(report) => report,
        Err(because) => return fail(promised, because),
    };
    if report.files.is_empty() {
        return answer(promised, Outcome::Clean { commit: branch.head.clone() });
    }
    if promised.stands == Stands::No {
        return answer(promised, Outcome::Overtaken);
    }
    match (intent.how, &branch.aside) {
        (How::Revert, _) => commit(promised, branch, report, &branch.name),
        (How::PullRequest, Aside::Absent) => commit(promised, branch, report, &intent.aside()),
        (How::PullRequest, Aside::There { files }) => match read(files, &intent.images) {
            Ok(aside) if aside.files.is_empty() => request(promised, branch),
            Ok(_) => {
                let because = format!("its branch `{}` names that image, too; delete the branch", intent.aside());
                fail(promised, because)
            }
            Err(because) => fail(promised, because),
        },
    }
}

fn read(files: &Result<Folder, String>, images: &[Swap]) -> Result<Report, String> {
    files.as_ref().map_err(Clone::clone)?.put_back(images)
}

fn commit(promised: &Promised, branch: &Branch, report: Report, onto: &str) -> Move {
    let intent = &promised.intent;
    if let Some(refused) = &branch.refused {
        return fail(promised, format!("{} refuses the push to `{onto}`: {refused}", intent.repo));
    }
    let places = report.edits.iter().map(|edit| edit.place()).collect::<Vec<_>>().join(", ");
    let because = format!("putting {} back into {places} on `{onto}`", intent.spoken().1);
    let act = Act::Commit {
        branch: onto.to_owned(),
        parent: branch.head.clone(),
        files: report.files,
        message: message(intent, branch),
    };
    Next { acts: vec![act], ..Next::progressing(Wake::Now, because) }
}

fn request(promised: &Promised, branch: &Branch) -> Move {
    let intent = &promised.intent;
    let by_hand = format!("open a pull request from it into `{}`, or merge it", branch.name);
    let pushed = |because: String| Outcome::Pushed { branch: intent.aside(), because };
    match &branch.request {
        Request::Open { url } => answer(promised, Outcome::Requested { url: url.clone() }),
        Request::NoApi => answer(promised, pushed(by_hand)),
        Request::Refused { because } => {
            answer(promised, pushed(format!("{by_hand}, for the forge did not take one from Bespin: {because}")))
        }
        Request::Absent => {
            let act = Act::Request {
                head: intent.aside(),
                base: branch.name.clone(),
                title: subject(intent),
                body: body(intent),
            };
            Next {
                acts: vec![act],
                ..Next::progressing(Wake::Now, format!("opening a pull request in {}", intent.repo))
            }
        }
    }
}

fn fail(promised: &Promised, because: String) -> Move {
    answer(promised, Outcome::Failed { because })
}

fn answer(promised: &Promised, outcome: Outcome) -> Move {
    let told = promised.intent.told(Some(&outcome));
    let mut next = Next::done(Wake::Now, told);
    if matches!(outcome, Outcome::Failed { .. }) {
        next.status.phase = Phase::Blocked;
    }
    next.acts.push(Act::Answer { since: promised.since, outcome });
    next
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

#[cfg(test)]
mod tests;
