//! Tells GitHub how a commit fares.

use crate::drive::Trouble;
use crate::stages::run::Reporter;
use async_trait::async_trait;
use decide::run::{Event, EventKind, Opened, RunOutcome};
use forge::Forge;
use forge::status::{Cause, State, Status};
use std::sync::Arc;

/// Commit statuses, by the forge's own API.
pub struct CommitStatuses {
    forge: Arc<Forge>,
}

impl CommitStatuses {
    /// Reports to the GitHub that this adapter knows.
    pub fn new(forge: Arc<Forge>) -> CommitStatuses {
        CommitStatuses { forge }
    }
}

#[async_trait]
impl Reporter for CommitStatuses {
    async fn report(&self, run: &Opened, outcome: Option<RunOutcome>, text: &str, url: &str) -> Result<(), Trouble> {
        let state = match outcome {
            None => State::Pending,
            Some(RunOutcome::Succeeded) => State::Success,
            Some(RunOutcome::Failed) => State::Failure,
            Some(RunOutcome::Cancelled | RunOutcome::Superseded) => State::Error,
        };
        let status = Status {
            repository: run.repository.clone(),
            sha: run.commit.sha.clone(),
            pipeline: run.pipeline.name.clone(),
            cause: cause(&run.event),
            state,
            description: text.to_owned(),
            target_url: if url.starts_with('/') { String::new() } else { url.to_owned() },
        };
        match self.forge.statuses().post(&status).await {
            Ok(_) => Ok(()),
            Err(error) if error.retry.may_pass() => Err(error.into()),
            // What is wrong with the status itself stays wrong; the run goes on.
            Err(error) => {
                tracing::warn!(run = run.id, %error, "the commit status was refused");
                Ok(())
            }
        }
    }
}

fn cause(event: &Event) -> Cause {
    match &event.pull_request {
        Some(asked) => {
            let into = asked.base.strip_prefix("refs/heads/").unwrap_or(&asked.base).to_owned();
            Cause::PullRequest { into }
        }
        // One of which nothing is known is no push's all the same.
        None if event.kind == EventKind::PullRequest => Cause::PullRequest { into: "an unknown branch".into() },
        None if event.kind == EventKind::Manual => Cause::Person,
        None => Cause::Commit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode, routing::post};
    use decide::retry::Retry;

    /// What becomes of a report that the forge answers with this.
    async fn reported(code: StatusCode) -> Result<(), Trouble> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/repos/user/petclinic/statuses/{sha}", post(move || async move { code }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let directory = tempfile::tempdir().unwrap();
        let status = Some(forge::status::Settings { api_url, token: "hush".into() });
        let settings = forge::Settings { status, ..forge::Settings::default() };
        let forge = Forge::new(settings, directory.path().join("git")).unwrap();
        let run = Opened {
            id: "user/petclinic/was/1".into(),
            number: 1,
            repository: "user/petclinic".into(),
            pipeline_file: ".bespin/was.yaml".into(),
            pipeline: pipeline::Pipeline::default(),
            event: Event::default(),
            commit: decide::run::Commit { sha: "a".repeat(40), ..decide::run::Commit::default() },
            title: "Fix it".into(),
            mistakes: Vec::new(),
            retry_of: None,
        };
        CommitStatuses::new(forge).report(&run, Some(RunOutcome::Succeeded), "it is out", "/runs/1").await
    }

    #[tokio::test]
    async fn a_token_without_the_right_is_trouble_and_a_status_that_is_wrong_is_none() {
        for code in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
            assert_eq!(reported(code).await.map_err(|trouble| trouble.retry), Err(Retry::NeedsPerson), "{code}");
        }
        for code in [StatusCode::CREATED, StatusCode::UNPROCESSABLE_ENTITY] {
            assert_eq!(reported(code).await, Ok(()), "{code}");
        }
    }
}
