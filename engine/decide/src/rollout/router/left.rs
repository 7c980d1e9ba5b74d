//! Whether a rollout has left its router.

use super::Router;
use super::plugin::{is_same_place, place};
use crate::rollout::intent::Routed;
use crate::rollout::observed::ObservedRollout;
use crate::rollout::state::State;
use crate::rollout::strategy::{Reading, Strategy};

/// The router that the rollout has left, or whose place it has left, until that one has taken back what it has made
/// there.
///
/// Where the spec does not say who shares the traffic, the one in use goes on, until its version is sent back: then it is
/// left once the stable version has ready pods, for nothing else takes the traffic away from the canary.
pub(in crate::rollout) fn left<'a>(
    state: &'a State,
    observed: &ObservedRollout,
    strategy: &Strategy,
) -> Option<&'a Routed> {
    let routed = state.routed.as_ref()?;
    let is_named = strategy.router.as_ref().and_then(Router::plugin) == Some(routed.router.as_str());
    let stays = is_named && is_same_place(&routed.rollout, &place(&observed.rollout));
    let stable = state.stable.as_ref().and_then(|stable| observed.set(&stable.hash));
    let is_sent_back = state.is_aborted() && state.asked == 0 && stable.is_some_and(|set| set.ready > 0);
    let may_leave = strategy.reading != Reading::KeepsPods || is_sent_back;
    (may_leave && !stays).then_some(routed)
}
