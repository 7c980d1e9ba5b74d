//! What is recorded of the stable version, checked against what exists.
//!
//! A version without a ReplicaSet, or whose pods should be there and are not ready, is no version to go back to. Where
//! another one has ready pods and gets the requests, that is the stable version. Where none has, the newest one is a
//! first deployment: all of its pods, and no steps.
//!
//! In the ordinary case a version becomes the stable one by `transitions::promote`.

use super::act::{Move, moving};
use super::entry::Entry;
use super::intent::Start;
use super::observed::{ObservedRollout, Set};
use super::progress::{Progress, ProgressState};
use super::state::{State, Version};
use super::strategy::Strategy;

/// The version that serves before `hash` is rolled out.
pub(super) fn before(state: &State, observed: &ObservedRollout, strategy: &Strategy, hash: &str) -> Option<Version> {
    let recorded = state.stable.as_ref().filter(|_| state.is_of(observed.uid()));
    let progress = state.progress.as_ref().filter(|_| state.is_of(observed.uid()));
    // Other steps of the same template: what was judged at its begin stays, as long as there is a set.
    let is_same = progress.is_some_and(|progress| progress.hash == hash);
    let stays = |stable: &&Version| {
        let set = observed.set(&stable.hash);
        stable.hash == hash || is_same && set.is_some() || stands(observed, strategy, &stable.hash)
    };
    if let Some(stable) = recorded.filter(stays) {
        return Some(stable.clone());
    }
    if let Some(set) = selected(state, observed, strategy, hash) {
        return Some(version(set));
    }
    let newest = newest(state, observed, strategy, hash)?;
    // Its pods may come back, while the other one has nothing before it but its pods.
    let wanted = recorded.filter(|stable| observed.set(&stable.hash).is_some_and(|set| set.spec > 0));
    Some(wanted.cloned().unwrap_or_else(|| version(newest)))
}

/// Writes down what is the stable version while a canary is on its way, or has gone back, and the recorded one is gone.
pub(super) fn correct(state: &State, observed: &ObservedRollout, strategy: &Strategy) -> Option<Move> {
    let progress = state.progress.as_ref()?;
    let Some(stable) = &state.stable else { return back_again(state, observed, strategy, progress) };
    let is_there = observed.set(&stable.hash).is_some() || observed.ready(&stable.hash) > 0;
    if !needs_stable(progress) || stable.hash == progress.hash || is_there {
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
    observed.ready(hash) > 0 || observed.set(hash).is_some() && strategy.replicas == 0
}

/// The set with ready pods, other than that of `hash`, that gets requests.
fn serving<'a>(state: &State, observed: &'a ObservedRollout, strategy: &Strategy, hash: &str) -> Option<&'a Set> {
    selected(state, observed, strategy, hash).or_else(|| newest(state, observed, strategy, hash))
}

/// The one that a Service selects: the stable one, or the canary's while it gets requests.
fn selected<'a>(state: &State, observed: &'a ObservedRollout, strategy: &Strategy, hash: &str) -> Option<&'a Set> {
    let by = |name: &Option<String>| {
        let service = observed.services.get(name.as_ref()?)?;
        observed.set(service.hash.as_ref()?).filter(|set| may_serve(state, set, hash))
    };
    let canary = || if state.asked > 0 && strategy.router.is_some() { by(&strategy.canary_service) } else { None };
    by(&strategy.stable_service).or_else(canary)
}

/// The newest of those that get requests by having ready pods: where nothing routes them, or a Service selects all.
fn newest<'a>(state: &State, observed: &'a ObservedRollout, strategy: &Strategy, hash: &str) -> Option<&'a Set> {
    let stable = strategy.stable_service.as_ref().and_then(|name| observed.services.get(name));
    let by_pods = strategy.router.is_none() || stable.is_some_and(|service| service.hash.is_none());
    observed.sets.iter().rev().find(|set| by_pods && may_serve(state, set, hash))
}

/// Whether a version other than that of `hash` has ready pods, was not sent back, and is no first one that never was
/// promoted.
fn may_serve(state: &State, set: &Set, hash: &str) -> bool {
    let underway = |progress: &Progress| progress.hash == set.hash && progress.state == ProgressState::Underway;
    let aborted =
        |progress: &Progress| progress.hash == set.hash && matches!(progress.state, ProgressState::Aborted { .. });
    let unproven = |progress: &Progress| underway(progress) && progress.start == Start::First;
    let of = [&state.progress, &state.before];
    if of.into_iter().flatten().any(unproven) {
        return false;
    }
    let refused = state.refused.iter().any(|refused| refused.hash == set.hash) || of.into_iter().flatten().any(aborted);
    set.ready > 0 && set.hash != hash && (!refused || state.progress.as_ref().is_some_and(underway))
}

fn version(set: &Set) -> Version {
    Version { hash: set.hash.clone(), image: set.images.first().cloned().unwrap_or_default() }
}
