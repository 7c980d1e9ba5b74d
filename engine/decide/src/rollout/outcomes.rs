//! What is kept of a rollout's acts from one turn to the next: what came of those at a router that is a plugin. Of all
//! others the next observation sees in the cluster what came of them.

use super::act::{Act, Split};
use super::hash::HASH;
use super::intent::Routed;
use super::router::plugin::{RouterFailure, RouterReply, RouterResponse, RouterStatus, STANDS_MS, place};
use super::state::State;
use super::write_key::WriteKey;
use crate::next::Timestamp;
use crate::object::text;
use crate::outcome::{Attempted, Failure, Outcomes};
use serde_json::Value;
use std::collections::BTreeMap;

/// By what an act is known again; none of it has a whole object.
#[derive(Clone, Debug, PartialEq)]
pub enum ActKey {
    /// A router was told a share.
    Weigh(AskedShare),
    /// A router was asked about a share.
    Verify(AskedShare),
    /// A router was told to take back what it has made.
    Unroute(Routed),
    /// The set of the template with this hash was created.
    Create(String),
    /// The set with this uid was taken over.
    Own(String),
    /// Pods were evicted for `restartAt`, whichever they were.
    Evict,
    /// Labels and annotations were put on sets and pods, or taken off, whichever they were.
    Mark,
    /// The Event of this name was posted.
    Post(String),
    /// Something was written to one object of the cluster.
    Write(WriteKey),
    /// Something was written in the stream of a revert.
    Written,
}

/// What makes two splits ask for the same, whatever else the Rollout says by then.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedShare {
    /// The router's name in the Rollout.
    router: String,
    /// The canary's share, in percent.
    weight: u32,
    /// The newest template's hash.
    newest: String,
    stable: String,
    /// What the router needs of the Rollout to find what it has made.
    place: Value,
}

/// What an act answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was carried out.
    Done,
    /// The traffic is shared as the router was asked.
    Verified,
    /// It is not, or not yet.
    NotVerified,
    /// The router cannot tell.
    NotSupported,
}

/// How a router that is left has taken it that it has to take back what it has made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Removal {
    /// It was not told, as far as is known.
    #[default]
    NotYet,
    /// It has done so.
    Done,
    /// It has not done so.
    Failed(RouterFailure),
}

impl From<Act> for ActKey {
    fn from(act: Act) -> ActKey {
        match act {
            Act::Weigh { split } => ActKey::Weigh(AskedShare::of(&split)),
            Act::Verify { split } => ActKey::Verify(AskedShare::of(&split)),
            Act::Unroute { router, rollout } => ActKey::Unroute(Routed { router, rollout }),
            Act::Create { manifest } => ActKey::Create(text(&manifest, &format!("/metadata/labels/{HASH}"))),
            Act::Evict { .. } => ActKey::Evict,
            Act::Mark { .. } => ActKey::Mark,
            Act::Post { event, .. } => ActKey::Post(event.name),
            Act::Own { set, .. } => ActKey::Own(set.uid),
            other => WriteKey::of(&other).map_or(ActKey::Written, ActKey::Write),
        }
    }
}

impl AskedShare {
    fn of(split: &Split) -> AskedShare {
        AskedShare {
            router: split.router.clone(),
            weight: split.weight,
            newest: text(&split.rollout, "/status/currentPodHash"),
            stable: text(&split.rollout, "/status/stableRS"),
            place: place(&split.rollout),
        }
    }

    /// Whether the journal asks for it, wherever the router is now, and whichever version the canary's Service names.
    fn is_asked(&self, state: &State) -> bool {
        let newest = state.progress.as_ref().map(|progress| &progress.hash);
        let stable = state.stable.as_ref().map(|stable| &stable.hash).or(newest);
        state.routed.as_ref().is_some_and(|routed| routed.router == self.router)
            && (self.weight, Some(&self.stable)) == (state.asked, stable)
    }
}

/// Whether the journal still asks for an act. Once a router is not promised to be used any more, another may tell it
/// something else.
pub fn is_current(state: &State, kept: &ActKey) -> bool {
    match kept {
        ActKey::Weigh(share) | ActKey::Verify(share) => share.is_asked(state),
        ActKey::Unroute(routed) => state.routed.as_ref() == Some(routed),
        ActKey::Create(hash) => state.progress.as_ref().is_some_and(|progress| progress.hash == *hash),
        ActKey::Own(_) | ActKey::Evict | ActKey::Mark | ActKey::Post(_) | ActKey::Write(_) => state.progress.is_some(),
        ActKey::Written => false,
    }
}

/// Whether an outcome says more than the next look does: of a write that was carried out, the cluster tells. So the many
/// writes of a long walk take no place from what a router has said.
pub fn is_hint(act: &ActKey, result: &Result<Reply, Failure>) -> bool {
    result.is_err() || !matches!(act, ActKey::Write(_) | ActKey::Written)
}

/// Why the newest version's set could not be created the last time, and when it is tried again. What failed before its
/// steps began, or began anew, says nothing any more: whoever retries has mended something.
pub(super) fn refusal(state: &State, outcomes: &Outcomes<ActKey, Reply>) -> Option<RouterFailure> {
    let progress = state.progress.as_ref()?;
    let create = ActKey::Create(progress.hash.clone());
    let is_of_now = outcomes.of(&create)?.at >= progress.since;
    failure_of(&create, outcomes).filter(|_| is_of_now)
}

