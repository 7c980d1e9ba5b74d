//! A router that is a plugin takes back what it has made before the rollout leaves it.

use super::plugin::Remedy;
use crate::next::{Next, Phase, Timestamp, Wake};
use crate::rollout::act::{Act, Move};
use crate::rollout::context::Context;
use crate::rollout::entry::Entry;
use crate::rollout::intent::Routed;
use crate::rollout::outcomes::Removal;
use crate::rollout::progress::{Progress, ProgressState};
use crate::rollout::state::State;

/// What is said of a router that was left: how that stands, a condition's reason, and the sentence.
pub(in crate::rollout) fn leaving(context: &Context) -> Option<(Phase, &'static str, String)> {
    let Routed { router, .. } = context.left()?;
    let Removal::Failed(failure) = &context.observed.removal else {
        let text = format!("{router} takes back what it has made, and all traffic is the stable version's");
        return Some((Phase::Progressing, "TakingBack", text));
    };
    let (phase, reason) = match failure.remedy {
        Remedy::Wait => (Phase::Waiting, "RouterFailed"),
        Remedy::Person => (Phase::Blocked, "RouterRejected"),
    };
    let because = &failure.because;
    let text = format!(
        "{router} has to take back what it has made: {because}; until then no step goes on and nothing is scaled down"
    );
    Some((phase, reason, text))
}

/// A rollout that has left its router has it take back what it has made there, and when that is tried again. Until then
/// no other router is promised, no weight rises, and nothing is scaled down, for it may share the traffic as before; all
/// else goes on.
pub(in crate::rollout) fn leave(context: &Context) -> Option<(Option<Act>, Option<Timestamp>)> {
    let Routed { router, rollout } = context.left()?.clone();
    Some(match &context.observed.removal {
        Removal::Failed(failure) if context.now < failure.again => (None, Some(failure.again)),
        Removal::NotYet | Removal::Done | Removal::Failed(_) => (Some(Act::Unroute { router, rollout }), None),
    })
}

/// The same where there is no Rollout any more.
pub(in crate::rollout) fn gone(state: &State, removal: &Removal, now: Timestamp) -> Option<Move> {
    state.routed.as_ref().map(|routed| take_back(routed, removal, now))
}

fn take_back(routed: &Routed, removal: &Removal, now: Timestamp) -> Move {
    let Routed { router, rollout } = routed.clone();
    match removal {
        Removal::Failed(failure) if now < failure.again => {
            let text = format!("{router} has to take back what it has made first: {}", failure.because);
            Next::waiting(Wake::At(failure.again), text)
        }
        Removal::NotYet | Removal::Done | Removal::Failed(_) => {
            let text = format!("{router} takes back what it has made, and all traffic is the stable version's");
            Next { acts: vec![Act::Unroute { router, rollout }], ..Next::progressing(Wake::Now, text) }
        }
    }
}

/// That a router has taken back what it had made is written down before anything else, even if it is named again by
/// now: nobody else can know.
pub(in crate::rollout) fn taken_back(state: &State, removal: &Removal) -> Option<Move> {
    let Routed { router, .. } = state.routed.as_ref().filter(|_| *removal == Removal::Done)?;
    let text = format!("{router} has taken back what it had made");
    let mut record = vec![Entry::Unrouted { router: router.clone() }];
    // For as long as that took, no step could go on.
    let is_underway = |progress: &Progress| progress.state == ProgressState::Underway;
    record.extend(state.progress.as_ref().filter(|progress| is_underway(progress)).map(|_| Entry::Extended));
    Some(Next { record, ..Next::progressing(Wake::Now, text) })
}
