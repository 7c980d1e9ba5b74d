//! Applications and rollouts: as last seen, what their stages say, and what a
//! person may do.

use crate::guard::{Operator, Viewer};
use crate::home::differs;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views::{AppPage, AppSummary, EntryView, RolloutPage, RolloutSummary, StatusView};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use decide::stream::Stream;
use serde::Deserialize;

/// How many of a stage's newest entries its page shows.
const LATELY: usize = 200;

/// The parts of a stage's stream in an address.
#[derive(Deserialize)]
pub(crate) struct StagePath {
    cluster: String,
    namespace: String,
    name: String,
}

impl StagePath {
    fn stream(&self, of: fn(&str, &str, &str) -> Stream) -> String {
        of(&self.cluster, &self.namespace, &self.name).into()
    }
}

/// The parts of an action's address.
#[derive(Deserialize)]
pub(crate) struct ActionPath {
    #[serde(flatten)]
    rollout: StagePath,
    action: String,
}

pub(crate) async fn apps(State(state): State<ApiState>, _: Viewer) -> Json<Vec<AppSummary>> {
    let apps = state.board.apps().into_iter().map(|(stream, app)| AppSummary {
        status: status(&state, &stream),
        stream,
        name: app.name,
        cluster: app.cluster,
        source: format!("{} at {}", app.repo, app.path),
        revision: app.revision,
        sync: app.sync,
        health: app.health,
        ownership: app.ownership,
        resources: app.resources.len(),
        differing: app.resources.iter().filter(|resource| differs(&resource.sync)).count(),
    });
    Json(apps.collect())
}

pub(crate) async fn app(
    State(state): State<ApiState>,
    _: Viewer,
    Path(path): Path<StagePath>,
) -> Result<Json<AppPage>, Problem> {
    let stream = path.stream(Stream::app);
    let app = state.board.apps().remove(&stream);
    let journal = journal(&state, &stream).await?;
    let app = app.ok_or_else(|| absent(&stream, &journal))?;
    Ok(Json(AppPage { status: status(&state, &stream), stream, app, journal }))
}

pub(crate) async fn rollouts(State(state): State<ApiState>, _: Viewer) -> Json<Vec<RolloutSummary>> {
    let rollouts = state.board.rollouts().into_iter().map(|(stream, rollout)| RolloutSummary {
        status: status(&state, &stream),
        stream,
        name: rollout.name,
        cluster: rollout.cluster,
        phase: rollout.phase,
        ownership: rollout.ownership,
        at: rollout.at,
        steps: rollout.steps.len(),
        asked: rollout.asked,
        served: rollout.served,
        canary_image: rollout.canary_image,
        stable_image: rollout.stable_image,
    });
    Json(rollouts.collect())
}

pub(crate) async fn rollout(
    State(state): State<ApiState>,
    _: Viewer,
    Path(path): Path<StagePath>,
) -> Result<Json<RolloutPage>, Problem> {
    let stream = path.stream(Stream::rollout);
    let rollout = state.board.rollouts().remove(&stream);
    let journal = journal(&state, &stream).await?;
    let rollout = rollout.ok_or_else(|| absent(&stream, &journal))?;
    Ok(Json(RolloutPage { status: status(&state, &stream), stream, rollout, journal }))
}

pub(crate) async fn sync(
    State(state): State<ApiState>,
    Operator(person): Operator,
    Path(path): Path<StagePath>,
) -> Result<StatusCode, Problem> {
    let stream = path.stream(Stream::app);
    let done = state.commands.sync_app(&stream, person.by()).await;
    done.map_err(|got| Problem::not_taken(format!("syncing `{stream}`"), got))?;
    Ok(StatusCode::ACCEPTED)
}

/// Does an action that may be done to the rollout at this moment, and no other: the server asks the journal and the
/// cluster, not what the board shows.
pub(crate) async fn act(
    State(state): State<ApiState>,
    Operator(person): Operator,
    Path(ActionPath { rollout, action }): Path<ActionPath>,
) -> Result<StatusCode, Problem> {
    let stream = rollout.stream(Stream::rollout);
    let done = state.commands.rollout_action(&stream, &action, person.by()).await;
    done.map_err(|got| Problem::not_taken(format!("`{action}` on `{stream}`"), got))?;
    Ok(StatusCode::ACCEPTED)
}

fn status(state: &ApiState, stream: &str) -> Option<StatusView> {
    state.board.status(stream).map(StatusView::from)
}

async fn journal(state: &ApiState, stream: &str) -> Result<Vec<EntryView>, Problem> {
    let entries = state.journal.read(stream).await;
    let entries = entries.map_err(|error| Problem::journal(format!("reading `{stream}`"), error))?;
    // A summary says nothing that is not shown already.
    let told: Vec<_> = entries.into_iter().filter(|entry| entry.kind != "summarized").collect();
    let skip = told.len().saturating_sub(LATELY);
    Ok(told.into_iter().skip(skip).map(EntryView::from).collect())
}

/// What is not on the board is not there, or was not looked at since the start.
fn absent(stream: &str, journal: &[EntryView]) -> Problem {
    let tried = format!("reading `{stream}`");
    if journal.is_empty() {
        return Problem::missing(tried, "no such object was seen in the clusters of this server");
    }
    let got = "it was not seen in its cluster since the server started";
    let help = "wait a moment, and this page shows it; look at the cluster if it does not";
    Problem::new(StatusCode::NOT_FOUND, tried, got, help)
}
