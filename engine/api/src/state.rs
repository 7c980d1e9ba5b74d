//! What the routes share.

use crate::board::Board;
use crate::commands::Commands;
use crate::index::RunIndex;
use crate::login::Login;
use crate::reading::{LogReader, PluginReader};
use journal::Journal;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The parts of the server, as the routes reach them.
#[derive(Clone)]
pub struct ApiState {
    /// Read only: what people cause goes through `commands`.
    pub(crate) journal: Journal,
    pub(crate) board: Arc<Board>,
    pub(crate) logs: Arc<dyn LogReader>,
    pub(crate) login: Arc<Login>,
    pub(crate) commands: Arc<dyn Commands>,
    pub(crate) stop: CancellationToken,
    pub(crate) index: Arc<RunIndex>,
    pub(crate) plugins: Option<Arc<dyn PluginReader>>,
}

impl ApiState {
    /// Binds the API to the parts of the server. Streams of events end at `stop`.
    pub fn new(
        journal: Journal,
        board: Arc<Board>,
        logs: Arc<dyn LogReader>,
        login: Arc<Login>,
        commands: Arc<dyn Commands>,
        stop: CancellationToken,
    ) -> ApiState {
        ApiState { journal, board, logs, login, commands, stop, index: Arc::default(), plugins: None }
    }

    /// Shows the server's plugins as well.
    #[must_use]
    pub fn showing(self, plugins: Arc<dyn PluginReader>) -> ApiState {
        ApiState { plugins: Some(plugins), ..self }
    }

    /// Forgets runs, by id, that the journal has forgotten.
    pub async fn forget(&self, runs: &BTreeSet<String>) {
        self.index.forget(runs).await;
    }
}
