//! Runs that a person starts: what there is to start, and the start.

use crate::commands::StartRun;
use crate::guard::{Operator, Viewer};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views::{StartableView, StartedView};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use serde::Deserialize;

/// Which repository, and where in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartableAt {
    repository: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

pub(crate) async fn startable(
    State(state): State<ApiState>,
    _: Viewer,
    Query(at): Query<StartableAt>,
) -> Result<Json<StartableView>, Problem> {
    let found = state.commands.startable(at.repository.as_deref(), at.reference.as_deref()).await;
    found.map(Json).map_err(|got| Problem::not_taken("listing what can be started", got))
}

pub(crate) async fn start(
    State(state): State<ApiState>,
    Operator(person): Operator,
    asked: Result<Json<StartRun>, JsonRejection>,
) -> Result<Json<StartedView>, Problem> {
    let Json(asked) = asked.map_err(|error| {
        let help = "send JSON with `file`, and with `repository`, `ref`, `inputs` and `key` where they are needed";
        Problem::new(error.status(), "starting a run", error.body_text(), help)
    })?;
    let tried = format!("starting a run of `{}`", asked.file);
    let run = state.commands.start_run(asked, person.by()).await;
    Ok(Json(StartedView { run: run.map_err(|got| Problem::not_taken(tried, got))? }))
}
