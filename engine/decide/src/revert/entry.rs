//! What a revert's stream holds: what is asked for, and how it ends.

use crate::bump::Swap;
use crate::sync::application::Depth;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
    /// Whether a pull request or a commit changes git.
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
    /// Why the rollout was aborted, as a sentence.
    pub because: String,
}

fn every_folder() -> Depth {
    Depth::Recurse
}

impl Intent {
    /// The branch of the pull request. It follows from the rollout and its
    /// images, so that it is the same after a crash and after another try.
    pub fn aside(&self) -> String {
        let about: Vec<&str> = self.images.iter().flat_map(|swap| [swap.from.as_str(), swap.to.as_str()]).collect();
        let said = serde_json::json!([self.rollout, self.path, about]).to_string();
        let name = self.rollout.rsplit('/').next().unwrap_or_default();
        format!("bespin/retreat-{name}-{}", hex::encode(&Sha256::digest(said)[..6]))
    }
}

/// Why a rollout takes its request back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Withdrawal {
    /// Another version is rolled out, or this one is retried: git is looked at once more, and changed no more.
    Overtaken,
    /// The rollout is not Bespin's to care for any more: git is not even looked at.
    Dropped {
        /// Why, as a part of a sentence.
        because: String,
    },
}

/// How a revert ended. The rollout that asked writes it into its own stream, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The branch does not name the image.
    Clean {
        /// The commit at which it was observed.
        commit: String,
    },
    /// A pull request is open.
    Requested {
        /// The address of the pull request's page.
        url: String,
    },
    /// The commit is on a branch of its own, and a person has to go on from there.
    Pushed {
        /// The short name of the branch that holds the commit.
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
        /// Why, as a sentence with the help.
        because: String,
    },
}

/// An entry of the stream `revert/<cluster>/<namespace>/<name>/<since>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// A rollout asks, after its abort; the stream's first entry.
    Asked {
        /// What git shall no longer say.
        intent: Box<Intent>,
    },
    /// The rollout takes its request back.
    Withdrawn {
        /// Why; the newest reason counts.
        cause: Withdrawal,
    },
    /// The request has ended; the stream's last entry.
    Answered {
        /// How the revert ended.
        outcome: Outcome,
    },
}
