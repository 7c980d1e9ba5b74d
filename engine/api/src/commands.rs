//! What a person may cause. The server implements it; each command is an entry, appended by that person.

use async_trait::async_trait;
use decide::by::By;
use decide::run::{Answer, Unfit};
use decide::stream::Stream;

/// What a person may cause by a button, or at the control socket.
#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// Opens a new run like this one, and returns its id.
    async fn retry_run(&self, run: &str, by: By) -> Result<String, NotTaken>;
    /// Asks a run to end early.
    async fn cancel_run(&self, run: &str, by: By) -> Result<(), NotTaken>;
    /// Answers a step that asks before it starts; recorded once, however often it is given.
    async fn answer(&self, run: &str, step: &str, answer: Answer, by: By) -> Result<(), NotTaken>;
    /// Does one of the actions that the rollout's view offers, on its stream `rollout/...`.
    async fn rollout_action(&self, stream: &str, action: &str, by: By) -> Result<(), NotTaken>;
    /// Syncs an application now, by its stream `app/...`.
    async fn sync_app(&self, stream: &str, by: By) -> Result<(), NotTaken>;
    /// The one application that a name means: `name`, `namespace/name` or `cluster/namespace/name`.
    async fn app_named(&self, name: &str) -> Result<Stream, NotTaken>;
    /// Asks for an application to be taken over from the controller that owns it. The board says when it is `owned`.
    async fn take_app(&self, stream: &Stream, by: By) -> Result<(), NotTaken>;
    /// Asks for an application to be given back. The board says when it is `observed`.
    async fn give_app(&self, stream: &Stream, by: By) -> Result<(), NotTaken>;
}

/// Why a command was not taken, as a sentence; nothing was recorded then. The API answers each kind with a status.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The journal holds no such run.
    #[error("the journal holds no run of this id")]
    NoRun,
    /// No cluster of this server has such an object; which one, as a sentence.
    #[error("{0}")]
    NoObject(String),
    /// An answer does not fit what the run waits for.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It cannot be done as things stand: why, and what helps.
    #[error("{0}")]
    Refused(String),
    /// The journal could not be read, or did not take it.
    #[error(transparent)]
    Journal(#[from] journal::AppendError),
}

impl From<journal::Error> for NotTaken {
    fn from(error: journal::Error) -> NotTaken {
        NotTaken::Journal(error.into())
    }
}
