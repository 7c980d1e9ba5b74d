//! A pure model of a cluster's corner: ReplicaSets get their pods, pods become
//! ready or crash, and the router serves what its annotation says. It refuses
//! stale writes as an API server does, and fails the test when a pod that
//! still gets requests is taken away.

use super::super::*;
use crate::annotations::OWNER;
use crate::by::By;
use crate::epoch::Epoch;
use crate::next::{Phase, Timestamp, Wake};
use crate::outcome::{Failure, Outcomes};
use crate::request::{Key, Response};
use crate::retry::Retry;
use crate::revert;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The world, the journal, and what was seen happening.
#[derive(Clone)]
pub(super) struct World {
    pub now: Timestamp,
    pub rollout: Value,
    pub sets: Vec<Value>,
    pub pods: Vec<Value>,
    pub services: Vec<Value>,
    pub ingresses: Vec<Value>,
    pub journal: Vec<(Timestamp, By, Entry)>,
    /// Every weight that was written, in order.
    pub weights: Vec<u32>,
    /// What was said last.
    pub said: (Phase, String),
    /// How many turns the driver has taken so far.
    pub turns: usize,
    /// The server dies in this turn, after so many acts.
    pub dies: Option<(usize, usize)>,
    /// How long it is down then, in ms; meanwhile the cluster goes on.
    pub down: Timestamp,
    /// The acts of each turn so far.
    pub acts: Vec<usize>,
    /// Every act is carried out twice.
    pub stutters: bool,
    /// The manifests repository, where there is one.
    pub git: Option<super::git::Git>,
    /// The streams of the reverts, by the moment of each promise.
    pub reverts: BTreeMap<Timestamp, Vec<revert::Entry>>,
    /// Those that are driven: a death leaves none.
    pub driven: BTreeSet<Timestamp>,
    /// Nobody can look at the repository.
    pub is_away: bool,
    /// The data plane that a plugin tells its weights, where there is one.
    pub proxy: Option<super::proxy::Proxy>,
    /// The load balancer, where it is asked what it serves.
    pub balancer: Option<super::late_balancer::LateBalancer>,
    /// What the driver keeps of the acts, which a crash takes.
    pub outcomes: Outcomes<ActKey, Reply>,
    /// Before each turn some outcomes are lost, at random from this seed.
    pub loses: Option<u64>,
    /// In this turn, the act of this index fails, and the others are tried.
    pub fails: Option<(usize, usize)>,
    /// Why no ReplicaSet can be created, as long as that is so.
    pub refuses: Option<&'static str>,
    /// Why no pod may be evicted, as long as that is so.
    pub budget: Option<&'static str>,
    /// What befalls its acts, by chance.
    pub faults: Option<super::faults::Faults>,
    /// Why the API server lets no set be taken over, where it does not.
    pub disowns: Option<&'static str>,
    /// Why no label or annotation can be put on a set or a pod, as long as that is so.
    pub forbids: Option<&'static str>,
    /// Which writes the API server refuses, and why.
    pub denies: Option<(IsDenied, &'static str)>,
    /// Why no Kubernetes Event can be posted, as long as that is so.
    pub mute: Option<&'static str>,
    /// A label that admission gives each new pod, and its value.
    pub admits: Option<(&'static str, &'static str)>,
    /// The Kubernetes Events that were posted, by their names.
    pub events: BTreeMap<String, RolloutEvent>,
    /// How much the API server's clock is behind ours, in ms.
    pub behind: u64,
    /// How many of the journal's entries came with a backup.
    pub restored: usize,
    version: u64,
    /// How many pods there have been.
    made: usize,
}

/// Whether a write is among those that are refused.
type IsDenied = fn(&Act) -> bool;

/// Whether something will happen without anybody's hand.
#[derive(PartialEq, Eq)]
pub(super) enum Step {
    On,
    Rest,
}

/// So many turns in a row without anything happening are rest: a router is asked now and then for ever.
const IDLE: usize = 12;

pub(super) const SEED: &str = include_str!("seed-rollout.json");

/// The version that is stable at first.
pub(super) const V55: &str = "was:v55-f31bdcc";
/// The one that comes after it.
pub(super) const V56: &str = "was:v56-0a1b2c3";

/// A world in which v55 serves everything.
pub(super) fn settled(mut world: World) -> World {
    world.deploy(V55);
    world.settle();
    assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
    world
}

/// At the pause after a weight.
pub(super) fn at_weight(mut world: World, weight: u32) -> World {
    world.run_until(|world| {
        world.served() == Some(weight) && world.state().progress.is_some_and(|progress| progress.paused_since.is_some())
    });
    assert_eq!(world.served(), Some(weight), "{:?}", world.said);
    world
}

impl World {
    /// The seed's Rollout with its selector, two replicas, and its surroundings.
    pub(super) fn seed() -> World {
        let mut rollout: Value = serde_json::from_str(SEED).unwrap();
        rollout["metadata"]["uid"] = json!("rollout-uid");
        rollout["metadata"]["generation"] = json!(1);
        rollout["metadata"]["annotations"] = json!({ OWNER: "bespin" });
        let service = |name: &str| {
            json!({
                "metadata": {"name": name, "uid": format!("{name}-uid"), "resourceVersion": "1"},
                "spec": {"selector": {"app": "was"}},
            })
        };
        let ingress = json!({
            "metadata": {"name": "petclinic-ingress", "uid": "ingress-uid", "resourceVersion": "1"},
            "spec": {"rules": [{"http": {"paths": [
                {"path": "/", "backend": {"service": {"name": "was-stable", "port": {"name": "use-annotation"}}}}
            ]}}]},
        });
        World {
            now: 1_700_000_000_000,
            rollout,
            sets: Vec::new(),
            pods: Vec::new(),
            services: vec![service("was-stable"), service("was-canary")],
            ingresses: vec![ingress],
            journal: Vec::new(),
            weights: Vec::new(),
            said: (Phase::Waiting, String::new()),
            turns: 0,
            dies: None,
            down: 0,
            acts: Vec::new(),
            stutters: false,
            git: None,
            reverts: BTreeMap::new(),
            driven: BTreeSet::new(),
            is_away: false,
            proxy: None,
            balancer: None,
            outcomes: Outcomes::default(),
            loses: None,
            fails: None,
            refuses: None,
            budget: None,
            disowns: None,
            faults: None,
            forbids: None,
            denies: None,
            mute: None,
            admits: None,
            events: BTreeMap::new(),
            behind: 0,
            restored: 0,
            version: 1,
            made: 0,
        }
    }

