//! When a rollout gets from one position to the next: the rules that record.
//!
//! They are tried from the top; the first that applies wins, and their order
//! is the policy. None of them acts: what is recorded is acted upon after the
//! next look.

use super::act::{Move, moving};
use super::application::Origin;
use super::context::{Context, Serving};
use super::entry::Entry;
use super::intent::{Action, Cause, Intent, OnTimeout, Start, Through};
use super::observed::{CaughtUp, ObservedRollout, Set};
use super::pods::Failing;
use super::progress::{Progress, ProgressState};
use super::state::{Requested, State};
use super::step::{Length, Step};
use super::strategy::{AbortOn, Reading, Strategy};
use super::turn::Sharing;
use super::{stable_version, template};
use crate::next::Timestamp;
use crate::object::write_time;
use crate::request::{Request, Response};
use serde_json::{Value, json};

/// How long until the Application is asked again what follows an abort, in ms.
const ASK_AGAIN_MS: u64 = 60_000;

/// The name of the template that was seen: that of the set that has it already, and else a new one.
pub(super) fn template_hash(state: &State, observed: &ObservedRollout, strategy: &Strategy) -> String {
    let ours = state.aliases.get(&strategy.template_hash).unwrap_or(&strategy.template_hash);
    let newest = state.progress.as_ref().map(|progress| &progress.hash);
    if newest == Some(ours) {
        return ours.clone();
    }
    let same = |set: &&Set| template::same(&set.template, &strategy.template);
    let known = newest.into_iter().chain(state.stable.iter().map(|stable| &stable.hash)).chain([ours]);
    let known = known.filter_map(|hash| observed.set(hash)).chain(observed.sets.iter().rev());
    known.into_iter().find(same).map_or_else(|| ours.clone(), |set| set.hash.clone())
}

/// A new template, or new steps, begin at the first step; so does the template of another Rollout of the same name.
pub(super) fn begin(state: &State, observed: &ObservedRollout, strategy: &Strategy) -> Option<Move> {
    let hash = template_hash(state, observed, strategy);
    let same = |progress: &Progress| progress.hash == hash && progress.steps_hash == strategy.steps_hash;
    if state.progress.as_ref().is_some_and(same) && state.is_of(observed.uid()) {
        return None;
    }
    let stable = stable_version::before(state, observed, strategy, &hash);
    // What is recorded of another Rollout of this name is forgotten as this one begins.
    let recorded = state.stable.as_ref().filter(|_| state.is_of(observed.uid()));
    let corrected = (stable.as_ref().map(|stable| &stable.hash) != recorded.map(|stable| &stable.hash))
        .then(|| Entry::Corrected { stable: stable.clone() });
    let start = match &stable {
        None => Start::First,
        Some(stable) if stable.hash == hash => Start::Back,
        Some(stable) if is_in_window(observed, strategy, &hash, &stable.hash) => Start::Earlier,
        Some(_) => Start::Steps,
    };
    let image = strategy.images.first().map_or("", String::as_str);
    let mut record = vec![Entry::Began {
        hash,
        images: strategy.images.clone(),
        steps_hash: strategy.steps_hash.clone(),
        steps: strategy.steps.len(),
        start,
        uid: Some(observed.uid().to_owned()),
        generation: observed.generation(),
    }];
    record.extend(corrected);
    let text = match start {
        Start::First => format!("{image} is the first version"),
        Start::Back => format!("{image} is the stable version already"),
        Start::Earlier => format!("{image} is within the rollback window: it goes through no steps"),
        Start::Steps => format!("{image} begins at its first step"),
    };
    Some(moving(record, text))
}

/// Whether the version that begins is an earlier one that has fewer sets between it and the stable one than
/// `rollbackWindow` says.
fn is_in_window(observed: &ObservedRollout, strategy: &Strategy, begins: &str, stable: &str) -> bool {
    let sets = observed.set(begins).zip(observed.set(stable));
    let Some((window, (set, stable))) = strategy.rollback_window.zip(sets) else { return false };
    let between = observed.sets.iter().filter(|one| one.created > set.created && one.created < stable.created);
    set.created < stable.created && between.count() < usize::try_from(window).unwrap_or(usize::MAX)
}

