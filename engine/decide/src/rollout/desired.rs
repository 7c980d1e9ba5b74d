//! What the cluster has to look like at a position: the acts that bring it
//! there. All of them are absolute; none is answered when nothing differs.

use super::act::{Act, Guard};
use super::context::{Context, is_full, pods};
use super::hash::HASH;
use super::intent::Start;
use super::marks;
use super::observed::{CaughtUp, DEADLINE, DESIRED, REVISION, Set};
use super::progress::ProgressState;
use super::refused;
use super::replicas::{self, Pods, Split};
use super::router::{Router, carried, leaving};
use super::services::select;
use super::shares::StableScale;
use super::strategy::Reading;
use crate::annotations::BY_SHARE;
use crate::next::Timestamp;
use crate::object::{annotation, write_time};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The acts, and when to look again by the clock.
#[derive(Default)]
pub(super) struct Desired {
    pub acts: Vec<Act>,
    pub wake: Option<Timestamp>,
    /// How many acts besides are left alone for a while, for they were refused.
    pub refused: usize,
}

/// Everything that is not yet as it should be, but for what was refused a moment ago.
pub(super) fn desired(context: &Context) -> Desired {
    let mut desired = all(context);
    let waits = refused::leave_alone(context.observed, &mut desired.acts, context.now);
    desired.refused = waits.len();
    desired.look_at(waits.into_iter().min());
    desired
}

/// Everything that is not yet as it should be, in the order in which it is safe.
pub(super) fn all(context: &Context) -> Desired {
    let mut desired = Desired::default();
    // A version that has gone back needs no set.
    if context.canary().is_none() && !matches!(context.progress.state, ProgressState::Aborted { .. }) {
        match context.observed.refusal.as_ref().filter(|refused| context.now < refused.again) {
            None => desired.acts.push(create(context)),
            Some(refused) => desired.look_at(Some(refused.again)),
        }
    }
    own(context, &mut desired);
    desired.acts.extend(select(context));
    // Nothing is made at another router before the one in use has taken its own back.
    let is_in_use = |router: &Router| {
        context.state.routed.as_ref().is_none_or(|routed| router.plugin() == Some(routed.router.as_str()))
    };
    let router = context.router().filter(|router| context.left().is_none() && is_in_use(router)).zip(context.asked());
    desired.acts.extend(router.into_iter().flat_map(|(router, asked)| router.writes(asked, context.observed)));
    desired.acts.extend(carried::lower(context));
    match context.routing() {
        Some(_) => scale_routed(context, &mut desired),
        None => scale_basic(context, &mut desired),
    }
    desired.acts.extend(forget(context));
    let revision = context.canary().map(|set| revision_of(context, set));
    if let Some(revision) = revision
        && annotation(&context.observed.rollout, REVISION) != Some(revision.to_string().as_str())
    {
        desired.acts.push(Act::Stamp { rollout: context.observed.guard(), revision });
    }
    if let Some((act, again)) = leaving::leave(context) {
        desired.acts.retain(|act| !lowers(context, act));
        desired.acts.extend(act);
        desired.look_at(again);
    }
    // Each is tried whatever becomes of the others, and the safer ones first.
    desired.acts.sort_by_key(|act| urgency(context, act));
    desired
}

/// Traffic to what works comes first, then pods that are added, then all others. Of the same, the order stays.
fn urgency(context: &Context, act: &Act) -> u8 {
    match act {
        Act::Select { .. } | Act::Route { .. } | Act::Weigh { .. } | Act::Verify { .. } | Act::Unroute { .. } => 0,
        Act::Scale { set, pods, .. } => {
            let observed = context.observed.sets.iter().find(|known| known.guard.uid == set.uid);
            if observed.is_some_and(|known| *pods > known.spec) { 1 } else { 3 }
        }
        Act::Create { .. } | Act::Own { .. } => 2,
        Act::Evict { .. } | Act::Forget { .. } | Act::Mark { .. } => 4,
        Act::AskRevert { .. }
        | Act::WithdrawRevert { .. }
        | Act::Stamp { .. }
        | Act::Post { .. }
        | Act::Status { .. } => 5,
    }
}

