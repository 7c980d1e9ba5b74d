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
            Err(error) if error.transient => Err(error.into()),
            // A refusal stays a refusal; the run itself goes on.
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
        None => Cause::Commit,
    }
}
