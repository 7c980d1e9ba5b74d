//! `dynamicStableScale`: the stable version has the pods that its share of the traffic asks for.

use super::super::*;
use super::world::{V55, V56, World, at_weight, settled};
use serde_json::json;

const V57: &str = "was:v57-9d8c7b6";

/// Ten pods, whose numbers follow the traffic.
fn start() -> World {
    let mut world = World::seed();
    let canary = world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap();
    canary.remove("scaleDownDelaySeconds");
    canary.insert("dynamicStableScale".into(), json!(true));
    canary.insert("maxUnavailable".into(), json!(0));
    world.scale(10);
    settled(world)
}

fn pods(world: &World, image: &str) -> u64 {
    world.running().iter().find(|(of, _)| of == image).map_or(0, |(_, pods)| *pods)
}

/// The available pods of a version.
fn available(world: &World, image: &str) -> u64 {
    let is = |set: &&serde_json::Value| set["spec"]["template"]["spec"]["containers"][0]["image"] == image;
    world.sets.iter().find(is).map_or(0, |set| set["status"]["availableReplicas"].as_u64().unwrap_or(0))
}

/// The available pods of the version that a Service names.
fn behind(world: &World, service: &str) -> u64 {
    let named = world.services.iter().find(|one| one["metadata"]["name"] == service).unwrap();
    let hash = &named["spec"]["selector"][hash::HASH];
    let set = world.sets.iter().find(|set| set["metadata"]["labels"][hash::HASH] == *hash);
    set.map_or(0, |set| set["status"]["availableReplicas"].as_u64().unwrap_or(0))
}

/// On until something is so, while each Service leads to the pods for its share in every turn.
#[track_caller]
fn bears(world: &mut World, stop: impl Fn(&World) -> bool) {
    for _ in 0..2000 {
        if stop(world) || world.step() == super::world::Step::Rest {
            return;
        }
        let replicas = world.rollout["spec"]["replicas"].as_u64().unwrap();
        let weight = u64::from(world.served().unwrap_or(0));
        let (stable, canary) = (behind(world, "was-stable"), behind(world, "was-canary"));
        let said = format!("{weight} %: {stable} and {canary} of {replicas} pods: {:?}", world.said);
        assert!(stable * 100 >= (100 - weight) * replicas, "{said}");
        assert!(canary * 100 >= weight * replicas, "{said}");
        let all: u64 = world.running().iter().map(|(image, _)| available(world, image)).sum();
        assert!(all >= replicas, "{said}");
    }
    panic!("never comes to rest: {:?}", world.said);
}

#[test]
fn the_stable_version_has_the_pods_that_its_share_asks_for() {
    let mut world = start();
    world.deploy(V56);
    for (weight, canary, stable) in [(10, 1, 9), (25, 3, 8), (50, 5, 5), (75, 8, 3)] {
        let paused = |world: &World| world.state().progress.unwrap().paused_since.is_some();
        bears(&mut world, |world| world.served() == Some(weight) && paused(world));
        for _ in 0..4 {
            world.controllers();
            world.turn();
        }
        assert_eq!((pods(&world, V56), pods(&world, V55)), (canary, stable), "{weight} %: {:?}", world.said);
    }
    bears(&mut world, |_| false);
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 10)]), "{:?}", world.said);
    assert_eq!(world.weights, [10, 25, 50, 75, 100, 0]);
}

#[test]
fn an_abort_moves_no_more_traffic_than_the_stable_pods_can_bear() {
    for weight in [25, 50, 75, 100] {
        let mut world = start();
        world.deploy(V56);
        bears(&mut world, |world| world.served() == Some(weight));
        for _ in 0..4 {
            world.controllers();
            world.turn();
        }
        if world.state().stable.unwrap().image == V56 {
            continue;
        }
        world.ask(Action::Abort);
        bears(&mut world, |_| false);
        assert_eq!((world.served(), world.running()), (Some(0), vec![(V55.to_owned(), 10)]), "{:?}", world.said);
        assert!(world.weights.is_sorted_by(|one, other| one >= other || *one < weight), "{:?}", world.weights);
    }
}

#[test]
fn crashing_pods_keep_no_traffic_for_want_of_stable_pods() {
    let mut world = start();
    world.deploy(V56);
    bears(&mut world, |world| world.served() == Some(75));
    world.set_ready(V56, 0);
    world.run_until(|world| world.served() == Some(0));
    assert_eq!(world.served(), Some(0), "fewer pods than it takes are more than none: {:?}", world.said);
    world.run_until(|world| pods(world, V55) == 10);
    assert_eq!(pods(&world, V55), 10, "{:?}", world.said);
}