/// Why a pod could not be evicted the last time, and when it is tried again.
pub(super) fn eviction(outcomes: &Outcomes<ActKey, Reply>) -> Option<RouterFailure> {
    failure_of(&ActKey::Evict, outcomes)
}

/// Why labels and annotations could not be written the last time, and when that is tried again.
pub(super) fn unmarked(outcomes: &Outcomes<ActKey, Reply>) -> Option<RouterFailure> {
    failure_of(&ActKey::Mark, outcomes)
}

/// Why each set that was left behind could not be taken over the last time, and when it is tried again.
pub(super) fn unowned(outcomes: &Outcomes<ActKey, Reply>) -> BTreeMap<String, RouterFailure> {
    let unowned = outcomes.iter().filter_map(|attempted| match &attempted.act {
        ActKey::Own(uid) => Some((uid.clone(), failed(attempted)?)),
        _ => None,
    });
    unowned.collect()
}

/// The writes that were refused the last time, and when each is tried again. What was refused at an earlier position
/// says nothing any more, as of a set that could not be created.
pub(super) fn unwritten(state: &State, outcomes: &Outcomes<ActKey, Reply>) -> Vec<(WriteKey, RouterFailure)> {
    let since = state.progress.as_ref().map_or(Timestamp::MAX, |progress| progress.since);
    let unwritten = outcomes.iter().filter(|attempted| attempted.at >= since).filter_map(|attempted| {
        let ActKey::Write(key) = &attempted.act else { return None };
        Some((key.clone(), failed(attempted)?))
    });
    unwritten.collect()
}

/// The Events that were posted, and why one was not the last time, and when it is tried again.
pub(super) fn posted(outcomes: &Outcomes<ActKey, Reply>) -> BTreeMap<String, Option<RouterFailure>> {
    let posted = outcomes.iter().filter_map(|attempted| match &attempted.act {
        ActKey::Post(name) => Some((name.clone(), failed(attempted))),
        _ => None,
    });
    posted.collect()
}

fn failed(attempted: &Attempted<ActKey, Reply>) -> Option<RouterFailure> {
    let failure = attempted.result.as_ref().err()?;
    Some(RouterFailure::of(failure, attempted.failures, attempted.at))
}

fn failure_of(act: &ActKey, outcomes: &Outcomes<ActKey, Reply>) -> Option<RouterFailure> {
    failed(outcomes.of(act)?)
}

impl Removal {
    /// What came of it that the router in use was told to take back what it has made.
    pub fn of(state: &State, outcomes: &Outcomes<ActKey, Reply>) -> Removal {
        let Some(routed) = &state.routed else { return Removal::NotYet };
        match outcomes.of(&ActKey::Unroute(routed.clone())) {
            None => Removal::NotYet,
            Some(attempted) => match &attempted.result {
                Ok(_) => Removal::Done,
                Err(failure) => Removal::Failed(RouterFailure::of(failure, attempted.failures, attempted.at)),
            },
        }
    }
}

impl RouterStatus {
    /// What the outcomes say of a share. What a router was told and has said before it was to take back what it had
    /// made counts no more.
    pub fn of(split: &Split, outcomes: &Outcomes<ActKey, Reply>) -> RouterStatus {
        let share = AskedShare::of(split);
        let nothing = RouterStatus {
            weight: split.weight,
            reply: RouterReply::NotYet,
            response: RouterResponse::NotAsked,
            stands_until: 0,
        };
        let mut status = nothing.clone();
        let mut answers = 0;
        for attempted in outcomes.iter() {
            match &attempted.act {
                ActKey::Weigh(told) if *told == share => status.was_told(attempted),
                ActKey::Verify(asked) if *asked == share => {
                    answers = if attempted.result.is_ok() { attempted.since } else { 0 };
                    status.was_asked(attempted);
                }
                ActKey::Unroute(_) => status = nothing.clone(),
                ActKey::Weigh(_)
                | ActKey::Verify(_)
                | ActKey::Create(_)
                | ActKey::Own(_)
                | ActKey::Evict
                | ActKey::Mark
                | ActKey::Post(_)
                | ActKey::Write(_)
                | ActKey::Written => {}
            }
        }
        if let RouterReply::Taken { since, .. } = &mut status.reply {
            // Only since it answers can it be late.
            *since = answers.max(*since);
        }
        status
    }

    fn was_told(&mut self, told: &Attempted<ActKey, Reply>) {
        self.reply = match &told.result {
            // Being told again gives it no more time.
            Ok(_) => RouterReply::Taken { at: told.at, since: told.since },
            Err(failure) => RouterReply::Failed(RouterFailure::of(failure, told.failures, told.at)),
        };
        // What it serves is to be looked at anew.
        if !matches!(self.response, RouterResponse::Failed(_)) {
            self.stands_until = 0;
        }
    }

    fn was_asked(&mut self, asked: &Attempted<ActKey, Reply>) {
        self.stands_until = asked.at + STANDS_MS;
        self.response = match &asked.result {
            Ok(Reply::Verified) => RouterResponse::Verified,
            Ok(Reply::NotSupported) => RouterResponse::NotSupported,
            Ok(Reply::NotVerified | Reply::Done) => RouterResponse::NotVerified,
            Err(failure) => {
                let failure = RouterFailure::of(failure, asked.failures, asked.at);
                self.stands_until = failure.again;
                RouterResponse::Failed(failure)
            }
        };
    }
}
