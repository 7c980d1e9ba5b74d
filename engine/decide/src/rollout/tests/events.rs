//! The Kubernetes Events: one when the pods that serve are too few, and once when they serve again.

use super::super::*;
use super::world::{V55, V56, World, at_weight, settled};
use serde_json::json;

/// The Events in their order: type, reason and message.
fn told(world: &World) -> Vec<(RolloutEventType, &str, &str)> {
    let mut told: Vec<&RolloutEvent> = world.events.values().collect();
    told.sort_by_key(|told| told.at);
    told.into_iter().map(|told| (told.event_type, told.reason.as_str(), told.message.as_str())).collect()
}

#[test]
fn too_few_pods_are_told_once_and_that_they_serve_again() {
    for stutters in [false, true] {
        let mut world = settled(World::seed());
        world.stutters = stutters;
        world.events.clear();
        world.set_ready(V55, 1);
        world.settle();
        assert_eq!(told(&world), [(RolloutEventType::Warning, "TooFewPods", "only 1 of 2 pods are available")]);
        world.now += 1_000;
        world.set_ready(V55, 0);
        world.settle();
        let unserved = format!("no pod of {V55} is ready, and it gets 100 % of the traffic");
        assert_eq!(told(&world)[1..], [(RolloutEventType::Warning, "NoReadyPods", unserved.as_str())]);
        world.now += 1_000;
        world.set_ready(V55, 2);
        world.settle();
        let serving = "enough pods are available, and each version with traffic has ready ones";
        assert_eq!(told(&world).last().unwrap(), &(RolloutEventType::Normal, "Serving", serving));
        world.settle();
        let count = world.events.len();
        world.settle();
        assert_eq!(world.events.len(), count, "nothing is told twice");
    }
}

#[test]
fn a_walk_without_trouble_tells_nothing() {
    let mut world = settled(World::seed());
    world.events.clear();
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), told(&world)), ("Healthy", vec![]));
}

#[test]
fn a_death_before_the_status_tells_the_same_by_the_same_name() {
    let mut counts = Vec::new();
    for dies in [None, Some(1)] {
        let mut world = settled(World::seed());
        world.events.clear();
        world.set_ready(V55, 0);
        world.dies = dies.map(|index| (world.turns + 1, index));
        world.settle();
        counts.push(world.events.len());
    }
    assert_eq!(counts, [1, 1]);
}

#[test]
fn too_few_pods_are_told_whatever_the_spec_says() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    world.rollout["spec"]["analysis"] = json!({});
    world.changed();
    world.settle();
    world.events.clear();
    world.set_ready(V55, 0);
    world.run_until(|world| !world.events.is_empty());
    assert_eq!(told(&world)[0].0, RolloutEventType::Warning, "{:?}", told(&world));
}

#[test]
fn what_is_shown_says_first_what_is_wrong_with_the_pods_that_serve() {
    for place in [("/spec/progressDeadlineSeconds", json!(600)), ("/spec/analysis", json!({}))] {
        let mut world = settled(World::seed());
        super::safety::write(&mut world, &place);
        world.settle();
        world.set_ready(V55, 1);
        world.settle();
        let Observed::Present(observed) = world.observed() else { panic!("it is there") };
        let shown = show(&world.state(), &observed, world.now);
        assert_eq!(shown.lacking.as_deref(), Some("only 1 of 2 pods are available"), "{place:?}");
        assert!(shown.message.starts_with("only 1 of 2 pods are available"), "{place:?}: {}", shown.message);
    }
}

#[test]
fn an_event_that_could_not_be_posted_is_posted_once_it_can() {
    for forgets in [false, true] {
        let mut world = settled(World::seed());
        world.mute = Some("events is forbidden");
        world.set_ready(V55, 0);
        for _ in 0..12 {
            world.step();
        }
        assert_eq!((told(&world).len(), world.status("conditions").to_string().contains("NoReadyPods")), (0, true));
        if forgets {
            world.outcomes = crate::outcome::Outcomes::default();
        }
        world.mute = None;
        world.settle();
        let said: Vec<_> = told(&world).into_iter().map(|(tone, reason, _)| (tone, reason)).collect();
        assert_eq!(said, [(RolloutEventType::Warning, "NoReadyPods")], "{:?}", world.said);
    }
}

#[test]
fn that_pods_serve_again_is_told_of_no_first_version_that_is_still_coming() {
    let mut world = settled(World::seed());
    world.set_ready(V55, 0);
    world.run_until(|world| !world.events.is_empty());
    world.deploy("was:v56-slow");
    for _ in 0..40 {
        world.step();
        assert!(
            told(&world).iter().all(|(tone, ..)| *tone == RolloutEventType::Warning),
            "{:?} {:?}",
            told(&world),
            world.said
        );
    }
    assert!(world.state().stable.is_none(), "{:?}", world.said);
}

/// Whether the home page would tell of it.
fn is_lacking(world: &World) -> bool {
    let Observed::Present(observed) = world.observed() else { panic!("it is there") };
    show(&world.state(), &observed, world.now).lacking.is_some()
}

#[test]
fn pods_that_are_coming_up_are_no_news() {
    let mut world = settled(World::seed());
    world.events.clear();
    for replicas in [6, 3, 8] {
        world.scale(replicas);
        world.run_until(|world| {
            assert!(!is_lacking(world), "{:?}", world.said);
            false
        });
    }
    // They need a while.
    world.set_ready(V55, 5);
    let until = world.now + 90_000;
    while world.now < until {
        world.turn();
        assert!(
            world.said.1.starts_with("only 5 of 8 pods are available"),
            "it is said all the same: {:?}",
            world.said
        );
        assert!(!is_lacking(&world), "{:?}", world.said);
        world.now += 10_000;
    }
    world.set_ready(V55, 8);
    world.settle();
    assert_eq!((told(&world), world.phase()), (vec![], "Healthy"));
    // They do not come.
    world.set_ready(V55, 5);
    world.settle();
    assert_eq!((told(&world).len(), is_lacking(&world)), (1, true), "{:?}", world.said);
    world.set_ready(V55, 8);
    world.settle();
    assert_eq!((told(&world).len(), is_lacking(&world)), (2, false), "{:?}", world.said);
}

#[test]
fn a_walk_that_replaces_pods_one_by_one_tells_nothing() {
    let mut world = World::basic(4);
    let canary = &mut world.rollout["spec"]["strategy"]["canary"];
    (canary["maxSurge"], canary["maxUnavailable"]) = (json!(0), json!(1));
    let mut world = settled(world);
    world.events.clear();
    world.deploy(V56);
    world.run_until(|world| {
        assert!(!is_lacking(world), "{:?}", world.said);
        false
    });
    assert_eq!((told(&world), world.phase()), (vec![], "Healthy"), "{:?}", world.said);
}
