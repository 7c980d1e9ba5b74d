//! A load balancer whose rules and targets come late: traffic and pods follow what it serves, and not what it was told.

use super::super::*;
use super::late_balancer::{Api, Controller, Lag, TargetKind, USUAL};
use super::world::{Step, V55, V56, World, at_weight, settled};
use crate::next::{Phase, Timestamp};
use serde_json::json;

const V57: &str = "was:v57-9d8c7b6";

/// Nothing comes late.
const NONE: Lag = Lag { rule: 0, target: 0, check: 0, drain: 0 };
/// Rules come long after targets.
const RULES: Lag = Lag { rule: 45_000, target: 1_000, check: 2_000, drain: 1_000 };
/// Targets come long after rules.
const TARGETS: Lag = Lag { rule: 1_000, target: 50_000, check: 25_000, drain: 300_000 };

const WEIGHTS: [u32; 6] = [10, 25, 50, 75, 100, 0];

fn start(lag: Lag) -> World {
    settled(World::balanced(lag))
}

/// At rest with the first version, and the second one has come.
fn walking(lag: Lag) -> World {
    let mut world = start(lag);
    world.deploy(V56);
    world
}

/// On until something is so, while something else is so after each turn.
#[track_caller]
fn keeps(world: &mut World, stop: impl Fn(&World) -> bool, mut holds: impl FnMut(&World)) {
    for _ in 0..3000 {
        if stop(world) || world.step() == Step::Rest {
            return;
        }
        holds(world);
    }
    panic!("never comes to rest: {:?}", world.said);
}

/// On for so long, in ms.
fn pass(world: &mut World, ms: Timestamp) {
    let until = world.now + ms;
    while world.now < until {
        world.step();
    }
}

fn condition(world: &World, kind: &str) -> serde_json::Value {
    let all = world.status("conditions").as_array().unwrap();
    all.iter().find(|one| one["type"] == kind).cloned().unwrap_or_default()
}

fn pods(world: &World, image: &str) -> u64 {
    world.running().iter().find(|(of, _)| of == image).map_or(0, |(_, pods)| *pods)
}

fn is_healthy(world: &World, image: &str) {
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(image.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!((world.served(), world.answers("was-stable")), (Some(0), 2), "{:?}", world.said);
}

#[test]
fn a_walk_behind_a_late_load_balancer_ends_with_nothing_lost() {
    for lag in [NONE, USUAL, RULES, TARGETS] {
        let mut world = walking(lag);
        world.settle();
        is_healthy(&world, V56);
        assert_eq!(world.weights, WEIGHTS, "{lag:?}");
    }
}

#[test]
fn no_weight_rises_before_the_canarys_pods_are_healthy_targets() {
    let mut world = walking(TARGETS);
    let mut risen = 0;
    keeps(&mut world, |world| world.weights.len() == 5, |world| {
        if world.weights.len() > risen {
            let needed = [1, 1, 1, 2, 2][risen];
            let answers = world.answers("was-canary");
            assert!(answers >= needed, "{:?} with {answers} healthy targets: {:?}", world.weights, world.said);
            risen = world.weights.len();
        }
    });
    assert_eq!(risen, 5);
}
