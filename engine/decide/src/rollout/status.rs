//! A Rollout's status, field by field as Argo's clients read it.
//!
//! The position is the journal's; the status mirrors it. Only the fields that
//! differ are patched, so that a status that is right costs no write.

use super::context::Context;
use super::events::{self, SERVING, ServingStatus};
use super::intent::Start;
use super::observed::{ObservedRollout, Set};
use super::progress::ProgressState;
use super::restart;
use super::router::plugin::{Remedy, RouterResponse};
use super::router::{Router, leaving};
use super::state::Refused;
use super::status_patch::{OWNED, StatusPatch, diff};
use super::strategy::{Mistake, Overdue};
use super::turn::Turn;
use super::{git, hold, messages, services};
use crate::next::{Phase, Timestamp};
use crate::object::write_time;
use serde_json::{Map, Value, json};

/// How many refused templates the condition names.
const REFUSED_SHOWN: usize = 5;

/// How much of each reason it says, in characters.
const REASON_CHARS: usize = 300;

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
    diff(context.observed, fields(context), context.now)
}

/// The same for a spec that cannot be followed.
pub(super) fn invalid(observed: &ObservedRollout, mistakes: &[Mistake], now: Timestamp) -> StatusPatch {
    let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    let message = format!("InvalidSpec: {}", all.join("; "));
    let mut wanted = Map::new();
    // What is not about the spec stays as it was: the pods are still there.
    for key in OWNED {
        wanted.insert((*key).to_owned(), observed.status(key).clone());
    }
    let invalid = Condition::new("InvalidSpec", "True", "InvalidSpec", &message);
    let others = observed.status("conditions").as_array().cloned().unwrap_or_default();
    let mut conditions: Vec<Value> = others.into_iter().filter(|other| other["type"] != "InvalidSpec").collect();
    conditions.push(invalid.written(observed, now));
    wanted.insert("conditions".into(), conditions.into());
    wanted.insert("phase".into(), "Degraded".into());
    wanted.insert("message".into(), message.into());
    wanted.insert("observedGeneration".into(), observed.generation().map(|it| it.to_string()).into());
    diff(observed, wanted, now)
}

/// The same while what serves is kept safe: all that is observed, and what is wrong with the spec.
pub(super) fn unfollowed(context: &Context, mistakes: &[Mistake]) -> StatusPatch {
    let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    let message = format!("InvalidSpec: {}", all.join("; "));
    let mut wanted = fields(context);
    let invalid = Condition::new("InvalidSpec", "True", "InvalidSpec", &message);
    if let Some(Value::Array(conditions)) = wanted.get_mut("conditions") {
        conditions.retain(|other| other["type"] != "InvalidSpec");
        conditions.push(invalid.written(context.observed, context.now));
    }
    wanted.insert("currentStepIndex".into(), context.observed.status("currentStepIndex").clone());
    wanted.insert("phase".into(), "Degraded".into());
    wanted.insert("message".into(), message.into());
    diff(context.observed, wanted, context.now)
}