    /// The same without a router: the pods are the weight.
    pub(super) fn basic(replicas: u32) -> World {
        let mut world = World::seed();
        let canary = &mut world.rollout["spec"]["strategy"]["canary"];
        canary.as_object_mut().unwrap().remove("trafficRouting");
        canary["maxSurge"] = json!(1);
        canary["maxUnavailable"] = json!(0);
        world.ingresses.clear();
        world.scale(replicas);
        world
    }

    /// The same with two Services that take turns: `was-canary` is ping, and `was-stable` pong.
    pub(super) fn by_turns() -> World {
        let mut world = World::seed();
        let canary = world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap();
        canary.remove("canaryService");
        canary.remove("stableService");
        canary.insert("pingPong".into(), json!({ "pingService": "was-canary", "pongService": "was-stable" }));
        canary["trafficRouting"]["alb"]["rootService"] = json!("was");
        world.ingresses[0]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = json!("was");
        world
    }

    pub(super) fn deploy(&mut self, image: &str) {
        self.rollout["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        self.changed();
    }

    pub(super) fn scale(&mut self, replicas: u32) {
        self.rollout["spec"]["replicas"] = json!(replicas);
        self.changed();
    }

    /// So many of a version's pods are ready from here on, and the others are not.
    pub(super) fn set_ready(&mut self, image: &str, ready: usize) {
        let is = |set: &&Value| set["spec"]["template"]["spec"]["containers"][0]["image"] == image;
        let uid = self.sets.iter().find(is).unwrap()["metadata"]["uid"].clone();
        let pods = self.pods.iter_mut().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == uid);
        for (index, pod) in pods.enumerate() {
            pod["status"] = match index < ready {
                true => json!({"phase": "Pending"}),
                false => json!({"phase": "Unready"}),
            };
        }
        self.controllers();
    }

    pub(super) fn changed(&mut self) {
        let generation = self.rollout["metadata"]["generation"].as_u64().unwrap();
        self.rollout["metadata"]["generation"] = json!(generation + 1);
    }

