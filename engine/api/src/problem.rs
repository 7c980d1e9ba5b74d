//! An error as the dashboard shows it: what was tried, what came back, what to do.

use crate::views::ProblemView;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

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
        let view = ProblemView { tried: tried.into(), got: got.into(), help: help.into() };
        Problem { status, retry_after_s: None, view }
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
