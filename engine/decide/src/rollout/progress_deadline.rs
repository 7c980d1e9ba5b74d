//! The progress deadline: when it begins anew, and what follows once it has passed.

use super::act::{Act, Move, moving};
use super::context::Context;
use super::entry::Entry;
use super::intent::Cause;
use super::messages;
use super::progress::ProgressState;
use super::router::plugin::RouterStatus;
use super::strategy::Overdue;
use super::transitions::abort;
use crate::next::Timestamp;

impl Context<'_> {
    /// Since when nothing has got better: the position, or the last pod that became ready.
    pub(super) fn progressed_at(&self) -> Timestamp {
        let ready = self.observed.sets.iter().flat_map(|set| &set.members).filter_map(|pod| pod.ready_since).max();
        self.progress.since.max(ready.unwrap_or(0))
    }

    /// When the progress deadline is over; `None` while no progress is expected.
    /// A router that is a plugin has all of it, from when it could be told: after an outage or a start of ours anew.
    pub(super) fn overdue_at(&self) -> Option<Timestamp> {
        let is_moving = self.progress.paused_since.is_none() && self.left().is_none();
        let underway = self.progress.state == ProgressState::Underway && is_moving;
        let since = self.progressed_at().max(self.router_status().and_then(RouterStatus::since).unwrap_or(0));
        underway.then(|| since + self.strategy.progress_deadline_ms)
    }

    /// Whether the progress deadline is over.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue_at().is_some_and(|at| self.now >= at)
    }
}

/// Pods that nobody has asked for yet have not had their time: while the deadline passed, nobody was there to ask. Nor
/// has a version that waits for the load balancer.
pub(super) fn extend(context: &Context) -> Option<Move> {
    let asks = |act: &Act| match act {
        _ if context.observed.refusal_of(act).is_some() => false,
        Act::Create { .. } => context.observed.refusal.is_none(),
        Act::Scale { set, pods, .. } => {
            context.observed.sets.iter().any(|observed| observed.guard.uid == set.uid && observed.spec != *pods)
        }
        _ => false,
    };
    // At half of it, so that a version has at least the other half once the load balancer is there.
    let is_half_over =
        context.overdue_at().is_some_and(|at| context.now + context.strategy.progress_deadline_ms / 2 >= at);
    let because = match is_half_over && context.is_underway() && context.is_balancer_late() {
        true => "the load balancer is on its way",
        false if context.is_overdue() && super::desired::desired(context).acts.iter().any(asks) => {
            "pods are still to be asked for"
        }
        false => return None,
    };
    Some(moving(vec![Entry::Extended], format!("{because}, so the progress deadline begins anew")))
}

/// No rule moves the position, nothing is left to do, and the cluster makes no
/// progress for too long. What the manifests or the router lack is not the version's fault;
/// that is for a person to fix.
pub(super) fn overdue(context: &Context) -> Option<Move> {
    let held = context.strategy.overdue == Overdue::Report || context.is_stopped();
    // Another version alone serves by the canary's Service, which is not this one's fault.
    let is_other = |hash: &str| hash != context.progress.hash;
    let held = held || context.canary_alone_serves() && context.elsewhere().is_some_and(is_other);
    if !context.is_underway()
        || !context.is_overdue()
        || held
        || !context.problems().is_empty()
        || context.trouble().is_some()
    {
        return None;
    }
    // What is refused is asked for all the time, and has had its time; whose another set is makes no pod ready.
    let is_no_progress = |act: &Act| match act {
        _ if context.observed.refusal_of(act).is_some() => true,
        Act::Create { .. } => context.observed.refusal.is_some(),
        Act::Own { .. } => true,
        _ => false,
    };
    if !super::desired::desired(context).acts.iter().all(is_no_progress) {
        return None;
    }
    let limit = super::step::span(context.strategy.progress_deadline_ms);
    let failure = context.canary().and_then(|set| set.failure.clone()).or_else(|| messages::unwritten(context));
    let reason = failure.or_else(|| Some(context.missing(context.at_goal().err()?)));
    let reason = reason.unwrap_or_else(|| "the weight is not served".to_owned());
    Some(abort(format!("no progress for {limit}: {reason}"), Cause::Failed))
}
