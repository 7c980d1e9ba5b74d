//! How far a template is on its way through the steps.

use super::alert::Alert;
use super::intent::Start;
use crate::next::Timestamp;
use serde::{Deserialize, Serialize};

/// One template's way through the steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// The hash of the template that is rolled out.
    pub hash: String,
    /// The images of the template's containers.
    pub images: Vec<String>,
    /// The hash of the steps that it follows.
    pub steps_hash: String,
    /// How many steps there are.
    pub steps: usize,
    /// Whether it goes through its steps from the first, or at once to the end.
    pub start: Start,
    /// The current step's index; the number of steps when all are done.
    pub at: usize,
    /// Since when it is at this step, or its progress deadline began anew.
    pub since: Timestamp,
    /// Since when the current step's pause lasts.
    pub paused_since: Option<Timestamp>,
    /// How much of the current step's pause was over when it was broken last, in ms.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub paused_ms: u64,
    /// The highest weight whose pods were there.
    pub reached: u32,
    /// Whether it goes on, or how it ended.
    pub state: ProgressState,
    /// The Rollout's generation as it began, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Since when it goes through its steps: its begin, or the last retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// The alert that holds it, until a person goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Alert>,
    /// Since when that one holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_at: Option<Timestamp>,
    /// The alerts that have acted on it since; each does once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
}

/// How far a template is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum ProgressState {
    /// It goes through its steps.
    Underway,
    /// Gone back to the stable version.
    Aborted {
        /// Why it was aborted, as a sentence.
        because: String,
        /// When it was aborted, in ms since the epoch.
        at: Timestamp,
    },
    /// It is the stable version now.
    Promoted,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_nothing(ms: &u64) -> bool {
    *ms == 0
}

impl Progress {
    /// Whether it takes its steps, or could.
    pub(super) fn is_in_steps(&self) -> bool {
        self.state == ProgressState::Underway && self.start == Start::Steps
    }

    /// Goes on to the next step, at this moment.
    pub(super) fn next(&mut self, at: Timestamp) {
        self.at = (self.at + 1).min(self.steps);
        self.since = at;
        self.paused_since = None;
        self.paused_ms = 0;
    }

    /// An alert holds it no longer.
    pub(super) fn release(&mut self) {
        self.held_by = None;
        self.held_at = None;
    }

    /// Since when the current pause would last, had it never been broken.
    pub(super) fn paused_from(&self) -> Option<Timestamp> {
        self.paused_since.map(|since| since.saturating_sub(self.paused_ms))
    }
}
