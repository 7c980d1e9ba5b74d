//! What the dashboard reads beside the journal and the board. The server implements it.

use crate::views::{Line, PluginView, RowView};
use async_trait::async_trait;
use decide::run::State as RunState;
use pipeline::Step;

/// Which log: the attempt of a step of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogPlace {
    /// The run's id, such as `user/petclinic/petclinic-was/56`.
    pub run: String,
    /// The step's id in the pipeline file.
    pub step: String,
    /// The attempt, from 1.
    pub attempt: u32,
}

impl LogPlace {
    /// Names a log. Nothing is checked until it is opened.
    pub fn new(run: &str, step: &str, attempt: u32) -> LogPlace {
        LogPlace { run: run.to_owned(), step: step.to_owned(), attempt }
    }
}

/// The logs of steps.
pub trait LogReader: Send + Sync + 'static {
    /// Reads a log from line `from` (1 is the first), live.
    ///
    /// # Errors
    /// When the log cannot be read, or the place names none. A log without lines is no error: it may begin later.
    fn follow(&self, place: &LogPlace, from: u64) -> std::io::Result<Box<dyn LogCursor>>;
}

/// A place in a log, which moves forward as it is read.
#[async_trait]
pub trait LogCursor: Send + 'static {
    /// The next lines, at most `limit`, waiting until there is one; `None` when the log has ended and is read to its
    /// end. A call that is dropped loses no line.
    ///
    /// # Errors
    /// When the log cannot be read.
    async fn next(&mut self, limit: usize) -> std::io::Result<Option<Vec<Line>>>;
    /// The lines that are there already, at most `limit`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn ready(&mut self, limit: usize) -> std::io::Result<Vec<Line>>;
}

/// The plugins of the server, and the policy that gives them permissions.
pub trait PluginReader: Send + Sync + 'static {
    /// Those that are ready, and those that the server's own stages use. None says yet where runs used it.
    fn plugins(&self) -> Vec<PluginView>;
    /// The rows of the policy that give the plugin of a step something that the step grants, some of them once it is
    /// approved; none for a plugin that is not ready.
    fn rows(&self, run: &RunState, step: &Step) -> Vec<RowView>;
}
