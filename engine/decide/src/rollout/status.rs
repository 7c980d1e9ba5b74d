//! A Rollout's status, field by field as Argo's clients read it.
//!
//! The position is the journal's; the status mirrors it. Only the fields that
//! differ are patched, so that a status that is right costs no write.

use super::condition::Condition;
use super::context::Context;
use super::events::{self, SERVING, ServingStatus};
use super::intent::Start;
use super::observed::{ObservedRollout, Set};
use super::progress::ProgressState;
use super::restart;
use super::router::plugin::{Remedy, RouterResponse};
use super::router::{Router, leaving};
use super::state::Refused;
use super::status_patch::{Field, StatusPatch, Wanted, diff, replace};
use super::strategy::{Mistake, Overdue};
use super::turn::Turn;
use super::{git, hold, messages, services};
use crate::next::{Phase, Timestamp};
use crate::object::write_time;
use serde_json::Value;
use std::borrow::Cow;

/// How many refused templates the condition names.
const REFUSED_SHOWN: usize = 5;

/// How much of each reason it says, in characters.
const REASON_CHARS: usize = 300;

/// The condition of a spec that cannot be followed, its reason, and the word before its message.
const INVALID_SPEC: &str = "InvalidSpec";

/// Argo's phase with its message.
///
/// The first that matches, as in `utils/rollout/rolloututil.go`.
pub(super) fn phase(context: &Context) -> (&'static str, String) {
    let updated = context.canary().map_or((0, 0), |set| (set.pods, set.available));
    let pods: u32 = context.observed.sets.iter().map(|set| set.pods).sum();
    let stable = context.state.stable.as_ref().is_some_and(|stable| stable.hash == context.progress.hash);
    let progressing = |text: &str| ("Progressing", text.to_owned());
    let left = leaving::leaving(context).map(|(phase, _, text)| match phase {
        Phase::Blocked => ("Degraded", format!("TrafficRoutingError: {text}")),
        _ => ("Progressing", text),
    });
    match &context.progress.state {
        ProgressState::Aborted { because, .. } => ("Degraded", aborted(context, because)),
        _ if is_timed_out(context) => ("Degraded", timed_out(context)),
        _ if left.is_some() => left.unwrap_or_default(),
        _ if is_refused(context) => ("Degraded", format!("TrafficRoutingError: {}", context.problems().join("; "))),
        _ if !context.awaited().is_empty() => ("Progressing", context.awaited().join("; ")),
        _ if !context.problems().is_empty() => ("Degraded", format!("InvalidSpec: {}", context.problems().join("; "))),
        _ if hold::message(context).is_some() => ("Paused", hold::message(context).unwrap_or_default()),
        _ if restart::is_running(context) => progressing("rollout is restarting"),
        _ if updated.0 < context.strategy.replicas => progressing("more replicas need to be updated"),
        _ if updated.1 < updated.0 => progressing("updated replicas are still becoming available"),
        _ if context.routing().is_none() && pods > updated.0 => progressing("old replicas are pending termination"),
        _ if !stable => progressing("waiting for all steps to complete"),
        _ => ("Healthy", String::new()),
    }
}

/// The patch that makes the status right, where it is not.
pub(super) fn patch(context: &Context) -> StatusPatch {
    diff(context.observed, &fields(context), context.now)
}

/// The same for a spec that cannot be followed. What is not about the spec stays as it was: the pods are still there.
pub(super) fn invalid(observed: &ObservedRollout, mistakes: &[Mistake], now: Timestamp) -> StatusPatch {
    let message = invalid_spec(mistakes);
    let others = observed.status("conditions").as_array().cloned().unwrap_or_default();
    let mut conditions: Vec<Value> = others.into_iter().filter(|other| other["type"] != INVALID_SPEC).collect();
    conditions.push(Condition::new(INVALID_SPEC, "True", INVALID_SPEC, message.as_str()).written(observed, now));
    let wanted = [
        ("conditions", Wanted::Json(Cow::Owned(conditions.into()))),
        ("message", Wanted::text(message)),
        ("observedGeneration", Wanted::optional(observed.generation().map(|it| it.to_string()))),
        ("phase", Wanted::text("Degraded")),
    ];
    diff(observed, &wanted, now)
}