/// What Argo's clients ask for by writing the status that we wrote before.
pub(super) fn heard(context: &Context) -> Option<Move> {
    let field = |name: &str| context.observed.status(name);
    let seen = field("observedGeneration").as_str().and_then(|seen| seen.parse().ok());
    // Whoever asks may have changed the spec as well; what was written before this walk began asks for nothing in it.
    let is_of_walk = match context.progress.generation {
        Some(began) => seen.is_some_and(|seen: u64| seen >= began),
        None => seen == context.observed.generation(),
    };
    let mirrored = is_of_walk
        && field("currentPodHash") == context.progress.hash.as_str()
        && field("currentStepHash") == context.progress.steps_hash.as_str();
    let is_true = |name: &str| field(name) == &Value::Bool(true);
    let no_pause = field("pauseConditions").as_array().is_none_or(Vec::is_empty);
    let ahead = field("currentStepIndex").as_u64() == Some(context.progress.at as u64 + 1);
    let action = match &context.progress.state {
        _ if !mirrored => return None,
        ProgressState::Underway if context.progress.start != Start::Steps => return None,
        // What we wrote ourselves carries its time; Argo's clients write the flag alone.
        ProgressState::Underway if is_true("abort") && field("abortedAt").is_null() => Action::Abort,
        ProgressState::Underway if is_true("promoteFull") && context.progress.at < context.progress.steps => {
            Action::PromoteFull
        }
        ProgressState::Underway if ahead => Action::Promote,
        // The hold's end is not yet written in the status that says no pause any more.
        ProgressState::Underway if context.alert().is_none() && context.was_held_by_alert() => return None,
        ProgressState::Underway
            if (context.progress.paused_since.is_some() || context.alert().is_some())
                && is_true("controllerPause")
                && no_pause =>
        {
            Action::Resume
        }
        // The time of an earlier abort stays until this one is written.
        ProgressState::Aborted { at, .. } if !is_true("abort") && *field("abortedAt") == write_time(*at) => {
            Action::Retry
        }
        _ => return None,
    };
    let record = vec![Entry::Asked { action, through: Through::Status }];
    Some(moving(record, "one of Argo's clients has asked for something in the status"))
}

/// A request is about the first template that it can be about.
pub(super) fn bind(context: &Context) -> Option<Move> {
    let about = |of: &Requested| match &of.request.intent.image {
        None => true,
        Some(image) => context.progress.images.contains(image),
    };
    let unbound = context.state.open().filter(|of| of.bound.is_none() && about(of));
    let record: Vec<Entry> =
        unbound.map(|of| Entry::Bound { key: of.request.key.clone(), hash: context.progress.hash.clone() }).collect();
    (!record.is_empty()).then(|| moving(record, "a step of a run waits for this version"))
}

/// A step that has given up waiting may have wanted an abort then.
pub(super) fn give_up(context: &Context) -> Option<Move> {
    let mine = |of: &Requested| of.request.is_given_up() && may_abort(of, context.progress);
    let Requested { request, .. } = context.state.open().find(mine)?;
    let because = format!("step {} of {} ran out of time", request.key.step, request.key.run);
    context.is_underway().then(|| abort(because, Cause::Asked))
}

/// Whether a version is sent back when this request's time runs out.
pub(super) fn may_abort(of: &Requested, progress: &Progress) -> bool {
    of.request.intent.on_timeout == OnTimeout::Abort && of.bound == Some(progress.hash.as_str())
}

/// Pods that cannot come up send the canary back.
pub(super) fn fail(context: &Context) -> Option<Move> {
    if !context.is_underway() {
        return None;
    }
    let canary = context.canary()?;
    let pods = || canary.members.iter().filter(|pod| pod.counts());
    let (all, enough) = (pods().count(), usize::try_from(canary.spec).unwrap_or(usize::MAX));
    let failing = |least: Failing| pods().filter(|pod| pod.failing >= least).count();
    let fails = match context.strategy.abort_on {
        AbortOn::All => all > 0 && all >= enough && failing(Failing::Again) == all,
        AbortOn::Majority => failing(Failing::Before) * 2 > all.max(enough),
        AbortOn::Any => pods().any(|pod| pod.trouble.is_some() || pod.failing >= Failing::Before),
    };
    fails.then(|| {
        let why = context.pod_trouble().unwrap_or_else(|| "its pods crash".to_owned());
        abort(why, Cause::Failed)
    })
}

