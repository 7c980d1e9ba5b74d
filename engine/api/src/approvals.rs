//! A person's answer to a step that asks before it starts.

use crate::commands::NotTaken;
use crate::guard::Operator;
use crate::login::Session;
use crate::problem::Problem;
use crate::runs::RunPath;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use decide::run::{Answer, Unfit};
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
        problem(format!("{verb} the step `{step}` of the run `{run}`"), not_taken)
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn problem(tried: String, not_taken: NotTaken) -> Problem {
    let got = not_taken.to_string();
    match not_taken {
        NotTaken::NoRun | NotTaken::Unfit(Unfit::NoStep(_) | Unfit::NoApproval(_)) => Problem::missing(tried, got),
        NotTaken::Unfit(Unfit::NotYours { .. }) => {
            let help = "ask one of them; the step's `approval` in the pipeline file says whose answer it takes";
            Problem::new(StatusCode::FORBIDDEN, tried, got, help)
        }
        NotTaken::Unfit(_) => Problem::refused(tried, got),
        NotTaken::Journal(_) => {
            let help = "try again; look at the server's own log if it stays so";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, tried, got, help)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    #[test]
    fn each_answer_that_is_not_taken_has_its_status() {
        let step = || "sync".to_owned();
        for (not_taken, status) in [
            (NotTaken::NoRun, StatusCode::NOT_FOUND),
            (Unfit::NoStep(step()).into(), StatusCode::NOT_FOUND),
            (Unfit::NoApproval(step()).into(), StatusCode::NOT_FOUND),
            (Unfit::NotYours { step: step(), who: "bob".into() }.into(), StatusCode::FORBIDDEN),
            (Unfit::Over(step()).into(), StatusCode::CONFLICT),
            (journal::AppendError::Full("no space left".into()).into(), StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let said = not_taken.to_string();
            assert_eq!(problem("approving".into(), not_taken).into_response().status(), status, "{said}");
        }
    }
}
