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
    /// The sentence for the person watching.
    pub because: Because,
}

/// When a stage wants to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// As soon as the entries are recorded and the acts are done.
    Now,
    /// At this time, even if nothing happens before.
    At(Timestamp),
    /// Only when something is seen to change.
    OnChange,
    /// Never again: this stream is finished.
    Never,
}

/// Why a stage does what it does right now. Shown, never journaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// What kind of moment this is.
    pub mood: Mood,
    /// One sentence for a person, without a full stop at its end.
    pub text: String,
}

/// What kind of moment a [`Because`] describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mood {
    /// It is acting.
    Moving,
    /// It waits for something that is expected to come by itself.
    Waiting,
    /// It cannot go on without a person; an impossible or refused state.
    Stuck,
    /// It is where it should be.
    Done,
}

impl<Entry, Act> Next<Entry, Act> {
    /// Waits: nothing to write and nothing to do until `wake`.
    pub fn hold(wake: Wake, because: impl Into<String>) -> Self {
        Self::with(Mood::Waiting, wake, because)
    }

    /// Acts; add `record` and `acts` by struct update.
    pub fn moving(wake: Wake, because: impl Into<String>) -> Self {
        Self::with(Mood::Moving, wake, because)
    }

    /// Cannot go on without a person. It looks again when something changes.
    pub fn stuck(because: impl Into<String>) -> Self {
        Self::with(Mood::Stuck, Wake::OnChange, because)
    }

    /// Everything is as it should be.
    pub fn done(wake: Wake, because: impl Into<String>) -> Self {
        Self::with(Mood::Done, wake, because)
    }

    fn with(mood: Mood, wake: Wake, because: impl Into<String>) -> Self {
        let because = Because { mood, text: because.into() };
        Next { record: Vec::new(), acts: Vec::new(), wake, because }
    }
}
