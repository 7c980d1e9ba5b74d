//! A Rollout's status, field by field as Argo's clients read it.
//!
//! The position is the journal's; the status mirrors it. Only the fields that
//! differ are patched, so that a status that is right costs no write.

use super::entry::{Act, Start};
use super::look::Look;
use super::origin;
use super::recorded::State;
use super::reply::{self, Mends, Said};
use super::seen::{Live, write_time};
use super::spec::{Hand, Mistake, Overdue};
use crate::next::Timestamp;
use serde_json::{Map, Value, json};

/// The fields that are ours; all others are left alone.
const OWNED: &[&str] = &[
    "HPAReplicas",
    "abort",
    "abortedAt",
    "availableReplicas",
    "canary",
    "conditions",
    "controllerPause",
    "currentPodHash",
    "currentStepHash",
    "currentStepIndex",
    "message",
    "observedGeneration",
    "pauseConditions",
    "phase",
    "promoteFull",
    "readyReplicas",
    "replicas",
    "selector",
    "stableRS",
    "updatedReplicas",
];

/// Argo's phase with its message.
///
/// The first that matches, as in `utils/rollout/rolloututil.go`.
pub(super) fn phase(look: &Look) -> (&'static str, String) {
    let updated = look.canary().map_or((0, 0), |set| (set.pods, set.available));
    let pods: u32 = look.live.sets.iter().map(|set| set.pods).sum();
    let stable = look.recorded.stable.as_ref().is_some_and(|stable| stable.hash == look.walk.hash);
    let progressing = |text: &str| ("Progressing", text.to_owned());
    match &look.walk.state {
        State::Retreated { because, .. } => ("Degraded", aborted(look, because)),
        _ if is_timed_out(look) => ("Degraded", timed_out(look)),
        _ if is_refused(look) => ("Degraded", format!("TrafficRoutingError: {}", look.problems().join("; "))),
        _ if look.spec.hand == Hand::Holds => ("Paused", "manually paused".to_owned()),
        _ if look.walk.paused_since.is_some() => ("Paused", "CanaryPauseStep".to_owned()),
        _ if updated.0 < look.spec.replicas => progressing("more replicas need to be updated"),
        _ if updated.1 < updated.0 => progressing("updated replicas are still becoming available"),
        _ if look.routing().is_none() && pods > updated.0 => progressing("old replicas are pending termination"),
        _ if !stable => progressing("waiting for all steps to complete"),
        _ => ("Healthy", String::new()),
    }
}

/// The patch that makes the status right; `None` when it is.
pub(super) fn patch(look: &Look) -> Option<Act> {
    diff(look.live, fields(look))
}

/// The same for a spec that cannot be followed.
pub(super) fn invalid(live: &Live, mistakes: &[Mistake], now: Timestamp) -> Option<Act> {
    let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    let message = format!("InvalidSpec: {}", all.join("; "));
    let mut wanted = Map::new();
    // What is not about the spec stays as it was: the pods are still there.
    for key in OWNED {
        wanted.insert((*key).to_owned(), live.status(key).clone());
    }
    let invalid = Condition::new("InvalidSpec", "True", "InvalidSpec", &message);
    let others = live.status("conditions").as_array().cloned().unwrap_or_default();
    let mut conditions: Vec<Value> = others.into_iter().filter(|other| other["type"] != "InvalidSpec").collect();
    conditions.push(invalid.written(live, now));
    wanted.insert("conditions".into(), conditions.into());
    wanted.insert("phase".into(), "Degraded".into());
    wanted.insert("message".into(), message.into());
    wanted.insert("observedGeneration".into(), generation(live));
    diff(live, wanted)
}

