//! Random walks: people, autoscalers, nodes and the API server do what they like, and acts fail, are refused or come
//! late. Whatever is decided on the way is safe, and an abort ends with traffic on ready pods.

use super::super::*;
use super::faults::{Chance, Faults};
use super::late_balancer::{Api, Controller, Lag};
use super::proxy::Mode;
use super::safety::{nonsense, write};
use super::world::{Step, V55, V56, World, settled};
use crate::outcome::Outcomes;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many walks there are unless `BESPIN_WALKS` says more, and what happens in each.
const WALKS: u64 = 12;
/// How many of them are behind a late load balancer.
const BALANCED: u64 = 4;
/// How many have two Services that take turns.
const BY_TURNS: u64 = 4;
const EVENTS: usize = 25;

/// How many turns the world has to come to rest at last.
const TURNS: usize = 150;

const IMAGES: &[&str] = &[V55, V56, "was:v57", "was:v58-crash", "was:v59-slow"];

impl World {
    /// Fails when what is decided takes away available pods that the spec wants, or gives more traffic to a version
    /// without ready pods while another one has some. What a fault makes of it later rests on what was observed now.
    #[track_caller]
    pub(super) fn judge(&self, acts: &[Act]) {
        self.enough_pods_stay(acts);
        self.traffic_goes_to_ready_pods(acts);
        self.targets_stay(acts);
    }

    #[track_caller]
    fn enough_pods_stay(&self, acts: &[Act]) {
        if !acts.iter().any(|act| matches!(act, Act::Scale { .. })) {
            return;
        }
        let Ok(strategy) = spec::parse(&self.rollout) else { return };
        let (mut before, mut after) = (0, 0);
        for set in &self.sets {
            let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            let (spec, available) = (number("/spec/replicas"), number("/status/availableReplicas"));
            let scaled = acts.iter().find_map(|act| match act {
                Act::Scale { set: guard, pods, .. } if set["metadata"]["uid"] == *guard.uid => Some(u64::from(*pods)),
                _ => None,
            });
            before += available.min(spec);
            after += available.min(spec).min(scaled.unwrap_or(spec));
        }
        let needed = u64::from(strategy.replicas.saturating_sub(strategy.bounds.unavailable));
        assert!(
            after >= before.min(needed),
            "{after} of {before} available pods stay, and {needed} are needed: {acts:#?} {:?}",
            self.said
        );
    }

    #[track_caller]
    fn traffic_goes_to_ready_pods(&self, acts: &[Act]) {
        let moves = |act: &Act| matches!(act, Act::Select { .. } | Act::Weigh { .. } | Act::Route { .. });
        // What a silent router serves is unknown, and it is told its last promise again.
        let is_silent = self.proxy.as_ref().is_some_and(|proxy| proxy.mode == Mode::Silent);
        if is_silent || !acts.iter().any(moves) {
            return;
        }
        let Some(before) = self.shares(&self.selected(), self.shared()) else { return };
        let (mut selected, mut weight) = (self.selected(), self.shared());
        for act in acts {
            match act {
                Act::Select { service, hash, .. } => drop(selected.insert(service.name.clone(), hash.clone())),
                Act::Weigh { split } => weight = Some(split.weight),
                Act::Route { annotations, .. } => {
                    let mut ingresses = self.ingresses.clone();
                    for (key, value) in annotations {
                        ingresses[0]["metadata"]["annotations"][key] = json!(value);
                    }
                    weight = spec::served(&self.rollout, &ingresses, &BalancerReading::NotAsked);
                }
                _ => {}
            }
        }
        let Some(after) = self.shares(&selected, weight) else { return };
        let is_served = |hash: &String| self.ready(hash) > 0;
        let any = self.sets.iter().any(|set| self.ready(hash_of(set)) > 0);
        for (hash, share) in after.iter().filter(|(hash, _)| any && !is_served(hash)) {
            let had = before.get(hash).copied().unwrap_or(0);
            // Of what had none either, the share is only moved.
            let lost: u32 =
                before.iter().filter(|(other, _)| *other != hash && !is_served(other)).map(|(_, had)| had).sum();
            assert!(
                *share <= had + lost,
                "{hash} has no ready pods, and gets {share} % after {had} %: {acts:#?} {:?}",
                self.said
            );
        }
    }

