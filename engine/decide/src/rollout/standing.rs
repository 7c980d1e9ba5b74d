//! What is recorded of the stable version, checked against what exists.
//!
//! A version without a ReplicaSet, or whose pods should be there and are not ready, is no version to go back to. Where
//! another one has ready pods and gets the requests, that is the stable version. Where none has, the newest one is a
//! first deployment: all of its pods, and no steps.

use super::act::Move;
use super::entry::Entry;
use super::intent::Start;
use super::observed::{ObservedRollout, Set};
use super::progress::{Progress, ProgressState};
use super::state::{State, Version};
use super::strategy::Strategy;
use super::transitions::moving;

/// The version that serves before `hash` is rolled out.
pub(super) fn before(state: &State, observed: &ObservedRollout, strategy: &Strategy, hash: &str) -> Option<Version> {
    let recorded = state.stable.as_ref().filter(|_| state.is_of(observed));
    if let Some(stable) = recorded.filter(|stable| stable.hash == hash || stands(observed, strategy, &stable.hash)) {
        return Some(stable.clone());
    }
    serving(state, observed, strategy, hash).map(version)
}

/// Writes down what is the stable version while a canary is on its way, or has gone back, and the recorded one is gone.
pub(super) fn correct(state: &State, observed: &ObservedRollout, strategy: &Strategy) -> Option<Move> {
    let progress = state.progress.as_ref()?;
    let Some(stable) = &state.stable else { return back_again(state, observed, strategy, progress) };
    if !needs_stable(progress) || stable.hash == progress.hash || observed.set(&stable.hash).is_some() {
        return None;
    }
    let instead = serving(state, observed, strategy, &progress.hash).map(version);
    let text = match &instead {
        Some(instead) => format!("the ReplicaSet of {} is gone; {} serves in its place", stable.image, instead.image),
        None => format!("the ReplicaSet of {} is gone, and no other version serves", stable.image),
    };
    Some(moving(vec![Entry::Corrected { stable: instead }], text))
}

/// Where there was no version to go back to: the pods of one that serves are ready again.
fn back_again(state: &State, observed: &ObservedRollout, strategy: &Strategy, progress: &Progress) -> Option<Move> {
    if progress.state != ProgressState::Underway || progress.start != Start::First {
        return None;
    }
    let stable = version(serving(state, observed, strategy, &progress.hash)?);
    let text = format!("pods of {} are ready again: it is the stable version", stable.image);
    Some(moving(vec![Entry::Corrected { stable: Some(stable) }], text))
}

fn needs_stable(progress: &Progress) -> bool {
    match progress.state {
        ProgressState::Underway => progress.start == Start::Steps,
        ProgressState::Aborted { .. } => true,
        ProgressState::Promoted => false,
    }
}

/// Whether a version is there to go back to. One that was scaled to nothing with all others is.
fn stands(observed: &ObservedRollout, strategy: &Strategy, hash: &str) -> bool {
    observed.set(hash).is_some_and(|set| set.ready > 0 || strategy.replicas == 0)
}

/// The set with ready pods, other than that of `hash`, that gets requests: by the stable Service, by the canary's, or
/// else the newest.
fn serving<'a>(state: &State, observed: &'a ObservedRollout, strategy: &Strategy, hash: &str) -> Option<&'a Set> {
    let ready = |set: &&Set| set.ready > 0 && set.hash != hash;
    let selected = |name: &Option<String>| {
        let service = observed.services.get(name.as_ref()?)?;
        observed.set(service.hash.as_ref()?).filter(ready)
    };
    let canary = || if state.asked > 0 { selected(&strategy.canary_service) } else { None };
    selected(&strategy.stable_service).or_else(canary).or_else(|| observed.sets.iter().rev().find(ready))
}

fn version(set: &Set) -> Version {
    Version { hash: set.hash.clone(), image: set.images.first().cloned().unwrap_or_default() }
}
