//! `spec.restartAt`: the pods from before that moment are replaced, a few at a time.
//!
//! The rule is that of Argo's `rollout/restart.go`: no more pods at a time than may be unavailable, and one at least; another
//! template ends it. Ours are: the same number for each version; a version with traffic keeps its last available pod
//! while another has some; pods that do not come up are replaced as well, where Argo leaves them; and where the load
//! balancer can be asked, a pod is there once it is a healthy target.

use super::act::Act;
use super::context::Context;
use super::observed::{CaughtUp, Set};
use super::pods::Pod;
use super::router::balancer::TargetHealth;
use super::strategy::Reading;
use crate::next::Timestamp;
use crate::object::{time, write_time};
use serde_json::Value;

/// When the pods are looked at again while some are to be replaced, in ms.
const AGAIN_MS: u64 = 5_000;

/// How old a pod that is not ready must be before it is evicted, in ms: it may come up yet, and clocks differ.
const STUCK_MS: u64 = 30_000;

/// What is done for a restart now, and when to look again by the clock.
pub(super) fn restart(context: &Context) -> (Vec<Act>, Option<Timestamp>) {
    let Some(at) = context.strategy.restart_at.filter(|at| is_open(context, *at)) else { return (Vec::new(), None) };
    let refused = context.observed.eviction.as_ref().map(|refused| refused.again);
    match refused.filter(|again| context.now < *again) {
        _ if context.now < at => (Vec::new(), Some(at)),
        _ if old(context, at).next().is_none() => (Vec::new(), None),
        Some(again) => (Vec::new(), Some(again)),
        None => (evictions(context, at), Some(context.now + AGAIN_MS)),
    }
}

/// Whether pods from before the moment are being replaced.
pub(super) fn is_running(context: &Context) -> bool {
    running(context).is_some()
}

/// How far it is, and what stands in the way, while it runs.
pub(super) fn text(context: &Context) -> Option<String> {
    let at = running(context)?;
    let number = old(context, at).count();
    let pods = if number == 1 { "1 pod is" } else { &format!("{number} pods are") };
    let sets = context.observed.sets.iter().filter(|set| set.spec > 0);
    let mut members = sets.flat_map(|set| set.members.iter().map(move |pod| (set, pod)));
    let failure =
        members.find_map(|(set, pod)| Some((pod, target_failure(context, set, pod).filter(|_| pod.is_ready())?)));
    let why = match (&context.observed.eviction, failure) {
        (Some(refused), _) => format!(": {}", refused.because),
        (None, Some((pod, failure))) => format!("; pod {} is no healthy target: {failure}", pod.name),
        (None, None) => String::new(),
    };
    Some(format!("restarting: {pods} from before {}{why}", write_time(at)))
}

/// The moment of the last restart that is over, as the status says it.
pub(super) fn restarted_at<'a>(context: &Context<'a>) -> &'a Value {
    let asked =
        context.strategy.restart_at.filter(|at| context.strategy.reading == Reading::Whole && *at <= context.now);
    match asked.is_some_and(|at| is_ended(context, at) || old(context, at).next().is_none()) {
        true => &context.observed.rollout["spec"]["restartAt"],
        false => context.observed.status("restartedAt"),
    }
}

fn running(context: &Context) -> Option<Timestamp> {
    let asked = context.strategy.restart_at.filter(|at| is_open(context, *at) && *at <= context.now)?;
    old(context, asked).next().map(|_| asked)
}

/// Whether this restart is still to be made, or to be gone on with. A spec that cannot be followed restarts nothing.
fn is_open(context: &Context, at: Timestamp) -> bool {
    let is_said = time(context.observed.status("restartedAt")) == Some(at);
    context.strategy.reading == Reading::Whole && !is_said && !is_ended(context, at)
}

/// Whether a template that began since has ended it.
fn is_ended(context: &Context, at: Timestamp) -> bool {
    context.state.began_at.is_some_and(|began| at <= began)
}

/// The pods from before the moment, with their sets.
fn old<'a>(context: &Context<'a>, at: Timestamp) -> impl Iterator<Item = (&'a Set, &'a Pod)> {
    let sets = context.observed.sets.iter().filter(|set| set.spec > 0);
    let members = sets.flat_map(|set| set.members.iter().map(move |pod| (set, pod)));
    members.filter(move |(_, pod)| pod.counts() && pod.created < at)
}

/// The pods that go now. One that serves, though it is not ready for long enough yet, has its time later.
fn evictions(context: &Context, at: Timestamp) -> Vec<Act> {
    let sets = &context.observed.sets;
    if sets.iter().any(|set| set.caught_up == CaughtUp::NotYet) {
        return Vec::new();
    }
    let is_available = |set: &Set, pod: &Pod| {
        let least = u64::from(set.min_ready_seconds) * 1_000;
        let is_target = context.target_health(set, pod).is_none_or(|health| *health == TargetHealth::Healthy);
        is_target && pod.ready_since.is_some_and(|since| since + least <= context.now)
    };
    let is_down = |set: &Set, pod: &Pod| !pod.is_ready() || target_failure(context, set, pod).is_some();
    let available = |set: &Set| count(set, |pod| is_available(set, pod)).min(set.spec);
    let all: u32 = sets.iter().map(available).sum();
    let pods: u32 = sets.iter().map(|set| set.spec).sum();
    let missing = context.strategy.bounds.unavailable.max(1);
    let mut spare = all.saturating_sub(context.strategy.replicas.max(pods).saturating_sub(missing));
    // Those that take the place of others, and are not there yet.
    let coming = |set: &Set| count(set, |pod| pod.counts() && pod.created >= at && !is_available(set, pod));
    let mut stuck = missing.saturating_sub(sets.iter().map(coming).sum());
    let mut acts = Vec::new();
    for set in [context.stable(), context.canary()].into_iter().flatten().chain(context.older()) {
        let is_last = context.is_underway() && all > 1 && context.has_traffic(set);
        let mut here = available(set).saturating_sub(u32::from(is_last).max(set.spec.saturating_sub(missing)));
        let mut pods: Vec<&Pod> =
            old(context, at).filter(|(of, _)| of.guard == set.guard).map(|(_, pod)| pod).collect();
        pods.sort_by_key(|pod| pod.created);
        for pod in pods {
            let goes = match is_down(set, pod) {
                false => is_available(set, pod) && take(&mut spare) && take(&mut here),
                true => context.now >= pod.created.saturating_add(STUCK_MS) && take(&mut stuck),
            };
            if goes {
                acts.push(Act::Evict { pod: pod.guard.clone() });
            }
        }
    }
    acts
}

/// Why a pod gets no request as a target, where time does not mend that.
fn target_failure<'a>(context: &Context<'a>, set: &Set, pod: &Pod) -> Option<&'a str> {
    match context.target_health(set, pod)? {
        TargetHealth::Unhealthy(reason) | TargetHealth::Coming(Some(reason)) => Some(reason),
        TargetHealth::Healthy | TargetHealth::Leaving | TargetHealth::Coming(None) => None,
    }
}

fn count(set: &Set, which: impl Fn(&Pod) -> bool) -> u32 {
    u32::try_from(set.members.iter().filter(|pod| which(pod)).count()).unwrap_or(u32::MAX)
}

/// Takes one of a number, where there is one.
fn take(number: &mut u32) -> bool {
    let is_there = *number > 0;
    *number = number.saturating_sub(1);
    is_there
}
