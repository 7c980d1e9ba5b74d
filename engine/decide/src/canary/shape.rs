//! What the cluster has to look like at a position: the acts that bring it
//! there. All of them are absolute; none is answered when nothing differs.

use super::alb::{self, Names};
use super::entry::{Act, Guard, Start};
use super::look::{Look, is_full, pods};
use super::recorded::State;
use super::replicas::{self, Pods};
use super::reply;
use super::seen::{DEADLINE, DESIRED, HASH, Ingress, REVISION, Set, annotation, write_time};
use crate::next::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The acts, and when to look again by the clock.
#[derive(Default)]
pub(super) struct Shape {
    pub acts: Vec<Act>,
    pub wake: Option<Timestamp>,
}

/// Everything that is not yet as it should be, in the order in which it is safe.
pub(super) fn shape(look: &Look) -> Shape {
    let mut shape = Shape::default();
    if look.canary().is_none() {
        shape.acts.push(create(look));
        return shape;
    }
    shape.acts.extend(select(look));
    shape.acts.extend(reply::weigh(look));
    let ingresses = look.alb().into_iter().flat_map(|alb| &alb.ingresses);
    for (ingress, ports) in ingresses.filter_map(|(name, ports)| Some((look.live.ingresses.get(name)?, ports))) {
        // An Ingress that does not read annotations is reported as a problem instead.
        let annotations = route(look, ingress, ports).unwrap_or_default();
        if !annotations.is_empty() {
            shape.acts.push(Act::Route { ingress: ingress.guard.clone(), annotations });
        }
    }
    match look.routing() {
        Some(_) => scale_routed(look, &mut shape),
        None => scale_basic(look, &mut shape),
    }
    shape.acts.extend(forget(look));
    let revision = look.canary().map_or(0, |set| revision_of(look, set));
    if annotation(&look.live.rollout, REVISION) != Some(revision.to_string().as_str()) {
        shape.acts.push(Act::Stamp { rollout: look.live.guard(), revision });
    }
    shape
}

/// The newest version's ReplicaSet, without pods at first unless it is the first of all.
fn create(look: &Look) -> Act {
    let spec = look.spec;
    let rollout = &look.live.rollout;
    let mut template = spec.template.clone();
    let mut labels = template["metadata"]["labels"].clone();
    labels[HASH] = json!(look.walk.hash);
    template["metadata"]["labels"] = labels.clone();
    let mut selector = json!(spec.selector);
    selector[HASH] = json!(look.walk.hash);
    let first = look.walk.start == Start::First && look.live.sets.is_empty();
    let goal = match look.routing() {
        Some(_) => look.goal().canary,
        None if first => look.goal().canary,
        None => 0,
    };
    let newest = look.live.sets.iter().map(|set| set.revision).max().unwrap_or(0);
    let manifest = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{}", look.live.name(), look.walk.hash),
            "namespace": rollout["metadata"]["namespace"],
            "labels": labels,
            "annotations": { REVISION: (newest + 1).to_string(), DESIRED: spec.replicas.to_string() },
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Rollout",
                "name": look.live.name(),
                "uid": look.live.guard().uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "replicas": goal,
            "minReadySeconds": spec.min_ready_seconds,
            "selector": { "matchLabels": selector },
            "template": template,
        },
    });
    Act::Create { manifest }
}

/// The Services' selectors. Each moves only to a version that is fully there.
fn select(look: &Look) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut act = |name: Option<&str>, set: Option<&Set>, ready: bool| {
        let (Some(service), Some(set)) = (look.service(name), set) else { return };
        let moves = service.hash.as_ref() != Some(&set.hash);
        if moves && ready || !moves && service.managed_by.is_none() {
            let rollout = look.live.name();
            acts.push(Act::Select { service: service.guard.clone(), hash: set.hash.clone(), rollout });
        }
    };
    let stable = look.recorded.stable.as_ref().and_then(|stable| look.live.set(&stable.hash));
    let name = look.spec.stable_service.as_deref();
    // Whoever is selected now may be gone; then some pods of the right version beat none.
    let lost = look
        .service(name)
        .and_then(|service| service.hash.as_ref())
        .is_some_and(|hash| look.live.set(hash).is_none_or(|set| set.ready == 0));
    act(name, stable, stable.is_some_and(|set| is_full(set) || lost && set.ready > 0));
    let canary = look.canary();
    let name = look.spec.canary_service.as_deref();
    // While another version gets requests through the canary's Service, it is not swapped below them.
    let busy = look.service(name).and_then(|service| service.hash.as_ref()).filter(|hash| **hash != look.walk.hash);
    let busy =
        busy.and_then(|hash| look.live.set(hash)).is_some_and(|set| set.ready > 0 && look.canary_gets_requests());
    let free = !busy || look.walk.state == State::Promoted;
    let retreated = matches!(look.walk.state, State::Retreated { .. });
    act(name, canary, !retreated && free && canary.is_some_and(is_full));
    acts
}

/// The annotations that an Ingress lacks for the weight that was promised.
///
/// # Errors
/// Why it cannot carry them.
pub(super) fn route(look: &Look, ingress: &Ingress, ports: &[u32]) -> Result<BTreeMap<String, String>, String> {
    let (Some(alb), Some((canary, stable))) = (look.alb(), look.routing()) else { return Ok(BTreeMap::new()) };
    let rollout = look.live.name();
    let names = Names { rollout: &rollout, canary, stable };
    alb::annotations(alb, ports, ingress, names, look.recorded.asked)
}

