//! What a delivery writes down, and what it is about: a push or a pull request.
//!
//! Every field of a [`Push`] or a [`PullRequest`] comes from an authentic payload, and is still
//! untrusted: it is bounded, and has the form that it claims, before it stands here.

use crate::run::Origin;
use crate::stream::Stream;
use pipeline::Activity;
use serde::{Deserialize, Serialize};

/// A commit id of a reference that does not exist, before or after.
pub const NOTHING: &str = "0000000000000000000000000000000000000000";

/// One line of a delivery's journal, in the past tense.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// A push was accepted; always the first entry, durable before the 202.
    Received(Push),
    /// A pull request was accepted; the first entry likewise.
    Proposed(PullRequest),
    /// The repository answered, and the commit cannot be read yet: from here on it is waited for.
    Missed {
        /// What it waits for, as a fragment.
        because: String,
    },
    /// Its runs are open; always the last entry.
    Opened {
        /// The runs' ids, such as `user/petclinic/petclinic-was/56`.
        runs: Vec<String>,
        /// The pipelines that it did not open a run of, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<Skipped>,
    },
    /// It opened nothing, and never will; always the last entry.
    Ignored {
        /// Why, as a sentence.
        because: String,
    },
}

/// A pipeline that a delivery opened no run of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The pipeline's file, relative to the repository's root.
    pub file: String,
    /// Why, as a sentence.
    pub because: String,
}

/// A push, as far as its runs depend on it. Bounded: see [`MAX_PATHS`](super::MAX_PATHS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The hook that it came by.
    pub hook: String,
    /// GitHub's id of the delivery.
    pub delivery: String,
    /// `owner/repo`, as the hook's configuration spells it.
    pub repository: String,
    /// The full reference, such as `refs/heads/main`.
    pub reference: String,
    /// The commit before; zeros where the reference is new.
    pub before: String,
    /// The commit after; zeros where the reference is gone.
    pub after: String,
    /// What happened to the reference.
    pub change: Change,
    /// The login of who pushed, for people.
    pub pusher: String,
    /// Which paths the commits touched.
    pub paths: Paths,
    /// Who told of it.
    #[serde(default, skip_serializing_if = "Source::is_webhook")]
    pub source: Source,
}

/// Who told of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The forge, by a webhook.
    #[default]
    Webhook,
    /// The server itself: it looked where the repository's branches and tags stand. Several pushes may lie between
    /// `before` and `after`.
    Heads,
}

impl Source {
    fn is_webhook(&self) -> bool {
        *self == Source::Webhook
    }
}

/// What happened to a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It moved forwards: the commit before is an ancestor of the commit after.
    Forward,
    /// It was made: there is no commit before.
    New,
    /// It moved elsewhere: history was rewritten.
    Forced,
    /// It was deleted: there is no commit after.
    Deleted,
}

/// Which paths a push touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "known", rename_all = "kebab-case")]
pub enum Paths {
    /// All of them, sorted and without repeats.
    Listed {
        /// The paths, relative to the repository's root.
        paths: Vec<String>,
    },
    /// The payload does not say, or may not say everything; git is asked.
    Compare {
        /// Why, as a fragment: `the branch is new`.
        because: String,
    },
}

/// A pull request, as far as its runs depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// The hook that it came by.
    pub hook: String,
    /// GitHub's id of the delivery.
    pub delivery: String,
    /// `owner/repo` of the base, as the hook's configuration spells it.
    pub repository: String,
    /// Its number there, from 1.
    pub number: u64,
    /// What happened to it.
    pub activity: Activity,
    /// The branch that it asks to change, as a full reference such as `refs/heads/main`.
    pub base: String,
    /// The commit that GitHub says stood there. For the record: the pipeline is read where the branch stands.
    pub base_sha: String,
    /// The branch that it comes from, by its short name and for people; it may be of another repository.
    pub head: String,
    /// The commit that is to be checked.
    pub head_sha: String,
    /// Whose it is, which bounds what its runs may do.
    pub origin: Origin,
    /// The login of who did it, for people.
    pub sender: String,
}

impl PullRequest {
    /// The reference under which the base's repository keeps the head, forks' heads as well.
    ///
    /// Source: GitHub's documentation, "Checking out pull requests locally".
    pub fn reference(&self) -> String {
        format!("refs/pull/{}/head", self.number)
    }

    /// The short name of the branch that it asks to change.
    pub fn base_branch(&self) -> &str {
        self.base.strip_prefix("refs/heads/").unwrap_or(&self.base)
    }
}

/// What a reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// A branch, by its short name.
    Branch(&'a str),
    /// A tag, by its short name.
    Tag(&'a str),
}

impl Push {
    /// The branch or tag that was pushed. The parser lets nothing else through.
    pub fn short_reference(&self) -> Option<Reference<'_>> {
        let branch = self.reference.strip_prefix("refs/heads/").map(Reference::Branch);
        branch.or_else(|| self.reference.strip_prefix("refs/tags/").map(Reference::Tag))
    }
}

/// What a delivery is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A push of a branch or a tag.
    Push(Push),
    /// A pull request that was opened, or got another head or base.
    PullRequest(PullRequest),
}

impl Received {
    /// GitHub's id of the delivery.
    pub fn delivery(&self) -> &str {
        match self {
            Received::Push(push) => &push.delivery,
            Received::PullRequest(asked) => &asked.delivery,
        }
    }

    /// `owner/repo`, as the hook's configuration spells it.
    pub fn repository(&self) -> &str {
        match self {
            Received::Push(push) => &push.repository,
            Received::PullRequest(asked) => &asked.repository,
        }
    }

    /// The full reference that leads to the commit.
    pub fn reference(&self) -> String {
        match self {
            Received::Push(push) => push.reference.clone(),
            Received::PullRequest(asked) => asked.reference(),
        }
    }

    /// The commit that runs are of.
    pub fn commit(&self) -> &str {
        match self {
            Received::Push(push) => &push.after,
            Received::PullRequest(asked) => &asked.head_sha,
        }
    }

    /// The stream that this delivery is journaled in.
    pub fn stream(&self) -> Stream {
        let hook = match self {
            Received::Push(push) => &push.hook,
            Received::PullRequest(asked) => &asked.hook,
        };
        Stream::delivery(hook, self.delivery())
    }

    /// The first entry of its stream.
    pub fn entry(self) -> Entry {
        match self {
            Received::Push(push) => Entry::Received(push),
            Received::PullRequest(asked) => Entry::Proposed(asked),
        }
    }
}
