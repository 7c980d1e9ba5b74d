//! What holds a rollout at its step beside the step itself: `spec.paused`, or an alert until a person resumes it.

use super::alert::{Alert, AlertAction};
use super::context::Context;
use super::entry::Entry;
use super::observed::ObservedRollout;
use super::strategy::Paused;
use crate::next::Timestamp;
use crate::object::{time, write_time};
use serde_json::{Value, json};

/// The reason of an alert's hold, as Argo's clients show it.
const BY_ALERT: &str = "PausedByAlert";

impl<'a> Context<'a> {
    /// The alert that holds it.
    pub(super) fn alert(&self) -> Option<&'a Alert> {
        self.progress.held_by.as_ref().filter(|_| self.is_underway())
    }

    /// Whether no step goes on, because somebody holds it.
    pub(super) fn is_stopped(&self) -> bool {
        self.strategy.paused == Paused::Holds || self.alert().is_some()
    }

    /// Whether the status that was observed says that an alert holds it.
    pub(super) fn was_held_by_alert(&self) -> bool {
        self.observed.status("message").as_str().is_some_and(|said| said.starts_with(BY_ALERT))
    }
}

/// Why it is paused, as the status says it; absent where it is not.
pub(super) fn message(context: &Context) -> Option<String> {
    match context.alert() {
        Some(alert) => Some(format!("{BY_ALERT}: {alert}")),
        None if context.strategy.paused == Paused::Holds => Some("manually paused".to_owned()),
        None => context.progress.paused_since.map(|_| "CanaryPauseStep".to_owned()),
    }
}

/// The pauses that a person may end, as the status has them.
pub(super) fn pause_conditions(context: &Context) -> Option<Value> {
    let of = |reason: &str, at| json!({ "reason": reason, "startTime": write_time(at) });
    let held = context.alert().zip(context.progress.held_at).map(|(_, at)| of(BY_ALERT, at));
    let paused = context.progress.paused_from().filter(|_| context.is_underway());
    let all: Vec<Value> = held.into_iter().chain(paused.map(|at| of("CanaryPauseStep", at))).collect();
    (!all.is_empty()).then(|| all.into())
}

/// Since when the step's own pause lasts, as the status tells it.
pub(super) fn told_pause(observed: &ObservedRollout) -> Option<Timestamp> {
    let mut pauses = observed.status("pauseConditions").as_array()?.iter();
    time(&pauses.find(|pause| pause["reason"] != BY_ALERT)?["startTime"])
}

/// The hold by an alert that the status tells of, where the journal has lost it.
pub(super) fn told_hold(observed: &ObservedRollout) -> Option<Entry> {
    let mut pauses = observed.status("pauseConditions").as_array()?.iter();
    let started_at = time(&pauses.find(|pause| pause["reason"] == BY_ALERT)?["startTime"])?;
    let said = observed.status("message").as_str().and_then(|said| said.strip_prefix(BY_ALERT)?.strip_prefix(": "));
    // Nobody sends an alert without a fingerprint, so it is no other one.
    let alert = Alert::new(said.unwrap_or("whose name the journal has lost"), "", started_at, None);
    Some(Entry::Alerted { alert, action: AlertAction::Pause })
}