/// Traffic before pods: the stable version keeps all its pods, and no version
/// loses any while it gets requests.
fn scale_routed(look: &Look, shape: &mut Shape) {
    let goal = look.goal();
    if let Some(stable) = look.stable() {
        scale(look, shape, stable, look.spec.replicas, None);
    }
    for set in look.older() {
        let waits = released_until(look, set).or(set.deadline).filter(|at| *at > look.now);
        if set.spec > 0 && !look.has_traffic(set) && waits.is_none() {
            scale(look, shape, set, 0, None);
        } else if set.spec > 0 {
            shape.look_at(waits);
            scale(look, shape, set, set.spec, set.deadline.or(waits));
        }
    }
    let Some(canary) = look.canary() else { return };
    if let (State::Retreated { .. }, Some(stable)) = (&look.walk.state, look.stable()) {
        let (pods, deadline) = give_back(look, shape, canary, stable);
        return scale(look, shape, canary, pods, deadline);
    }
    let lower = goal.canary < canary.spec;
    let weight = look.target();
    let shifted = look.served().is_some_and(|served| served <= weight) && look.recorded.asked <= weight;
    let free = shifted && !look.stands_in_for_stable(canary);
    let pods = if lower && look.is_walking() && !free { canary.spec } else { goal.canary };
    scale(look, shape, canary, pods, None);
}

/// The pods of a canary that has retreated, and when it loses them: some time
/// after the stable version is whole and has all the traffic.
fn give_back(look: &Look, shape: &mut Shape, canary: &Set, stable: &Set) -> (u32, Option<Timestamp>) {
    let whole = stable.spec >= look.spec.replicas && (is_full(stable) || stable.spec == 0);
    let Some(delay) = look.spec.retreat_delay_ms else { return (canary.spec, None) };
    if look.has_traffic(canary) || !whole || canary.spec == 0 {
        return (canary.spec, canary.deadline);
    }
    let deadline = canary.deadline.unwrap_or(look.now + delay);
    if look.now >= deadline {
        return (0, None);
    }
    shape.look_at(Some(deadline));
    (canary.spec, Some(deadline))
}

/// Until when a version keeps its pods that the last promotion has replaced.
fn released_until(look: &Look, set: &Set) -> Option<Timestamp> {
    let (hash, at) = look.recorded.released.as_ref()?;
    let until = at + look.spec.scale_down_delay_ms;
    (*hash == set.hash && set.deadline.is_none()).then_some(until)
}

/// The pods are the weight: each move keeps within the bounds.
fn scale_basic(look: &Look, shape: &mut Shape) {
    let none = Pods::default();
    let (canary, stable) = (look.canary(), look.stable());
    let total = |sets: &mut dyn Iterator<Item = &Set>| {
        sets.fold(none, |all, set| Pods { spec: all.spec + set.spec, available: all.available + set.available })
    };
    let older = total(&mut look.older());
    let (now_canary, now_stable) = (canary.map_or(none, pods), stable.map_or(none, pods));
    let replicas = look.spec.replicas;
    let next = replicas::within(look.goal(), now_canary, now_stable, older, replicas, look.spec.bounds);
    if let Some(stable) = stable {
        scale(look, shape, stable, next.stable, None);
    }
    if let Some(canary) = canary {
        scale(look, shape, canary, next.canary, None);
    }
    let available = total(&mut look.live.sets.iter()).available;
    let mut spare = available.saturating_sub(replicas.saturating_sub(look.spec.bounds.unavailable));
    for set in look.older().filter(|set| set.spec > 0) {
        // Pods that do not serve are given back first; they cost nobody anything.
        let serving = set.available.min(set.spec);
        let fewer = serving.min(spare);
        spare -= fewer;
        scale(look, shape, set, serving - fewer, None);
    }
}

/// Scales a set, and keeps its annotations; nothing when nothing differs.
fn scale(look: &Look, shape: &mut Shape, set: &Set, pods: u32, deadline: Option<Timestamp>) {
    let mut annotations = BTreeMap::new();
    if deadline.map(|at| at / 1000) != set.deadline.map(|at| at / 1000) {
        let value = deadline.map_or(Value::Null, |at| write_time(at).into());
        annotations.insert(DEADLINE.to_owned(), value);
    }
    let revision = revision_of(look, set);
    if set.hash == look.walk.hash && revision != set.revision {
        annotations.insert(REVISION.to_owned(), revision.to_string().into());
    }
    if set.spec == pods && annotations.is_empty() {
        return;
    }
    annotations.insert(DESIRED.to_owned(), look.spec.replicas.to_string().into());
    shape.acts.push(Act::Scale { set: set.guard.clone(), pods, annotations });
}

/// The newest version has the highest revision, though it may be an old set.
fn revision_of(look: &Look, set: &Set) -> u64 {
    let others = look.live.sets.iter().filter(|other| other.guard.uid != set.guard.uid);
    let highest = others.map(|other| other.revision).max().unwrap_or(0);
    if set.revision > highest { set.revision } else { highest + 1 }
}

/// Old sets without pods, beyond those that the history keeps.
fn forget(look: &Look) -> Vec<Act> {
    let stable = look.recorded.stable.as_ref().map(|stable| &stable.hash);
    let idle = look.older().filter(|set| set.spec == 0 && set.pods == 0 && Some(&set.hash) != stable);
    let guards: Vec<Guard> = idle.map(|set| set.guard.clone()).collect();
    let keep = usize::try_from(look.spec.history).unwrap_or(usize::MAX);
    let many = guards.len().saturating_sub(keep);
    guards.into_iter().take(many).map(|set| Act::Forget { set }).collect()
}

impl Shape {
    fn look_at(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
    }
}