    pub(super) fn ask(&mut self, action: Action) {
        let entry = Entry::Asked { action, through: Through::Api };
        self.journal.push((self.now, By::Person("mina".into()), entry));
    }

    pub(super) fn want(&mut self, run: &str, image: Option<&str>, on_timeout: OnTimeout) -> Key {
        let key = Key { run: run.into(), step: "canary".into() };
        let intent = Intent { image: image.map(str::to_owned), on_timeout };
        self.journal.push((self.now, By::Run(run.into()), Entry::Wanted { key: key.clone(), intent }));
        key
    }

    pub(super) fn state(&self) -> State {
        State::fold(self.journal.iter().map(|(at, by, entry)| (*at, by, entry)))
    }

    pub(super) fn answer(&self, key: &Key) -> Option<Response> {
        self.state().answer(key).cloned()
    }

    pub(super) fn objects(&self) -> Objects {
        // As the cluster's adapter lists them.
        let named = |all: &[Value]| -> Vec<Value> {
            all.iter().filter(|object| object["metadata"]["labels"].get(HASH).is_some()).cloned().collect()
        };
        let balancer = self.reading();
        let mut pods = named(&self.pods);
        for pod in pods.iter_mut().filter(|_| self.balancer.is_some()) {
            pod["status"]["podIP"] = json!(super::late_balancer::address(pod));
        }
        Objects {
            served: spec::served(&self.rollout, &self.ingresses, &balancer),
            balancer,
            rollout: Some(self.rollout.clone()),
            sets: named(&self.sets),
            pods,
            services: self.services.clone(),
            ingresses: self.ingresses.clone(),
            applications: self.applications(),
            cluster: "production".into(),
            revert: self.revert_state(),
            routers: self.proxy.iter().map(|_| (super::proxy::NAME.to_owned(), Serves::This)).collect(),
            epoch: self.epoch(),
            ..Objects::default()
        }
    }

    fn epoch(&self) -> Epoch {
        let since = self.journal.iter().skip(self.restored);
        match self.restored > 0 && since.into_iter().all(|(_, by, _)| *by != By::Server) {
            true => Epoch::Restored,
            false => Epoch::This,
        }
    }

    /// Until nothing happens any more but by somebody's hand.
    #[track_caller]
    pub(super) fn settle(&mut self) {
        self.run_until(|_| false);
    }

    /// Until something is so; then at once.
    #[track_caller]
    pub(super) fn run_until(&mut self, stop: impl Fn(&World) -> bool) {
        for _ in 0..2000 {
            if stop(self) || self.step() == Step::Rest {
                return;
            }
        }
        panic!("never comes to rest: {:?}", self.said);
    }

    /// One turn of the driver, and then one thing that happens in the world.
    pub(super) fn step(&mut self) -> Step {
        let wake = self.turn();
        let rests = self.balancer.as_ref().is_some_and(|balancer| balancer.idle > IDLE && balancer.next().is_none());
        if wake != Wake::Now && (rests || self.proxy.as_ref().is_some_and(|proxy| proxy.idle > IDLE)) {
            return Step::Rest;
        }
        match wake {
            Wake::Now => {}
            _ if self.git_turn() => {}
            _ if self.controllers() => self.now += 100,
            Wake::At(at) if at > self.now => self.wait(at),
            Wake::At(_) => {}
            Wake::OnChange | Wake::Never => return Step::Rest,
        }
        Step::On
    }