fn fields(context: &Context) -> Map<String, Value> {
    let sum = |count: fn(&Set) -> u32| -> u32 { context.observed.sets.iter().map(count).sum() };
    let (phase, message) = phase(context);
    let progress = context.progress;
    let paused = hold::pause_conditions(context);
    let aborted = match &progress.state {
        ProgressState::Aborted { at, .. } => Some(*at),
        ProgressState::Underway | ProgressState::Promoted => None,
    };
    let when = |at: Option<Timestamp>| at.map_or(Value::Null, |at| write_time(at).into());
    let wanted = json!({
        "HPAReplicas": sum(|set| set.pods),
        "abort": aborted.map(|_| true),
        "abortedAt": when(aborted),
        "availableReplicas": sum(|set| set.available),
        "canary": weights(context),
        "conditions": conditions(context, phase),
        "controllerPause": paused.as_ref().map(|_| true),
        "currentPodHash": progress.hash,
        "currentStepHash": progress.steps_hash,
        "currentStepIndex": (!context.strategy.steps.is_empty()).then_some(progress.at),
        "message": (!message.is_empty()).then_some(message),
        "observedGeneration": context.observed.generation().map(|it| it.to_string()),
        "pauseConditions": paused,
        "phase": phase,
        "promoteFull": null,
        "readyReplicas": sum(|set| set.ready),
        "replicas": sum(|set| set.pods),
        "restartedAt": restart::restarted_at(context),
        "selector": selector(context),
        "stableRS": context.state.stable.as_ref().map(|stable| stable.hash.clone()),
        "updatedReplicas": context.canary().map_or(0, |set| set.pods),
    });
    match wanted {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// All pods of the Rollout, whichever their version, as an autoscaler counts them; what was said before where the spec
/// cannot be read.
fn selector(context: &Context) -> Value {
    let labels = &context.strategy.selector;
    let said: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if labels.is_empty() { context.observed.status("selector").clone() } else { said.join(",").into() }
}

/// What is served to whom, where traffic is routed.
fn weights(context: &Context) -> Value {
    let Some((canary, stable)) = context.routing() else { return Value::Null };
    let asked = context.state.asked;
    let version = context.state.stable.as_ref().map(|stable| stable.hash.as_str());
    json!({ "weights": {
        "canary": { "weight": asked, "serviceName": canary, "podTemplateHash": context.progress.hash },
        "stable": { "weight": 100 - asked.min(100), "serviceName": stable, "podTemplateHash": version.unwrap_or(&context.progress.hash) },
        "verified": verified(context),
    }, "stablePingPong": turn(context) })
}

/// Which of two Services is the stable version's, once a version was replaced.
fn turn(context: &Context) -> Option<&'static str> {
    context.strategy.ping_pong.as_ref().and(services::turn(context.state, context.observed)).map(Turn::name)
}

/// Whether the weight was verified; null where the router cannot tell, as Argo has it.
fn verified(context: &Context) -> Value {
    match context.router_status() {
        Some(reply) if reply.response == RouterResponse::NotSupported => Value::Null,
        None if context.is_unverified() => Value::Null,
        _ => context.is_verified().into(),
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

struct Condition {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
    updated: Option<Timestamp>,
}

impl Condition {
    fn new(kind: &'static str, status: &'static str, reason: &str, message: &str) -> Condition {
        Condition { kind, status, reason: reason.to_owned(), message: message.to_owned(), updated: None }
    }

    /// With its times: those of the live condition as long as it says the same.
    fn written(self, observed: &ObservedRollout, now: Timestamp) -> Value {
        let known =
            observed.status("conditions").as_array().into_iter().flatten().find(|known| known["type"] == self.kind);
        let same_status = known.filter(|known| known["status"] == self.status);
        let same = same_status.filter(|known| known["reason"] == self.reason && known["message"] == self.message);
        let kept = |known: Option<&Value>, field: &str| known.map(|known| known[field].clone());
        let now = Value::from(write_time(now));
        let updated = self.updated.map(|at| write_time(at).into()).or_else(|| kept(same, "lastUpdateTime"));
        json!({
            "type": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": kept(same_status, "lastTransitionTime").unwrap_or_else(|| now.clone()),
            "lastUpdateTime": updated.unwrap_or(now),
        })
    }
}

fn conditions(context: &Context, phase: &str) -> Vec<Value> {
    let yes = |holds: bool| if holds { "True" } else { "False" };
    let available: u32 = context.observed.sets.iter().map(|set| set.available).sum();
    let enough = available >= context.strategy.replicas.saturating_sub(context.strategy.bounds.unavailable);
    let stable = context.state.stable.as_ref().is_some_and(|stable| stable.hash == context.progress.hash);
    let paused = context.progress.paused_since.is_some() || context.is_stopped();
    let mut all = vec![
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
    ];
    if !context.problems().is_empty() && context.awaited().is_empty() && !is_refused(context) {
        // Argo says so, too, of a Service or an Ingress that is not there.
        all.push(Condition::new("InvalidSpec", "True", "InvalidSpec", &context.problems().join("; ")));
    }
    if let Some(ServingStatus { status, reason, message }) = events::serving(context) {
        all.push(Condition::new(SERVING, status, &reason, &message));
    }
    if let Some((status, reason, text)) = weight_verified(context) {
        all.push(Condition::new("WeightVerified", status, reason, &text));
    }
    if let Some((_, reason, text)) = leaving::leaving(context) {
        all.push(Condition::new("Unrouted", "False", reason, &text));
    }
    let refusal = context.observed.refusal.as_ref().filter(|_| context.canary().is_none());
    let refusal = refusal.map(|refused| &refused.because);
    if let Some(failure) = context.canary().and_then(|set| set.failure.as_ref()).or(refusal) {
        all.push(Condition::new("ReplicaFailure", "True", "FailedCreate", failure));
    }
    if let Some((uid, refused)) = context.observed.unowned.iter().next() {
        let name = context.observed.sets.iter().find(|set| set.guard.uid == *uid).map(|set| set.guard.name.as_str());
        let text = format!("ReplicaSet {} cannot be taken over: {}", name.unwrap_or(uid), refused.because);
        all.push(Condition::new("ReplicaSetsOwned", "False", "FailedOwn", &text));
    }
    if let Some(text) = messages::unwritten(context) {
        all.push(Condition::new("ObjectsWritten", "False", "WriteRefused", &text));
    }
    if !context.state.refused.is_empty() {
        all.push(Condition::new("Refused", "True", "FailedBefore", &refused_templates(&context.state.refused)));
    }
    if let Some(git) = git::git_status(context) {
        all.push(Condition::new("OnAbort", git.status, git.reason, &git.text));
    }
    all.into_iter().map(|condition| condition.written(context.observed, context.now)).collect()
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

fn progressing(context: &Context, paused: bool) -> Condition {
    let set = context.canary().map_or("", |set| set.guard.name.as_str());
    let told = match &context.progress.state {
        ProgressState::Aborted { because, .. } => Condition::new(
            "Progressing",
            "False",
            "RolloutAborted",
            &aborted(context, because)["RolloutAborted: ".len()..],
        ),
        _ if is_timed_out(context) => {
            let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
            Condition::new("Progressing", "False", "ProgressDeadlineExceeded", &message)
        }
        _ if paused => Condition::new("Progressing", "Unknown", "RolloutPaused", "Rollout is paused"),
        ProgressState::Promoted => {
            let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
            Condition::new("Progressing", "True", "NewReplicaSetAvailable", &message)
        }
        ProgressState::Underway => {
            let message = format!("ReplicaSet \"{set}\" is progressing.");
            Condition::new("Progressing", "True", "ReplicaSetUpdated", &message)
        }
    };
    Condition { updated: Some(context.progressed_at()), ..told }
}
