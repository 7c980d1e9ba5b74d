//! What Argo's clients ask for by writing a Rollout's status.

use super::super::*;
use super::world::{V56, World, settled};
use serde_json::json;

/// At the first of two pauses without an end, with 20 % for the canary.
fn paused() -> World {
    let mut world = World::seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]);
    let mut world = settled(world);
    world.deploy(V56);
    world.settle();
    world
}

#[test]
fn argos_clients_ask_through_the_status() {
    let mut world = paused();
    // `promote` empties the pause conditions.
    world.rollout["status"]["pauseConditions"] = json!(null);
    world.settle();
    assert_eq!((world.at(), world.served()), (3, Some(60)));
    // `abort` sets abort.
    world.rollout["status"]["abort"] = json!(true);
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Degraded", Some(0)));
    // `retry` clears it, and nothing else.
    world.rollout["status"]["abort"] = json!(false);
    world.settle();
    assert_eq!((world.at(), world.served()), (1, Some(20)));
    // `promote` with skipping the current step writes the index.
    world.rollout["status"]["currentStepIndex"] = json!(2);
    world.settle();
    assert_eq!((world.at(), world.served()), (3, Some(60)));
    // `promote --full` sets promoteFull.
    world.rollout["status"]["promoteFull"] = json!(true);
    world.settle();
    assert_eq!((world.phase(), world.status("promoteFull")), ("Healthy", &json!(null)));
}

#[test]
fn what_argos_clients_ask_beside_a_change_of_the_spec_is_heard() {
    // `promote` takes `spec.paused` away and writes the status, and both may be seen at once.
    let asks = [
        ("pauseConditions", json!(null), "Paused", 60),
        ("currentStepIndex", json!(2), "Paused", 60),
        ("promoteFull", json!(true), "Healthy", 0),
        ("abort", json!(true), "Degraded", 0),
    ];
    for (field, value, phase, weight) in asks {
        let mut world = paused();
        world.rollout["status"][field] = value;
        world.rollout["spec"]["paused"] = json!(false);
        world.changed();
        world.settle();
        assert_eq!((world.phase(), world.served()), (phase, Some(weight)), "{field}: {:?}", world.said);
        if field == "abort" {
            world.rollout["status"]["abort"] = json!(false);
            world.changed();
            world.settle();
            assert_eq!(world.served(), Some(20), "a retry: {:?}", world.said);
        }
    }
}

#[test]
fn a_retry_in_the_status_is_one_retry_though_the_version_fails_again_at_once() {
    let mut world = settled(World::seed());
    world.rollout["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"] = json!(0);
    world.changed();
    world.deploy(&V56.replace("v56", "v56-crash"));
    world.settle();
    assert!(world.state().is_aborted(), "{:?}", world.said);
    world.now += 60_000;
    world.rollout["status"]["abort"] = json!(false);
    world.settle();
    let asked = world.journal.iter().filter(|(_, _, entry)| matches!(entry, Entry::Asked { .. })).count();
    assert_eq!((asked, world.state().is_aborted()), (1, true), "{:?}", world.said);
}

#[test]
fn a_status_of_an_earlier_walk_asks_for_nothing() {
    let mut world = paused();
    assert_eq!(world.status("currentStepIndex"), 1);
    // Two changes, after which nothing was written to the status.
    let newest = world.rollout["spec"]["template"].clone();
    world.deploy("was:v57");
    while world.state().progress.unwrap().images != ["was:v57"] {
        world.turn();
    }
    world.rollout["spec"]["template"] = newest;
    world.changed();
    world.settle();
    let asked = |(_, _, entry): &(_, _, Entry)| matches!(entry, Entry::Asked { .. });
    assert!(!world.journal.iter().any(asked), "{:?}", world.journal);
    assert_eq!(world.served(), Some(20), "{:?}", world.said);
}
