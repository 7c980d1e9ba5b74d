//! What the dashboard is shown of an application.

use api::views::{AppView, ResourceView, SyncedView};
use decide::sync::application::Ownership;
use decide::sync::{Context, State, object, view};
use serde_json::Value;

/// An application that was compared, with what the generator of its manifests warned of.
pub(super) fn view(stream: &str, state: &State, context: &Context, remarks: &[String]) -> AppView {
    let source = &context.application.source;
    let (health, mut warnings) = match &context.plan {
        Ok(plan) => (plan.health().word(), plan.warnings.clone()),
        Err(mistakes) => ("Unknown", context.application.warnings.iter().chain(mistakes).cloned().collect()),
    };
    warnings.extend_from_slice(remarks);
    AppView {
        name: name(&context.object),
        cluster: cluster(stream),
        repo: source.repo_url.clone(),
        path: source.path.clone(),
        revision: context.head.to_string(),
        sync: view::sync(context).into(),
        health: health.into(),
        ownership: view::ownership(context).into(),
        resources: view::rows(context).into_iter().map(resource).collect(),
        history: history(state),
        warnings,
    }
}

/// An application that this version cannot sync.
pub(super) fn unreadable(stream: &str, state: &State, object: &Value, because: &str, ownership: Ownership) -> AppView {
    let source = |key: &str| object["spec"]["source"][key].as_str().unwrap_or_default().to_owned();
    AppView {
        name: name(object),
        cluster: cluster(stream),
        repo: source("repoURL"),
        path: source("path"),
        revision: String::new(),
        sync: "unknown".into(),
        health: "Unknown".into(),
        ownership: if ownership == Ownership::Owned { "owned" } else { "observed" }.into(),
        resources: Vec::new(),
        history: history(state),
        warnings: vec![because.to_owned()],
    }
}

/// An application that was seen before, and cannot be compared now: what was healthy then may be so still.
pub(super) fn blind(before: AppView, because: &str) -> AppView {
    AppView { sync: "unknown".into(), warnings: vec![because.to_owned()], ..before }
}

fn name(application: &Value) -> String {
    format!("{}/{}", object::namespace(application), object::name(application))
}

fn cluster(stream: &str) -> String {
    stream.split('/').nth(1).unwrap_or_default().to_owned()
}

fn history(state: &State) -> Vec<SyncedView> {
    let synced = |ended: &decide::sync::Ended| SyncedView {
        revision: ended.operation.revision.to_string(),
        at_ms: ended.at,
        outcome: ended.outcome.spoken(),
    };
    state.history.iter().map(synced).collect()
}

fn resource(row: view::Row) -> ResourceView {
    ResourceView {
        group: row.id.group,
        version: row.version,
        kind: row.id.kind,
        namespace: row.id.namespace,
        name: row.id.name,
        sync: row.sync.into(),
        health: row.health.into(),
        message: row.message,
        parent: row.parent,
        owned: row.owned,
        desired: row.desired,
        live: row.live,
    }
}
