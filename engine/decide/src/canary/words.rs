//! What a rollout says about itself while it waits, and what a person may do.

use super::entry::{Action, Start};
use super::look::Look;
use super::origin;
use super::recorded::{Recorded, State};
use super::reply;
use super::spec::Hand;
use super::step::{Length, Step};
use super::transit;
use crate::next::{Phase, Timestamp};

/// Something that a person may do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What.
    pub action: Action,
    /// What the button says.
    pub label: &'static str,
    /// What it will do, as a sentence.
    pub effect: String,
}

/// Why nothing is recorded right now.
pub(super) fn because(look: &Look, busy: bool) -> (Phase, String) {
    let image = look.walk.images.first().map_or("", String::as_str);
    let problems = look.problems();
    if !problems.is_empty() {
        return (Phase::Blocked, problems.join("; "));
    }
    if let Some((router, trouble)) = look.trouble() {
        return (Phase::Waiting, reply::stuck(router, trouble));
    }
    let waiting = if busy { Phase::Progressing } else { Phase::Waiting };
    match &look.walk.state {
        State::Retreated { because, .. } => retreated(look, because),
        State::Promoted if transit::is_settled(look) => match look.older().filter(|set| set.spec > 0).count() {
            0 => (Phase::Done, format!("{image} serves everything")),
            _ => (waiting, format!("{image} serves everything; the version before it keeps its pods a little longer")),
        },
        State::Promoted => (waiting, format!("moving all traffic to {image}")),
        State::Walking if look.walk.start == Start::First => first(look, image),
        State::Walking if look.spec.hand == Hand::Holds => (Phase::Waiting, "held by spec.paused".to_owned()),
        State::Walking => (waiting, walking(look)),
    }
}

fn retreated(look: &Look, because: &str) -> (Phase, String) {
    let stable = look.recorded.stable.as_ref().map_or("", |stable| stable.image.as_str());
    if look.recorded.asked > 0 || !look.is_verified() {
        return (Phase::Progressing, format!("moving all traffic back to {stable}: {because}"));
    }
    let git = origin::told(look).map(|git| format!("; {}", git.text)).unwrap_or_default();
    (Phase::Blocked, format!("retreated to {stable}: {because}{git}; retry, or push a version that mends it"))
}

fn first(look: &Look, image: &str) -> (Phase, String) {
    let missing = look.at_goal().err().unwrap_or_default();
    let trouble = look.canary().into_iter().flat_map(|set| &set.members);
    match trouble.filter_map(|pod| Some((&pod.name, pod.trouble.as_ref()?))).next() {
        // There is no version to go back to; the kubelet goes on trying.
        Some((pod, trouble)) => (Phase::Blocked, format!("{image} is the first version, and pod {pod}: {trouble}")),
        None => (Phase::Waiting, format!("{image} is the first version: {missing}")),
    }
}

fn walking(look: &Look) -> String {
    let total = look.spec.steps.len();
    let place = format!("step {} of {total}", look.walk.at + 1);
    let asked = look.recorded.asked;
    let step = look.spec.steps.get(look.walk.at);
    let pause = step.and_then(Step::pause).filter(|_| look.walk.paused_since.is_some());
    match (pause, look.at_goal()) {
        (Some(Length::For(_)), _) => format!("{place}: {asked} % to the canary, paused"),
        (Some(Length::UntilResumed), _) => format!("{place}: {asked} % to the canary, paused until somebody resumes"),
        (None, Err(missing)) if step.is_none() => format!("all steps are done; {missing}"),
        (None, Err(missing)) => format!("{place}: {missing}"),
        (None, Ok(())) if !look.is_verified() => format!("{place}: the router does not serve {asked} % yet"),
        (None, Ok(())) => format!("{place}: the Service of the canary does not select it yet"),
    }
}

/// When the current pause ends, in ms since the epoch.
pub(super) fn paused_until(look: &Look) -> Option<Timestamp> {
    match (look.spec.steps.get(look.walk.at).and_then(Step::pause), look.walk.paused_since) {
        (Some(Length::For(ms)), Some(since)) => Some(since + ms),
        _ => None,
    }
}

/// What a person may do now, each with what it will do.
pub(super) fn offers(look: &Look) -> Vec<Offer> {
    let canary = look.walk.images.first().map_or("", String::as_str);
    let stable = look.recorded.stable.as_ref().map_or("", |stable| stable.image.as_str());
    let next =
        look.spec.steps.get(look.walk.at + 1).map_or("promote it once all its pods serve".to_owned(), Step::text);
    let offer = |action: Action| {
        let (label, effect) = match action {
            Action::Resume => ("Resume", format!("End the pause and go on: {next}")),
            Action::Promote => ("Promote a step", format!("Skip the rest of step {}: {next}", look.walk.at + 1)),
            Action::PromoteFull => {
                ("Promote fully", format!("Skip all steps: {canary} gets all pods, then all traffic"))
            }
            Action::Retreat => {
                ("Retreat", format!("Send all traffic back to {stable}, then give the canary's pods back"))
            }
            Action::Retry => ("Retry", format!("Walk {canary} again from its first step, though it has failed")),
        };
        Offer { action, label, effect }
    };
    let all = [Action::Resume, Action::Promote, Action::PromoteFull, Action::Retreat, Action::Retry];
    all.into_iter().filter(|action| allowed(look.recorded, *action).is_ok()).map(offer).collect()
}

/// Whether an action means anything where the rollout is.
///
/// # Errors
/// Why not, as a sentence.
pub fn allowed(recorded: &Recorded, action: Action) -> Result<(), String> {
    let Some(walk) = &recorded.walk else { return Err("nothing has been rolled out yet".to_owned()) };
    let walks = walk.state == State::Walking && walk.start == Start::Steps;
    let retreated = matches!(walk.state, State::Retreated { .. });
    let (holds, otherwise) = match action {
        Action::Resume => (walks && walk.paused_since.is_some(), "it is not paused"),
        Action::Promote | Action::PromoteFull => (walks && walk.at < walk.steps, "no step is left to skip"),
        Action::Retreat => (walks, "no canary is walking"),
        Action::Retry => (retreated, "it has not retreated"),
    };
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
