//! What a rollout says about itself while it waits, and what a person may do.

use super::context::Context;
use super::desired;
use super::git;
use super::intent::{Action, Start};
use super::marks;
use super::observed::Set;
use super::progress::ProgressState;
use super::restart;
use super::router::leaving;
use super::service::Service;
use super::state::State;
use super::step::{Length, Step};
use super::strategy::Paused;
use super::transitions;
use crate::next::{Phase, Timestamp};

/// Something that a person may do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The action that is offered.
    pub action: Action,
    /// What the button says.
    pub label: &'static str,
    /// What it will do, as a sentence.
    pub effect: String,
}

/// Why too few pods are a trouble, in a word: they may only be coming up.
pub(super) const TOO_FEW: &str = "TooFewPods";

/// What is wrong with the pods that serve, and a condition's reason for it. A version that gets traffic without a ready
/// pod comes before a number that is too low.
pub(super) fn lacking(context: &Context) -> Option<(String, &'static str)> {
    if context.progress.start == Start::First && context.progress.state == ProgressState::Underway {
        // Nothing has served before; its own sentence is about its pods.
        return None;
    }
    let image = context.progress.images.first().map_or("", String::as_str);
    let stable = context.state.stable.as_ref().map_or(image, |stable| stable.image.as_str());
    let asked = context.state.asked;
    let replicas = context.strategy.replicas;
    // Pods that are replaced by the spec's own rule are not missed.
    let replaced = context.is_underway() || restart::is_running(context);
    let least = replicas.saturating_sub(if replaced { context.strategy.bounds.unavailable } else { 0 });
    let available: u32 = context.observed.sets.iter().map(|set| set.available).sum();
    let lost = |name: &str| context.service(Some(name)).and_then(Service::behind) == Some(0);
    let lacks = |name: &str, image: &str, set: Option<&Set>, share: u32| {
        let text = match set.is_some_and(|set| set.ready > 0) {
            true => format!("Service {name} selects no ready pod of {image}, and it gets {share} % of the traffic"),
            false => format!("no pod of {image} is ready, and it gets {share} % of the traffic"),
        };
        Some((text, "NoReadyPods"))
    };
    match context.routing() {
        _ if replicas == 0 => None,
        Some((_, name)) if asked < 100 && lost(name) => {
            lacks(name, stable, context.observed.set(context.stable_hash()), 100 - asked)
        }
        Some((name, _)) if asked > 0 && context.canary_is_cut_off() => {
            // Until the newest version's pods are there, that may be one before it.
            let set = context.behind_canary();
            let image = set.and_then(|set| set.images.first()).map_or(image, String::as_str);
            lacks(name, image, set, asked)
        }
        _ if available < least => Some((format!("only {available} of {replicas} pods are available"), TOO_FEW)),
        _ => None,
    }
}

/// Why nothing is recorded right now: first what is wrong with the pods that serve, and then how far it is.
pub(super) fn because(context: &Context, busy: bool) -> (Phase, String) {
    let (phase, message) = match (progress(context, busy), restart::text(context)) {
        ((Phase::Done, message), Some(text)) => (Phase::Waiting, format!("{message}; {text}")),
        ((phase, message), Some(text)) => (phase, format!("{message}; {text}")),
        (said, None) => said,
    };
    let message = match marks::text(context) {
        Some(text) => format!("{message}; {text}"),
        None => message,
    };
    let message = match unwritten(context) {
        Some(text) => format!("{message}; {text}"),
        None => message,
    };
    let (phase, message) = match leaving::leaving(context) {
        Some((phase, _, text)) => (phase, format!("{text}; {message}")),
        None => (phase, message),
    };
    match lacking(context) {
        Some((lacking, _)) => (phase, format!("{lacking}; {message}")),
        None => (phase, message),
    }
}

/// What is still to be written, and was refused.
pub(super) fn unwritten(context: &Context) -> Option<String> {
    if context.observed.unwritten.is_empty() {
        return None;
    }
    let all = desired::all(context).acts;
    let said: Vec<&str> =
        all.iter().filter_map(|act| Some(context.observed.refusal_of(act)?.because.as_str())).collect();
    (!said.is_empty()).then(|| format!("not written, and tried again: {}", said.join("; ")))
}

fn progress(context: &Context, busy: bool) -> (Phase, String) {
    let image = context.progress.images.first().map_or("", String::as_str);
    let (problems, awaited) = (context.problems(), context.awaited());
    if !awaited.is_empty() {
        return (Phase::Waiting, format!("{image} is the first version: {}", awaited.join("; ")));
    }
    if !problems.is_empty() {
        return (Phase::Blocked, problems.join("; "));
    }
    if let Some((router, trouble)) = context.trouble() {
        return (Phase::Waiting, trouble.message(router));
    }
    let waiting = if busy { Phase::Progressing } else { Phase::Waiting };
    match &context.progress.state {
        ProgressState::Aborted { because, .. } => aborted(context, because),
        ProgressState::Promoted if transitions::is_settled(context) => match context
            .older()
            .filter(|set| set.spec > 0)
            .count()
        {
            0 => (Phase::Done, format!("{image} serves everything")),
            _ => (waiting, format!("{image} serves everything; the version before it keeps its pods a little longer")),
        },
        ProgressState::Promoted => (waiting, format!("moving all traffic to {image}")),
        ProgressState::Underway if context.progress.start == Start::First => first(context, image),
        ProgressState::Underway if context.alert().is_some() => (Phase::Blocked, held(context)),
        ProgressState::Underway if context.strategy.paused == Paused::Holds => {
            (Phase::Waiting, "held by spec.paused".to_owned())
        }
        ProgressState::Underway => (waiting, underway(context)),
    }
}

