//! A person's answer to a step that asks before it starts.

use crate::guard::Operator;
use crate::login::Session;
use crate::problem::Problem;
use crate::runs::RunPath;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use decide::run::Answer;
use serde::Deserialize;

/// The parts of a step's address.
#[derive(Deserialize)]
pub(crate) struct StepPath {
    #[serde(flatten)]
    run: RunPath,
    step: String,
}

pub(crate) async fn approve(
    State(state): State<ApiState>,
    Operator(person): Operator,
    Path(path): Path<StepPath>,
) -> Result<StatusCode, Problem> {
    say(&state, &path, &person, Answer::Approved).await
}

pub(crate) async fn refuse(
    State(state): State<ApiState>,
    Operator(person): Operator,
    Path(path): Path<StepPath>,
) -> Result<StatusCode, Problem> {
    say(&state, &path, &person, Answer::Refused).await
}

async fn say(state: &ApiState, path: &StepPath, person: &Session, said: Answer) -> Result<StatusCode, Problem> {
    let (run, step) = (path.run.id(), path.step.as_str());
    let done = state.commands.answer(&run, step, said, person.by()).await;
    done.map_err(|not_taken| {
        let verb = if said == Answer::Approved { "approving" } else { "refusing" };
        Problem::not_taken(format!("{verb} the step `{step}` of the run `{run}`"), not_taken)
    })?;
    Ok(StatusCode::NO_CONTENT)
}
