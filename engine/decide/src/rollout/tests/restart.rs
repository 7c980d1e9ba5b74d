//! `restartAt`, as `kubectl argo rollouts restart` leaves it: each pod from before it is replaced, and nobody notices.

use super::world::{Step, V55, V56, World, at_weight, settled};
use crate::object::write_time;
use serde_json::json;
use std::collections::BTreeSet;

fn names(world: &World) -> BTreeSet<String> {
    world.pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Asks for a restart `ms` after the world's moment; by the second, as the client writes it.
fn restart(world: &mut World, ms: u64) -> String {
    let at = write_time(world.now + ms);
    world.rollout["spec"]["restartAt"] = json!(at);
    world.changed();
    at
}

fn ready(world: &World, image: &str) -> usize {
    let running = |pod: &&serde_json::Value| pod["status"]["phase"] == "Running";
    let of = |pod: &&serde_json::Value| {
        let uid = &pod["metadata"]["ownerReferences"][0]["uid"];
        let set = world.sets.iter().find(|set| set["metadata"]["uid"] == *uid);
        set.is_some_and(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] == image)
    };
    world.pods.iter().filter(of).filter(running).count()
}

#[test]
fn pods_from_before_the_moment_are_replaced_and_no_more_are_missing_than_may_be() {
    for (replicas, least) in [(1, 0), (2, 1), (4, 3), (10, 8)] {
        let mut world = World::seed();
        world.scale(replicas);
        world.rollout["spec"]["strategy"]["canary"]["maxUnavailable"] = json!("20%");
        let mut world = settled(world);
        let before = names(&world);
        let at = restart(&mut world, 3_000);
        let mut was_said = false;
        while world.status("restartedAt") != &json!(at) {
            assert!(world.turns < 1_000, "{:?}", world.said);
            assert!(world.step() == Step::On, "{:?}", world.said);
            was_said |= world.status("message") == "rollout is restarting";
            assert!(ready(&world, V55) >= least, "of {replicas}, {} are ready", ready(&world, V55));
        }
        assert!(was_said, "people see that it restarts");
        world.settle();
        assert_eq!((world.phase(), world.sets.len()), ("Healthy", 1), "it is no new version");
        assert!(names(&world).is_disjoint(&before) && names(&world).len() == before.len(), "of {replicas}");
        let after = names(&world);
        world.changed();
        world.settle();
        assert_eq!(names(&world), after, "once is enough");
    }
}

#[test]
fn a_moment_from_before_all_pods_restarts_none_and_the_steps_go_on() {
    let mut world = settled(World::seed());
    let before = names(&world);
    let at = restart(&mut world, 0);
    world.rollout["spec"]["restartAt"] = json!("2020-01-01T00:00:00Z");
    assert_ne!(at, "2020-01-01T00:00:00Z");
    world.settle();
    assert_eq!((names(&world), world.phase()), (before, "Healthy"));
    assert_eq!(world.status("restartedAt"), "2020-01-01T00:00:00Z");
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.running()[0].0.as_str()), ("Healthy", V56));
}

#[test]
fn restart_in_mid_walk_leaves_each_version_with_traffic_a_ready_pod() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let before = names(&world);
    restart(&mut world, 2_000);
    for _ in 0..2_000 {
        if world.phase() == "Healthy" || world.step() == Step::Rest {
            break;
        }
        let served = world.served().unwrap();
        assert!(served == 0 || ready(&world, V56) > 0, "the canary serves {served} %");
        assert!(served == 100 || ready(&world, V55) > 0, "the stable version serves {} %", 100 - served);
    }
    world.settle();
    assert_eq!((world.phase(), world.running()[0].0.as_str()), ("Healthy", V56), "{:?}", world.said);
    assert!(names(&world).is_disjoint(&before), "each pod from before is gone");
}

/// Asks for a restart of ten pods, and goes on until it is due.
fn due(edit: impl Fn(&mut World)) -> World {
    let mut world = World::seed();
    world.scale(10);
    edit(&mut world);
    let mut world = settled(world);
    restart(&mut world, 2_000);
    world.now += 3_000;
    world
}

#[test]
fn a_restart_that_no_budget_allows_is_said_and_stops_nothing() {
    let mut world = due(|_| {});
    let before = names(&world);
    world.budget = Some("it would violate the pod's disruption budget");
    for _ in 0..20 {
        world.step();
    }
    assert_eq!(names(&world), before);
    assert!(world.said.1.contains("10 pods are from before") && world.said.1.contains("budget"), "{:?}", world.said);
    world.deploy("was:v56-crash");
    world.settle();
    assert_eq!(world.phase(), "Degraded", "the crash sends it back all the same: {:?}", world.said);
    world.budget = None;
    world.settle();
    assert_eq!((names(&world).len(), world.running()), (10, vec![(V55.to_owned(), 10)]));
}

#[test]
fn ready_pods_that_are_young_are_not_evicted_together() {
    let mut world = due(|world| world.rollout["spec"]["minReadySeconds"] = json!(60));
    world.scale(20);
    restart(&mut world, 60_000);
    while world.phase() != "Healthy" || world.status("message") == "rollout is restarting" {
        assert!(world.step() == Step::On && world.turns < 3_000, "{:?}", world.said);
        let running = ready(&world, V55);
        assert!(running >= 10, "{running} of 10 and more are ready");
    }
}

/// So many of ten pods, or more, are ready in each of the turns that follow.
#[track_caller]
fn keeps(mut world: World, least: usize) {
    for _ in 0..200 {
        world.step();
        assert!(ready(&world, V55) >= least, "{} are ready", ready(&world, V55));
    }
}

#[test]
fn a_clock_that_is_ahead_evicts_no_pod_twice_at_once() {
    let mut world = due(|_| {});
    world.behind = 60_000;
    keeps(world, 7);
}

#[test]
fn a_restart_and_a_scale_down_in_one_turn_keep_the_minimum() {
    let mut world = due(|_| {});
    world.scale(9);
    keeps(world, 7);
}

#[test]
fn another_template_ends_a_restart() {
    let mut world = due(|_| {});
    for _ in 0..3 {
        world.step();
    }
    world.deploy(V56);
    for _ in 0..3 {
        world.step();
    }
    let at = world.rollout["spec"]["restartAt"].clone();
    assert_eq!(world.status("restartedAt"), &at);
    assert_ne!(world.status("message"), "rollout is restarting");
}

#[test]
fn a_moment_that_is_none_is_refused_with_its_place() {
    let mut world = settled(World::seed());
    world.rollout["spec"]["restartAt"] = json!("soon");
    world.changed();
    world.settle();
    let message = world.status("message").as_str().unwrap();
    assert!(message.contains("spec.restartAt") && message.contains("no moment"), "{message}");
}
