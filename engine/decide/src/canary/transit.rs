//! When a rollout gets from one position to the next: the rules that record.
//!
//! They are tried from the top; the first that applies wins, and their order
//! is the policy. None of them acts: what is recorded is acted upon after the
//! next look.

use super::entry::{Act, Action, Cause, Entry, OnTimeout, Start, Through};
use super::look::Look;
use super::origin::Origin;
use super::recorded::{Patience, Recorded, State, Walk, Want};
use super::seen::{CaughtUp, Live};
use super::spec::{Hand, Overdue, Spec};
use super::step::{Length, Step};
use super::{Move, hash};
use crate::next::{Next, Timestamp, Wake};
use crate::request::Response;
use serde_json::{Value, json};

/// How long until the Application is asked again what follows a retreat, in ms.
const ASK_AGAIN_MS: u64 = 60_000;

/// The name of the template that was seen.
pub(super) fn template_hash(recorded: &Recorded, spec: &Spec) -> String {
    let ours = hash::template(&spec.template);
    recorded.aliases.get(&ours).cloned().unwrap_or(ours)
}

/// A rollout that another controller has walked is claimed as it stands.
pub(super) fn adopt(recorded: &Recorded, live: &Live, spec: &Spec) -> Option<Result<Move, String>> {
    let left = live.status("currentPodHash").as_str().filter(|_| recorded.walk.is_none())?;
    let generation = &live.rollout["metadata"]["generation"];
    if live.status("observedGeneration").as_str() != Some(generation.to_string().as_str()) {
        let text = "the controller that walked this Rollout before has not caught up with its newest spec; \
                    give it back until it has, then take it again";
        return Some(Err(text.to_owned()));
    }
    let status = |field: &str| live.status(field).as_str().map(str::to_owned);
    let weight = live.rollout.pointer("/status/canary/weights/canary/weight").and_then(Value::as_u64);
    let index = live.status("currentStepIndex").as_u64().and_then(|index| index.try_into().ok());
    let paused = live.rollout.pointer("/status/pauseConditions/0/startTime").and_then(super::seen::time);
    let entry = Entry::Adopted {
        template: hash::template(&spec.template),
        hash: left.to_owned(),
        stable: status("stableRS"),
        index: index.unwrap_or(spec.steps.len()),
        paused_ms: paused,
        weight: weight.and_then(|weight| weight.try_into().ok()).unwrap_or(0),
        aborted: (live.status("abort") == &Value::Bool(true)).then(|| status("message").unwrap_or_default()),
        images: spec.images.clone(),
        steps_hash: spec.steps_hash.clone(),
        steps: spec.steps.len(),
    };
    Some(Ok(moving(vec![entry], "claiming it as it stands")))
}

/// A new template, or new steps, begin a walk.
pub(super) fn begin(recorded: &Recorded, spec: &Spec) -> Option<Move> {
    let hash = template_hash(recorded, spec);
    let same = |walk: &Walk| walk.hash == hash && walk.steps_hash == spec.steps_hash;
    if recorded.walk.as_ref().is_some_and(same) {
        return None;
    }
    let start = match &recorded.stable {
        None => Start::First,
        Some(stable) if stable.hash == hash => Start::Back,
        Some(_) => Start::Steps,
    };
    let image = spec.images.first().map_or("", String::as_str);
    let refused = recorded.refused.iter().find(|refused| refused.hash == hash || refused.images == spec.images);
    let mut record = vec![Entry::Began {
        hash,
        images: spec.images.clone(),
        steps_hash: spec.steps_hash.clone(),
        steps: spec.steps.len(),
        start,
    }];
    let text = match (start, refused) {
        (Start::Steps, Some(refused)) => {
            let because = format!("refused, for it has failed before: {}", refused.because);
            record.push(Entry::Retreated { because: because.clone(), cause: Cause::Refused });
            because
        }
        (Start::First, _) => format!("{image} is the first version"),
        (Start::Back, _) => format!("{image} is the stable version already"),
        (Start::Steps, None) => format!("{image} begins its walk"),
    };
    Some(moving(record, text))
}

/// What Argo's clients ask for by writing the status that we wrote before.
pub(super) fn heard(look: &Look) -> Option<Move> {
    let mirrored = look.live.status("currentPodHash") == look.walk.hash.as_str()
        && look.live.status("currentStepHash") == look.walk.steps_hash.as_str()
        && look.live.status("observedGeneration") == look.live.rollout["metadata"]["generation"].to_string().as_str();
    let field = |name: &str| look.live.status(name);
    let is_true = |name: &str| field(name) == &Value::Bool(true);
    let no_pause = field("pauseConditions").as_array().is_none_or(Vec::is_empty);
    let ahead = field("currentStepIndex").as_u64() == Some(look.walk.at as u64 + 1);
    let action = match look.walk.state {
        _ if !mirrored => return None,
        State::Walking if look.walk.start != Start::Steps => return None,
        // What we wrote ourselves carries its time; Argo's clients write the flag alone.
        State::Walking if is_true("abort") && field("abortedAt").is_null() => Action::Retreat,
        State::Walking if is_true("promoteFull") && look.walk.at < look.walk.steps => Action::PromoteFull,
        State::Walking if ahead => Action::Promote,
        State::Walking if look.walk.paused_since.is_some() && is_true("controllerPause") && no_pause => Action::Resume,
        State::Retreated { .. } if !is_true("abort") && !field("abortedAt").is_null() => Action::Retry,
        _ => return None,
    };
    let record = vec![Entry::Asked { action, through: Through::Status }];
    Some(moving(record, "one of Argo's clients has asked for something in the status"))
}

