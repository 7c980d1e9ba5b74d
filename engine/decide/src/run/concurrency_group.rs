//! The queue of a concurrency group: one run at a time; the older goes first.

use super::observed::Observed;
use super::state::{State, Status};

/// Why a run that has started nothing waits for its group, if it does.
pub(super) fn queued(state: &State, observed: &Observed) -> Option<String> {
    let ahead = observed.ahead.as_ref()?;
    let untouched = state.steps().all(|step| state.status(&step.id) == Status::Waiting);
    untouched.then(|| format!("waits for {ahead}, which is ahead in the same group"))
}