/// Since when the canary's pods are the only ones that are ready is written down, so that a server that starts anew
/// counts on from there.
pub(super) fn stand(context: &Context) -> Option<Move> {
    match (context.canary_alone_serves(), context.state.unready_since) {
        (true, None) => Some(moving(vec![Entry::StableUnready], "no pod of the stable version is ready")),
        (false, Some(_)) => Some(moving(vec![Entry::StableReady], "the canary's pods are not the only ready ones")),
        (true, Some(_)) | (false, None) => None,
    }
}

/// The weight is promised before it is written.
pub(super) fn shift(context: &Context) -> Option<Move> {
    let weight = context.wanted_weight();
    let asked = context.state.asked;
    if weight == asked {
        let services = context.places()?;
        let text = format!("{} serves the stable version from here on", services.stable);
        return Some(moving(vec![Entry::Shifting { weight, services: Some(services) }], text));
    }
    let owned = |(canary, stable): (&str, &str)| Sharing { canary: canary.to_owned(), stable: stable.to_owned() };
    let services = context.routing().map(owned).or_else(|| context.state.services.clone());
    let text = format!("shifting the canary's weight from {asked} % to {weight} %");
    Some(moving(vec![Entry::Shifting { weight, services }], text))
}

/// That the weight promised last was seen to be served, once for each; written down with whatever is written next.
pub(super) fn served(context: &Context) -> Option<Entry> {
    let last = context.state.weights.last().filter(|last| last.served.is_none())?;
    let is_served = last.asked == context.state.asked && context.observed.served == Some(last.asked);
    is_served.then_some(Entry::Served { weight: last.asked })
}

/// Past the last step, and with all its pods and all the traffic, the newest
/// version becomes the stable one.
pub(super) fn promote(context: &Context) -> Option<Move> {
    let held = context.is_stopped() && context.progress.start == Start::Steps;
    if context.progress.state != ProgressState::Underway || context.progress.at < context.strategy.steps.len() || held {
        return None;
    }
    if !context.awaited().is_empty() {
        return None;
    }
    let canary = context.canary().filter(|set| set.caught_up == CaughtUp::Yes)?;
    let full = canary.spec == context.strategy.replicas && canary.available >= context.strategy.replicas;
    let first = context.progress.start == Start::First;
    let serves = context.problems().is_empty() && context.canary_is_selected();
    let shared = context.is_verified() && (context.state.asked == 100 && serves || context.strategy.replicas == 0);
    let served = first || shared;
    (full && served).then(|| {
        let image = context.progress.images.first().map_or("", String::as_str);
        // A first version serves by both.
        let turns = context.strategy.ping_pong.as_ref().filter(|_| !first);
        let stable_by = turns.map(|turns| turns.stable_by.other());
        let record = vec![Entry::Promoted { hash: context.progress.hash.clone(), stable_by }];
        moving(record, format!("{image} becomes the stable version"))
    })
}

/// A pause with an end stops while its weight is not served, and while the spec does not say what the weight is.
pub(super) fn break_pause(context: &Context) -> Option<Move> {
    context.progress.paused_since.filter(|_| context.is_underway())?;
    let index = context.progress.at;
    let is_whole = context.strategy.reading == Reading::Whole;
    let text = match context.strategy.steps.get(index).and_then(Step::pause) {
        Some(Length::UntilResumed) => return None,
        None if is_whole => return None,
        Some(Length::For(_)) if is_whole && context.serving() != Serving::No => return None,
        Some(Length::For(_)) if is_whole => {
            format!("{} % is not served, so the pause does not count", context.state.asked)
        }
        _ => "the spec cannot be followed, so the pause does not count".to_owned(),
    };
    Some(moving(vec![Entry::PauseBroken { index }], text))
}

/// A step ends when it is true, and its pause with the clock or with a person. While the router is in trouble, or an
/// object is missing or wrong, none ends but by a person.
pub(super) fn step(context: &Context) -> Option<Move> {
    let is_held = context.is_stopped() || context.trouble().is_some() || context.left().is_some();
    if !context.is_underway() || is_held || !context.problems().is_empty() {
        return None;
    }
    let index = context.progress.at;
    let step = context.strategy.steps.get(index)?;
    let is_serving = context.serving() == Serving::Yes;
    let done = |text: String| Some(moving(vec![Entry::StepDone { index }], text));
    let pause = |text: String| Some(moving(vec![Entry::PauseBegan { index }], text));
    match (step, context.progress.paused_since) {
        (_, Some(_)) => match step.pause().zip(context.progress.paused_from()) {
            Some((Length::For(_), _)) if !is_serving => None,
            Some((Length::For(ms), from)) if context.now >= from + ms => {
                done(format!("paused {}", super::step::span(ms)))
            }
            Some(_) => None,
            // The step that paused is another one now; the new steps begin at the first of them.
            None => done("there is no pause here".to_owned()),
        },
        (Step::Pause(length), None) if is_serving => pause(length.text()),
        (Step::Scale(_), None) if context.at_goal().is_ok() => done(step.text()),
        (Step::Weight(weight), None) if context.has_arrived() => done(format!("{weight} % is served")),
        (Step::WeightThenPause(weight, _), None) if context.has_arrived() && is_serving => {
            pause(format!("{weight} % is served"))
        }
        (_, None) => None,
    }
}

