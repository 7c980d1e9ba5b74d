//! The spec is edited in mid-walk so that it leads to the Ingress no more: what that carries is taken back all the same.

use super::super::*;
use super::world::{V55, V56, World, at_weight, settled};
use serde_json::{Value, json};

const ACTION: &str = "alb.ingress.kubernetes.io/actions.was-stable";

/// The weight of the canary's Service in the action that an Ingress carries.
fn carried(world: &World, ingress: usize) -> u64 {
    let action = world.ingresses[ingress]["metadata"]["annotations"][ACTION].as_str().unwrap();
    let action: Value = serde_json::from_str(action).unwrap();
    let groups = action["ForwardConfig"]["TargetGroups"].as_array().unwrap();
    let canary = groups.iter().find(|group| group["ServiceName"] == "was-canary").unwrap();
    assert_eq!(groups.len(), 2);
    assert!(groups.iter().any(|group| group["ServiceName"] == "was-stable"), "{groups:?}");
    canary["Weight"].as_u64().unwrap()
}

fn edit(world: &mut World, change: Edit) {
    change(&mut world.rollout["spec"]["strategy"]["canary"]);
    world.changed();
}

/// What a person changes in the canary's strategy.
type Edit = fn(&mut Value);

/// Edits after which the spec leads to no Ingress that there is, or to none by this action.
const EDITS: [(&str, Edit); 5] = [
    ("the Ingress", |canary| canary["trafficRouting"]["alb"]["ingress"] = json!("petclinic-ingres")),
    ("the canary's Service", |canary| canary["canaryService"] = json!("was-canari")),
    ("the stable Service", |canary| canary["stableService"] = json!("was-stabel")),
    ("the root", |canary| canary["trafficRouting"]["alb"]["rootService"] = json!("root")),
    ("an unknown field", |canary| canary["trafficRouting"]["alb"]["ingres"] = json!("x")),
];

#[test]
fn an_abort_reaches_the_ingress_whatever_the_spec_names_by_then() {
    for (what, change) in EDITS {
        let mut world = settled(World::seed());
        let before = world.rollout["spec"]["strategy"].clone();
        world.deploy(V56);
        let mut world = at_weight(world, 25);
        edit(&mut world, change);
        world.settle();
        assert!(carried(&world, 0) <= 25, "{what}: {:?}", world.said);
        world.ask(Action::Abort);
        world.settle();
        assert_eq!(carried(&world, 0), 0, "{what}: {:?}", world.said);
        assert_eq!(world.running()[0], (V55.to_owned(), 2), "{what}: {:?}", world.said);
        world.rollout["spec"]["strategy"] = before;
        world.changed();
        world.settle();
        assert_eq!((carried(&world, 0), world.served()), (0, Some(0)), "{what}: {:?}", world.said);
    }
}

#[test]
fn pods_that_crash_lose_their_requests_whatever_the_spec_names_by_then() {
    for (what, change) in EDITS {
        let mut world = settled(World::seed());
        world.deploy(V56);
        let mut world = at_weight(world, 25);
        edit(&mut world, change);
        world.settle();
        world.set_ready(V56, 0);
        for pod in world.pods.iter_mut().filter(|pod| pod["status"]["phase"] == "Unready") {
            let waiting = json!({ "reason": "CrashLoopBackOff", "message": "back-off restarting failed container" });
            let status = json!([{ "name": "was", "restartCount": 2, "state": { "waiting": waiting } }]);
            pod["status"]["containerStatuses"] = status;
        }
        world.settle();
        assert_eq!(carried(&world, 0), 0, "{what}: {:?}", world.said);
    }
}

#[test]
fn an_ingress_that_is_left_for_another_gives_the_canary_nothing_in_the_end() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let mut other = world.ingresses[0].clone();
    other["metadata"] = json!({ "name": "other", "uid": "other-uid", "resourceVersion": "1" });
    world.ingresses.push(other);
    edit(&mut world, |canary| canary["trafficRouting"]["alb"]["ingress"] = json!("other"));
    let mut aborted = world.clone();
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!((carried(&world, 0), carried(&world, 1)), (0, 0));
    aborted.run_until(|world| world.served() == Some(25));
    aborted.ask(Action::Abort);
    aborted.settle();
    assert_eq!((carried(&aborted, 0), carried(&aborted, 1)), (0, 0), "{:?}", aborted.said);
}

#[test]
fn an_action_by_another_prefix_gives_the_canary_nothing_in_the_end() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    edit(&mut world, |canary| canary["trafficRouting"]["alb"]["annotationPrefix"] = json!("alb.example.com"));
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!(carried(&world, 0), 0);
}

#[test]
fn without_a_router_the_ingress_gives_the_canary_nothing_after_an_abort() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    edit(&mut world, |canary| drop(canary.as_object_mut().unwrap().remove("trafficRouting")));
    world.turn();
    world.ask(Action::Abort);
    world.settle();
    assert_eq!(carried(&world, 0), 0, "{:?}", world.said);
    assert_eq!(world.running(), vec![(V55.to_owned(), 2)], "{:?}", world.said);
}

#[test]
fn what_an_ingress_that_was_left_still_sends_requests_to_keeps_its_pods_after_an_abort() {
    let is_route = |act: &Act| matches!(act, Act::Route { ingress, .. } if ingress.name != "other");
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let mut other = world.ingresses[0].clone();
    other["metadata"] = json!({ "name": "other", "uid": "other-uid", "resourceVersion": "1" });
    world.ingresses.push(other);
    world.denies = Some((is_route, "patching it is forbidden"));
    edit(&mut world, |canary| canary["trafficRouting"]["alb"]["ingress"] = json!("other"));
    world.ask(Action::Abort);
    let from = world.now;
    world.run_until(|world| world.now >= from + 120_000);
    assert_eq!((carried(&world, 0), world.running().len()), (25, 2), "{:?}", world.said);
    world.denies = None;
    world.settle();
    assert_eq!((carried(&world, 0), world.running()), (0, vec![(V55.to_owned(), 2)]), "{:?}", world.said);
}
