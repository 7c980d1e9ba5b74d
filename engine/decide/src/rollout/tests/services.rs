//! A Service serves the pods that carry its whole selector, and no others.

use super::super::*;
use super::world::{V55, V56, World, at_weight, settled};
use crate::next::Phase;
use serde_json::{Value, json};

const STABLE: usize = 0;
const CANARY: usize = 1;

fn selector(world: &mut World, service: usize) -> &mut Value {
    &mut world.services[service]["spec"]["selector"]
}

/// How many ready pods a Service selects.
fn behind(world: &World, service: usize) -> usize {
    let selector = world.services[service]["spec"]["selector"].as_object().unwrap();
    let selects = |pod: &&Value| selector.iter().all(|(key, value)| &pod["metadata"]["labels"][key] == value);
    world.pods.iter().filter(selects).filter(|pod| pod["status"]["phase"] == "Running").count()
}

fn condition(world: &World, kind: &str, status: &str) -> String {
    let all = world.status("conditions").as_array().unwrap();
    let found = all.iter().find(|one| one["type"] == kind && one["status"] == status);
    found.map(|one| one["message"].as_str().unwrap().to_owned()).unwrap_or_default()
}

/// On to rest, while no weight rises and no pod is taken away; and at the end the canary has this share.
#[track_caller]
fn holds_at(world: &mut World, weight: u32) {
    // A template that has just come begins at its first step.
    world.turn();
    let (at, shown) = (world.at(), world.weights.len());
    let before = world.running();
    world.settle();
    assert_eq!(world.at(), at, "no step counts: {:?}", world.said);
    assert_eq!(world.served(), Some(weight), "{:?}", world.said);
    assert!(world.weights[shown..].iter().all(|one| *one == weight), "{:?}", world.weights);
    for (image, pods) in before {
        assert!(world.running().iter().any(|(of, now)| *of == image && *now >= pods), "{image}: {:?}", world.running());
    }
}

#[test]
fn no_weight_rises_for_a_service_that_selects_none_of_the_canarys_pods() {
    let mut world = settled(World::seed());
    selector(&mut world, CANARY)["tier"] = json!("web");
    world.deploy(V56);
    holds_at(&mut world, 0);
    assert_eq!((world.phase(), world.said.0), ("Degraded", Phase::Blocked));
    let said = condition(&world, "InvalidSpec", "True");
    assert!(said.contains("Service was-canary selects tier=web") && said.contains("give spec.template"), "{said}");
    selector(&mut world, CANARY).as_object_mut().unwrap().remove("tier");
    world.settle();
    assert_eq!((world.phase(), world.weights.as_slice()), ("Healthy", &[10, 25, 50, 75, 100, 0][..]));
}

#[test]
fn a_canary_whose_service_loses_its_pods_gets_no_traffic() {
    for weight in [10, 25, 50, 75] {
        let mut world = settled(World::seed());
        world.deploy(V56);
        let mut world = at_weight(world, weight);
        selector(&mut world, CANARY)["app"] = json!("web");
        holds_at(&mut world, 0);
        assert_eq!(behind(&world, STABLE), 2);
        selector(&mut world, CANARY)["app"] = json!("was");
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
    }
}

#[test]
fn a_version_is_not_promoted_while_its_service_selects_none_of_its_pods() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    world.run_until(|world| world.served() == Some(100));
    assert_eq!(world.state().stable.unwrap().image, V55);
    selector(&mut world, CANARY)["app"] = json!("web");
    holds_at(&mut world, 0);
    assert_eq!(world.state().stable.unwrap().image, V55);
    selector(&mut world, CANARY)["app"] = json!("was");
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
}

