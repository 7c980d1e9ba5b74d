//! Home: is anything wrong, and what is moving?

use crate::board::Board;
use crate::guard::Viewer;
use crate::index::KnownRuns;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views::{
    AppView, DeliveryView, HomeCounts, HomeView, PhaseView, PluginView, ResourceView, RolloutView, RunRowView,
    RunState, RunSummary, StageStatus, StepState, TroubleClass, TroubleView,
};
use axum::Json;
use axum::extract::State;
use decide::next::Phase;
use decide::stream::Stream;
use std::collections::{BTreeMap, HashMap};

/// How many ended runs Home shows.
const LATELY: usize = 10;

pub(crate) async fn home(State(state): State<ApiState>, _: Viewer) -> Result<Json<HomeView>, Problem> {
    let (board, journal) = (&*state.board, &state.journal);
    let failed = |error| Problem::journal("listing the runs", error);
    let known = state.index.known(journal, board).await.map_err(failed)?;
    let waiting = state.index.read(journal, board, |deliveries| deliveries.waiting(board)).await.map_err(failed)?;
    let plugins = state.plugins.as_ref().map(|plugins| plugins.plugins()).unwrap_or_default();
    let mut troubles = troubles(board);
    troubles.extend(failed_runs(&known));
    troubles.extend(waiting.iter().filter_map(delivery_trouble));
    troubles.extend(plugins.iter().filter_map(plugin_trouble));
    troubles.sort_by_key(|trouble| trouble.class);
    let counts = counts(&troubles, &known.open, waiting.len());
    let runs = known.open.len() + known.ended.len();
    let ended = known.ended.into_iter().take(LATELY).collect();
    let (apps, rollouts) = (board.apps().len(), board.rollouts().len());
    Ok(Json(HomeView { open: known.open, troubles, counts, ended, apps, rollouts, runs }))
}

fn counts(troubles: &[TroubleView], open: &[RunRowView], deliveries_waiting: usize) -> HomeCounts {
    let of = |class| troubles.iter().filter(|trouble| trouble.class == class).count();
    let asks = |row: &&RunRowView| row.steps.iter().any(|step| step.state == StepState::Asking);
    HomeCounts {
        unserved: of(TroubleClass::Unserved),
        failed_runs: of(TroubleClass::FailedRun),
        aborted: of(TroubleClass::Aborted),
        blocked: of(TroubleClass::Blocked),
        degraded: of(TroubleClass::Degraded),
        unreadable: of(TroubleClass::Unreadable),
        plugins_refused: of(TroubleClass::PluginRefused),
        deliveries_waiting,
        approvals: open.iter().filter(asks).count(),
        differing: of(TroubleClass::Differs),
        warnings: of(TroubleClass::Warning),
    }
}

/// The pipelines whose newest run at a reference failed. A run that was superseded says nothing of its commit, and a
/// newer one that is on its way may put it right.
fn failed_runs(known: &KnownRuns) -> Vec<TroubleView> {
    let mut newest: HashMap<(&str, &str, &str), &RunSummary> = HashMap::new();
    let runs = known.open.iter().chain(&known.ended).map(|row| &row.run);
    for run in runs.filter(|run| run.state != RunState::Superseded) {
        let found = newest.entry((&run.repository, &run.pipeline, &run.reference)).or_insert(run);
        if (run.opened_ms, run.number) > (found.opened_ms, found.number) {
            *found = run;
        }
    }
    let mut failed: Vec<&RunSummary> = newest.into_values().filter(|run| run.state == RunState::Failed).collect();
    failed.sort_by_key(|run| std::cmp::Reverse((run.ended_ms, run.opened_ms)));
    let trouble = |run: &RunSummary| TroubleView {
        stream: Stream::run(&run.id).into(),
        class: TroubleClass::FailedRun,
        what: "failed".into(),
        reason: run.status.as_ref().map_or_else(|| "a step failed".to_owned(), |status| status.message.clone()),
        since_ms: run.ended_ms,
    };
    failed.into_iter().map(trouble).collect()
}

/// A delivery that waits for something, and is not only being worked on.
fn delivery_trouble(view: &DeliveryView) -> Option<TroubleView> {
    let said = view.status.as_ref().filter(|said| matches!(said.phase, PhaseView::Waiting | PhaseView::Blocked))?;
    Some(TroubleView {
        stream: view.stream.clone(),
        class: TroubleClass::DeliveryWaits,
        what: "waits".into(),
        reason: format!("{} of {}: {}", view.event, view.repository, said.message),
        since_ms: Some(view.received_ms),
    })
}

fn plugin_trouble(plugin: &PluginView) -> Option<TroubleView> {
    let (serves, because) = plugin.serves.iter().find_map(|serves| Some((serves, serves.trouble.as_ref()?)))?;
    Some(TroubleView {
        stream: format!("plugin/{}", plugin.uses),
        class: TroubleClass::PluginRefused,
        what: "refused".into(),
        reason: format!("it serves {} {}: {because}", serves.table, serves.name),
        since_ms: None,
    })
}

