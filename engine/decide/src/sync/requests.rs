//! How requests end, and what is said when there is nothing to do.

use super::application::SelfHeal;
use super::decide::Act;
use super::entry::Entry;
use super::intent::Outcome;
use super::object::{self, ObjectRef};
use super::outcomes;
use super::plan::{Item, Plan};
use super::prune;
use super::status;
use super::{Context, Decision, OpenRequest, Standing, State};
use crate::health::{Judge, Status};
use crate::next::{Next, Timestamp, Wake};
use crate::request::Response;

/// How long a revision may be unknown to the repository, in ms.
const UNKNOWN: u64 = 60_000;

/// Answers requests that git has left behind, or never knew.
pub(super) fn answer_overtaken(state: &State, context: &Context, now: Timestamp) -> Option<Decision> {
    let target = &context.application.source.target_revision;
    let answer = |request: &OpenRequest| {
        let revision = request.intent.revision.short();
        match context.standing.get(&request.intent.revision) {
            Some(Standing::Diverged) => Some(Response::Superseded {
                because: format!("{target} is at {}, which does not contain {revision}", context.head.short()),
            }),
            Some(Standing::Unknown(because)) if now > request.since + UNKNOWN => {
                Some(Response::Failed { because: format!("{revision} is not known: {because}"), transient: true })
            }
            _ => None,
        }
    };
    let entry =
        |request: &OpenRequest| answer(request).map(|answer| Entry::Answered { key: request.key.clone(), answer });
    let record: Vec<Entry> = state.open.iter().filter_map(entry).collect();
    if record.is_empty() {
        return None;
    }
    Some(Next { record, ..Next::progressing(Wake::Now, format!("{target} no longer leads to what a step wanted")) })
}

/// Answers requests whose own sync has ended without them being met.
pub(super) fn answer_ended(state: &State, context: &Context) -> Option<Decision> {
    let plan = context.plan.as_ref().ok()?;
    let ended = state.ended(&context.head, &context.application.parameters)?;
    let heals = context.application.automated.is_some_and(|automated| automated.self_heal == SelfHeal::On);
    let because = match &ended.outcome {
        Outcome::Failed { because } => because.clone(),
        Outcome::Succeeded if plan.is_pending() && !heals => "the cluster changed again right after the sync".into(),
        Outcome::Succeeded | Outcome::Superseded { .. } => return None,
    };
    let tried = |request: &&OpenRequest| {
        request.since <= ended.operation.since
            && context.standing.get(&request.intent.revision) == Some(&Standing::Contained)
    };
    let record: Vec<Entry> =
        state.open.iter().filter(tried).map(|request| super::decide::failed(request, &because)).collect();
    if record.is_empty() || state.operation.is_some() {
        return None;
    }
    Some(Next {
        record,
        ..Next::progressing(Wake::Now, format!("the sync of {} failed: {because}", context.head.short()))
    })
}

/// Nothing is to be applied: requests are answered by health, and the status is kept.
pub(super) fn rest(state: &State, context: &Context, now: Timestamp) -> Decision {
    let Ok(plan) = &context.plan else { return Next::blocked("the manifests cannot be read") };
    if let Some(decision) = answer_contained(state, context, plan) {
        return decision;
    }
    let acts = tell(state, context, plan, now).into_iter().collect();
    let decision = said(state, context, plan, now);
    Next { acts, ..decision }
}

/// The status, where it should say something else. What a server has kept less of is not sent again.
fn tell(state: &State, context: &Context, plan: &Plan, now: Timestamp) -> Option<Act> {
    let status = status::patch(state, context, plan)?;
    let digest = outcomes::told(object::uid(&context.object), &status);
    let written = context.written.as_ref().filter(|written| written.digest == digest);
    let is_due = written.is_none_or(|written| written.again.is_some_and(|again| now >= again));
    is_due.then(|| Act::Status { application: ObjectRef::of(&context.object), status })
}

/// A request is met once everything is applied and what runs is healthy; the
/// canary of a Rollout is the next step's matter.
fn answer_contained(state: &State, context: &Context, plan: &Plan) -> Option<Decision> {
    let answer = match waits_for(plan) {
        Some((item, Status::Degraded)) => Response::Failed { because: told(item), transient: false },
        Some(_) => return None,
        None => Response::Met { outputs: serde_json::json!({ "revision": context.head.to_string() }) },
    };
    let contained =
        |request: &&OpenRequest| context.standing.get(&request.intent.revision) == Some(&Standing::Contained);
    let entry = |request: &OpenRequest| Entry::Answered { key: request.key.clone(), answer: answer.clone() };
    let record: Vec<Entry> = state.open.iter().filter(contained).map(entry).collect();
    if record.is_empty() {
        return None;
    }
    Some(Next { record, ..Next::progressing(Wake::Now, format!("synced to {}", context.head.short())) })
}

/// The workload that a request waits for, the worst first, and whatever a plugin
/// judges: somebody said that its health counts. One that is Degraded comes
/// before one that is Unknown, which may stay so for long and hides no failure.
/// Autoscalers and load balancers may take their time, or never come, without
/// the sync being wrong.
fn waits_for(plan: &Plan) -> Option<(&Item, Status)> {
    let is_workload = |item: &&Item| {
        matches!(item.id.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "Pod")
    };
    let status = |item: &Item| item.health.as_ref().map_or(Status::Healthy, |health| health.status);
    let counts = |item: &&Item| is_workload(item) || item.judge == Judge::Plugin;
    let worst = plan.items.iter().filter(counts).max_by_key(|item| (status(item) == Status::Degraded, status(item)))?;
    let status = status(worst);
    (status > Status::Suspended).then_some((worst, status))
}

fn told(item: &Item) -> String {
    let health = item.health.as_ref();
    let message = health.map(|health| health.message.as_str()).unwrap_or_default();
    format!("{} is {}: {message}", item.id, health.map_or("there", |health| health.status.word()))
}

fn said(state: &State, context: &Context, plan: &Plan, now: Timestamp) -> Decision {
    let behind = state.open.iter().find(|request| {
        matches!(context.standing.get(&request.intent.revision), None | Some(Standing::Behind | Standing::Unknown(_)))
    });
    if let Some(request) = behind {
        let because = format!(
            "waiting until {} arrives at {}",
            context.application.source.target_revision,
            request.intent.revision.short()
        );
        return Next::waiting(Wake::At(now + 2_000), because);
    }
    if !state.open.is_empty()
        && let Some((item, _)) = waits_for(plan)
    {
        return Next::waiting(Wake::At(now + 5_000), format!("applied at {}; {}", context.head.short(), told(item)));
    }
    if let Some(hold) = plan.prune_hold.as_ref().filter(|_| !plan.extras.is_empty()) {
        return match prune::prunes(context) {
            true => Next::blocked(hold.clone()),
            false => Next::waiting(Wake::OnChange, hold.clone()),
        };
    }
    if let Some(extra) = plan.extras.first() {
        return Next::waiting(Wake::OnChange, format!("{} left git and is still there", extra.id));
    }
    Next::done(Wake::OnChange, format!("synced at {}, {}", context.head.short(), plan.health().word()))
}
