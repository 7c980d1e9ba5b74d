//! The Kubernetes Events about a rollout: one when the pods that serve are too few and not only coming up, and
//! once when they serve again.
//!
//! An Event tells what the condition `Serving` has come to say, after that was written, and its name follows from it. So
//! whatever fails or dies in between tells it once more, by the same name.

use super::act::{Act, RolloutEvent, RolloutEventType};
use super::context::Context;
use super::hash::fnv1a;
use super::intent::Start;
use super::messages;
use super::progress::ProgressState;
use crate::next::Timestamp;
use crate::object::{conditions, text, time};
use serde_json::Value;

/// The condition that says what is wrong with the pods that serve.
pub(super) const SERVING: &str = "Serving";

/// How long too few pods are no news, in ms beside `minReadySeconds`: an autoscaler's new ones come up.
const COMING_MS: u64 = 120_000;

/// How long a change of the condition is news, in ms: a server that comes up tells nothing of long ago.
const NEWS_MS: u64 = 600_000;

/// How much of the Rollout's name an Event's has, in bytes: the API server takes 253 of a name.
const NAME_BYTES: usize = 244;

/// What the condition says.
pub(super) struct ServingStatus {
    /// `Unknown` while pods may only be coming up, and `True` only after something was wrong.
    pub status: &'static str,
    pub reason: String,
    pub message: String,
}

/// The condition as it is to be; `None` where nothing was wrong.
pub(super) fn serving(context: &Context) -> Option<ServingStatus> {
    let known = known(context);
    let was = known.map_or("", |known| known["status"].as_str().unwrap_or_default());
    let first = context.progress.start == Start::First && context.progress.state == ProgressState::Underway;
    let available: u32 = context.observed.sets.iter().map(|set| set.available).sum();
    let is_short = first || available < context.strategy.replicas;
    match messages::lacking(context) {
        Some((message, reason)) => {
            let is_over = coming_until(context).is_some_and(|at| context.now >= at);
            let is_news = reason != messages::TOO_FEW || was == "False" || is_over;
            let status = if is_news { "False" } else { "Unknown" };
            Some(ServingStatus { status, reason: reason.to_owned(), message })
        }
        None if context.strategy.replicas == 0 => None,
        // A first version says of its pods itself how they come.
        None if is_short => {
            let known = known?;
            let status = ["False", "True"].into_iter().find(|status| *status == was)?;
            Some(ServingStatus { status, reason: text(known, "/reason"), message: text(known, "/message") })
        }
        None if was == "False" || was == "True" => {
            let message = "enough pods are available, and each version with traffic has ready ones".to_owned();
            Some(ServingStatus { status: "True", reason: SERVING.to_owned(), message })
        }
        None => None,
    }
}

/// Whether something is wrong with the pods that serve, and they are not only coming up.
pub(super) fn is_news(context: &Context) -> bool {
    serving(context).is_some_and(|serving| serving.status == "False")
}

/// The Event that is to be posted now, and when to look again.
pub(super) fn post(context: &Context) -> (Option<Act>, Option<Timestamp>) {
    let Some(event) = event(context) else { return (None, coming_until(context).filter(|at| *at > context.now)) };
    match context.observed.posted.get(&event.name) {
        Some(None) => (None, None),
        Some(Some(failure)) if context.now < failure.again => (None, Some(failure.again)),
        Some(Some(_)) | None => (Some(Act::Post { rollout: context.observed.guard(), event }), None),
    }
}

/// What the condition has come to say, as long as that is news.
fn event(context: &Context) -> Option<RolloutEvent> {
    let known = known(context)?;
    let event_type = match known["status"].as_str()? {
        "False" => RolloutEventType::Warning,
        "True" => RolloutEventType::Normal,
        _ => return None,
    };
    let moment = |field: &str| known.get(field).and_then(time);
    let since = moment("lastTransitionTime")?;
    let at = moment("lastUpdateTime").unwrap_or(since);
    let (guard, reason) = (context.observed.guard(), text(known, "/reason"));
    let key = fnv1a(format!("{}/{reason}/{since}", guard.uid).as_bytes());
    let name = format!("{}.{key:08x}", guard.name.get(..NAME_BYTES).unwrap_or(&guard.name));
    (context.now < at + NEWS_MS).then(|| RolloutEvent {
        name,
        event_type,
        reason,
        message: text(known, "/message"),
        at,
    })
}

/// Until when too few pods may only be coming up.
fn coming_until(context: &Context) -> Option<Timestamp> {
    let known = known(context).filter(|known| known["status"] == "Unknown")?;
    let ready_ms = u64::from(context.strategy.min_ready_seconds) * 1000;
    Some(known.get("lastTransitionTime").and_then(time)? + COMING_MS + ready_ms)
}

/// The condition as it was written last.
fn known<'a>(context: &Context<'a>) -> Option<&'a Value> {
    conditions(&context.observed.rollout).find(|one| one["type"] == SERVING)
}