/// Whether an act takes pods away.
pub(super) fn lowers(context: &Context, act: &Act) -> bool {
    let Act::Scale { set, pods, .. } = act else { return false };
    context.observed.sets.iter().any(|known| known.guard.uid == set.uid && *pods < known.spec)
}

/// The newest version's ReplicaSet, without pods at first unless it is the first of all.
fn create(context: &Context) -> Act {
    let spec = context.strategy;
    let rollout = &context.observed.rollout;
    let mut template = spec.template.clone();
    let mut labels = template["metadata"]["labels"].clone();
    labels[HASH] = json!(context.progress.hash);
    template["metadata"]["labels"] = labels.clone();
    let mut selector = json!(spec.selector);
    selector[HASH] = json!(context.progress.hash);
    let first = context.progress.start == Start::First && context.observed.sets.is_empty();
    let goal = match context.routing() {
        Some(_) if context.awaits_service() => 0,
        Some(_) => context.goal().canary,
        None if first => context.goal().canary,
        None => 0,
    };
    let newest = context.observed.sets.iter().map(|set| set.revision).max().unwrap_or(0);
    let mut manifest = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{}", context.observed.name(), context.progress.hash),
            "namespace": rollout["metadata"]["namespace"],
            "labels": labels,
            "annotations": { REVISION: (newest + 1).to_string(), DESIRED: spec.replicas.to_string() },
            "ownerReferences": [owner(context)],
        },
        "spec": {
            "replicas": goal,
            "minReadySeconds": spec.min_ready_seconds,
            "selector": { "matchLabels": selector },
            "template": template,
        },
    });
    marks::put_on(context, &mut manifest);
    Act::Create { manifest }
}

/// The sets that a Rollout of the same name has left behind are this one's from now on.
fn own(context: &Context, desired: &mut Desired) {
    for set in &context.observed.sets {
        let Some(owners) = &set.orphan else { continue };
        match context.observed.unowned.get(&set.guard.uid).filter(|refused| context.now < refused.again) {
            Some(refused) => desired.look_at(Some(refused.again)),
            None => {
                let owners = owners.iter().cloned().chain([owner(context)]).collect();
                desired.acts.push(Act::Own { rollout: context.observed.guard(), set: set.guard.clone(), owners });
            }
        }
    }
}

/// The Rollout, as its sets name it.
fn owner(context: &Context) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": context.observed.name(),
        "uid": context.observed.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Traffic before pods: the stable version keeps all its pods, and no version
/// loses any while it gets requests.
fn scale_routed(context: &Context, desired: &mut Desired) {
    let goal = context.goal();
    let mut spare = context.spare();
    if let Some(stable) = context.stable() {
        let available = pods(stable).staying(stable.spec);
        let least = if goal.stable < stable.spec { available.saturating_sub(spare) } else { 0 };
        let number = goal.stable.max(least);
        spare = spare.saturating_sub(available.saturating_sub(number));
        scale(context, desired, stable, number, None);
    }
    let waiting = |set: &&Set| set.spec > 0 && released_until(context, set).or(set.deadline).is_some();
    let limit = context.strategy.delayed.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let all: Vec<&Set> = context.older().filter(waiting).collect();
    // The newest may wait; those before them have waited long enough.
    let late: Vec<&str> = all.iter().rev().skip(limit).map(|set| set.hash.as_str()).collect();
    for set in context.older() {
        let waits = released_until(context, set).or(set.deadline).filter(|at| *at > context.now);
        let waits = waits.filter(|_| !late.contains(&set.hash.as_str()));
        // Until a first version has pods, those of another may come back; and whatever the stable Service names serves
        // by it once it can.
        let alone = is_first(context) || context.is_named_stable(set) || context.is_handing_over();
        if set.spec > 0 && !context.has_traffic(set) && waits.is_none() && !alone {
            let kept = set.available.min(set.spec).saturating_sub(spare);
            spare = spare.saturating_sub(set.available.min(set.spec) - kept);
            scale(context, desired, set, kept, None);
        } else if set.spec > 0 {
            desired.look_at(waits);
            scale(context, desired, set, set.spec, set.deadline.or(waits));
        }
    }
    let Some(canary) = context.canary() else { return };
    if let (ProgressState::Aborted { .. }, Some(stable)) = (&context.progress.state, context.stable()) {
        let (pods, deadline) = match context.strategy.abort_delay_ms {
            Some(0) => (along(context, canary, spare), None),
            _ => give_back(context, desired, canary, stable),
        };
        return scale(context, desired, canary, pods, deadline);
    }
    if canary.spec == 0 && context.awaits_service() {
        return scale(context, desired, canary, 0, None);
    }
    let lower = goal.canary < canary.spec;
    let weight = context.target();
    let shifted = context.served().is_some_and(|served| served <= weight) && context.state.asked <= weight;
    let free = shifted && !context.stands_in_for_stable(canary);
    // Pods that are not available go first, so those alone may go whatever the other version has.
    let least = pods(canary).staying(canary.spec).saturating_sub(spare);
    let number = if lower && context.is_underway() && !free { canary.spec } else { goal.canary };
    scale(context, desired, canary, if lower { number.max(least) } else { number }, None);
}