fn fields(look: &Look) -> Map<String, Value> {
    let sum = |count: fn(&super::seen::Set) -> u32| -> u32 { look.live.sets.iter().map(count).sum() };
    let (phase, message) = phase(look);
    let walk = look.walk;
    let paused = walk.paused_since.filter(|_| look.is_walking());
    let retreated = match &walk.state {
        State::Retreated { at, .. } => Some(*at),
        State::Walking | State::Promoted => None,
    };
    let selector: Vec<String> = look.spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let when = |at: Option<Timestamp>| at.map_or(Value::Null, |at| write_time(at).into());
    let wanted = json!({
        "HPAReplicas": sum(|set| set.pods),
        "abort": retreated.map(|_| true),
        "abortedAt": when(retreated),
        "availableReplicas": sum(|set| set.available),
        "canary": weights(look),
        "conditions": conditions(look, phase),
        "controllerPause": paused.map(|_| true),
        "currentPodHash": walk.hash,
        "currentStepHash": walk.steps_hash,
        "currentStepIndex": (!look.spec.steps.is_empty()).then_some(walk.at),
        "message": (!message.is_empty()).then_some(message),
        "observedGeneration": generation(look.live),
        "pauseConditions": paused.map(|at| json!([{ "reason": "CanaryPauseStep", "startTime": write_time(at) }])),
        "phase": phase,
        "promoteFull": null,
        "readyReplicas": sum(|set| set.ready),
        "replicas": sum(|set| set.pods),
        "selector": selector.join(","),
        "stableRS": look.recorded.stable.as_ref().map(|stable| stable.hash.clone()),
        "updatedReplicas": look.canary().map_or(0, |set| set.pods),
    });
    match wanted {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn generation(live: &Live) -> Value {
    live.rollout["metadata"]["generation"].to_string().into()
}

/// What is served to whom, where traffic is routed.
fn weights(look: &Look) -> Value {
    let Some((canary, stable)) = look.routing() else { return Value::Null };
    let asked = look.recorded.asked;
    let version = look.recorded.stable.as_ref().map(|stable| stable.hash.as_str());
    json!({ "weights": {
        "canary": { "weight": asked, "serviceName": canary, "podTemplateHash": look.walk.hash },
        "stable": { "weight": 100 - asked.min(100), "serviceName": stable, "podTemplateHash": version.unwrap_or(&look.walk.hash) },
        "verified": verified(look),
    }})
}

/// Whether the weight was verified; null where the router cannot tell, as Argo has it.
fn verified(look: &Look) -> Value {
    match look.reply() {
        Some(reply) if reply.said == Said::NotSupported => Value::Null,
        _ => look.is_verified().into(),
    }
}

fn aborted(look: &Look, because: &str) -> String {
    let revision = look.canary().map_or(0, |set| set.revision);
    format!("RolloutAborted: Rollout aborted update to revision {revision}: {because}")
}

fn timed_out(look: &Look) -> String {
    let set = look.canary().map_or("", |set| set.guard.name.as_str());
    format!("ProgressDeadlineExceeded: ReplicaSet \"{set}\" has timed out progressing.")
}

/// Whether the router wants a person before it shares the traffic.
fn is_refused(look: &Look) -> bool {
    look.trouble().is_some_and(|(_, trouble)| trouble.mends == Mends::ByAPerson)
}

/// Whether the deadline is over for a version that does not go back by itself.
fn is_timed_out(look: &Look) -> bool {
    let stays = look.spec.overdue == Overdue::Report || look.walk.start == Start::First;
    stays && look.spec.hand == Hand::Off && look.is_overdue()
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
    fn written(self, live: &Live, now: Timestamp) -> Value {
        let known = live.status("conditions").as_array().into_iter().flatten().find(|known| known["type"] == self.kind);
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

fn conditions(look: &Look, phase: &str) -> Vec<Value> {
    let yes = |holds: bool| if holds { "True" } else { "False" };
    let available: u32 = look.live.sets.iter().map(|set| set.available).sum();
    let enough = available >= look.spec.replicas.saturating_sub(look.spec.bounds.unavailable);
    let stable = look.recorded.stable.as_ref().is_some_and(|stable| stable.hash == look.walk.hash);
    let paused = look.walk.paused_since.is_some() || look.spec.hand == Hand::Holds;
    let mut all = vec![
        match enough {
            true => Condition::new("Available", "True", "AvailableReason", "Rollout has minimum availability"),
            false => {
                Condition::new("Available", "False", "AvailableReason", "Rollout does not have minimum availability")
            }
        },
        progressing(look, paused),
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
    if let Some((status, reason, text)) = reply::told(look) {
        all.push(Condition::new("WeightVerified", status, reason, &text));
    }
    if let Some(failure) = look.canary().and_then(|set| set.failure.as_ref()) {
        all.push(Condition::new("ReplicaFailure", "True", "FailedCreate", failure));
    }
    if !look.recorded.refused.is_empty() {
        let one = |refused: &super::recorded::Refused| match refused.images.first() {
            Some(image) => format!("{image} ({}): {}", refused.hash, refused.because),
            None => format!("template {}: {}", refused.hash, refused.because),
        };
        let refused: Vec<String> = look.recorded.refused.iter().map(one).collect();
        all.push(Condition::new("Refused", "True", "FailedBefore", &refused.join("; ")));
    }
    if let Some(git) = origin::told(look) {
        all.push(Condition::new("OnRetreat", git.status, git.reason, &git.text));
    }
    all.into_iter().map(|condition| condition.written(look.live, look.now)).collect()
}

fn progressing(look: &Look, paused: bool) -> Condition {
    let set = look.canary().map_or("", |set| set.guard.name.as_str());
    let told = match &look.walk.state {
        State::Retreated { because, .. } => Condition::new(
            "Progressing",
            "False",
            "RolloutAborted",
            &aborted(look, because)["RolloutAborted: ".len()..],
        ),
        _ if is_timed_out(look) => {
            let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
            Condition::new("Progressing", "False", "ProgressDeadlineExceeded", &message)
        }
        _ if paused => Condition::new("Progressing", "Unknown", "RolloutPaused", "Rollout is paused"),
        State::Promoted => {
            let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
            Condition::new("Progressing", "True", "NewReplicaSetAvailable", &message)
        }
        State::Walking => {
            let message = format!("ReplicaSet \"{set}\" is progressing.");
            Condition::new("Progressing", "True", "ReplicaSetUpdated", &message)
        }
    };
    Condition { updated: Some(look.progressed_at()), ..told }
}

/// The merge patch from what is there to what is wanted, of our fields only.
fn diff(live: &Live, wanted: Map<String, Value>) -> Option<Act> {
    let now: Map<String, Value> = OWNED.iter().map(|key| ((*key).to_owned(), live.status(key).clone())).collect();
    let patch = merge_patch(&now, &wanted)?;
    Some(Act::Status { rollout: live.guard(), patch: Value::Object(patch) })
}

/// RFC 7396's patch from one object to another; absent and null are the same.
fn merge_patch(from: &Map<String, Value>, to: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut patch = Map::new();
    for key in from.keys().chain(to.keys()) {
        let null = Value::Null;
        let (old, new) = (from.get(key).unwrap_or(&null), to.get(key).unwrap_or(&null));
        match (old, new) {
            (old, new) if old == new => {}
            (Value::Object(old), Value::Object(new)) => {
                if let Some(inner) = merge_patch(old, new) {
                    patch.insert(key.clone(), inner.into());
                }
            }
            (_, new) => drop(patch.insert(key.clone(), new.clone())),
        }
    }
    (!patch.is_empty()).then_some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_only_what_differs() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let from = object(json!({"a": 1, "b": {"c": 2, "d": 3}, "e": null, "list": [1]}));
        let to = object(json!({"a": 1, "b": {"c": 2, "f": 4}, "list": [1, 2]}));
        let patch = merge_patch(&from, &to).unwrap();
        assert_eq!(Value::Object(patch), json!({"b": {"d": null, "f": 4}, "list": [1, 2]}));
        assert_eq!(merge_patch(&to, &to), None);
    }
}