    /// One turn of the driver.
    pub(super) fn turn(&mut self) -> Wake {
        self.turns += 1;
        self.lose();
        self.forget();
        self.late();
        let observed = self.observed();
        let (before, next) = (self.journal.len(), decide(&self.state(), &observed, self.now));
        for entry in next.record {
            if let Entry::Shifting { weight, .. } = entry {
                self.weights.push(weight);
            }
            // What cannot be read again is lost in a restart.
            let text = serde_json::to_string(&entry).unwrap();
            self.journal.push((self.now, By::Server, serde_json::from_str(&text).unwrap()));
        }
        if let Some(proxy) = &mut self.proxy {
            let asks = next.acts.iter().all(|act| matches!(act, Act::Verify { .. }));
            proxy.idle = if before == self.journal.len() && asks { proxy.idle + 1 } else { 0 };
        }
        if let Some(balancer) = &mut self.balancer {
            balancer.idle = if before == self.journal.len() && next.acts.is_empty() { balancer.idle + 1 } else { 0 };
        }
        self.said = (next.status.phase, next.status.message);
        self.judge(&next.acts);
        // Asking changes nothing: dying there loses an outcome, which has a test of its own.
        let changes = |act: &Act| !matches!(act, Act::Verify { .. });
        self.acts.push(if next.acts.iter().any(changes) { next.acts.len() } else { 0 });
        self.forget();
        for (index, act) in next.acts.iter().enumerate() {
            if self.dies == Some((self.turns, index)) {
                self.driven.clear();
                self.outcomes = Outcomes::default();
                let back = self.now + self.down;
                while self.now < back && self.controllers() {
                    self.now += 100;
                }
                self.wait(back);
                return Wake::Now;
            }
            if self.fails == Some((self.turns, index)) {
                continue;
            }
            for _ in 0..if self.stutters { 2 } else { 1 } {
                let result = self.attempt(act);
                let key = act.clone().into();
                match is_hint(&key, &result) {
                    true => self.outcomes.keep(key, result, self.now),
                    false => self.outcomes.forget(&key),
                }
            }
        }
        next.wake
    }

    /// What an observation comes to.
    pub(super) fn observed(&self) -> Observed {
        let mut observed = Observed::read(self.objects());
        hear(&self.state(), &mut observed, &self.outcomes);
        observed
    }

    /// Drops what came of acts that the journal asks for no more.
    fn forget(&mut self) {
        let state = self.state();
        self.outcomes.retain(|kept| is_current(&state, kept));
    }

    /// Loses each outcome with a chance of one in four.
    fn lose(&mut self) {
        let Some(seed) = &mut self.loses else { return };
        let kept: Vec<ActKey> = self.outcomes.iter().map(|attempted| attempted.act.clone()).collect();
        for one in kept {
            // Knuth's MMIX generator; its high bits are the good ones.
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if *seed >> 62 == 0 {
                self.outcomes.retain(|kept| *kept != one);
            }
        }
    }

    /// What a router or the API server does with an act; a stale one changes nothing.
    pub(super) fn act(&mut self, act: &Act) -> Result<Reply, Failure> {
        if let Some((_, because)) = self.denies.filter(|(denies, _)| denies(act)) {
            return Err(Failure { message: because.to_owned(), retry: Retry::NeedsPerson });
        }
        match act {
            Act::Weigh { split } => self.tell_router(split),
            Act::Verify { split } => self.ask_router(split),
            Act::Unroute { rollout, .. } => self.unroute(rollout),
            Act::Create { .. } if self.refuses.is_some() => {
                let message = self.refuses.unwrap_or_default().to_owned();
                Err(Failure { message, retry: Retry::PASSING })
            }
            Act::Own { .. } if self.disowns.is_some() => {
                Err(Failure { message: self.disowns.unwrap_or_default().to_owned(), retry: Retry::NeedsPerson })
            }
            // Whoever has it: a name is taken but once.
            Act::Create { manifest } if self.sets.iter().any(|set| has_name_of(set, manifest)) => {
                Err(Failure { message: "it already exists".into(), retry: Retry::PASSING })
            }
            Act::Evict { .. } if self.budget.is_some() => {
                Err(Failure { message: self.budget.unwrap_or_default().to_owned(), retry: Retry::PASSING })
            }
            Act::Mark { .. } if self.forbids.is_some() => {
                Err(Failure { message: self.forbids.unwrap_or_default().to_owned(), retry: Retry::NeedsPerson })
            }
            Act::Post { .. } if self.mute.is_some() => {
                Err(Failure { message: self.mute.unwrap_or_default().to_owned(), retry: Retry::PASSING })
            }
            _ => {
                self.write(act);
                Ok(Reply::Done)
            }
        }
    }

