//! What a person may cause. The server implements it; each command is an entry, appended by that person.

use async_trait::async_trait;
use decide::by::By;
use decide::run::{Answer, Unfit};
use decide::stream::Stream;

/// What a person may cause by a button, or at the control socket. Each answers with a sentence when it cannot be done.
#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// Opens a new run like this one, and returns its id.
    async fn retry_run(&self, run: &str, by: By) -> Result<String, String>;
    /// Asks a run to end early.
    async fn cancel_run(&self, run: &str, by: By) -> Result<(), String>;
    /// Answers a step that asks before it starts; recorded once, however often it is given.
    async fn answer(&self, run: &str, step: &str, answer: Answer, by: By) -> Result<(), NotTaken>;
    /// Does one of the actions that the rollout's view offers, on its stream `rollout/...`.
    async fn rollout_action(&self, stream: &str, action: &str, by: By) -> Result<(), String>;
    /// Syncs an application now, by its stream `app/...`.
    async fn sync_app(&self, stream: &str, by: By) -> Result<(), String>;
    /// Asks for an application to be taken over from the controller that owns it. The board says when it is `owned`.
    async fn take_app(&self, stream: &Stream, by: By) -> Result<(), String>;
    /// Asks for an application to be given back. The board says when it is `observed`.
    async fn give_app(&self, stream: &Stream, by: By) -> Result<(), String>;
}

/// Why an answer to a step's question was not taken; nothing was recorded then.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The journal holds no such run.
    #[error("the journal holds no run of this id")]
    NoRun,
    /// It does not fit what the run waits for.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The journal did not take it.
    #[error(transparent)]
    Journal(#[from] journal::AppendError),
}
