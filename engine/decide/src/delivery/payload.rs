//! Reads GitHub's payloads. Every error names the place.

use super::pull_request::{self, PullRequest};
use super::{Change, NOTHING, Paths, Push, Request};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// The most paths that a delivery lists in the journal; above it git is asked.
pub const MAX_PATHS: usize = 1_000;
/// The most bytes that these paths may have together.
pub const MAX_PATH_BYTES: usize = 32 * 1024;
/// GitHub lists at most this many commits in a payload.
const GITHUB_MAX_COMMITS: usize = 2_048;
/// GitHub caps each commit's lists; a list this long may be such a cap.
const GITHUB_MAX_LIST: usize = 3_000;
/// Long enough for GitHub's 36-character ids, short enough for a stream's name.
const MAX_ID: usize = 100;
/// GitHub refuses references above 255 bytes; the prefix comes on top.
const MAX_REFERENCE: usize = 300;

/// What a payload turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// GitHub tries the hook out. Hooks of an organization name no repository.
    Ping {
        /// `owner/repo`.
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
        /// `owner/repo`.
        repository: String,
    },
    /// A push of something else, such as `refs/notes/commits`.
    Elsewhere {
        /// The full reference.
        reference: String,
        /// `owner/repo`.
        repository: String,
    },
    /// Any other event.
    Other {
        /// The event's word.
        event: String,
        /// `owner/repo`.
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

/// Reads a request whose signature was verified.
///
/// # Errors
/// A [`Mistake`] that names the header or the place in the payload.
pub fn parse(request: &Request<'_>) -> Result<Parsed, Mistake> {
    let delivery = request.delivery.ok_or_else(|| mistake("X-GitHub-Delivery", "is missing"))?;
    if delivery.is_empty() || delivery.len() > MAX_ID || !delivery.bytes().all(is_id_byte) {
        return Err(mistake("X-GitHub-Delivery", "is not 1 to 100 letters, digits and hyphens"));
    }
    let event = request.event.ok_or_else(|| mistake("X-GitHub-Event", "is missing"))?;
    if event.is_empty() || event.len() > MAX_ID || !event.bytes().all(|b| is_id_byte(b) || b == b'_') {
        return Err(mistake("X-GitHub-Event", "is not 1 to 100 letters, digits, hyphens and underscores"));
    }
    let json = json_of(request)?;
    match event {
        "push" => push_of(request.hook, delivery, from_json(&json)?),
        "pull_request" => pull_request::read(request.hook, delivery, from_json(&json)?),
        _ => {
            let raw: RawAny = from_json(&json)?;
            let repository = raw.repository.map(|r| name_of("/repository/full_name", Some(r))).transpose()?;
            Ok(match event {
                "ping" => Parsed::Ping { repository },
                _ => Parsed::Other { event: event.to_owned(), repository },
            })
        }
    }
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// The payload's JSON: the body itself, or the form field `payload`.
fn json_of<'a>(request: &Request<'a>) -> Result<Cow<'a, [u8]>, Mistake> {
    let kind = request.content_type.unwrap_or("application/json");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(Cow::Borrowed(request.body));
    }
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let field = url::form_urlencoded::parse(request.body).find(|(key, _)| key == "payload");
        let (_, value) = field.ok_or_else(|| mistake("the form", "has no field `payload`"))?;
        return Ok(Cow::Owned(value.into_owned().into_bytes()));
    }
    Err(mistake("Content-Type", "is neither application/json nor application/x-www-form-urlencoded"))
}

fn from_json<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Mistake> {
    serde_json::from_slice(json).map_err(|error| mistake("the payload", error.to_string()))
}

#[derive(Deserialize)]
struct RawAny {
    repository: Option<RawRepository>,
}

#[derive(Deserialize)]
pub(super) struct RawRepository {
    pub(super) full_name: Option<String>,
}

#[derive(Deserialize)]
struct RawPush {
    #[serde(rename = "ref")]
    reference: Option<String>,
    before: Option<String>,
    after: Option<String>,
    #[serde(default)]
    created: bool,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    forced: bool,
    repository: Option<RawRepository>,
    pusher: Option<RawPusher>,
    commits: Option<Vec<RawCommit>>,
}

#[derive(Deserialize)]
struct RawPusher {
    name: Option<String>,
}

#[derive(Deserialize)]
struct RawCommit {
    id: Option<String>,
    #[serde(default)]
    added: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
    #[serde(default)]
    modified: Vec<String>,
}

fn push_of(hook: &str, delivery: &str, raw: RawPush) -> Result<Parsed, Mistake> {
    let repository = name_of("/repository/full_name", raw.repository)?;
    let reference = raw.reference.ok_or_else(|| mistake("/ref", "is missing"))?;
    check_reference(&reference).map_err(|problem| mistake("/ref", problem))?;
    let before = commit_of("/before", raw.before)?;
    let after = commit_of("/after", raw.after)?;
    if !reference.starts_with("refs/heads/") && !reference.starts_with("refs/tags/") {
        return Ok(Parsed::Elsewhere { reference, repository });
    }
    let (new, gone) = (is_nothing(&before), is_nothing(&after));
    let change = match (new, gone) {
        (true, true) => return Err(mistake("/after", "is zeros, as `/before` is: nothing was pushed")),
        (_, true) => Change::Deleted,
        (true, _) => Change::New,
        _ if raw.forced => Change::Forced,
        _ => Change::Forward,
    };
    if raw.deleted != gone {
        return Err(mistake("/deleted", "contradicts `/after`"));
    }
    if raw.created && !new {
        return Err(mistake("/created", "contradicts `/before`"));
    }
    let paths = paths_of(change, &after, raw.commits.unwrap_or_default());
    let pusher = shown(&raw.pusher.and_then(|p| p.name).unwrap_or_default());
    let (hook, delivery) = (hook.to_owned(), delivery.to_owned());
    Ok(Parsed::Push(Box::new(Push { hook, delivery, repository, reference, before, after, change, pusher, paths })))
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

fn is_nothing(id: &str) -> bool {
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

/// The payload's lists are believed where they cannot have been capped.
fn paths_of(change: Change, after: &str, commits: Vec<RawCommit>) -> Paths {
    let compare = |because: &str| Paths::Compare { because: because.into() };
    match change {
        Change::New => return compare("the reference is new"),
        Change::Forced => return compare("history was rewritten"),
        Change::Deleted => return Paths::Listed { paths: Vec::new() },
        Change::Forward => {}
    }
    let last = commits.last().and_then(|c| c.id.as_deref());
    if commits.len() >= GITHUB_MAX_COMMITS || last != Some(after) {
        return compare("the payload does not list every commit");
    }
    let mut paths = BTreeSet::new();
    for commit in commits {
        for list in [commit.added, commit.removed, commit.modified] {
            if list.len() >= GITHUB_MAX_LIST {
                return compare("the payload's lists may be capped");
            }
            paths.extend(list);
        }
    }
    if paths.len() > MAX_PATHS || paths.iter().map(String::len).sum::<usize>() > MAX_PATH_BYTES {
        return compare("there are more paths than a delivery keeps");
    }
    Paths::Listed { paths: paths.into_iter().collect() }
}
