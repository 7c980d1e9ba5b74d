//! Reads the payload of a pull request: what it asks for, and whose it is.

use super::entry::PullRequest;
use super::payload::{self, Mistake, Parsed, RawRepository, mistake};
use crate::run::Origin;
use pipeline::Activity;
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Deserialize)]
pub(super) struct Raw {
    action: Option<String>,
    changes: Option<RawChanges>,
    number: Option<u64>,
    pull_request: Option<RawPullRequest>,
    repository: Option<RawRepository>,
    sender: Option<RawSender>,
}

/// What an edit changed; each part says what was there before.
#[derive(Deserialize)]
struct RawChanges {
    base: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawPullRequest {
    number: Option<u64>,
    base: Option<RawSide>,
    head: Option<RawSide>,
}

#[derive(Deserialize)]
struct RawSide {
    #[serde(rename = "ref")]
    reference: Option<String>,
    sha: Option<String>,
    repo: Option<RawRepository>,
}

#[derive(Deserialize)]
struct RawSender {
    login: Option<String>,
}

/// Reads the payload of a `pull_request` event.
pub(super) fn read(hook: &str, delivery: &str, raw: Raw) -> Result<Parsed, Mistake> {
    let repository = payload::name_of("/repository/full_name", raw.repository)?;
    let action = raw.action.ok_or_else(|| mistake("/action", "is missing"))?;
    // Into another branch, it asks for other commits than before; any other edit is for people.
    let retargeted = action == "edited" && raw.changes.is_some_and(|changes| changes.base.is_some());
    let activity = if retargeted { Some(Activity::Synchronize) } else { Activity::named(&action) };
    let Some(activity) = activity else {
        return Ok(Parsed::Idle { action: payload::shown(&action), repository });
    };
    let number = raw.number.ok_or_else(|| mistake("/number", "is missing"))?;
    if number == 0 {
        return Err(mistake("/number", "is 0, and pull requests count from 1"));
    }
    let asked = raw.pull_request.ok_or_else(|| mistake("/pull_request", "is missing"))?;
    if asked.number.is_some_and(|same| same != number) {
        return Err(mistake("/pull_request/number", "contradicts `/number`"));
    }
    let base = asked.base.ok_or_else(|| mistake("/pull_request/base", "is missing"))?;
    let head = asked.head.ok_or_else(|| mistake("/pull_request/head", "is missing"))?;
    let base_name = payload::name_of("/pull_request/base/repo/full_name", base.repo)?;
    if !base_name.eq_ignore_ascii_case(&repository) {
        return Err(mistake("/pull_request/base/repo/full_name", "contradicts `/repository/full_name`"));
    }
    let branch = base.reference.ok_or_else(|| mistake("/pull_request/base/ref", "is missing"))?;
    let reference = format!("refs/heads/{branch}");
    payload::check_reference(&reference).map_err(|problem| mistake("/pull_request/base/ref", problem))?;
    // The name of a fork is only compared: it leads nowhere.
    let origin = match head.repo.and_then(|repo| repo.full_name) {
        Some(name) if name == base_name => Origin::Own,
        Some(_) | None => Origin::Fork,
    };
    let pull_request = PullRequest {
        hook: hook.to_owned(),
        delivery: delivery.to_owned(),
        repository,
        number,
        activity,
        base: reference,
        base_sha: existing("/pull_request/base/sha", base.sha)?,
        head: payload::shown(&head.reference.unwrap_or_default()),
        head_sha: existing("/pull_request/head/sha", head.sha)?,
        origin,
        sender: payload::shown(&raw.sender.and_then(|sender| sender.login).unwrap_or_default()),
    };
    Ok(Parsed::PullRequest(Box::new(pull_request)))
}

fn existing(place: &str, raw: Option<String>) -> Result<String, Mistake> {
    let id = payload::commit_of(place, raw)?;
    if id == super::NOTHING { Err(mistake(place, "is zeros, which is no commit")) } else { Ok(id) }
}