/// A want is about the first template that it can be about.
pub(super) fn bind(look: &Look) -> Option<Move> {
    let about = |want: &Want| match &want.intent.image {
        None => true,
        Some(image) => look.walk.images.contains(image),
    };
    let unbound = look.recorded.open().filter(|want| want.bound.is_none() && about(want));
    let record: Vec<Entry> =
        unbound.map(|want| Entry::Bound { key: want.key.clone(), hash: look.walk.hash.clone() }).collect();
    (!record.is_empty()).then(|| moving(record, "a step of a run waits for this version"))
}

/// A step that has given up waiting may have wanted a retreat then.
pub(super) fn give_up(look: &Look) -> Option<Move> {
    let mine = |want: &&Want| want.patience == Patience::RanOut && want.bound.as_ref() == Some(&look.walk.hash);
    let want = look.recorded.open().find(mine).filter(|want| want.intent.on_timeout == OnTimeout::Retreat)?;
    let because = format!("step {} of {} ran out of time", want.key.step, want.key.run);
    look.is_walking().then(|| retreat(because, Cause::Asked))
}

/// Pods that cannot come up send the canary back.
pub(super) fn fail(look: &Look) -> Option<Move> {
    if !look.is_walking() {
        return None;
    }
    let canary = look.canary();
    let pods = canary.into_iter().flat_map(|set| &set.members);
    if let Some((pod, trouble)) = pods.filter_map(|pod| Some((&pod.name, pod.trouble.as_ref()?))).next() {
        return Some(retreat(format!("pod {pod}: {trouble}"), Cause::Failed));
    }
    None
}

/// Pods that nobody has asked for yet have not had their time: while the deadline passed, nobody was there to ask.
pub(super) fn extend(look: &Look) -> Option<Move> {
    let asks = |act: &Act| match act {
        Act::Create { .. } => true,
        Act::Scale { set, pods, .. } => {
            look.live.sets.iter().any(|live| live.guard.uid == set.uid && live.spec != *pods)
        }
        _ => false,
    };
    let due = look.is_overdue() && super::shape::shape(look).acts.iter().any(asks);
    due.then(|| moving(vec![Entry::Extended], "pods are still to be asked for, so the progress deadline begins anew"))
}

/// No rule moves the position, nothing is left to do, and the cluster makes no
/// progress for too long. What the manifests or the router lack is not the version's fault;
/// that is for a person to mend.
pub(super) fn overdue(look: &Look) -> Option<Move> {
    let held = look.spec.overdue == Overdue::Report || look.spec.hand == Hand::Holds;
    if !look.is_walking() || !look.is_overdue() || held || !look.problems().is_empty() || look.trouble().is_some() {
        return None;
    }
    if !super::shape::shape(look).acts.is_empty() {
        return None;
    }
    let limit = super::step::span(look.spec.progress_deadline_ms);
    let reason = look.canary().and_then(|set| set.failure.clone()).or_else(|| look.at_goal().err());
    let reason = reason.unwrap_or_else(|| "the weight is not served".to_owned());
    Some(retreat(format!("no progress for {limit}: {reason}"), Cause::Failed))
}

/// The weight is promised before it is written.
pub(super) fn shift(look: &Look) -> Option<Move> {
    let weight = look.wanted_weight();
    let asked = look.recorded.asked;
    (weight != asked).then(|| {
        moving(vec![Entry::Shifting { weight }], format!("shifting the canary's weight from {asked} % to {weight} %"))
    })
}

/// That the weight promised last was seen to be served, once for each; written down with whatever is written next.
pub(super) fn served(look: &Look) -> Option<Entry> {
    let last = look.recorded.weights.last().filter(|last| last.served.is_none())?;
    let is_served = last.asked == look.recorded.asked && look.live.served == Some(last.asked);
    is_served.then_some(Entry::Served { weight: last.asked })
}

/// Past the last step, and with all its pods and all the traffic, the newest
/// version becomes the stable one.
pub(super) fn promote(look: &Look) -> Option<Move> {
    let held = look.spec.hand == Hand::Holds && look.walk.start == Start::Steps;
    if look.walk.state != State::Walking || look.walk.at < look.spec.steps.len() || held {
        return None;
    }
    let canary = look.canary().filter(|set| set.caught_up == CaughtUp::Yes)?;
    let full = canary.spec == look.spec.replicas && canary.available >= look.spec.replicas;
    let first = look.walk.start == Start::First;
    let served = first || look.is_verified() && (look.recorded.asked == 100 || look.spec.replicas == 0);
    (full && served).then(|| {
        let image = look.walk.images.first().map_or("", String::as_str);
        let record = vec![Entry::Promoted { hash: look.walk.hash.clone() }];
        moving(record, format!("{image} becomes the stable version"))
    })
}

