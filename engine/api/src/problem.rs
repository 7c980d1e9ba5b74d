//! An error as the dashboard shows it: what was tried, what came back, what to do.

use crate::commands::NotTaken;
use crate::views::{FieldView, ProblemView};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use decide::delivery::StartRefusal;
use decide::run::Unfit;

#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    retry_after_s: Option<u64>,
    view: ProblemView,
}

impl Problem {
    /// An answer with this status.
    pub(crate) fn new(
        status: StatusCode,
        tried: impl Into<String>,
        got: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        let view = ProblemView { tried: tried.into(), got: got.into(), help: help.into(), fields: Vec::new() };
        Problem { status, retry_after_s: None, view }
    }

    /// The status that the problem is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Nobody is logged in.
    pub(crate) fn nobody() -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "reading the dashboard", "nobody is logged in here", "log in")
    }

    /// There is no such thing.
    pub(crate) fn missing(tried: impl Into<String>, got: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, tried, got, "go back to the list; it may have been removed")
    }

    /// The journal could not be read.
    pub(crate) fn journal(tried: impl Into<String>, error: journal::Error) -> Problem {
        let help = "look at the server's own log; `bespin journal verify` checks the store";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, tried, error.to_string(), help)
    }

    /// An action was refused.
    pub(crate) fn refused(tried: impl Into<String>, got: impl Into<String>) -> Problem {
        let help = "look at the page again: the world may have moved on";
        Problem::new(StatusCode::CONFLICT, tried, got, help)
    }

    /// A command that was not taken.
    pub(crate) fn not_taken(tried: impl Into<String>, not_taken: NotTaken) -> Problem {
        let got = not_taken.to_string();
        match not_taken {
            NotTaken::NotStarted(refused) => Problem::fields(tried, refused),
            NotTaken::Unavailable(_) => {
                let help = "try again; the home page says what cannot be reached";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, tried, got, help).retry_after(10)
            }
            NotTaken::NoRun | NotTaken::NoObject(_) | NotTaken::Unfit(Unfit::NoStep(_) | Unfit::NoApproval(_)) => {
                Problem::missing(tried, got)
            }
            NotTaken::Unfit(Unfit::NotYours { .. }) => {
                let help = "ask one of them; the step's `approval` in the pipeline file says whose answer it takes";
                Problem::new(StatusCode::FORBIDDEN, tried, got, help)
            }
            NotTaken::Unfit(_) | NotTaken::Refused(_) => Problem::refused(tried, got),
            NotTaken::Journal(_) => {
                let help = "try again; look at the server's own log if it stays so";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, tried, got, help)
            }
        }
    }

    /// What was asked for has mistakes, each at its field.
    fn fields(tried: impl Into<String>, refused: Vec<StartRefusal>) -> Problem {
        let texts = |of: fn(&StartRefusal) -> &String| refused.iter().map(of).cloned().collect::<Vec<_>>().join("; ");
        let (got, help) = (texts(|one| &one.message), texts(|one| &one.help));
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, tried, got, help);
        let field = |one: StartRefusal| FieldView { field: one.field, message: one.message, help: one.help };
        problem.view.fields = refused.into_iter().map(field).collect();
        problem
    }

    /// Says when to come back, in seconds.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.view)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_that_is_not_taken_has_its_status() {
        let step = || "sync".to_owned();
        for (not_taken, status) in [
            (NotTaken::NoRun, StatusCode::NOT_FOUND),
            (NotTaken::NoObject("there is no such application".into()), StatusCode::NOT_FOUND),
            (Unfit::NoStep(step()).into(), StatusCode::NOT_FOUND),
            (Unfit::NoApproval(step()).into(), StatusCode::NOT_FOUND),
            (Unfit::NotYours { step: step(), who: "bob".into() }.into(), StatusCode::FORBIDDEN),
            (Unfit::Over(step()).into(), StatusCode::CONFLICT),
            (NotTaken::Refused("the run has ended already".into()), StatusCode::CONFLICT),
            (NotTaken::NotStarted(Vec::new()), StatusCode::UNPROCESSABLE_ENTITY),
            (NotTaken::Unavailable("git is away".into()), StatusCode::SERVICE_UNAVAILABLE),
            (journal::AppendError::Full("no space left".into()).into(), StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let said = not_taken.to_string();
            assert_eq!(Problem::not_taken("approving", not_taken).into_response().status(), status, "{said}");
        }
    }
}
