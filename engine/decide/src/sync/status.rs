//! The Application's status, as clients of Argo CD read it. Thin: sync,
//! health and history.

use super::intent::Outcome;
use super::plan::Plan;
use super::{Context, State};
use serde_json::{Value, json};

/// What the status should say, where it says something else.
pub(super) fn patch(state: &State, context: &Context, plan: &Plan) -> Option<Value> {
    let spec = &context.object["spec"];
    let sync = if plan.is_out_of_sync() { "OutOfSync" } else { "Synced" };
    let succeeded = state.history.iter().filter(|ended| ended.outcome == Outcome::Succeeded);
    let mut history: Vec<Value> = succeeded
        .map(|ended| {
            json!({ "id": ended.operation.since, "revision": ended.operation.revision.to_string(), "source": spec["source"],
                "deployedAt": time(ended.at), "deployStartedAt": time(ended.operation.since) })
        })
        .collect();
    history.reverse();
    let resource = |item: &super::plan::Item| {
        json!({ "group": item.id.group, "kind": item.id.kind, "namespace": item.id.namespace, "name": item.id.name,
            "version": super::object::group_version(super::object::api_version(&item.desired)).1,
            "status": if item.is_out_of_sync() { "OutOfSync" } else { "Synced" } })
    };
    let status = json!({
        "sync": { "status": sync, "revision": context.head.to_string(),
            "comparedTo": { "source": spec["source"], "destination": spec["destination"] } },
        "health": { "status": plan.health().word() },
        "history": history,
        "resources": plan.items.iter().map(resource).collect::<Vec<_>>(),
    });
    let live = &context.object["status"];
    let same = status.as_object().is_some_and(|status| status.iter().all(|(key, value)| live[key] == *value));
    (!same).then_some(status)
}

/// Milliseconds since the epoch as Kubernetes writes times.
fn time(at: u64) -> String {
    let at = i64::try_from(at / 1_000).unwrap_or(0);
    jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default()
}
