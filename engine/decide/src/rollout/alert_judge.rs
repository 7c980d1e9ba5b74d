//! Whether an alert acts on a rollout, by what is recorded: it has to be in progress, and the alert newer than that.

use super::alert::{Alert, AlertAction};
use super::entry::Entry;
use super::intent::Action;
use super::messages::allowed;
use super::state::State;
use crate::next::Timestamp;

impl State {
    /// Since when the newest version goes through its steps: its begin, or the last retry.
    fn in_progress_since(&self) -> Option<Timestamp> {
        let since = self.progress.as_ref().and_then(|progress| progress.begun_at);
        // What an older release summed up does not say it.
        since.or(self.began_at).or(self.claimed_at)
    }
}

/// What is recorded of an alert that acts.
///
/// # Errors
/// Why it does nothing, as a sentence.
pub fn heed_alert(state: &State, alert: &Alert, action: AlertAction) -> Result<Entry, String> {
    let progress = state.progress.as_ref();
    if progress.is_some_and(|progress| progress.alerts.iter().any(|heeded| heeded.is(alert))) {
        return Err("it has acted on this version already".to_owned());
    }
    // Whatever may be aborted may be paused.
    allowed(state, Action::Abort)?;
    if state.in_progress_since().is_some_and(|since| alert.started_at < since) {
        return Err("it fired before this version began, so it is not this version's".to_owned());
    }
    match progress.and_then(|progress| progress.held_by.as_ref()) {
        Some(held_by) if action == AlertAction::Pause => Err(format!("the alert {} holds it already", held_by.name)),
        _ => Ok(Entry::Alerted { alert: alert.clone(), action }),
    }
}
