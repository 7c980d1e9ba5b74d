//! Home: is anything wrong, and what is moving?

use crate::board::Board;
use crate::guard::Viewer;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views::{AppView, HomeView, ResourceView, RolloutView, StageStatus, TroubleView};
use axum::Json;
use axum::extract::State;
use decide::next::Phase;
use decide::stream::Stream;
use std::collections::BTreeMap;

/// How many ended runs Home shows.
const LATELY: usize = 10;

pub(crate) async fn home(State(state): State<ApiState>, _: Viewer) -> Result<Json<HomeView>, Problem> {
    let board = &*state.board;
    let known = state.index.known(&state.journal, board).await;
    let known = known.map_err(|error| Problem::journal("listing the runs", error))?;
    let runs = known.open.len() + known.ended.len();
    let ended = known.ended.into_iter().take(LATELY).collect();
    let (apps, rollouts) = (board.apps().len(), board.rollouts().len());
    Ok(Json(HomeView { corridors: known.open, troubles: troubles(board), ended, apps, rollouts, runs }))
}

/// What is stuck, degraded, out of sync, or warned of; each stream once, the worst first.
fn troubles(board: &Board) -> Vec<TroubleView> {
    let said = board.statuses();
    let blocked =
        said.iter().filter(|(_, said)| said.status.phase == Phase::Blocked).map(|(stream, said)| TroubleView {
            stream: stream.clone(),
            what: "blocked".into(),
            reason: said.status.message.clone(),
            since_ms: Some(said.since_ms),
        });
    let told = board.warnings().into_iter().map(|(stream, told)| TroubleView {
        stream,
        what: "warning".into(),
        reason: told.reason,
        since_ms: Some(told.since_ms),
    });
    let mut all: Vec<TroubleView> = blocked.collect();
    let is_new = |stream: &str, all: &[TroubleView]| all.iter().all(|trouble| trouble.stream != stream);
    for (stream, rollout) in board.rollouts() {
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
    Some(TroubleView {
        stream: stream.into(),
        what: "Degraded".into(),
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
    let is_told = |resource: &ResourceView| {
        let rollout = Stream::rollout(&app.cluster, &resource.namespace, &resource.name);
        resource.kind == "Rollout" && told.iter().any(|trouble| trouble.stream == rollout.as_str())
    };
    let mut all_ill = app.resources.iter().filter(|resource| resource.health == app.health).peekable();
    let is_ill = matches!(app.health.as_str(), "Degraded" | "Missing" | "Unknown");
    let is_news = all_ill.peek().is_none() || all_ill.clone().any(|resource| !is_told(resource));
    let (what, reason) = if is_ill && is_news {
        let ill = all_ill.find(|resource| !is_told(resource));
        let reason = ill.map(|ill| match ill.message.as_str() {
            "" => format!("{}/{} is {}", ill.kind, ill.name, ill.health),
            message => format!("{}/{}: {message}", ill.kind, ill.name),
        });
        (app.health.clone(), reason)
    } else if app.sync != "synced" {
        let differ: Vec<String> = app
            .resources
            .iter()
            .filter(|resource| differs(&resource.sync))
            .map(|resource| format!("{}/{} ({})", resource.kind, resource.name, resource.sync))
            .collect();
        let more = if differ.len() > 3 { format!(" and {} more", differ.len() - 3) } else { String::new() };
        let first = differ.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let reason = (!differ.is_empty()).then(|| format!("not as git says: {first}{more}"));
        (app.sync.replace('-', " "), reason)
    } else {
        ("warning".to_owned(), Some(app.warnings.first()?.clone()))
    };
    let said = said.get(stream);
    let reason = reason.or_else(|| said.map(|said| said.status.message.clone()));
    let reason = reason.unwrap_or_else(|| "no reason is known".into());
    Some(TroubleView { stream: stream.into(), what, reason, since_ms: said.map(|said| said.since_ms) })
}

/// Whether a resource is not as git says.
pub(crate) fn differs(sync: &str) -> bool {
    matches!(sync, "out-of-sync" | "missing" | "extra")
}