/// A step ends when it is true, and its pause with the clock or with a person. While the router is in trouble, none
/// ends but by a person.
pub(super) fn step(look: &Look) -> Option<Move> {
    if !look.is_walking() || look.spec.hand == Hand::Holds || look.trouble().is_some() {
        return None;
    }
    let index = look.walk.at;
    let step = look.spec.steps.get(index)?;
    let done = |text: String| Some(moving(vec![Entry::StepDone { index }], text));
    let pause = |text: String| Some(moving(vec![Entry::PauseBegan { index }], text));
    match (step, look.walk.paused_since) {
        (_, Some(since)) => match step.pause() {
            Some(Length::For(ms)) if look.now >= since + ms => done(format!("paused {}", super::step::span(ms))),
            Some(_) => None,
            // The step that paused is another one now; the new steps begin a walk of their own.
            None => done("there is no pause here".to_owned()),
        },
        (Step::Pause(length), None) => pause(length.text()),
        (Step::Scale(_), None) if look.at_goal().is_ok() => done(step.text()),
        (Step::Weight(weight), None) if look.has_arrived() => done(format!("{weight} % is served")),
        (Step::WeightThenPause(weight, _), None) if look.has_arrived() => pause(format!("{weight} % is served")),
        (Step::Scale(_) | Step::Weight(_) | Step::WeightThenPause(..), None) => None,
    }
}

/// Wants are answered when it is known how they ended.
pub(super) fn answer(look: &Look) -> Option<Move> {
    let answers = look.recorded.open().filter_map(|want| Some((want, answer_of(look, want)?)));
    let record: Vec<Entry> = answers.map(|(want, answer)| Entry::Answered { key: want.key.clone(), answer }).collect();
    (!record.is_empty()).then(|| moving(record, "answering the steps that wait"))
}

fn answer_of(look: &Look, want: &Want) -> Option<Response> {
    let failed = |because: String| Some(Response::Failed { because, transient: false });
    let image = look.walk.images.first().map_or("", String::as_str);
    let about_this = want.bound.as_ref() == Some(&look.walk.hash);
    match (&want.bound, &look.walk.state) {
        (Some(_), _) if !about_this => {
            Some(Response::Superseded { because: format!("{image} took its place before it was promoted") })
        }
        (Some(_), State::Promoted) if is_settled(look) => {
            Some(Response::Met { outputs: json!({ "outcome": "promoted" }) })
        }
        (Some(_), State::Retreated { because, .. }) => {
            failed(format!("the canary has retreated: {because}; mend it and push, or retry"))
        }
        (Some(_), State::Walking) if look.is_overdue() && !look.is_walking() => {
            failed(format!("{image} makes no progress, and there is no stable version to go back to"))
        }
        (None, _) if replaced(look, want) => {
            Some(Response::Superseded { because: format!("{image} took its place before it was promoted") })
        }
        _ if want.patience == Patience::RanOut => {
            let because = "the step stopped waiting; the canary goes on".to_owned();
            Some(Response::Failed { because, transient: true })
        }
        _ => None,
    }
}

/// Whether the want's image was replaced in mid-walk by what walks now.
fn replaced(look: &Look, want: &Want) -> bool {
    let before = look.recorded.before.as_ref().filter(|before| before.state == State::Walking);
    before.zip(want.intent.image.as_ref()).is_some_and(|(before, image)| before.images.contains(image))
}

/// Whether the stable version serves everything, and has all its pods.
pub(super) fn is_settled(look: &Look) -> bool {
    let full = look.canary().is_some_and(|set| set.spec == look.spec.replicas && set.available >= look.spec.replicas);
    look.walk.state == State::Promoted
        && full
        && look.stable_is_selected()
        && look.recorded.asked == 0
        && look.is_verified()
}

fn retreat(because: String, cause: Cause) -> Move {
    moving(vec![Entry::Retreated { because: because.clone(), cause }], format!("retreating: {because}"))
}

fn moving(record: Vec<Entry>, text: impl Into<String>) -> Move {
    Next { record, ..Next::progressing(Wake::Now, text) }
}

/// The earliest moment at which one of the rules may apply by the clock alone.
pub(super) fn wake(look: &Look) -> Option<Timestamp> {
    let pause = look.walk.paused_since.zip(look.spec.steps.get(look.walk.at).and_then(Step::pause));
    let pause_ends = match pause {
        Some((since, Length::For(ms))) if look.is_walking() && look.spec.hand == Hand::Off => Some(since + ms),
        _ => None,
    };
    // Nobody tells of a change in the Application's annotations.
    let held = matches!(look.walk.state, State::Retreated { .. }) && look.recorded.undoing().is_none();
    let asks = held && look.live.origin != Origin::NotAsked;
    pause_ends
        .into_iter()
        .chain(look.overdue_at())
        // What is over already waits for something else than the clock.
        .filter(|at| *at > look.now)
        .chain(super::reply::wake(look))
        .chain(asks.then_some(look.now + ASK_AGAIN_MS))
        .min()
}