/// Requests are answered when it is known how they ended.
pub(super) fn answer(context: &Context) -> Option<Move> {
    let answers = context.state.open().filter_map(|of| Some((of.request.key.clone(), answer_of(context, of)?)));
    let record: Vec<Entry> = answers.map(|(key, answer)| Entry::Answered { key, answer }).collect();
    (!record.is_empty()).then(|| moving(record, "answering the steps that wait"))
}

fn answer_of(context: &Context, of: Requested) -> Option<Response> {
    let failed = |because: String| Some(Response::Failed { because, transient: false });
    let image = context.progress.images.first().map_or("", String::as_str);
    let about_this = of.bound == Some(context.progress.hash.as_str());
    match (of.bound, &context.progress.state) {
        (Some(_), _) if !about_this => {
            Some(Response::Superseded { because: format!("{image} took its place before it was promoted") })
        }
        (Some(_), ProgressState::Promoted) if is_settled(context) => {
            Some(Response::Met { outputs: json!({ "outcome": "promoted" }) })
        }
        (Some(_), ProgressState::Aborted { because, .. }) => {
            failed(format!("the canary was aborted: {because}; fix it and push, or retry"))
        }
        (Some(_), ProgressState::Underway) if context.is_overdue() && !context.is_underway() => {
            failed(format!("{image} makes no progress, and there is no stable version to go back to"))
        }
        (None, _) if replaced(context, of.request) => {
            Some(Response::Superseded { because: format!("{image} took its place before it was promoted") })
        }
        _ if of.request.is_given_up() => {
            let because = "the step stopped waiting; the canary goes on".to_owned();
            Some(Response::Failed { because, transient: true })
        }
        _ => None,
    }
}

/// Whether the request's image was replaced on its way, by the one that is on its way now.
fn replaced(context: &Context, request: &Request<Intent>) -> bool {
    let before = context.state.before.as_ref().filter(|before| before.state == ProgressState::Underway);
    before.zip(request.intent.image.as_ref()).is_some_and(|(before, image)| before.images.contains(image))
}

/// Whether the stable version serves everything, and has all its pods.
pub(super) fn is_settled(context: &Context) -> bool {
    let full = context
        .canary()
        .is_some_and(|set| set.spec == context.strategy.replicas && set.available >= context.strategy.replicas);
    context.progress.state == ProgressState::Promoted
        && full
        && context.stable_is_selected()
        && context.state.asked == 0
        && context.is_verified()
}

pub(super) fn abort(because: String, cause: Cause) -> Move {
    moving(vec![Entry::Aborted { because: because.clone(), cause }], format!("aborting: {because}"))
}

/// When the Application is asked again what follows an abort: nobody tells of a change in its annotations.
pub(super) fn asks_again(context: &Context) -> Option<Timestamp> {
    let held = matches!(context.progress.state, ProgressState::Aborted { .. }) && context.state.undoing().is_none();
    (held && context.observed.origin != Origin::NotAsked).then_some(context.now + ASK_AGAIN_MS)
}

/// The earliest moment at which one of the rules may apply by the clock alone.
pub(super) fn wake(context: &Context) -> Option<Timestamp> {
    let pause =
        context.progress.paused_from().zip(context.strategy.steps.get(context.progress.at).and_then(Step::pause));
    let pause_ends = match pause {
        Some((since, Length::For(ms))) if context.is_underway() && !context.is_stopped() => Some(since + ms),
        _ => None,
    };
    pause_ends
        .into_iter()
        .chain(context.overdue_at())
        .chain(context.stands_in_at())
        // What is over already waits for something else than the clock.
        .filter(|at| *at > context.now)
        .chain(context.router().and_then(|router| router.wake(context.observed, context.now)))
        .chain(context.balancer_wake())
        .chain(asks_again(context))
        .min()
}