fn aborted(context: &Context, because: &str) -> (Phase, String) {
    let stable = context.state.stable.as_ref().map_or("", |stable| stable.image.as_str());
    if context.state.asked > 0 || !context.is_verified() {
        return (Phase::Progressing, format!("moving all traffic back to {stable}: {because}"));
    }
    let git = git::git_status(context).map(|git| format!("; {}", git.text)).unwrap_or_default();
    (
        Phase::Blocked,
        format!("aborted, and {stable} has all traffic again: {because}{git}; retry, or push a version that mends it"),
    )
}

fn first(context: &Context, image: &str) -> (Phase, String) {
    let missing = context.at_goal().err().unwrap_or_default();
    let trouble = context.canary().into_iter().flat_map(|set| &set.members);
    match trouble.filter_map(|pod| Some((&pod.name, pod.trouble.as_ref()?))).next() {
        // There is no version to go back to; the kubelet goes on trying.
        Some((pod, trouble)) => (Phase::Blocked, format!("{image} is the first version, and pod {pod}: {trouble}")),
        None => (Phase::Waiting, format!("{image} is the first version: {missing}")),
    }
}

fn held(context: &Context) -> String {
    let alert = context.alert().map(ToString::to_string).unwrap_or_default();
    let (at, total, asked) = (context.progress.at, context.strategy.steps.len(), context.state.asked);
    let place = if at < total { format!("step {} of {total}", at + 1) } else { "all steps are done".to_owned() };
    format!("paused by the alert {alert}: {place}, {asked} % to the canary; resume it, or abort")
}

fn underway(context: &Context) -> String {
    let total = context.strategy.steps.len();
    let at_goal = context.at_goal().map_err(|missing| context.missing(missing));
    let place = format!("step {} of {total}", context.progress.at + 1);
    let asked = context.state.asked;
    let step = context.strategy.steps.get(context.progress.at);
    let pause = step.and_then(Step::pause).filter(|_| context.progress.paused_since.is_some());
    match (pause, at_goal) {
        (Some(Length::For(_)), _) => format!("{place}: {asked} % to the canary, paused"),
        (Some(Length::UntilResumed), _) => format!("{place}: {asked} % to the canary, paused until somebody resumes"),
        (None, Err(missing)) if step.is_none() => format!("all steps are done; {missing}"),
        (None, Err(missing)) => format!("{place}: {missing}"),
        (None, Ok(())) if !context.is_verified() => format!("{place}: the router does not serve {asked} % yet"),
        (None, Ok(())) => format!("{place}: the Service of the canary does not select it yet"),
    }
}

/// When the current pause ends, in ms since the epoch.
pub(super) fn paused_until(context: &Context) -> Option<Timestamp> {
    match (context.strategy.steps.get(context.progress.at).and_then(Step::pause), context.progress.paused_from()) {
        (Some(Length::For(ms)), Some(since)) => Some(since + ms),
        _ => None,
    }
}

/// What a person may do now, each with what it will do.
pub(super) fn offers(context: &Context) -> Vec<Offer> {
    let canary = context.progress.images.first().map_or("", String::as_str);
    let stable = context.state.stable.as_ref().map_or("", |stable| stable.image.as_str());
    let next = context
        .strategy
        .steps
        .get(context.progress.at + 1)
        .map_or("promote it once all its pods serve".to_owned(), Step::text);
    let offer = |action: Action| {
        let (label, effect) = match action {
            Action::Resume if context.alert().is_some() => {
                ("Resume", "Go on though the alert fired; a pause of the step itself goes on, too".to_owned())
            }
            Action::Resume => ("Resume", format!("End the pause and go on: {next}")),
            Action::Promote => ("Promote a step", format!("Skip the rest of step {}: {next}", context.progress.at + 1)),
            Action::PromoteFull => {
                ("Promote fully", format!("Skip all steps: {canary} gets all pods, then all traffic"))
            }
            Action::Abort => ("Abort", format!("Send all traffic back to {stable}, then give the canary's pods back")),
            Action::Retry => ("Retry", format!("Roll {canary} out again from its first step, though it has failed")),
        };
        Offer { action, label, effect }
    };
    let all = [Action::Resume, Action::Promote, Action::PromoteFull, Action::Abort, Action::Retry];
    all.into_iter().filter(|action| allowed(context.state, *action).is_ok()).map(offer).collect()
}

/// Whether an action means anything where the rollout is.
///
/// # Errors
/// Why not, as a sentence.
pub fn allowed(state: &State, action: Action) -> Result<(), String> {
    let Some(progress) = &state.progress else { return Err("nothing has been rolled out yet".to_owned()) };
    let stepping = progress.is_in_steps();
    let aborted = matches!(progress.state, ProgressState::Aborted { .. });
    let (holds, otherwise) = match action {
        Action::Resume => {
            (stepping && (progress.paused_since.is_some() || progress.held_by.is_some()), "it is not paused")
        }
        Action::Promote | Action::PromoteFull => (stepping && progress.at < progress.steps, "no step is left to skip"),
        Action::Abort => (stepping, "no canary is on its way"),
        Action::Retry => (aborted, "it was not aborted"),
    };
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
