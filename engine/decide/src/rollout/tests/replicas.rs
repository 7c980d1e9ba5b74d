//! The numbers of pods: Argo's cases one by one, and what never happens over all small states.

use super::super::replicas::{Bounds, Pods, Split, nearest, routed, within};
use super::super::*;
use super::world::World;
use serde_json::{Value, json};

/// Argo's cases: inputs, and the counts that its controller answers.
fn cases() -> Value {
    serde_json::from_str(include_str!("canary-replicas.json")).unwrap()
}

fn list<'a>(cases: &'a Value, name: &str) -> &'a Vec<Value> {
    cases[name].as_array().unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn pods(value: &Value) -> Pods {
    match value.as_array() {
        Some(pair) => Pods { spec: number(&pair[0]), available: number(&pair[1]) },
        None => Pods::default(),
    }
}

/// The Rollout that a case is about. Without a router `setCanaryScale` is left out: Argo's arithmetic ignores it there,
/// and Argo's validation refuses it, as ours does.
fn rollout(case: &Value) -> Value {
    let mut rollout: Value = serde_json::from_str(super::world::SEED).unwrap();
    rollout["spec"]["replicas"] = case["replicas"].clone();
    let canary = &mut rollout["spec"]["strategy"]["canary"];
    let mut steps = vec![json!({"setWeight": case["weight"]}), json!({"pause": {}})];
    if case["routed"] == false {
        canary.as_object_mut().unwrap().remove("trafficRouting");
    } else if let Some(scale) = case["scs"].as_array() {
        let scale = json!({"replicas": scale[0], "weight": scale[1], "matchTrafficWeight": scale[2]});
        steps.insert(0, json!({"setCanaryScale": scale}));
    }
    canary["steps"] = steps.into();
    canary["maxSurge"] = case["surge"].clone();
    canary["maxUnavailable"] = case["unavailable"].clone();
    canary["abortScaleDownDelaySeconds"] = case["abortDelay"].clone();
    canary["minPodsPerReplicaSet"] = case["minPods"].clone();
    rollout
}

/// The next numbers of pods, by the rules that the stage follows.
fn next(case: &Value) -> Split {
    let strategy = spec::parse(&rollout(case)).unwrap_or_else(|mistakes| panic!("{case}: {mistakes:?}"));
    let full = case["promoteFull"] == true;
    let weight = if full { 100 } else { number(&case["weight"]) };
    let (canary, stable) = (pods(&case["canary"]), pods(&case["stable"]));
    if case["routed"] == false {
        let wanted = nearest(strategy.replicas, weight, strategy.bounds.surge);
        return within(wanted, canary, stable, pods(&case["older"]), strategy.replicas, strategy.bounds);
    }
    let at = if full { strategy.steps.len() } else { strategy.steps.len() - 1 };
    let goal = match (case["abort"] == true, strategy.abort_delay_ms) {
        (true, None) => canary.spec,
        (true, Some(_)) => 0,
        (false, _) => strategy.routed_pods(at, weight),
    };
    Split { canary: goal, stable: strategy.replicas }
}

#[test]
fn every_count_is_argos() {
    let cases = cases();
    for case in list(&cases, "counts") {
        let expected = Split { canary: number(&case["expect"][0]), stable: number(&case["expect"][1]) };
        assert_eq!(next(case), expected, "{case}");
    }
    assert_eq!(list(&cases, "counts").len(), 39);
}

#[test]
fn every_nearest_split_is_argos() {
    let cases = cases();
    for row in list(&cases, "near") {
        let row: Vec<u32> = row.as_array().unwrap().iter().map(number).collect();
        let split = nearest(row[0], row[1], row[3]);
        assert_eq!((split.canary, split.stable), (row[4], row[5]), "{row:?}");
    }
    for row in list(&cases, "tw") {
        let row: Vec<u32> = row.as_array().unwrap().iter().map(number).collect();
        // A share of another whole than 100 is the same share.
        let weight = row[2] / (row[3] / 100);
        assert_eq!(routed(row[1], weight, 0), row[0], "{row:?}");
    }
}