    /// The version that each Service selects.
    fn selected(&self) -> BTreeMap<String, String> {
        let hash = |service: &Value| Some(service["spec"]["selector"].get(HASH)?.as_str()?.to_owned());
        let name = |service: &Value| service["metadata"]["name"].as_str().map(str::to_owned);
        self.services.iter().filter_map(|service| Some((name(service)?, hash(service)?))).collect()
    }

    /// The share of each version, in percent, where traffic is routed to known versions.
    fn shares(&self, selected: &BTreeMap<String, String>, weight: Option<u32>) -> Option<BTreeMap<String, u32>> {
        let (weight, mut shares) = (weight?, BTreeMap::new());
        for (service, share) in [("was-canary", weight), ("was-stable", 100 - weight)] {
            if share > 0 {
                *shares.entry(selected.get(service)?.clone()).or_insert(0) += share;
            }
        }
        Some(shares)
    }

    /// How many pods of a version are ready.
    fn ready(&self, hash: &str) -> usize {
        let is = |pod: &&Value| pod["metadata"]["labels"][HASH] == hash && pod["status"]["phase"] == "Running";
        self.pods.iter().filter(is).count()
    }
}

fn hash_of(set: &Value) -> &str {
    set["metadata"]["labels"][HASH].as_str().unwrap()
}

/// A settled world of one kind or another.
fn any(chance: &mut Chance) -> World {
    let world = match chance.below(4) {
        0 | 1 => World::seed(),
        2 => World::plugged(),
        _ => World::basic(4),
    };
    start(world, chance)
}

/// A settled world behind a load balancer that is late.
fn balanced(chance: &mut Chance) -> World {
    let mut ms = |most| chance.below(most);
    let lag = Lag { rule: ms(40_000), target: ms(40_000), check: ms(20_000), drain: ms(60_000) };
    start(World::balanced(lag), chance)
}

fn start(mut world: World, chance: &mut Chance) -> World {
    world.scale(1 + u32::try_from(chance.below(6)).unwrap());
    let (surge, unavailable) = chance.of(&[(1, 0), (0, 1), (2, 1), (0, 2)]);
    let canary = &mut world.rollout["spec"]["strategy"]["canary"];
    (canary["maxSurge"], canary["maxUnavailable"]) = (json!(surge), json!(unavailable));
    if let Some(proxy) = &mut world.proxy {
        proxy.lag.0 = u32::try_from(chance.below(4)).unwrap();
    }
    world.rollout["spec"]["minReadySeconds"] = json!(chance.of(&[0, 0, 20]));
    settled(world)
}

/// One thing that happens to a world.
fn happens(world: &mut World, chance: &mut Chance) {
    match chance.below(if world.balancer.is_some() { 15 } else { 12 }) {
        0 | 1 => world.deploy(chance.of(IMAGES)),
        2 => world.scale(u32::try_from(chance.below(8)).unwrap()),
        3 | 4 => {
            let set = &world.sets[usize::try_from(chance.below(world.sets.len() as u64)).unwrap()];
            let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
            world.set_ready(&image, usize::try_from(chance.below(4)).unwrap());
        }
        5 => world.ask(Action::Abort),
        6 => world.ask(chance.of(&[Action::Promote, Action::PromoteFull, Action::Resume, Action::Retry])),
        7 => {
            let now = crate::object::write_time(world.now);
            world.rollout["spec"]["restartAt"] = json!(now);
            world.changed();
        }
        8 => world.budget = chance.of(&[None, Some("the budget does not let it go")]),
        9 => world.refuses = chance.of(&[None, None, Some("exceeded quota")]),
        10 => world.outcomes = Outcomes::default(),
        11 => world.wait(world.now + chance.below(60_000)),
        12 => world.balancer().controller = chance.of(&[Controller::Runs, Controller::Sleeps]),
        13 => world.balancer().api = chance.of(&[Api::Answers, Api::Throttles]),
        _ => world.balancer().fails = chance.of(&[None, Some(V55), Some(V56), Some("was:v57")]),
    }
}