/// The pods of a canary that was aborted, where they go with its traffic: those that its share asks for, and no fewer
/// than have to be available.
fn along(context: &Context, canary: &Set, spare: u32) -> u32 {
    let share = context.served().filter(|_| context.stable_is_selected() && context.left().is_none());
    let Some(served) = share else { return canary.spec };
    let strategy = context.strategy;
    let wanted = replicas::routed(strategy.replicas, served.max(context.state.asked), strategy.min_pods);
    canary.spec.min(wanted.max(pods(canary).staying(canary.spec).saturating_sub(spare)))
}

/// The pods of a canary that was aborted, and when it loses them: some time
/// after the stable version is whole and has all the traffic.
fn give_back(context: &Context, desired: &mut Desired, canary: &Set, stable: &Set) -> (u32, Option<Timestamp>) {
    let serves = context.stable_is_selected() && (is_full(stable) || stable.spec == 0);
    let whole = serves && stable.spec >= context.strategy.replicas;
    let Some(delay) = context.strategy.abort_delay_ms else { return (canary.spec, None) };
    if context.has_traffic(canary) || !whole || canary.spec == 0 {
        return (canary.spec, canary.deadline);
    }
    let deadline = canary.deadline.unwrap_or(context.now + delay);
    if context.now >= deadline {
        return (0, None);
    }
    desired.look_at(Some(deadline));
    (canary.spec, Some(deadline))
}

/// Until when a version keeps its pods that the last promotion has replaced.
fn released_until(context: &Context, set: &Set) -> Option<Timestamp> {
    let (hash, at) = context.state.released.as_ref()?;
    let until = at + context.strategy.scale_down_delay_ms;
    (*hash == set.hash && set.deadline.is_none()).then_some(until)
}

/// The pods are the weight: each move keeps within the bounds.
fn scale_basic(context: &Context, desired: &mut Desired) {
    let none = Pods::default();
    let (canary, stable) = (context.canary(), context.stable());
    let total = |sets: &mut dyn Iterator<Item = &Set>| {
        sets.fold(none, |all, set| Pods { spec: all.spec + set.spec, available: all.available + set.available })
    };
    let older = total(&mut context.older());
    let (now_canary, now_stable) = (canary.map_or(none, pods), stable.map_or(none, pods));
    let replicas = context.strategy.replicas;
    // Nobody makes room for pods whose set is not there, and may never be.
    let goal = match canary {
        None if stable.is_some() => Split { canary: 0, stable: replicas },
        _ => context.goal(),
    };
    let next = replicas::within(goal, now_canary, now_stable, older, replicas, context.strategy.bounds);
    if let Some(stable) = stable {
        scale(context, desired, stable, next.stable, None);
    }
    if let Some(canary) = canary {
        scale(context, desired, canary, next.canary, None);
    }
    if is_first(context) && canary.is_none_or(|set| set.available == 0) {
        return make_room(context, desired, next);
    }
    let mut spare = context.spare();
    for set in context.older().filter(|set| set.spec > 0) {
        // Pods that do not serve are given back first; they cost nobody anything.
        let serving = set.available.min(set.spec);
        let fewer = serving.min(spare);
        spare -= fewer;
        scale(context, desired, set, serving - fewer, None);
    }
}

