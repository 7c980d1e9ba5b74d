//! The one answer shape of every stage.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. The clock is always an argument.
pub type Timestamp = u64;

/// What a stage should do now, and when it should look again.
///
/// The driver appends `record` to the journal *before* it performs `acts`, so
/// a crash in between leaves a promise that the next look can see.
#[must_use = "a decision that nobody carries out is lost"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next<Entry, Act> {
    /// What to write down, in order.
    pub record: Vec<Entry>,
    /// What to do once it is written. Each act is absolute and repeatable.
    pub acts: Vec<Act>,
    /// When to look again if nothing changes first.
    pub wake: Wake,
    /// Where the stage stands, for the person watching.
    pub status: Status,
}

/// When a stage wants to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// As soon as the entries are recorded and the acts are done.
    Now,
    /// At this time, even if nothing happens before.
    At(Timestamp),
    /// Only when something that it observes changes.
    OnChange,
    /// Never again: this stream is finished.
    Never,
}

/// Where a stage stands right now. Published, never journaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether it acts, waits, needs a person, or is done.
    pub phase: Phase,
    /// One sentence for a person, without a full stop at its end.
    pub message: String,
}

/// The phase of a stage's [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The stage is acting, or will at once.
    Progressing,
    /// It waits for something that is expected to come by itself.
    Waiting,
    /// It cannot go on without a person: an impossible or refused state.
    Blocked,
    /// It is where it should be.
    Done,
}

impl<Entry, Act> Next<Entry, Act> {
    /// Nothing to record and nothing to do until `wake`.
    pub fn waiting(wake: Wake, message: impl Into<String>) -> Self {
        Self::with(Phase::Waiting, wake, message)
    }

    /// It acts: add `record` and `acts` by struct update.
    pub fn progressing(wake: Wake, message: impl Into<String>) -> Self {
        Self::with(Phase::Progressing, wake, message)
    }

    /// It cannot go on without a person, and looks again when something changes.
    pub fn blocked(message: impl Into<String>) -> Self {
        Self::with(Phase::Blocked, Wake::OnChange, message)
    }

    /// Everything is as it should be.
    pub fn done(wake: Wake, message: impl Into<String>) -> Self {
        Self::with(Phase::Done, wake, message)
    }

    fn with(phase: Phase, wake: Wake, message: impl Into<String>) -> Self {
        let status = Status { phase, message: message.into() };
        Next { record: Vec::new(), acts: Vec::new(), wake, status }
    }
}