#[test]
fn an_autoscaler_scales_both_versions_in_the_middle() {
    for replicas in [4, 30] {
        let mut world = start();
        world.deploy(V56);
        let mut world = at_weight(world, 50);
        world.scale(replicas);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), replicas.into())]));
    }
}

#[test]
fn another_template_in_the_middle_takes_no_traffic_from_the_only_pods_that_bear_it() {
    for weight in [50, 75, 100] {
        let mut world = start();
        world.deploy(V56);
        bears(&mut world, |world| world.served() == Some(weight));
        for image in [V57, V55] {
            let mut world = world.clone();
            world.deploy(image);
            for _ in 0..2000 {
                if world.step() == super::world::Step::Rest {
                    break;
                }
                let all: u64 = [V55, V56, V57].iter().map(|image| available(&world, image)).sum();
                assert!(all >= 10, "{weight} % to {image}: {all}: {:?}", world.said);
            }
            assert_eq!((world.phase(), world.running()), ("Healthy", vec![(image.to_owned(), 10)]), "{:?}", world.said);
        }
    }
}

#[test]
fn the_time_of_an_abort_is_kept_where_the_spec_says_one() {
    let mut world = start();
    world.rollout["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"] = json!(600);
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.ask(Action::Abort);
    world.run_until(|world| world.served() == Some(0));
    let since = world.now;
    world.run_until(|world| pods(world, V56) == 0);
    assert!(world.now >= since + 600_000, "{}", world.now - since);
}

#[test]
fn the_fewest_pods_count_for_both_versions() {
    let mut world = start();
    world.rollout["spec"]["strategy"]["canary"]["minPodsPerReplicaSet"] = json!(2);
    world.rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 95}, {"pause": {}}]);
    world.deploy(V56);
    world.settle();
    // Argo leaves two of the stable version, and four pods for ten; no act of ours takes available pods below the number.
    assert_eq!((pods(&world, V56), pods(&world, V55)), (2, 8), "{:?}", world.said);
}

#[test]
fn it_needs_a_router_and_no_other_delay() {
    let said = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut world = start();
        change(&mut world.rollout["spec"]["strategy"]["canary"]);
        spec::parse(&world.rollout).unwrap_err().iter().map(Mistake::to_string).collect::<Vec<_>>().join("; ")
    };
    use strategy::Mistake;
    let unrouted = said(&|canary| drop(canary.as_object_mut().unwrap().remove("trafficRouting")));
    assert!(unrouted.contains("dynamicStableScale: needs trafficRouting"), "{unrouted}");
    let delayed = said(&|canary| canary["scaleDownDelaySeconds"] = json!(30));
    assert!(delayed.contains("dynamicStableScale: stands beside scaleDownDelaySeconds"), "{delayed}");
}

/// At a weight, with the pods for it and no others.
fn at_share(weight: u32) -> World {
    let mut world = start();
    world.deploy(V56);
    bears(&mut world, |world| world.served() == Some(weight));
    for _ in 0..4 {
        world.controllers();
        world.turn();
    }
    world
}

#[test]
fn a_revert_in_the_middle_moves_no_more_traffic_than_the_stable_pods_can_bear() {
    for weight in [25, 50, 75] {
        let mut world = at_share(weight);
        assert!(available(&world, V55) < 10);
        world.deploy(V55);
        bears(&mut world, |_| false);
        assert_eq!((world.served(), world.running()), (Some(0), vec![(V55.to_owned(), 10)]), "{:?}", world.said);
    }
}

#[test]
fn an_abort_waits_for_the_stable_pods_though_the_share_of_the_pods_is_asked_for_no_more() {
    let changes = [None, Some(json!("yes"))];
    for (weight, change) in [25, 50, 75].into_iter().flat_map(|weight| changes.clone().map(|change| (weight, change))) {
        let mut world = at_share(weight);
        let canary = world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap();
        canary.remove("dynamicStableScale");
        canary.extend(change.map(|wrong| ("dynamicStableScale".to_owned(), wrong)));
        world.changed();
        world.ask(Action::Abort);
        bears(&mut world, |_| false);
        assert_eq!((world.served(), world.running()), (Some(0), vec![(V55.to_owned(), 10)]), "{:?}", world.said);
    }
}
