//! Decides what becomes of a webhook delivery: accepted, ignored or refused.
//!
//! The bytes are authentic by the time they come here; the forge's door has
//! seen to that. Everything in them is still untrusted: it is parsed into a
//! [`Push`] or a [`PullRequest`] whose fields are bounded and have the form that they claim.

mod payload;
mod pull_request;

pub use payload::{MAX_PATH_BYTES, MAX_PATHS, Mistake, Parsed, parse};
pub use pull_request::{Origin, PullRequest};

use crate::next::Timestamp;
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
    /// The pipeline's file.
    pub file: String,
    /// Why, as a sentence.
    pub because: String,
}

/// A push, as far as the trigger needs it. Bounded: see [`MAX_PATHS`].
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
}

/// What happened to a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It moved forwards.
    Forward,
    /// It was made.
    New,
    /// It moved elsewhere: history was rewritten.
    Forced,
    /// It was deleted.
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
    /// A push.
    Push(Push),
    /// A pull request.
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
    pub fn stream(&self) -> String {
        let hook = match self {
            Received::Push(push) => &push.hook,
            Received::PullRequest(asked) => &asked.hook,
        };
        format!("delivery/{hook}/{}", self.delivery())
    }

    /// The first entry of its stream.
    pub fn entry(self) -> Entry {
        match self {
            Received::Push(push) => Entry::Received(push),
            Received::PullRequest(asked) => Entry::Proposed(asked),
        }
    }
}

/// A webhook request whose signature was verified.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The hook's name, from the address.
    pub hook: &'a str,
    /// The repositories whose deliveries the hook takes, as `owner/repo`.
    pub repositories: &'a [String],
    /// `X-GitHub-Event`.
    pub event: Option<&'a str>,
    /// `X-GitHub-Delivery`.
    pub delivery: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The raw body.
    pub body: &'a [u8],
}

/// What a webhook request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 202, once it is durable.
    Accepted(Box<Received>),
    /// 202 without a trace: nothing will come of it.
    Ignored {
        /// Why, as a sentence.
        because: String,
    },
    /// 400: the request is not what GitHub sends.
    Malformed(Mistake),
    /// 403: the repository is not one of the hook's.
    Foreign {
        /// Why, as a sentence with the mend.
        because: String,
    },
}

/// Decides what a webhook request is answered.
pub fn answer(request: &Request<'_>) -> Answer {
    let parsed = match parse(request) {
        Ok(parsed) => parsed,
        Err(mistake) => return Answer::Malformed(mistake),
    };
    let ignored = |repository: Option<&str>, because: String| match foreign(request, repository) {
        Some(because) => Answer::Foreign { because },
        None => Answer::Ignored { because },
    };
    match parsed {
        Parsed::Ping { repository } => ignored(repository.as_deref(), "a ping: the hook and its secret work".into()),
        Parsed::Other { event, repository } => {
            let because = format!("the event `{event}` opens no runs; only `push` and `pull_request` do");
            ignored(repository.as_deref(), because)
        }
        Parsed::Elsewhere { reference, repository } => {
            ignored(Some(&repository), format!("`{reference}` is neither a branch nor a tag"))
        }
        Parsed::Idle { action, repository } => {
            ignored(Some(&repository), format!("a pull request that is `{action}` opens no runs"))
        }
        Parsed::Push(mut push) => match known(request.repositories, &push.repository) {
            Some(name) => {
                push.repository = name.to_owned();
                Answer::Accepted(Box::new(Received::Push(*push)))
            }
            None => Answer::Foreign { because: refusal(request.hook, &push.repository) },
        },
        Parsed::PullRequest(mut asked) => match known(request.repositories, &asked.repository) {
            Some(name) => {
                asked.repository = name.to_owned();
                Answer::Accepted(Box::new(Received::PullRequest(*asked)))
            }
            None => Answer::Foreign { because: refusal(request.hook, &asked.repository) },
        },
    }
}

/// GitHub compares names without case; the configuration's spelling is ours.
fn known<'a>(repositories: &'a [String], name: &str) -> Option<&'a str> {
    repositories.iter().find(|known| known.eq_ignore_ascii_case(name)).map(String::as_str)
}

fn foreign(request: &Request<'_>, repository: Option<&str>) -> Option<String> {
    let name = repository?;
    known(request.repositories, name).is_none().then(|| refusal(request.hook, name))
}

fn refusal(hook: &str, repository: &str) -> String {
    format!("`{repository}` is not a repository of the hook `{hook}`; add it to the hook's `repositories`")
}

/// What a delivery's journal adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// What was received and when, once it was.
    pub received: Option<(Received, Timestamp)>,
    /// How it ended, once it did.
    pub ended: Option<Ended>,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With these runs.
    Opened(Vec<String>),
    /// With nothing, because.
    Ignored(String),
}

impl Recorded {
    /// Folds a delivery's journal, given as entries with their moments.
    pub fn replay<'a>(entries: impl IntoIterator<Item = (Timestamp, &'a Entry)>) -> Recorded {
        let mut recorded = Recorded::default();
        for (at, entry) in entries {
            match entry {
                Entry::Received(push) => recorded.received = Some((Received::Push(push.clone()), at)),
                Entry::Proposed(asked) => recorded.received = Some((Received::PullRequest(asked.clone()), at)),
                Entry::Opened { runs, .. } => recorded.ended = Some(Ended::Opened(runs.clone())),
                Entry::Ignored { because } => recorded.ended = Some(Ended::Ignored(because.clone())),
            }
        }
        recorded
    }
}

#[cfg(test)]
mod tests;