#[test]
fn the_canary_serves_alone_while_the_stable_service_selects_none_of_the_stable_pods() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    selector(&mut world, STABLE)["tier"] = json!("web");
    let since = world.now;
    world.run_until(|world| world.served() == Some(100));
    assert!(world.now >= since + 5_000, "{}", world.now - since);
    holds_at(&mut world, 100);
    assert_eq!(world.state().stable.unwrap().image, V55, "and it is not promoted");
    world.ask(Action::Abort);
    world.settle();
    assert_eq!(world.served(), Some(100), "the only pods that serve keep it: {:?}", world.said);
    assert_eq!(world.running().len(), 2, "{:?}", world.running());
    selector(&mut world, STABLE).as_object_mut().unwrap().remove("tier");
    world.settle();
    assert_eq!((world.served(), world.running()), (Some(0), vec![(V55.to_owned(), 2)]), "{:?}", world.said);
}

#[test]
fn the_first_sentence_is_about_a_service_that_selects_none_of_the_pods_that_are_ready() {
    let mut world = settled(World::seed());
    selector(&mut world, CANARY)["tier"] = json!("web");
    selector(&mut world, STABLE)["tier"] = json!("web");
    world.settle();
    let said = format!("Service was-stable selects no ready pod of {V55}, and it gets 100 % of the traffic");
    assert!(world.said.1.starts_with(&said), "{:?}", world.said);
    assert_eq!(condition(&world, "Serving", "False"), said);
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]));
}

#[test]
fn a_template_without_a_label_that_the_stable_service_asks_for_gets_no_traffic() {
    let mut world = World::seed();
    world.rollout["spec"]["template"]["metadata"]["labels"]["tier"] = json!("web");
    selector(&mut world, STABLE)["tier"] = json!("web");
    let mut world = settled(world);
    world.rollout["spec"]["template"]["metadata"]["labels"].as_object_mut().unwrap().remove("tier");
    world.deploy(V56);
    holds_at(&mut world, 0);
    let said = condition(&world, "InvalidSpec", "True");
    assert!(said.contains("Service was-stable selects tier=web") && said.contains(V56), "{said}");
    assert_eq!(behind(&world, STABLE), 2);
}

/// The pods of a version get a label.
fn relabel(world: &mut World, hash: &str, key: &str, value: &str) {
    for pod in world.pods.iter_mut().filter(|pod| pod["metadata"]["labels"][HASH] == hash) {
        pod["metadata"]["labels"][key] = json!(value);
    }
}

#[test]
fn a_service_whose_pods_were_relabelled_serves_nobody() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let canary = world.state().progress.unwrap().hash;
    relabel(&mut world, &canary, "app", "debug");
    world.settle();
    assert_eq!((world.served(), behind(&world, STABLE)), (Some(0), 2), "{:?}", world.said);
    assert!(world.weights.ends_with(&[25, 0]), "{:?}", world.weights);
}

#[test]
fn the_stable_service_moves_to_no_version_whose_pods_it_would_not_select() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    world.run_until(|world| world.state().stable.unwrap().image == V56);
    let before = world.state().released.unwrap().0;
    selector(&mut world, STABLE)["tier"] = json!("web");
    relabel(&mut world, &before, "tier", "web");
    holds_at(&mut world, 100);
    assert_eq!((behind(&world, STABLE), behind(&world, CANARY)), (2, 2), "the version before it is kept for it");
    selector(&mut world, STABLE).as_object_mut().unwrap().remove("tier");
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
}

/// Fails when a condition says that the spec is wrong.
fn is_followed(world: &World) {
    let all = world.status("conditions").as_array().into_iter().flatten();
    all.for_each(|one| assert_ne!(one["type"], "InvalidSpec", "{one}"));
}

#[test]
fn labels_that_admission_gives_the_pods_count() {
    for mut world in [World::seed(), World::basic(4)] {
        world.admits = Some(("tier", "web"));
        let mut world = settled(world);
        selector(&mut world, STABLE)["tier"] = json!("web");
        selector(&mut world, CANARY)["tier"] = json!("web");
        world.deploy(V56);
        world.run_until(|world| {
            is_followed(world);
            false
        });
        assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
        assert_eq!(world.weights, [10, 25, 50, 75, 100, 0], "{:?}", world.said);
    }
}