/// The same while what serves is kept safe: all that is observed, and what is wrong with the spec.
pub(super) fn unfollowed(context: &Context, mistakes: &[Mistake]) -> StatusPatch {
    let message = invalid_spec(mistakes);
    let mut wanted = fields(context);
    let mut conditions = conditions(context, phase(context).0);
    conditions.retain(|other| other.kind != INVALID_SPEC);
    conditions.push(Condition::new(INVALID_SPEC, "True", INVALID_SPEC, message.clone()));
    replace(&mut wanted, "conditions", Wanted::Conditions(conditions));
    replace(&mut wanted, "phase", Wanted::text("Degraded"));
    replace(&mut wanted, "message", Wanted::text(message));
    wanted.retain(|(key, _)| *key != "currentStepIndex");
    diff(context.observed, &wanted, context.now)
}

fn invalid_spec(mistakes: &[Mistake]) -> String {
    let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    format!("{INVALID_SPEC}: {}", all.join("; "))
}

fn fields<'a>(context: &Context<'a>) -> Vec<Field<'a>> {
    let sum =
        |count: fn(&Set) -> u32| Wanted::Number(context.observed.sets.iter().map(|set| u64::from(count(set))).sum());
    let (phase, message) = phase(context);
    let progress = context.progress;
    let paused = hold::pause_conditions(context);
    let aborted = match &progress.state {
        ProgressState::Aborted { at, .. } => Some(*at),
        ProgressState::Underway | ProgressState::Promoted => None,
    };
    let only = |holds: bool| if holds { Wanted::Flag(true) } else { Wanted::Nothing };
    let step = (!context.strategy.steps.is_empty()).then_some(progress.at);
    let stable = context.state.stable.as_ref().map(|stable| stable.hash.as_str());
    vec![
        ("HPAReplicas", sum(|set| set.pods)),
        ("abort", only(aborted.is_some())),
        ("abortedAt", Wanted::optional(aborted.map(write_time))),
        ("availableReplicas", sum(|set| set.available)),
        ("canary", weights(context)),
        ("conditions", Wanted::Conditions(conditions(context, phase))),
        ("controllerPause", only(paused.is_some())),
        ("currentPodHash", Wanted::text(&progress.hash)),
        ("currentStepHash", Wanted::text(&progress.steps_hash)),
        ("currentStepIndex", step.map_or(Wanted::Nothing, |at| Wanted::Number(at as u64))),
        ("message", Wanted::optional((!message.is_empty()).then_some(message))),
        ("observedGeneration", Wanted::optional(context.observed.generation().map(|it| it.to_string()))),
        ("pauseConditions", paused.map_or(Wanted::Nothing, |paused| Wanted::Json(Cow::Owned(paused)))),
        ("phase", Wanted::text(phase)),
        ("promoteFull", Wanted::Nothing),
        ("readyReplicas", sum(|set| set.ready)),
        ("replicas", sum(|set| set.pods)),
        ("restartedAt", Wanted::Json(Cow::Borrowed(restart::restarted_at(context)))),
        ("selector", selector(context)),
        ("stableRS", Wanted::optional(stable)),
        ("updatedReplicas", Wanted::Number(context.canary().map_or(0, |set| u64::from(set.pods)))),
    ]
}

/// All pods of the Rollout, whichever their version, as an autoscaler counts them; what was said before where the spec
/// cannot be read.
fn selector<'a>(context: &Context<'a>) -> Wanted<'a> {
    let labels = &context.strategy.selector;
    let said: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    match labels.is_empty() {
        true => Wanted::Json(Cow::Borrowed(context.observed.status("selector"))),
        false => Wanted::text(said.join(",")),
    }
}

/// What is served to whom, where traffic is routed.
fn weights<'a>(context: &Context<'a>) -> Wanted<'a> {
    let Some((canary, stable)) = context.routing() else { return Wanted::Nothing };
    let asked = context.state.asked;
    let newest = context.progress.hash.as_str();
    let of = |weight: u32, service, hash| {
        let weight = ("weight", Wanted::Number(weight.into()));
        Wanted::Object(vec![weight, ("serviceName", Wanted::text(service)), ("podTemplateHash", Wanted::text(hash))])
    };
    let weights = vec![
        ("canary", of(asked, canary, newest)),
        ("stable", of(100 - asked.min(100), stable, context.stable_hash())),
        ("verified", verified(context)),
    ];
    Wanted::Object(vec![("weights", Wanted::Object(weights)), ("stablePingPong", Wanted::optional(turn(context)))])
}

/// Which of two Services is the stable version's, once a version was replaced.
fn turn(context: &Context) -> Option<&'static str> {
    context.strategy.ping_pong.as_ref().and(services::turn(context.state, context.observed)).map(Turn::name)
}

