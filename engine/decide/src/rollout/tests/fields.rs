//! The small fields of a Rollout that people have, each followed as Argo follows it.

use super::super::*;
use super::world::{V55, V56, World, at_weight, settled};
use serde_json::{Value, json};

/// The moment at which something is so first, in ms since the walk began.
fn until(world: &mut World, stop: impl Fn(&World) -> bool) -> u64 {
    let since = world.now;
    world.run_until(&stop);
    assert!(stop(world), "{:?}", world.said);
    world.now - since
}

/// The hash that a Service names.
fn named(world: &World, service: usize) -> &Value {
    &world.services[service]["spec"]["selector"][HASH]
}

/// Ten pods at the pause after a step and 10 %.
fn scaled(step: &Value) -> World {
    let mut world = World::seed();
    let steps = json!([{"setCanaryScale": step}, {"setWeight": 10}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]);
    world.rollout["spec"]["strategy"]["canary"]["steps"] = steps;
    world.scale(10);
    let mut world = settled(world);
    world.deploy(V56);
    world.settle();
    world
}

fn pods(world: &World, image: &str) -> u64 {
    world.running().iter().find(|(of, _)| of == image).map_or(0, |(_, pods)| *pods)
}

#[test]
fn set_canary_scale_says_the_pods_until_the_walk_ends() {
    let table = [
        (json!({"replicas": 3}), 3, 10, 3),
        (json!({"replicas": 0}), 0, 0, 0),
        (json!({"weight": 25}), 3, 10, 3),
        (json!({"weight": 25, "replicas": null, "matchTrafficWeight": false}), 3, 10, 3),
        (json!({"matchTrafficWeight": true}), 1, 10, 5),
    ];
    for (step, canary, served, later) in table {
        let mut world = scaled(&step);
        assert_eq!((pods(&world, V56), world.served()), (canary, Some(served)), "{step}: {:?}", world.said);
        let mut aborted = world.clone();
        aborted.ask(Action::Abort);
        aborted.settle();
        assert_eq!((aborted.served(), aborted.running()), (Some(0), vec![(V55.to_owned(), 10)]), "{step}");
        world.ask(Action::Resume);
        world.settle();
        assert_eq!(pods(&world, V56), later, "{step} at 50 %: {:?}", world.said);
        world.ask(Action::PromoteFull);
        world.settle();
        assert_eq!(
            (world.phase(), world.running()),
            ("Healthy", vec![(V56.to_owned(), 10)]),
            "{step}: {:?}",
            world.said
        );
    }
}

#[test]
fn a_canary_that_was_aborted_keeps_its_pods_for_the_seconds_that_the_spec_says() {
    for (seconds, least) in [(json!(null), 30_000), (json!(600), 600_000)] {
        let mut world = World::seed();
        world.rollout["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"] = seconds;
        let mut world = settled(world);
        world.deploy(V56);
        let mut world = at_weight(world, 50);
        world.ask(Action::Abort);
        until(&mut world, |world| world.served() == Some(0));
        let kept = until(&mut world, |world| pods(world, V56) == 0);
        // The annotation of the set has whole seconds.
        assert!((least - 1_000..least + 5_000).contains(&kept), "{kept} ms, and not {least}");
    }
}

/// A pod that is ready counts for a step, for more weight, and for a promotion only once it is so for long enough.
#[test]
fn a_pod_counts_once_it_is_ready_for_the_seconds_that_the_spec_says() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = start;
        world.rollout["spec"]["minReadySeconds"] = json!(60);
        let mut world = settled(world);
        world.deploy(V56);
        let is_routed = !world.ingresses.is_empty();
        let ready = |world: &World| world.sets.get(1).is_some_and(|set| set["status"]["readyReplicas"] == 1);
        until(&mut world, ready);
        let (least, since) = (world.rollout["spec"]["replicas"].as_u64().unwrap(), world.now);
        for turn in 0.. {
            assert!(turn < 20_000, "{:?}", world.said);
            world.turn();
            world.controllers();
            world.now += 500;
            let available = world.sets.iter().map(|set| set["status"]["availableReplicas"].as_u64().unwrap_or(0));
            assert!(available.sum::<u64>() >= least, "{:?}", world.said);
            if world.now < since + 59_000 {
                assert_eq!((world.at(), world.served().unwrap_or(0)), (0, 0), "{:?}", world.said);
            }
            if world.phase() == "Healthy" && world.state().stable.is_some_and(|stable| stable.image == V56) {
                break;
            }
        }
        assert!(!is_routed || world.weights.starts_with(&[10, 25, 50, 75, 100]), "{:?}", world.weights);
    }
}

/// With a router a set may have more pods than there shall be in all; after the walk there are those alone.
#[test]
fn the_fewest_pods_of_a_set_may_be_more_than_the_replicas() {
    for dynamic in [false, true] {
        let mut world = World::seed();
        let canary = world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap();
        canary.insert("minPodsPerReplicaSet".into(), json!(3));
        if dynamic {
            canary.remove("scaleDownDelaySeconds");
            canary.insert("dynamicStableScale".into(), json!(true));
        }
        world.scale(1);
        let mut world = settled(world);
        assert_eq!(world.running(), [(V55.to_owned(), 1)]);
        world.deploy(V56);
        let mut world = at_weight(world, 25);
        assert_eq!(pods(&world, V56), 3, "{:?}", world.said);
        let mut aborted = world.clone();
        aborted.ask(Action::Abort);
        aborted.settle();
        assert_eq!((aborted.served(), aborted.running()), (Some(0), vec![(V55.to_owned(), 1)]), "{:?}", aborted.said);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 1)]), "{:?}", world.said);
    }
    let mut world = World::basic(1);
    world.rollout["spec"]["strategy"]["canary"]["minPodsPerReplicaSet"] = json!(3);
    let mut world = settled(world);
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 1)]), "without one it says nothing");
}

/// Where no router shares the traffic, whoever asks the canary's Service gets the stable version's pods after an abort.
#[test]
fn after_an_abort_no_service_names_a_version_without_pods() {
    let mut world = settled(World::basic(4));
    world.deploy(V56);
    world.run_until(|world| world.sets.len() == 2 && world.at() == 1);
    assert_eq!(named(&world, 1), &world.sets[1]["metadata"]["labels"][HASH]);
    world.ask(Action::Abort);
    world.settle();
    let stable = world.sets[0]["metadata"]["labels"][HASH].clone();
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 4)]));
    assert_eq!((named(&world, 0), named(&world, 1)), (&stable, &stable), "{:?}", world.said);
    world.ask(Action::Retry);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 4)]), "{:?}", world.said);
    let newest = &world.sets[1]["metadata"]["labels"][HASH];
    assert_eq!((named(&world, 0), named(&world, 1)), (newest, newest));
}