/// What is stuck, degraded, out of sync, or warned of by what was seen last; each stream once.
fn troubles(board: &Board) -> Vec<TroubleView> {
    let said = board.statuses();
    // A delivery that is blocked is told as one that waits.
    let is_ours = |stream: &str| !stream.starts_with("delivery/");
    let is_blocked = |said: &StageStatus| said.status.phase == Phase::Blocked;
    let blocked = said.iter().filter(|(stream, said)| is_ours(stream) && is_blocked(said));
    let blocked = blocked.map(|(stream, said)| TroubleView {
        stream: stream.clone(),
        class: TroubleClass::Blocked,
        what: "blocked".into(),
        reason: said.status.message.clone(),
        since_ms: Some(said.since_ms),
    });
    let told = board.warnings().into_iter().map(|(stream, told)| TroubleView {
        stream,
        class: TroubleClass::Warning,
        what: "warning".into(),
        reason: told.reason,
        since_ms: Some(told.since_ms),
    });
    // What serves comes before whatever stands in the way of something else.
    let rollouts = board.rollouts();
    let mut all: Vec<TroubleView> =
        rollouts.iter().filter_map(|(stream, rollout)| unserved(stream, rollout, &said)).collect();
    let lacks = |stream: &str, all: &[TroubleView]| all.iter().any(|trouble| trouble.stream == stream);
    let blocked: Vec<TroubleView> = blocked.filter(|trouble| !lacks(&trouble.stream, &all)).collect();
    all.extend(blocked);
    let is_new = |stream: &str, all: &[TroubleView]| all.iter().all(|trouble| trouble.stream != stream);
    for (stream, rollout) in rollouts {
        if is_new(&stream, &all) {
            all.extend(rollout_trouble(&stream, &rollout, &said));
        }
    }
    for (stream, app) in board.apps() {
        if is_new(&stream, &all) {
            let trouble = app_trouble(&stream, &app, &said, &all);
            all.extend(trouble);
        }
    }
    all.extend(told);
    all
}

fn unserved(stream: &str, rollout: &RolloutView, said: &BTreeMap<String, StageStatus>) -> Option<TroubleView> {
    let lacking = rollout.lacking.as_ref()?;
    Some(TroubleView {
        stream: stream.into(),
        class: TroubleClass::Unserved,
        what: "too few pods".into(),
        reason: if rollout.message.starts_with(lacking) { rollout.message.clone() } else { lacking.clone() },
        since_ms: said.get(stream).map(|said| said.since_ms),
    })
}

fn rollout_trouble(stream: &str, rollout: &RolloutView, said: &BTreeMap<String, StageStatus>) -> Option<TroubleView> {
    if rollout.phase != "Degraded" {
        return None;
    }
    let said = said.get(stream);
    let reason = match said {
        _ if !rollout.message.is_empty() => rollout.message.clone(),
        Some(said) => said.status.message.clone(),
        None => "its controller gives no reason".into(),
    };
    let was_aborted =
        reason.contains("RolloutAborted") || rollout.actions.iter().any(|offered| offered.action == "retry");
    Some(TroubleView {
        stream: stream.into(),
        class: if was_aborted { TroubleClass::Aborted } else { TroubleClass::Degraded },
        what: if was_aborted { "aborted" } else { "Degraded" }.into(),
        reason,
        since_ms: said.map(|said| said.since_ms),
    })
}

/// What is wrong with an application, beyond what was told of its rollouts.
fn app_trouble(
    stream: &str,
    app: &AppView,
    said: &BTreeMap<String, StageStatus>,
    told: &[TroubleView],
) -> Option<TroubleView> {
    let (class, what, reason) = unreadable(app)
        .or_else(|| ill(app, told))
        .or_else(|| differing(app))
        .or_else(|| Some((TroubleClass::Warning, "warning".to_owned(), Some(app.warnings.first()?.clone()))))?;
    let said = said.get(stream);
    let reason = reason.or_else(|| said.map(|said| said.status.message.clone()));
    let reason = reason.unwrap_or_else(|| "no reason is known".into());
    Some(TroubleView { stream: stream.into(), class, what, reason, since_ms: said.map(|said| said.since_ms) })
}

/// A kind of trouble, its word, and its reason where the application has one.
type Found = (TroubleClass, String, Option<String>);

/// What cannot be compared now: its cause, and not what differed when it was compared last.
fn unreadable(app: &AppView) -> Option<Found> {
    let is_unknown = app.sync == "unknown";
    is_unknown.then(|| (TroubleClass::Unreadable, "cannot be read".to_owned(), app.warnings.first().cloned()))
}

fn ill(app: &AppView, told: &[TroubleView]) -> Option<Found> {
    let is_told = |resource: &ResourceView| {
        let rollout = Stream::rollout(&app.cluster, &resource.namespace, &resource.name);
        resource.kind == "Rollout" && told.iter().any(|trouble| trouble.stream == rollout.as_str())
    };
    if !matches!(app.health.as_str(), "Degraded" | "Missing" | "Unknown") {
        return None;
    }
    let mut all_ill = app.resources.iter().filter(|resource| resource.health == app.health).peekable();
    let names_none = all_ill.peek().is_none();
    let ill = all_ill.find(|resource| !is_told(resource));
    if ill.is_none() && !names_none {
        return None;
    }
    let reason = ill.map(|ill| match ill.message.as_str() {
        "" => format!("{}/{} is {}", ill.kind, ill.name, ill.health),
        message => format!("{}/{}: {message}", ill.kind, ill.name),
    });
    Some((TroubleClass::Degraded, app.health.clone(), reason))
}

fn differing(app: &AppView) -> Option<Found> {
    if app.sync == "synced" {
        return None;
    }
    let differ = app.resources.iter().filter(|resource| differs(&resource.sync));
    let differ: Vec<String> =
        differ.map(|resource| format!("{}/{} ({})", resource.kind, resource.name, resource.sync)).collect();
    let more = if differ.len() > 3 { format!(" and {} more", differ.len() - 3) } else { String::new() };
    let first = differ.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let reason = (!differ.is_empty()).then(|| format!("not as git says: {first}{more}"));
    Some((TroubleClass::Differs, app.sync.replace('-', " "), reason))
}

/// Whether a resource is not as git says.
pub(crate) fn differs(sync: &str) -> bool {
    matches!(sync, "out-of-sync" | "missing" | "extra")
}
