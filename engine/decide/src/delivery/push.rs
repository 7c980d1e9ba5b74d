//! Reads the payload of a push. Every error names the place.

use super::entry::{Change, Paths, Push, Source};
use super::payload::{Mistake, Parsed, RawRepository, check_reference, commit_of, is_nothing, mistake, name_of, shown};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The most paths that a delivery lists in the journal; above it git is asked.
pub const MAX_PATHS: usize = 1_000;
/// The most bytes that these paths may have together.
pub const MAX_PATH_BYTES: usize = 32 * 1024;
/// GitHub lists at most this many commits in a payload.
const GITHUB_MAX_COMMITS: usize = 2_048;
/// GitHub caps each commit's lists; a list this long may be such a cap.
const GITHUB_MAX_LIST: usize = 3_000;

#[derive(Deserialize)]
pub(super) struct RawPush {
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

/// Reads the payload of a `push` event.
pub(super) fn read(hook: &str, delivery: &str, raw: RawPush) -> Result<Parsed, Mistake> {
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
    let source = Source::Webhook;
    let push = Push { hook, delivery, repository, reference, before, after, change, pusher, paths, source };
    Ok(Parsed::Push(Box::new(push)))
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