/// Whether there is no version to go back to yet.
fn is_first(context: &Context) -> bool {
    context.progress.state == ProgressState::Underway && context.progress.start == Start::First
}

/// Until a first version has an available pod, those of others may come back, so they stay; but for one that is not
/// ready, where nothing else makes room for the first pod. One that is ready serves, though it may not be so for
/// `minReadySeconds`.
fn make_room(context: &Context, desired: &mut Desired, next: Split) {
    let mut stuck = context.canary().is_some_and(|canary| canary.spec == 0) && next.canary == 0;
    let spare = context.spare();
    for set in context.older().filter(|set| set.spec > 0) {
        let gives = stuck && set.caught_up == CaughtUp::Yes && (set.ready < set.spec || spare > 0);
        stuck &= !gives;
        scale(context, desired, set, if gives { set.spec - 1 } else { set.spec }, None);
    }
}

/// Scales a set, and keeps its annotations; nothing when nothing differs.
fn scale(context: &Context, desired: &mut Desired, set: &Set, pods: u32, deadline: Option<Timestamp>) {
    // Pods are taken only from what is this Rollout's.
    if set.orphan.is_some() && pods < set.spec {
        return;
    }
    let mut annotations = BTreeMap::new();
    if deadline.map(|at| at / 1000) != set.deadline.map(|at| at / 1000) {
        let value = deadline.map_or(Value::Null, |at| write_time(at).into());
        annotations.insert(DEADLINE.to_owned(), value);
    }
    let by_share = is_by_share(context, set, pods);
    if by_share != set.is_by_share {
        annotations.insert(BY_SHARE.to_owned(), if by_share { "true".into() } else { Value::Null });
    }
    let revision = revision_of(context, set);
    if set.hash == context.progress.hash && revision != set.revision {
        annotations.insert(REVISION.to_owned(), revision.to_string().into());
    }
    // The newest version's set has the number that the spec has by now, as Argo has it.
    let follows = set.hash == context.progress.hash && context.strategy.reading == Reading::Whole;
    let min_ready_seconds = if follows { context.strategy.min_ready_seconds } else { set.min_ready_seconds };
    if set.spec == pods && annotations.is_empty() && set.min_ready_seconds == min_ready_seconds {
        return;
    }
    annotations.insert(DESIRED.to_owned(), context.strategy.replicas.to_string().into());
    desired.acts.push(Act::Scale { set: set.guard.clone(), pods, min_ready_seconds, annotations });
}

/// Whether a set has only the pods for a share of the traffic: until all of them are available, whatever the spec says
/// by then.
fn is_by_share(context: &Context, set: &Set, pods: u32) -> bool {
    let replicas = context.strategy.replicas;
    let follows = context.strategy.stable_scale == StableScale::Dynamic && context.routing().is_some();
    follows && set.hash == context.stable_hash() && pods < replicas || set.is_by_share && set.available < replicas
}

/// The newest version has the highest revision, though it may be an old set.
fn revision_of(context: &Context, set: &Set) -> u64 {
    let others = context.observed.sets.iter().filter(|other| other.guard.uid != set.guard.uid);
    let highest = others.map(|other| other.revision).max().unwrap_or(0);
    if set.revision > highest { set.revision } else { highest + 1 }
}

/// Old sets without pods, beyond those that the history keeps.
fn forget(context: &Context) -> Vec<Act> {
    let stable = context.state.stable.as_ref().map(|stable| &stable.hash);
    let is_ours = |set: &&Set| set.orphan.is_none();
    let idle =
        context.older().filter(is_ours).filter(|set| set.spec == 0 && set.pods == 0 && Some(&set.hash) != stable);
    let guards: Vec<Guard> = idle.map(|set| set.guard.clone()).collect();
    let keep = usize::try_from(context.strategy.history).unwrap_or(usize::MAX);
    let many = guards.len().saturating_sub(keep);
    guards.into_iter().take(many).map(|set| Act::Forget { set }).collect()
}

impl Desired {
    fn look_at(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
    }
}
