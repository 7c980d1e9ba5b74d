//! What is claimed as it stands: a Rollout that another controller took care of before, and one whose status tells more
//! than the journal, which was restored from an older backup or begun anew.

use super::act::{Move, moving};
use super::entry::Entry;
use super::hash;
use super::hold;
use super::intent::Cause;
use super::observed::ObservedRollout;
use super::services;
use super::state::State;
use super::strategy::{Reading, Strategy};
use crate::epoch::Epoch;
use serde_json::Value;

/// Whose writes never count as another controller's: ours, people's, and the
/// machinery that counts pods.
const NO_CONTROLLERS: &[&str] = &["bespin", "kubectl", "argocd", "kube-controller-manager"];

/// Whether this field manager is another controller of Rollouts.
pub(super) fn is_stranger(manager: &str) -> bool {
    !NO_CONTROLLERS.iter().any(|ours| manager.starts_with(ours))
}

/// Claims a Rollout as it stands, where the journal knows less of it than its status.
///
/// The first look after a restore claims it even where the journal seems to know its version: what was at a step when
/// the backup was made may be promoted by now, and its pods must not be taken for a canary's again.
pub(super) fn adopt(state: &State, observed: &ObservedRollout, strategy: &Strategy) -> Option<Result<Move, String>> {
    let left = told(observed).filter(|_| is_behind(state, observed))?;
    let generation = &observed.rollout["metadata"]["generation"];
    let is_newest = observed.status("observedGeneration").as_str() == Some(generation.to_string().as_str());
    let is_foreign = state.progress.is_none() && observed.writers.keys().any(|manager| is_stranger(manager));
    if !is_newest && is_foreign {
        let text = "the controller that drove this Rollout before has not caught up with its newest spec; \
                    give it back until it has, then take it again";
        return Some(Err(text.to_owned()));
    }
    let text = if is_foreign || state.progress.is_none() {
        "claiming it as it stands"
    } else {
        "the journal is older than the Rollout's status: going on from where the status says"
    };
    // Of a spec with mistakes it is not known which version its template is.
    let adopted = as_it_stands(observed, strategy, left, is_newest && strategy.reading == Reading::Whole);
    // Said once more, so that the version stays refused under other steps as well.
    let aborted = match &adopted {
        Entry::Adopted { aborted: Some(because), .. } => {
            Some(Entry::Aborted { because: because.clone(), cause: Cause::Asked })
        }
        _ => None,
    };
    let held = hold::told_hold(observed).filter(|_| aborted.is_none());
    Some(Ok(moving(std::iter::once(adopted).chain(aborted).chain(held).collect(), text)))
}

/// The same where the spec has mistakes: the position that the status tells of, as far as it can be told.
///
/// Nothing is claimed of another controller's. An abort is not taken over under other steps than its own: those would
/// begin it anew.
pub(super) fn salvaged(state: &State, observed: &ObservedRollout, strategy: &Strategy) -> Option<Move> {
    let is_foreign = state.progress.is_none() && observed.writers.keys().any(|manager| is_stranger(manager));
    let is_aborted = observed.status("abort") == &Value::Bool(true);
    let is_edited = observed.status("currentStepHash").as_str() != Some(strategy.steps_hash.as_str());
    if !is_behind(state, observed) || is_foreign || is_aborted && is_edited {
        return None;
    }
    adopt(state, observed, strategy)?.ok()
}

/// Whether the journal knows less of it than its status.
pub(super) fn is_behind(state: &State, observed: &ObservedRollout) -> bool {
    let knows =
        |left: &str| state.progress.is_some() && observed.epoch == Epoch::This && !has_lost(state, observed, left);
    told(observed).is_some_and(|left| !knows(left))
}

/// Whether the status may be further than the journal, so that what a person asks for would be asked of the wrong moment.
pub fn is_unadopted(observed: &ObservedRollout) -> bool {
    observed.epoch == Epoch::Restored && told(observed).is_some()
}

/// The version that the status is about.
fn told(observed: &ObservedRollout) -> Option<&str> {
    observed.status("currentPodHash").as_str().filter(|hash| !hash.is_empty())
}

/// Whether the status names a version that the journal never heard of. Each entry is recorded before the status tells
/// of it, so that the entries of that version are lost.
fn has_lost(state: &State, observed: &ObservedRollout, left: &str) -> bool {
    let stable = observed.status("stableRS").as_str().filter(|hash| !hash.is_empty());
    let named = std::iter::once(left).chain(stable);
    named.into_iter().any(|hash| observed.set(hash).is_some() && !state.knows(hash))
}

/// The position that the status tells of. A status that is not of the newest spec is of the version that it names: the
/// spec's own begins after it.
fn as_it_stands(observed: &ObservedRollout, strategy: &Strategy, left: &str, is_newest: bool) -> Entry {
    let status = |field: &str| observed.status(field).as_str().map(str::to_owned);
    let weight = observed.rollout.pointer("/status/canary/weights/canary/weight").and_then(Value::as_u64);
    let index = observed.status("currentStepIndex").as_u64().and_then(|index| index.try_into().ok());
    let images = observed.set(left).filter(|_| !is_newest).map(|set| set.images.clone());
    Entry::Adopted {
        template: if is_newest { hash::template(&strategy.template) } else { left.to_owned() },
        hash: left.to_owned(),
        stable: status("stableRS"),
        index: index.unwrap_or(strategy.steps.len()),
        paused_ms: hold::told_pause(observed),
        weight: weight.and_then(|weight| weight.try_into().ok()).unwrap_or(0),
        aborted: (observed.status("abort") == &Value::Bool(true)).then(|| status("message").unwrap_or_default()),
        images: images.unwrap_or_else(|| strategy.images.clone()),
        // Steps that were changed since begin anew: the index is one of those before.
        // Of steps with mistakes the number is not known: those are begun anew, too.
        steps_hash: status("currentStepHash")
            .filter(|_| !is_newest && strategy.reading == Reading::Whole)
            .unwrap_or_else(|| strategy.steps_hash.clone()),
        steps: strategy.steps.len(),
        uid: Some(observed.uid().to_owned()),
        stable_by: services::told_turn(observed),
        services: services::told_sharing(observed),
    }
}