    fn write(&mut self, act: &Act) {
        match act {
            Act::Create { manifest } => {
                let mut set = manifest.clone();
                let version = self.next_version();
                set["metadata"]["uid"] = json!(format!("{}-uid", set["metadata"]["name"].as_str().unwrap()));
                set["metadata"]["resourceVersion"] = json!(version);
                set["metadata"]["generation"] = json!(1);
                set["metadata"]["creationTimestamp"] = json!(crate::object::write_time(self.now));
                self.sets.push(set);
            }
            Act::Own { set, owners, .. } => {
                let version = self.next_version();
                let Some(observed) = fresh(&mut self.sets, set, &version) else { return };
                observed["metadata"]["ownerReferences"] = json!(owners);
            }
            Act::Scale { set, pods, min_ready_seconds, annotations } => {
                self.scale_set(set, *pods, *min_ready_seconds, annotations);
            }
            Act::Evict { pod } => self.pods.retain(|known| known["metadata"]["uid"] != pod.uid.as_str()),
            Act::Forget { set } => {
                let version = self.next_version();
                if fresh(&mut self.sets, set, &version).is_some() {
                    self.sets.retain(|known| known["metadata"]["uid"] != set.uid.as_str());
                }
            }
            Act::Select { service, hash, rollout } => {
                let version = self.next_version();
                let Some(observed) = fresh(&mut self.services, service, &version) else { return };
                observed["spec"]["selector"][HASH] = json!(hash);
                observed["metadata"]["annotations"][MANAGED_BY] = json!(rollout);
            }
            Act::Route { ingress, annotations } => {
                let version = self.next_version();
                let Some(observed) = fresh(&mut self.ingresses, ingress, &version) else { return };
                for (key, value) in annotations {
                    observed["metadata"]["annotations"][key] = json!(value);
                }
            }
            Act::Weigh { .. } | Act::Verify { .. } | Act::Unroute { .. } => panic!("a router is no cluster"),
            Act::AskRevert { .. } | Act::WithdrawRevert { .. } => self.tell_revert(act),
            Act::Stamp { revision, .. } => {
                self.rollout["metadata"]["annotations"][observed::REVISION] = json!(revision.to_string());
            }
            Act::Mark { object, marked, labels, annotations } => {
                let change = json!({ "labels": labels, "annotations": annotations });
                self.mark(object, marked, &change);
            }
            Act::Post { event, .. } => drop(self.events.entry(event.name.clone()).or_insert_with(|| event.clone())),
            Act::Status { patch, .. } => {
                let mut status = self.rollout["status"].take();
                json_patch::merge(&mut status, patch);
                self.rollout["status"] = status;
            }
        }
    }

    fn scale_set(&mut self, set: &Guard, pods: u32, min_ready_seconds: u32, annotations: &BTreeMap<String, Value>) {
        let lowered = self.sets.iter().find(|known| known["metadata"]["uid"] == set.uid.as_str()).cloned();
        let version = self.next_version();
        let Some(observed) = fresh(&mut self.sets, set, &version) else { return };
        let before = observed["spec"]["replicas"].as_u64().unwrap();
        let spec = observed["spec"].clone();
        observed["spec"]["replicas"] = json!(pods);
        observed["spec"]["minReadySeconds"] = json!(min_ready_seconds);
        if spec != observed["spec"] {
            let generation = observed["metadata"]["generation"].as_u64().unwrap();
            observed["metadata"]["generation"] = json!(generation + 1);
        }
        for (key, value) in annotations {
            observed["metadata"]["annotations"][key] = value.clone();
        }
        if u64::from(pods) < before && self.faults.is_none() {
            self.no_traffic_is_lost(&lowered.unwrap(), pods);
        }
    }

    /// As the API server takes it: a template that its own set does not select is refused.
    fn mark(&mut self, object: &Guard, marked: &Marked, change: &Value) {
        let version = self.next_version();
        match marked {
            Marked::Pod => {
                let Some(pod) = self.pods.iter_mut().find(|pod| pod["metadata"]["uid"] == object.uid.as_str()) else {
                    return;
                };
                json_patch::merge(&mut pod["metadata"], change);
            }
            Marked::Set { put, overwritten } => {
                let Some(set) = fresh(&mut self.sets, object, &version) else { return };
                let annotations = json!({ EPHEMERAL: put, crate::annotations::OVERWRITTEN: overwritten });
                json_patch::merge(&mut set["metadata"]["annotations"], &annotations);
                let before = set["spec"].clone();
                json_patch::merge(&mut set["spec"]["template"]["metadata"], change);
                if before != set["spec"] {
                    let generation = set["metadata"]["generation"].as_u64().unwrap();
                    set["metadata"]["generation"] = json!(generation + 1);
                }
            }
        }
        for object in self.sets.iter().chain(&self.pods) {
            let own = |set: &&Value| set["metadata"]["uid"] == object["metadata"]["ownerReferences"][0]["uid"];
            let set = self.sets.iter().find(own).unwrap_or(object);
            let labels = object.pointer("/spec/template/metadata/labels").unwrap_or(&object["metadata"]["labels"]);
            let selector = set["spec"]["selector"]["matchLabels"].as_object();
            let selects = selector.into_iter().flatten().all(|(key, value)| labels[key] == *value);
            assert!(selects, "{} is selected by its set no more", object["metadata"]["name"]);
        }
    }

