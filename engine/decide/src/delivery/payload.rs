//! What GitHub's payloads have in common: their fields, and how a mistake in one is told.
//!
//! The reading begins in `webhook::parse`, and goes on in `push` and `pull_request`.

use super::entry::{NOTHING, PullRequest, Push};
use serde::Deserialize;
use std::fmt;

/// Long enough for GitHub's 36-character ids, short enough for a stream's name.
pub(super) const MAX_ID: usize = 100;
/// GitHub refuses references above 255 bytes; the prefix comes on top.
const MAX_REFERENCE: usize = 300;

/// What a payload turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// GitHub tries the hook out. Hooks of an organization name no repository.
    Ping {
        /// `owner/repo`, as GitHub spells it.
        repository: Option<String>,
    },
    /// A push of a branch or a tag.
    Push(Box<Push>),
    /// A pull request that may start something.
    PullRequest(Box<PullRequest>),
    /// What happened to a pull request starts nothing.
    Idle {
        /// GitHub's word for it, such as `closed`.
        action: String,
        /// `owner/repo`, as GitHub spells it.
        repository: String,
    },
    /// A push of something else, such as `refs/notes/commits`.
    Elsewhere {
        /// The full reference that was pushed.
        reference: String,
        /// `owner/repo`, as GitHub spells it.
        repository: String,
    },
    /// Any other event, which opens no runs.
    Other {
        /// GitHub's word for the event, from the header `X-GitHub-Event`.
        event: String,
        /// `owner/repo`, as GitHub spells it.
        repository: Option<String>,
    },
}

/// Why a request is not what GitHub sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where: a header's name, or a JSON pointer into the payload.
    pub place: String,
    /// What is wrong there, as a fragment.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

pub(super) fn mistake(place: &str, problem: impl Into<String>) -> Mistake {
    Mistake { place: place.into(), problem: problem.into() }
}

#[derive(Deserialize)]
pub(super) struct RawRepository {
    pub(super) full_name: Option<String>,
}

/// A name for people, bounded and on one line.
pub(super) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(MAX_ID).collect()
}

/// `owner/repo`, both of GitHub's characters: it becomes part of stream names.
pub(super) fn name_of(place: &str, raw: Option<RawRepository>) -> Result<String, Mistake> {
    let name = raw.and_then(|r| r.full_name).ok_or_else(|| mistake(place, "is missing"))?;
    let part = |p: &str| {
        let chars = p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        chars && !p.is_empty() && p.len() <= MAX_ID && p != "." && p != ".."
    };
    match name.split_once('/') {
        Some((owner, repo)) if part(owner) && part(repo) => Ok(name),
        _ => Err(mistake(place, "is not `owner/repo`")),
    }
}

pub(super) fn commit_of(place: &str, raw: Option<String>) -> Result<String, Mistake> {
    let id = raw.ok_or_else(|| mistake(place, "is missing"))?;
    let hex = id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !hex || !matches!(id.len(), 40 | 64) {
        return Err(mistake(place, "is not a full commit id of 40 (or 64) lower-case hexadecimal digits"));
    }
    Ok(if is_nothing(&id) { NOTHING.to_owned() } else { id })
}

pub(super) fn is_nothing(id: &str) -> bool {
    id.bytes().all(|b| b == b'0')
}

/// The rules of `git check-ref-format`, as far as a full reference needs them.
pub(super) fn check_reference(reference: &str) -> Result<(), &'static str> {
    if reference.len() > MAX_REFERENCE {
        return Err("is longer than 300 bytes");
    }
    if !reference.starts_with("refs/") {
        return Err("does not start with `refs/`");
    }
    let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if reference.chars().any(forbidden) || reference.contains("..") || reference.contains("@{") {
        return Err("has characters that git forbids in a reference");
    }
    let part = |p: &str| !p.is_empty() && !p.starts_with('.') && !p.ends_with(".lock") && !p.ends_with('.');
    if reference.split('/').count() < 3 || !reference.split('/').all(part) {
        return Err("is not a name that git allows for a reference");
    }
    Ok(())
}