/// Everything that can come back does: pods, the API server, the budget.
fn recovers(world: &mut World) {
    if let Some(faults) = &mut world.faults {
        faults.end();
    }
    (world.budget, world.refuses) = (None, None);
    if let Some(balancer) = &mut world.balancer {
        (balancer.controller, balancer.api, balancer.fails) = (Controller::Runs, Api::Answers, None);
    }
    for image in IMAGES {
        if world.sets.iter().any(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] == *image) {
            world.set_ready(image, usize::MAX);
        }
    }
}

fn walk(seed: u64, begin: fn(&mut Chance) -> World) {
    let mut chance = Chance::new(seed);
    let mut world = begin(&mut chance);
    world.faults = Some(Faults::new(seed));
    for _ in 0..EVENTS {
        happens(&mut world, &mut chance);
        // A load balancer on its way is asked every few seconds.
        for _ in 0..chance.below(if world.balancer.is_some() { 60 } else { 12 }) {
            world.step();
        }
    }
    let spec = world.rollout["spec"].clone();
    if chance.one_in(2) {
        let all = nonsense();
        let number = usize::try_from(chance.below(all.len() as u64)).unwrap();
        // A place that this world's spec has not is left as it is.
        let has_router = world.rollout.pointer("/spec/strategy/canary/trafficRouting").is_some();
        if has_router || !all[number].0.contains("trafficRouting") {
            write(&mut world, &all[number]);
        }
    }
    world.ask(Action::Abort);
    recovers(&mut world);
    rests(&mut world);
    world.shares_are_served();
    // With a spec that can be followed it comes to its end as well.
    world.rollout["spec"] = spec;
    world.changed();
    rests(&mut world);
    world.shares_are_served();
    let strategy = spec::parse(&world.rollout).expect("it can be followed");
    let available: u64 = world.sets.iter().filter_map(|set| set["status"]["availableReplicas"].as_u64()).sum();
    let needed = u64::from(strategy.replicas.saturating_sub(strategy.bounds.unavailable));
    let is_first = world.state().stable.is_none();
    assert!(is_first || available >= needed, "{available} of {needed} are available: {:?}", world.said);
}

/// Until nothing happens any more, or for long: what is refused for good is tried for ever.
fn rests(world: &mut World) {
    for _ in 0..TURNS {
        if world.step() == Step::Rest {
            // Pods that are ready count by the clock.
            world.now += 30_000;
            if !world.controllers() {
                break;
            }
        }
    }
}

impl World {
    /// Fails when a version without ready pods has traffic while another one has ready pods.
    #[track_caller]
    fn shares_are_served(&self) {
        self.requests_are_answered();
        let Some(shares) = self.shares(&self.selected(), self.shared()) else { return };
        let any = self.sets.iter().any(|set| self.ready(hash_of(set)) > 0);
        for (hash, share) in shares {
            assert!(!any || self.ready(&hash) > 0, "{hash} has no ready pods, and {share} %: {:?}", self.said);
        }
    }
}

#[test]
fn whatever_befalls_acts_no_walk_is_unsafe_and_an_abort_ends_with_traffic_on_ready_pods() {
    walks(WALKS, any);
}

#[test]
fn no_walk_behind_a_late_load_balancer_is_unsafe() {
    walks(BALANCED, balanced);
}

#[test]
fn no_walk_by_turns_is_unsafe() {
    walks(BY_TURNS, |chance| start(World::by_turns(), chance));
}

#[expect(clippy::disallowed_methods, reason = "a person asks for more walks; only the crate itself may not read")]
fn walks(least: u64, begin: fn(&mut Chance) -> World) {
    let walks = std::env::var("BESPIN_WALKS").map_or(least, |walks| walks.parse().expect("a number"));
    for seed in 0..walks {
        let walked = std::panic::catch_unwind(|| walk(seed, begin));
        assert!(walked.is_ok(), "the walk of seed {seed}");
    }
}