    /// Fails when pods are taken away that requests still go to.
    fn no_traffic_is_lost(&self, set: &Value, pods: u32) {
        // Where there is no router, the pods are the weight; and a pod that is not ready gets no requests.
        let is_ready = set["status"]["readyReplicas"] != 0;
        if self.rollout.pointer("/spec/strategy/canary/trafficRouting").is_none() || !is_ready {
            return;
        }
        let hash = &set["metadata"]["labels"][HASH];
        let left = self.proxy.iter().flat_map(|proxy| &proxy.left).map(|(_, weight)| *weight).max();
        let weight = self.shared().max(left);
        let gets =
            |service: &Value, share: bool| share && service["spec"]["selector"].get(HASH).is_none_or(|v| v == hash);
        let stable = gets(&self.services[0], weight != Some(100));
        let canary = self.services.get(1).is_some_and(|service| gets(service, weight != Some(0)));
        let replicas = self.rollout["spec"]["replicas"].as_u64().unwrap();
        let follows = self.rollout.pointer("/spec/strategy/canary/dynamicStableScale") == Some(&json!(true));
        let of = |share: u32| (replicas * u64::from(share)).div_ceil(100);
        let share = match weight {
            Some(weight) if stable && follows => of(100 - weight),
            _ if stable => replicas,
            _ => of(weight.unwrap_or(100)),
        };
        let name = &set["metadata"]["name"];
        assert!(
            !(stable || canary) || u64::from(pods) >= share,
            "{name} loses pods at {weight:?} % ({pods} < {share})"
        );
    }