/// Whether the weight was verified; null where the router cannot tell, as Argo has it.
fn verified(context: &Context) -> Wanted<'static> {
    match context.router_status() {
        Some(reply) if reply.response == RouterResponse::NotSupported => Wanted::Nothing,
        None if context.is_unverified() => Wanted::Nothing,
        _ => Wanted::Flag(context.is_verified()),
    }
}

fn aborted(context: &Context, because: &str) -> String {
    let revision = context.canary().map_or(0, |set| set.revision);
    format!("RolloutAborted: Rollout aborted update to revision {revision}: {because}")
}

fn timed_out(context: &Context) -> String {
    let set = context.canary().map_or("", |set| set.guard.name.as_str());
    format!("ProgressDeadlineExceeded: ReplicaSet \"{set}\" has timed out progressing.")
}

/// Whether the router wants a person before it shares the traffic.
fn is_refused(context: &Context) -> bool {
    context.trouble().is_some_and(|(_, trouble)| trouble.remedy == Remedy::Person)
}

/// Whether the deadline is over for a version that does not go back by itself.
fn is_timed_out(context: &Context) -> bool {
    let stays = context.strategy.overdue == Overdue::Report || context.progress.start == Start::First;
    stays && !context.is_stopped() && context.is_overdue()
}

/// The conditions that a Rollout always has.
fn standing<'a>(context: &Context<'a>, phase: &str) -> Vec<Condition<'a>> {
    let yes = |holds: bool| if holds { "True" } else { "False" };
    let available: u32 = context.observed.sets.iter().map(|set| set.available).sum();
    let enough = available >= context.strategy.replicas.saturating_sub(context.strategy.bounds.unavailable);
    let stable = context.state.stable.as_ref().is_some_and(|stable| stable.hash == context.progress.hash);
    let paused = context.progress.paused_since.is_some() || context.is_stopped();
    vec![
        match enough {
            true => Condition::new("Available", "True", "AvailableReason", "Rollout has minimum availability"),
            false => {
                Condition::new("Available", "False", "AvailableReason", "Rollout does not have minimum availability")
            }
        },
        progressing(context, paused),
        Condition::new(
            "Paused",
            yes(paused),
            "RolloutPaused",
            if paused { "Rollout is paused" } else { "Rollout is not paused" },
        ),
        match phase {
            "Healthy" => Condition::new("Healthy", "True", "RolloutHealthy", "Rollout is healthy"),
            _ => Condition::new("Healthy", "False", "RolloutHealthy", "Rollout is not healthy"),
        },
        match stable {
            true => Condition::new("Completed", "True", "RolloutCompleted", "Rollout completed"),
            false => Condition::new("Completed", "False", "RolloutCompleted", "Rollout not completed, started update"),
        },
    ]
}

fn conditions<'a>(context: &Context<'a>, phase: &str) -> Vec<Condition<'a>> {
    let mut all = standing(context, phase);
    if !context.problems().is_empty() && context.awaited().is_empty() && !is_refused(context) {
        // Argo says so, too, of a Service or an Ingress that is not there.
        all.push(Condition::new(INVALID_SPEC, "True", INVALID_SPEC, context.problems().join("; ")));
    }
    if let Some(ServingStatus { status, reason, message }) = events::serving(context) {
        all.push(Condition::new(SERVING, status, reason, message));
    }
    if let Some((status, reason, text)) = weight_verified(context) {
        all.push(Condition::new("WeightVerified", status, reason, text));
    }
    if let Some((_, reason, text)) = leaving::leaving(context) {
        all.push(Condition::new("Unrouted", "False", reason, text));
    }
    if let Some(text) = held_places(context) {
        all.push(Condition::new("ServicesInPlace", "False", "GetRequests", text));
    }
    let refusal = context.observed.refusal.as_ref().filter(|_| context.canary().is_none());
    let refusal = refusal.map(|refused| &refused.because);
    if let Some(failure) = context.canary().and_then(|set| set.failure.as_ref()).or(refusal) {
        all.push(Condition::new("ReplicaFailure", "True", "FailedCreate", failure.as_str()));
    }
    if let Some((uid, refused)) = context.observed.unowned.iter().next() {
        let name = context.observed.sets.iter().find(|set| set.guard.uid == *uid).map(|set| set.guard.name.as_str());
        let text = format!("ReplicaSet {} cannot be taken over: {}", name.unwrap_or(uid), refused.because);
        all.push(Condition::new("ReplicaSetsOwned", "False", "FailedOwn", text));
    }
    if let Some(text) = messages::unwritten(context) {
        all.push(Condition::new("ObjectsWritten", "False", "WriteRefused", text));
    }
    if !context.state.refused.is_empty() {
        all.push(Condition::new("Refused", "True", "FailedBefore", refused_templates(&context.state.refused)));
    }
    if let Some(git) = git::git_status(context) {
        all.push(Condition::new("OnAbort", git.status, git.reason, git.text));
    }
    all
}

