//! One impossible act never holds up a safer one, and no spec stops what keeps the service up.

use super::super::*;
use super::world::{V55, V56, World, settled};
use crate::by::By;
use crate::next::Phase;
use crate::request::Response;
use serde_json::{Value, json};

/// At the second pause, with 25 % where traffic is routed.
fn halfway(start: World) -> World {
    let mut world = settled(start);
    world.deploy(V56);
    world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
    world
}

fn condition(world: &World, kind: &str) -> Option<String> {
    let all = world.status("conditions").as_array().unwrap();
    all.iter().find(|one| one["type"] == kind && one["status"] == "True").map(|one| one["message"].to_string())
}

#[test]
fn a_refused_set_does_not_block_the_way_back() {
    let mut world = halfway(World::seed());
    world.refuses = Some("exceeded quota: pods");
    world.deploy("was:v57");
    world.run_until(|world| world.served() == Some(0));
    assert_eq!(world.served(), Some(0), "the traffic goes back first: {:?}", world.said);
    world.scale(5);
    world.run_until(|world| world.running().contains(&(V55.to_owned(), 5)));
    assert!(world.running().contains(&(V55.to_owned(), 5)), "the stable version is scaled: {:?}", world.running());
    world.run_until(|world| world.said.1.contains("exceeded quota"));
    assert!(condition(&world, "ReplicaFailure").unwrap().contains("exceeded quota"));
    world.settle();
    assert_eq!((world.phase(), world.said.0), ("Degraded", Phase::Blocked), "a deadline ends it");
    assert!(
        world.said.1.contains("no progress for 10 min") && world.said.1.contains("exceeded quota"),
        "{:?}",
        world.said
    );
    assert_eq!((world.running(), world.served()), (vec![(V55.to_owned(), 5)], Some(0)));
    // The quota is raised.
    world.refuses = None;
    world.ask(Action::Retry);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![("was:v57".to_owned(), 5)]), "{:?}", world.said);
}

#[test]
fn a_refused_set_costs_no_pod_where_the_pods_are_the_weight() {
    let mut world = World::basic(4);
    world.rollout["spec"]["strategy"]["canary"]["maxUnavailable"] = json!(2);
    let mut world = settled(world);
    world.refuses = Some("denied by a webhook");
    world.deploy(V56);
    for _ in 0..60 {
        world.step();
        assert_eq!(world.running(), [(V55.to_owned(), 4)], "{:?}", world.said);
    }
}

#[test]
fn a_person_who_retries_does_not_wait_for_the_next_attempt() {
    let mut world = halfway(World::seed());
    world.refuses = Some("exceeded quota: pods");
    world.deploy("was:v57");
    // By then it is tried every three minutes only.
    world.run_until(|world| world.said.1.contains("no progress for 10 min"));
    world.refuses = None;
    world.ask(Action::Retry);
    let asked = world.now;
    world.run_until(|world| world.sets.len() == 3);
    assert!(world.sets.len() == 3 && world.now < asked + 2_000, "{} {:?}", world.now - asked, world.said);
}

/// What somebody may write into a Rollout that Bespin cannot follow: a place, and the value.
pub(super) fn nonsense() -> Vec<(&'static str, Value)> {
    vec![
        ("/spec/analysis", json!({"successfulRunHistoryLimit": 3})),
        ("/spec/workloadRef", json!({"kind": "Deployment", "name": "was"})),
        ("/spec/unknown", json!(1)),
        ("/spec/restartAt", json!("soon")),
        ("/spec/progressDeadlineSeconds", json!(-1)),
        ("/spec/template", json!(null)),
        ("/spec/selector", json!(null)),
        ("/spec/strategy/blueGreen", json!({})),
        ("/spec/strategy/canary/analysis", json!({"templates": []})),
        ("/spec/strategy/canary/antiAffinity", json!({})),
        ("/spec/strategy/canary/steps", json!([{"setWeight": 500}])),
        ("/spec/strategy/canary/steps", json!({})),
        ("/spec/strategy/canary/steps/1", json!({"experiment": {}})),
        ("/spec/strategy/canary/maxSurge", json!("many")),
        ("/spec/strategy/canary/trafficRouting/istio", json!({})),
    ]
}

pub(super) fn write(world: &mut World, (pointer, value): &(&str, Value)) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match world.rollout.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
        parent => parent[key] = value.clone(),
    }
    world.changed();
}

#[test]
fn whatever_the_spec_says_an_abort_ends_with_traffic_on_ready_pods() {
    for place in nonsense() {
        let mut world = halfway(World::seed());
        write(&mut world, &place);
        world.settle();
        assert_eq!((world.phase(), world.served()), ("Degraded", Some(25)), "{place:?}: nothing moves by itself");
        assert!(condition(&world, "InvalidSpec").is_some(), "{place:?}");
        world.ask(Action::Abort);
        world.settle();
        assert_eq!(world.served(), Some(0), "{place:?}: {:?}", world.said);
        assert!(world.running().contains(&(V55.to_owned(), 2)), "{place:?}: {:?}", world.running());
        assert_eq!(world.status("abort"), true, "{place:?}");
    }
}