#[test]
fn a_rollout_without_a_router_is_not_held_by_what_a_service_selects() {
    let mut world = settled(World::basic(4));
    selector(&mut world, STABLE)["tier"] = json!("web");
    selector(&mut world, CANARY)["tier"] = json!("web");
    world.deploy(V56);
    world.settle();
    is_followed(&world);
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 4)]), "{:?}", world.said);
}

#[test]
fn a_label_that_comes_to_the_services_and_the_template_in_one_commit_is_walked_and_promoted() {
    let start = || {
        let mut world = settled(World::seed());
        selector(&mut world, STABLE)["tier"] = json!("web");
        selector(&mut world, CANARY)["tier"] = json!("web");
        world.rollout["spec"]["template"]["metadata"]["labels"]["tier"] = json!("web");
        world.deploy(V56);
        world
    };
    let mut world = start();
    let since = world.now;
    world.run_until(|world| world.served() == Some(100));
    assert_eq!((world.served(), behind(&world, CANARY)), (Some(100), 2), "nothing else serves: {:?}", world.said);
    is_followed(&world);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!((world.served(), behind(&world, STABLE)), (Some(0), 2));
    assert!(world.now >= since + 100_000, "its pauses are waited for: {}", world.now - since);
    // Sent back, it keeps what it has, for nothing else serves.
    let mut world = start();
    world.run_until(|world| world.served() == Some(100));
    world.ask(Action::Abort);
    for _ in 0..40 {
        world.step();
        assert_eq!(world.served(), Some(100), "{:?}", world.said);
    }
    let said = condition(&world, "InvalidSpec", "True");
    assert!(said.contains("Service was-stable selects tier=web") && said.contains(V55), "{said}");
}

#[test]
fn no_weight_moves_while_neither_service_leads_to_a_ready_pod() {
    for aborts in [false, true] {
        let mut world = settled(World::seed());
        world.deploy(V56);
        let mut world = at_weight(world, 50);
        world.set_ready(V55, 0);
        world.set_ready(V56, 0);
        if aborts {
            world.ask(Action::Abort);
        }
        for _ in 0..40 {
            world.step();
            assert_eq!(world.served(), Some(50), "{aborts}: {:?}", world.said);
        }
        world.set_ready(V55, 2);
        world.run_until(|world| world.served() == Some(0));
        assert_eq!(world.served(), Some(0), "{aborts}: {:?}", world.said);
    }
}

#[test]
fn what_the_canarys_service_leads_to_counts_whichever_version_it_is() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.deploy("was:v57-slow");
    world.turn();
    let lacking = |world: &World| {
        let Observed::Present(observed) = world.observed() else { panic!("it is there") };
        show(&world.state(), &observed, world.now).message
    };
    let before = world.state().progress.unwrap();
    assert_eq!((before.images[0].as_str(), behind(&world, CANARY)), ("was:v57-slow", 1));
    assert!(!lacking(&world).contains("is ready"), "the pods of the one before it have that: {}", lacking(&world));
    world.set_ready(V56, 0);
    let said = lacking(&world);
    assert!(said.contains(&format!("no pod of {V56} is ready, and it gets 50 %")), "{said}");
}

#[test]
fn a_version_whose_service_is_gone_keeps_its_pods_while_an_ingress_gives_it_requests() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    world.services.remove(CANARY);
    world.deploy("was:v57-9f8e7d6");
    let pods = |world: &World| world.running().iter().find(|(image, _)| image == V56).map_or(0, |(_, pods)| *pods);
    while pods(&world) > 0 {
        let (served, before) = (world.served(), pods(&world));
        assert!(world.turns < 1_000, "{:?}", world.said);
        world.step();
        assert!(served == Some(0) || pods(&world) >= before, "it loses pods at {served:?} %: {:?}", world.said);
    }
}