    /// The controllers and the kubelet do one thing each; whether anything changed.
    pub(super) fn controllers(&mut self) -> bool {
        let mut changed = self.proxy_follows();
        changed |= self.balancer_follows();
        for index in 0..self.sets.len() {
            let set = self.sets[index].clone();
            let uid = set["metadata"]["uid"].clone();
            let wanted = set["spec"]["replicas"].as_u64().unwrap() as usize;
            let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
            // One that has ended is none that the set counts.
            let of_set =
                |pod: &Value| pod["metadata"]["ownerReferences"][0]["uid"] == uid && pod["status"]["phase"] != "Failed";
            let have = self.pods.iter().filter(|pod| of_set(pod)).count();
            for pod in self.pods.iter_mut().filter(|pod| of_set(pod) && pod["status"]["phase"] == "Pending") {
                changed |= bring_up(pod, image, self.now);
            }
            if have < wanted {
                let (made, at, admits) = (self.made, self.now - self.behind, self.admits);
                let new = (have..wanted).map(|n| admitted(new_pod(&set, &format!("{made}-{n}"), at), admits));
                self.pods.extend(new);
                self.made += wanted - have;
                changed = true;
            }
            let mut surplus = have.saturating_sub(wanted);
            // Those that are not ready go first, as the real controller has it.
            for is_ready in [false, true] {
                self.pods.retain(|pod| {
                    let goes = surplus > 0 && of_set(pod) && (pod["status"]["phase"] == "Running") == is_ready;
                    surplus -= usize::from(goes);
                    !goes
                });
            }
            let (now_have, ready) = {
                let of = || self.pods.iter().filter(|pod| of_set(pod));
                (of().count(), of().filter(|pod| pod["status"]["phase"] == "Running").count())
            };
            let least = set["spec"]["minReadySeconds"].as_u64().unwrap_or(0) * 1000;
            let long = |pod: &&Value| {
                let since = pod.pointer("/status/conditions/0/lastTransitionTime").and_then(crate::object::time);
                least == 0 || since.is_some_and(|since| since + least <= self.now)
            };
            let running = |pod: &&Value| of_set(pod) && pod["status"]["phase"] == "Running";
            let available = self.pods.iter().filter(running).filter(long).count();
            let status = json!({
                "observedGeneration": set["metadata"]["generation"],
                "replicas": now_have, "readyReplicas": ready, "availableReplicas": available,
            });
            if set["status"] != status {
                let version = self.next_version();
                self.sets[index]["status"] = status;
                self.sets[index]["metadata"]["resourceVersion"] = json!(version);
                changed = true;
            }
        }
        changed
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub(super) fn phase(&self) -> &str {
        self.rollout["status"]["phase"].as_str().unwrap_or("")
    }

    pub(super) fn status(&self, field: &str) -> &Value {
        &self.rollout["status"][field]
    }

    /// Pods by image, for those sets that have any.
    pub(super) fn running(&self) -> Vec<(String, u64)> {
        let images = self.sets.iter().map(|set| {
            let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
            (image.to_owned(), set["spec"]["replicas"].as_u64().unwrap())
        });
        let mut running: Vec<_> = images.filter(|(_, pods)| *pods > 0).collect();
        running.sort();
        running
    }

    /// The canary's weight, in percent.
    pub(super) fn served(&self) -> Option<u32> {
        let share = self.shared()?;
        let turn = self.rollout.pointer("/spec/strategy/canary/pingPong").and(self.state().stable_by);
        Some(if turn == Some(Turn::Ping) { 100 - share } else { share })
    }

    /// The weight of `was-canary`, in percent.
    pub(super) fn shared(&self) -> Option<u32> {
        if let Some(proxy) = &self.proxy {
            return Some(proxy.serving);
        }
        if let Some(balancer) = &self.balancer {
            return balancer.weight();
        }
        let share = spec::served(&self.rollout, &self.ingresses, &BalancerReading::NotAsked)?;
        let (services, _) = spec::named(&self.rollout);
        Some(if services[0] == "was-stable" { 100 - share } else { share })
    }

    pub(super) fn at(&self) -> usize {
        self.state().progress.map_or(0, |progress| progress.at)
    }
}

fn has_name_of(object: &Value, other: &Value) -> bool {
    object["metadata"]["name"] == other["metadata"]["name"]
}

/// The object that a guard names, with its new version, if it has not changed since.
fn fresh<'a>(objects: &'a mut [Value], guard: &Guard, version: &str) -> Option<&'a mut Value> {
    let same = |object: &&mut Value| {
        object["metadata"]["uid"] == guard.uid.as_str()
            && object["metadata"]["resourceVersion"] == guard.resource_version.as_str()
    };
    let object = objects.iter_mut().find(same)?;
    object["metadata"]["resourceVersion"] = json!(version);
    Some(object)
}

fn new_pod(set: &Value, serial: &str, now: Timestamp) -> Value {
    json!({
        "metadata": {
            "name": format!("{}-{serial}", set["metadata"]["name"].as_str().unwrap()),
            "uid": format!("{}-{serial}-uid", set["metadata"]["name"].as_str().unwrap()),
            "creationTimestamp": crate::object::write_time(now),
            "labels": set["spec"]["template"]["metadata"]["labels"],
            "annotations": set["spec"]["template"]["metadata"]["annotations"],
            "ownerReferences": [{"uid": set["metadata"]["uid"], "controller": true}],
        },
        "status": {"phase": "Pending"},
    })
}

/// A pod as admission lets it in.
fn admitted(mut pod: Value, label: Option<(&str, &str)>) -> Value {
    if let Some((key, value)) = label {
        pod["metadata"]["labels"][key] = json!(value);
    }
    pod
}

/// The kubelet: ready, or crashing, or for ever pending, by the image's name.
fn bring_up(pod: &mut Value, image: &str, now: Timestamp) -> bool {
    if image.contains("slow") || pod["status"].get("containerStatuses").is_some() {
        return false;
    }
    if image.contains("crash") {
        let waiting = json!({"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"});
        pod["status"]["containerStatuses"] = json!([{"name": "was", "restartCount": 2, "state": {"waiting": waiting}}]);
        return true;
    }
    pod["status"] = json!({
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": crate::object::write_time(now)}],
    });
    true
}