#[test]
fn whatever_the_spec_says_crashing_pods_lose_their_traffic() {
    for place in nonsense() {
        let mut world = halfway(World::seed());
        write(&mut world, &place);
        world.settle();
        let waiting = json!({"reason": "CrashLoopBackOff", "message": "back-off"});
        let canary = world.sets.last().unwrap()["metadata"]["uid"].clone();
        for pod in world.pods.iter_mut().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == canary) {
            pod["status"] = json!({"phase": "Unready", "containerStatuses":
                [{"name": "was", "restartCount": 3, "state": {"waiting": waiting}}]});
        }
        world.settle();
        assert_eq!(world.served(), Some(0), "{place:?}: {:?}", world.said);
    }
}

#[test]
fn whatever_the_spec_says_the_stable_version_is_scaled_up_and_no_pod_is_taken_away_on_the_way() {
    for start in [World::seed, || World::basic(4)] {
        for place in nonsense() {
            let mut world = halfway(start());
            if world.rollout.pointer(place.0.rsplit_once('/').unwrap().0).is_none() {
                continue;
            }
            write(&mut world, &place);
            let before = world.running();
            world.scale(8);
            world.settle();
            let pods = |running: &[(String, u64)], image| {
                running.iter().find(|(of, _)| of == image).map_or(0, |(_, pods)| *pods)
            };
            let (was, is) = (pods(&before, V55), pods(&world.running(), V55));
            assert!(is > was, "{place:?}: {:?} {:?}", world.running(), world.said);
            assert_eq!(pods(&before, V56), pods(&world.running(), V56), "{place:?}");
        }
    }
}

#[test]
fn a_count_that_cannot_be_read_takes_no_pod_away() {
    for value in [json!("ten"), json!(-1)] {
        let mut world = halfway(World::seed());
        world.scale(6);
        world.run_until(|world| world.running().contains(&(V55.to_owned(), 6)));
        let before = world.running();
        world.rollout["spec"]["replicas"] = value;
        world.changed();
        world.ask(Action::Abort);
        world.settle();
        assert_eq!((world.served(), world.running()), (Some(0), before), "{:?}", world.said);
    }
}

#[test]
fn a_person_is_offered_an_abort_and_nothing_else() {
    let mut world = halfway(World::seed());
    world.rollout["spec"]["analysis"] = json!({});
    world.changed();
    world.settle();
    let Observed::Present(observed) = world.observed() else { panic!("it is there") };
    let offers = show(&world.state(), &observed, world.now).offers;
    assert_eq!(offers.iter().map(|offer| offer.action).collect::<Vec<_>>(), [Action::Abort]);
    // `kubectl argo rollouts abort` writes the status.
    world.rollout["status"]["abort"] = json!(true);
    world.settle();
    assert_eq!(world.served(), Some(0), "{:?}", world.said);
}

#[test]
fn whatever_the_spec_says_a_step_out_of_time_gets_its_abort() {
    for place in nonsense() {
        let mut world = settled(World::seed());
        let key = world.want("run/56", Some(V56), OnTimeout::Abort);
        world.deploy(V56);
        world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
        write(&mut world, &place);
        world.settle();
        assert_eq!(world.answer(&key), None, "{place:?}");
        world.journal.push((world.now, By::Server, Entry::TimedOut { key: key.clone() }));
        world.settle();
        assert_eq!((world.state().is_aborted(), world.served()), (true, Some(0)), "{place:?}: {:?}", world.said);
        assert!(matches!(world.answer(&key), Some(Response::Failed { .. })), "{place:?}: {:?}", world.answer(&key));
    }
}

#[test]
fn a_pause_does_not_count_while_the_spec_cannot_be_followed() {
    let mut world = halfway(World::seed());
    let spec = world.rollout["spec"].clone();
    write(&mut world, &("/spec/analysis", json!({})));
    world.settle();
    world.now += 3_600_000;
    world.settle();
    world.rollout["spec"] = spec;
    world.changed();
    let back = world.now;
    world.run_until(|world| world.at() == 2);
    assert!(world.now > back + 20_000, "what was left of it: {}", world.now - back);
    world.settle();
    assert_eq!((world.phase(), world.weights.as_slice()), ("Healthy", &[10, 25, 50, 75, 100, 0][..]));
}

#[test]
fn an_aborted_canary_gives_its_pods_back_by_the_clock_though_the_spec_cannot_be_followed() {
    let mut world = halfway(World::seed());
    write(&mut world, &("/spec/analysis", json!({})));
    world.ask(Action::Abort);
    world.settle();
    assert_eq!((world.served(), world.running()), (Some(0), vec![(V55.to_owned(), 2)]), "{:?}", world.said);
}

/// As Argo has it: whichever version the pods are of.
#[test]
fn an_autoscaler_counts_the_pods_of_every_version() {
    let mut world = settled(World::seed());
    world.rollout["spec"]["template"]["metadata"]["labels"]["version"] = json!("56");
    world.deploy(V56);
    world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
    assert_eq!(world.status("selector"), "app=was");
    assert_eq!(world.status("HPAReplicas"), world.pods.len());
    assert!(world.pods.iter().all(|pod| pod["metadata"]["labels"]["app"] == "was"));
}

#[test]
fn what_an_autoscaler_counts_stays_though_the_spec_cannot_be_followed() {
    for place in nonsense() {
        let mut world = halfway(World::seed());
        let before = world.status("selector").clone();
        assert_eq!(before, "app=was");
        write(&mut world, &place);
        world.settle();
        assert_eq!(world.status("selector"), &before, "{place:?}");
    }
}
