//! What a person may cause. The server implements it; each command is an entry, appended by that person.

use crate::views::StartableView;
use async_trait::async_trait;
use decide::by::By;
use decide::delivery::StartRefusal;
use decide::run::{Answer, Unfit};
use decide::stream::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a person may cause by a button, or at the control socket.
#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// What can be started by hand, in all repositories or in one, at a branch or tag or at the default branch.
    async fn startable(&self, repository: Option<&str>, reference: Option<&str>) -> Result<StartableView, NotTaken>;
    /// Opens a run at the commit where the reference stands now, and returns its id. The same key opens nothing twice.
    async fn start_run(&self, asked: StartRun, by: By) -> Result<String, NotTaken>;
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

/// What a person asks for who starts a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// The repository as `owner/repo`; may be absent where there is one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The pipeline file: its path, or its name in `.bespin`.
    pub file: String,
    /// A branch or a tag, by its short or its full name; the default branch where it is absent.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The inputs by name; texts stand for truths and numbers as well.
    #[serde(default)]
    pub inputs: BTreeMap<String, Value>,
    /// What the client calls this start, so that it may ask again where an answer was lost; absent, it is a start of
    /// its own each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
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
    /// A run cannot be started: everything that is wrong with what was asked for.
    #[error("{}", told(.0))]
    NotStarted(Vec<StartRefusal>),
    /// It cannot be told now, and may be later: what could not be asked.
    #[error("{0}")]
    Unavailable(String),
    /// The journal could not be read, or did not take it.
    #[error(transparent)]
    Journal(#[from] journal::AppendError),
}

fn told(refused: &[StartRefusal]) -> String {
    refused.iter().map(|one| format!("{}\n  help: {}", one.message, one.help)).collect::<Vec<_>>().join("\n")
}

impl From<journal::Error> for NotTaken {
    fn from(error: journal::Error) -> NotTaken {
        NotTaken::Journal(error.into())
    }
}
