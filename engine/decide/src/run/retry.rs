//! Whether and when a step of a run is tried again.

use super::entry::Outcome;
use super::state::{State, Status};
use crate::next::Timestamp;
use pipeline::Step;

/// The first wait before a retry, in ms; it doubles with each failure.
const RETRY_FIRST_MS: u64 = 2_000;
/// The longest wait before a retry, in ms.
const RETRY_MOST_MS: u64 = 60_000;

impl State {
    /// Whether a step that ended will be tried again.
    pub fn retries(&self, step: &Step) -> bool {
        let Status::Ended { outcome, .. } = self.status(&step.id) else { return false };
        match outcome {
            Outcome::Lost => true,
            Outcome::Failed { .. } | Outcome::Transient { .. } | Outcome::TimedOut { .. } => {
                self.failures(step) <= step.retry
            }
            Outcome::Succeeded { .. } | Outcome::Rejected { .. } | Outcome::Limit { .. } | Outcome::Cancelled => false,
        }
    }

    /// When a step is tried again: at once after a restart, else with growing waits.
    pub(super) fn retry_at(&self, step: &Step) -> Timestamp {
        match self.status(&step.id) {
            Status::Ended { outcome: Outcome::Lost, .. } => 0,
            Status::Ended { at, .. } => {
                let doublings = self.failures(step).saturating_sub(1).min(5);
                at + (RETRY_FIRST_MS << doublings).min(RETRY_MOST_MS)
            }
            _ => 0,
        }
    }
}