/// What the spec's two Services wait for that it names in each other's place.
fn held_places(context: &Context) -> Option<String> {
    let (canary, stable) = context.routing().filter(|_| context.strategy.is_turned)?;
    Some(format!(
        "the spec has {stable} as the canary's Service and {canary} as the stable version's by now; \
         they change places once no request comes by {canary}"
    ))
}

/// The newest of the refused templates, each in a few words: a condition is read by people, and has its bounds.
fn refused_templates(all: &[Refused]) -> String {
    let one = |refused: &Refused| {
        let because: String = refused.because.chars().take(REASON_CHARS).collect();
        let more = if because.len() < refused.because.len() { "…" } else { "" };
        match refused.images.first() {
            Some(image) => format!("{image} ({}): {because}{more}", refused.hash),
            None => format!("template {}: {because}{more}", refused.hash),
        }
    };
    let mut said: Vec<String> = all.iter().rev().take(REFUSED_SHOWN).map(one).collect();
    if all.len() > REFUSED_SHOWN {
        said.push(format!("and {} before them", all.len() - REFUSED_SHOWN));
    }
    said.join("; ")
}

/// How the router stands to the weight, as a condition: status, reason and message.
fn weight_verified(context: &Context) -> Option<(&'static str, &'static str, String)> {
    if let Router::Alb(_) = context.router()? {
        return Some(weight_balanced(context));
    }
    let (reply, router) = (context.router_status()?, context.router()?.plugin()?);
    let weight = reply.weight;
    if let Some(trouble) = reply.trouble() {
        let reason = match trouble.remedy {
            Remedy::Wait => "RouterFailed",
            Remedy::Person => "RouterRejected",
        };
        return Some(("Unknown", reason, trouble.message(router)));
    }
    Some(match &reply.response {
        RouterResponse::Verified => ("True", "Verified", format!("{router} serves {weight} % to the canary")),
        RouterResponse::NotSupported => {
            let text = format!("{router} cannot verify weights: {weight} % counts as served once it was taken");
            ("Unknown", "NotSupported", text)
        }
        RouterResponse::NotAsked | RouterResponse::NotVerified | RouterResponse::Failed(_) => {
            ("False", "NotVerified", format!("{router} does not serve {weight} % to the canary yet"))
        }
    })
}

/// The same of the load balancer.
fn weight_balanced(context: &Context) -> (&'static str, &'static str, String) {
    let asked = context.state.asked;
    match context.unread() {
        _ if context.is_unverified() => {
            let text =
                format!("nobody asks the load balancer what it serves: {asked} % counts as served once it is written");
            ("Unknown", "NotAsked", text)
        }
        Some(failure) if failure.remedy == Remedy::Person => {
            ("Unknown", "RouterRejected", failure.message("the load balancer"))
        }
        Some(failure) => ("Unknown", "RouterFailed", failure.message("the load balancer")),
        None if context.is_verified() => {
            ("True", "Verified", format!("the load balancer serves {asked} % to the canary"))
        }
        None => ("False", "NotVerified", format!("the load balancer does not serve {asked} % to the canary yet")),
    }
}

fn progressing<'a>(context: &Context<'a>, paused: bool) -> Condition<'a> {
    let set = context.canary().map_or("", |set| set.guard.name.as_str());
    let told = match &context.progress.state {
        ProgressState::Aborted { because, .. } => Condition::new(
            "Progressing",
            "False",
            "RolloutAborted",
            aborted(context, because)["RolloutAborted: ".len()..].to_owned(),
        ),
        _ if is_timed_out(context) => {
            let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
            Condition::new("Progressing", "False", "ProgressDeadlineExceeded", message)
        }
        _ if paused => Condition::new("Progressing", "Unknown", "RolloutPaused", "Rollout is paused"),
        ProgressState::Promoted => {
            let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
            Condition::new("Progressing", "True", "NewReplicaSetAvailable", message)
        }
        ProgressState::Underway => {
            let message = format!("ReplicaSet \"{set}\" is progressing.");
            Condition::new("Progressing", "True", "ReplicaSetUpdated", message)
        }
    };
    told.updated(context.progressed_at())
}