/// Every number of available pods that a set with so many pods may have.
fn states(most: u32) -> impl Iterator<Item = Pods> {
    (0..=most).flat_map(|spec| (0..=spec).map(move |available| Pods { spec, available }))
}

#[test]
fn no_move_takes_available_pods_below_what_the_spec_allows() {
    let mut tried = 0;
    for replicas in 0..=4 {
        for (surge, unavailable) in [(0, 1), (1, 0), (1, 1), (2, 0), (3, 2)] {
            let bounds = Bounds { surge, unavailable };
            let needed = replicas - unavailable.min(replicas);
            for weight in [0, 10, 25, 50, 75, 99, 100] {
                let wanted = nearest(replicas, weight, surge);
                for (canary, stable) in states(5).flat_map(|canary| states(5).map(move |stable| (canary, stable))) {
                    let next = within(wanted, canary, stable, Pods::default(), replicas, bounds);
                    let before = canary.available + stable.available;
                    let after = canary.staying(next.canary) + stable.staying(next.stable);
                    assert!(
                        after >= needed.min(before),
                        "{replicas} replicas, {weight} %, {bounds:?}: {canary:?} {stable:?} become {next:?}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 70_000, "only {tried} states");
}

#[test]
fn every_state_comes_to_its_split_once_the_pods_come_up() {
    for (replicas, surge, unavailable) in [(1, 1, 0), (3, 0, 1), (4, 1, 0), (4, 2, 1)] {
        let bounds = Bounds { surge, unavailable };
        for weight in [0, 10, 50, 99, 100] {
            let wanted = nearest(replicas, weight, surge);
            for (canary, stable) in states(5).flat_map(|canary| states(5).map(move |stable| (canary, stable))) {
                let (mut now, ready) = ((canary, stable), |spec| Pods { spec, available: spec });
                for _ in 0..40 {
                    let next = within(wanted, now.0, now.1, Pods::default(), replicas, bounds);
                    now = (ready(next.canary), ready(next.stable));
                }
                let end = Split { canary: now.0.spec, stable: now.1.spec };
                assert_eq!(end, wanted, "{replicas} replicas, {weight} %, {bounds:?} from {canary:?} {stable:?}");
            }
        }
    }
}

/// The fewest available pods that a story saw.
fn fewest(world: &mut World, turns: usize) -> u64 {
    let available = |world: &World| -> u64 {
        let of = |set: &Value| {
            set["status"]["availableReplicas"].as_u64().unwrap_or(0).min(set["spec"]["replicas"].as_u64().unwrap())
        };
        world.sets.iter().map(of).sum()
    };
    let mut fewest = available(world);
    for _ in 0..turns {
        world.step();
        fewest = fewest.min(available(world));
    }
    fewest
}

#[test]
fn an_autoscaler_lowers_an_unready_canary_and_the_stable_version_keeps_its_minimum() {
    let mut world = World::basic(10);
    world.deploy("was:v55");
    world.settle();
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 50}, {"pause": {}}]);
    world.deploy("was:v56-slow");
    world.run_until(|world| world.running() == [("was:v55".to_owned(), 10), ("was:v56-slow".to_owned(), 1)]);
    world.scale(4);
    assert!(fewest(&mut world, 60) >= 4, "{:?}", world.running());
}

#[test]
fn a_version_that_was_promoted_and_fell_over_does_not_take_the_one_before_it_along() {
    let mut world = World::seed();
    world.deploy("was:v55");
    world.settle();
    world.deploy("was:v56");
    world.run_until(|world| world.state().stable.is_some_and(|stable| stable.image == "was:v56"));
    world.set_ready("was:v56", 0);
    let pods = world.running();
    for _ in 0..60 {
        world.step();
    }
    assert_eq!(pods, world.running(), "the one before it has the only pods that are available");
}
