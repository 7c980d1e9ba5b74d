//! A load balancer whose rules and targets come late: traffic and pods follow what it serves, and not what it was told.

use super::super::*;
use super::faults::Faults;
use super::late_balancer::{Api, Controller, Lag, TargetKind, USUAL, address};
use super::world::{Step, V55, V56, World, at_weight, settled};
use crate::next::{Timestamp, Wake};
use crate::object::write_time;
use serde_json::{Value, json};

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

/// The second version is the stable one, and all traffic comes by the canary's Service yet.
fn promoted(lag: Lag) -> World {
    let mut world = walking(lag);
    world.run_until(|world| world.state().stable.unwrap().image == V56);
    world
}

/// Whether the canary's Service selects the newest version.
fn is_selected(world: &World) -> bool {
    world.state().progress.is_some_and(|progress| world.services[1]["spec"]["selector"][HASH] == *progress.hash)
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
        if world.step() == Step::Rest {
            world.wait(world.now + 3_000);
        }
    }
}

fn condition(world: &World, kind: &str) -> Value {
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
    keeps(
        &mut world,
        |world| world.weights.len() == 5,
        |world| {
            if world.weights.len() > risen {
                let needed = [1, 1, 1, 2, 2][risen];
                let answers = world.answers("was-canary");
                assert!(answers >= needed, "{:?} with {answers} healthy targets: {:?}", world.weights, world.said);
                risen = world.weights.len();
            }
        },
    );
    assert_eq!(risen, 5);
}

#[test]
fn a_step_and_a_pause_count_once_the_rules_serve_their_weight() {
    let mut world = walking(RULES);
    keeps(
        &mut world,
        |world| world.weights.len() == 5,
        |world| {
            let state = world.state();
            if state.progress.unwrap().paused_since.is_some() {
                assert_eq!(world.served(), Some(state.asked), "{:?}", world.said);
            }
        },
    );
    let paused: Vec<Timestamp> = paused_for(&world);
    assert_eq!(paused, [30_000; 4]);
}

/// For how long each pause of the newest version counted, in ms.
fn paused_for(world: &World) -> Vec<Timestamp> {
    let (mut began, mut all) = (0, Vec::new());
    for (at, _, entry) in &world.journal {
        match entry {
            Entry::PauseBegan { .. } => began = *at,
            Entry::StepDone { .. } => all.push(at - began),
            _ => {}
        }
    }
    all
}

#[test]
fn the_old_set_keeps_its_pods_until_the_new_one_serves_by_the_stable_targets() {
    for lag in [USUAL, RULES, TARGETS] {
        let mut world = promoted(lag);
        keeps(
            &mut world,
            |_| false,
            |world| {
                let is_over = world.served() == Some(0) && world.answers("was-stable") == 2;
                assert!(pods(world, V55) == 2 || is_over, "{:?} {:?}", world.running(), world.said);
            },
        );
        is_healthy(&world, V56);
    }
}

#[test]
fn the_canarys_weight_falls_only_as_far_as_the_stable_targets_bear_it() {
    for lag in [USUAL, RULES, TARGETS] {
        let mut world = promoted(lag);
        keeps(
            &mut world,
            |_| false,
            |world| {
                let asked = world.state().asked;
                let borne = world.answers("was-stable") * 50 + usize::try_from(asked).unwrap();
                assert!(
                    borne >= 100,
                    "{asked} % with {} stable targets: {:?}",
                    world.answers("was-stable"),
                    world.said
                );
            },
        );
        is_healthy(&world, V56);
    }
}

#[test]
fn an_aborts_delay_starts_once_the_rule_says_nothing() {
    let mut world = at_weight(walking(RULES), 25);
    world.ask(Action::Abort);
    let mut free_at = None;
    let mut gone_at = None;
    keeps(
        &mut world,
        |_| false,
        |world| {
            if world.served() == Some(0) {
                free_at.get_or_insert(world.now);
            }
            if pods(world, V56) == 0 {
                gone_at.get_or_insert(world.now);
            }
        },
    );
    let kept = gone_at.unwrap() - free_at.unwrap();
    assert!((29_000..40_000).contains(&kept), "{kept} ms");
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]), "{:?}", world.said);
}

#[test]
fn a_sleeping_controller_is_waited_for_and_blames_no_version() {
    let mut world = start(USUAL);
    world.balancer().controller = Controller::Sleeps;
    world.deploy(V56);
    pass(&mut world, 900_000);
    assert_eq!((world.at(), world.weights.len(), world.served()), (0, 0, Some(0)), "{:?}", world.said);
    let said = "0 of 1 canary pods are healthy targets at the load balancer";
    assert!(world.said.1.contains(said), "{:?}", world.said);
    assert_eq!(world.phase(), "Progressing", "{:?}", world.said);
    world.balancer().controller = Controller::Runs;
    world.run_until(|world| world.weights.len() == 1);
    world.balancer().controller = Controller::Sleeps;
    pass(&mut world, 900_000);
    assert_eq!((world.at(), world.weights.as_slice(), world.served()), (0, &[10][..], Some(0)), "{:?}", world.said);
    assert!(world.said.1.contains("does not serve 10 % yet"), "{:?}", world.said);
    world.balancer().controller = Controller::Runs;
    world.settle();
    is_healthy(&world, V56);
    assert_eq!(world.weights, WEIGHTS);
}

#[test]
fn a_version_has_half_of_its_deadline_at_least_once_the_controller_wakes() {
    let mut world = start(USUAL);
    world.balancer().controller = Controller::Sleeps;
    world.deploy(V56);
    pass(&mut world, 900_000);
    world.balancer().controller = Controller::Runs;
    // Its first checks fail for a while.
    world.balancer().fails = Some(V56);
    pass(&mut world, 200_000);
    assert!(world.said.1.contains("Target.ResponseCodeMismatch"), "{:?}", world.said);
    world.balancer().fails = None;
    world.settle();
    is_healthy(&world, V56);
}

#[test]
fn targets_whose_checks_fail_run_into_the_deadline() {
    let mut world = start(USUAL);
    world.balancer().fails = Some(V56);
    world.deploy(V56);
    pass(&mut world, 300_000);
    let said = "0 of 1 canary pods are healthy targets at the load balancer: Target.ResponseCodeMismatch: [503]";
    assert!(world.said.1.contains(said), "{:?}", world.said);
    pass(&mut world, 400_000);
    assert!(world.said.1.contains(&format!("no progress for 10 min: {said}")), "{:?}", world.said);
    assert_eq!((world.phase(), world.served(), world.running()), ("Degraded", Some(0), vec![(V55.to_owned(), 2)]));
    assert!(world.weights.is_empty(), "{:?}", world.weights);
}

#[test]
fn while_its_api_throttles_nothing_moves_and_nobody_is_blamed() {
    let mut world = at_weight(walking(USUAL), 10);
    world.balancer().api = Api::Throttles;
    let (at, before, weights) = (world.at(), world.running(), world.weights.clone());
    pass(&mut world, 900_000);
    assert_eq!((world.at(), world.served(), &world.weights), (at, Some(10), &weights), "{:?}", world.said);
    assert_eq!(world.running(), before);
    assert!(world.said.1.contains("the load balancer fails: Throttling: Rate exceeded"), "{:?}", world.said);
    world.balancer().api = Api::Answers;
    world.settle();
    is_healthy(&world, V56);
    assert_eq!(world.weights, WEIGHTS);
}

#[test]
fn while_its_api_throttles_no_weight_rises() {
    let mut world = walking(USUAL);
    world.run_until(|world| world.sets.len() == 2 && is_selected(world));
    world.balancer().api = Api::Throttles;
    pass(&mut world, 900_000);
    assert_eq!((world.at(), world.weights.len(), world.phase()), (0, 0, "Progressing"), "{:?}", world.said);
    world.balancer().api = Api::Answers;
    world.settle();
    is_healthy(&world, V56);
}

#[test]
fn a_canary_whose_targets_all_fail_gets_no_traffic_and_its_pause_does_not_count() {
    let mut world = at_weight(walking(USUAL), 10);
    world.balancer().fails = Some(V56);
    world.run_until(|world| world.state().asked == 0);
    pass(&mut world, 240_000);
    assert_eq!((world.at(), world.served()), (0, Some(0)), "{:?}", world.said);
    assert!(world.said.1.contains("Target.ResponseCodeMismatch"), "{:?}", world.said);
    world.balancer().fails = None;
    world.settle();
    is_healthy(&world, V56);
    assert_eq!(world.weights, [10, 0, 10, 25, 50, 75, 100, 0]);
}

#[test]
fn a_pause_does_not_count_while_no_pod_of_the_canary_is_a_target() {
    let mut world = World::balanced(TARGETS);
    world.rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{ "setWeight": 10 }, { "pause": { "duration": "30s" } }, { "setWeight": 50 }]);
    let mut world = settled(world);
    world.deploy(V56);
    let mut world = at_weight(world, 10);
    // Nobody is blamed for what a person does here.
    world.faults = Some(Faults::new(0));
    world.faults.as_mut().unwrap().end();
    world.balancer().deregister("was-canary");
    pass(&mut world, 45_000);
    assert_eq!((world.at(), world.answers("was-canary")), (1, 0), "{:?}", world.said);
    assert_eq!(
        world.served(),
        Some(0),
        "the stable version's pods get what no target of the canary's can: {:?}",
        world.said
    );
    assert_eq!(world.state().progress.unwrap().paused_since, None, "{:?}", world.said);
    world.settle();
    is_healthy(&world, V56);
}

#[test]
fn while_its_api_throttles_the_end_of_a_walk_waits() {
    let mut world = promoted(USUAL);
    world.balancer().api = Api::Throttles;
    pass(&mut world, 900_000);
    assert_eq!((world.served(), pods(&world, V55), pods(&world, V56)), (Some(100), 2, 2), "{:?}", world.said);
    world.balancer().api = Api::Answers;
    world.settle();
    is_healthy(&world, V56);
}

#[test]
fn while_its_api_throttles_what_may_be_a_target_keeps_its_pods() {
    let mut world = promoted(TARGETS);
    world.run_until(|world| world.state().asked == 0 && world.served() == Some(0));
    world.deploy(V57);
    world.run_until(|world| world.sets.len() == 3 && is_selected(world));
    assert_eq!(pods(&world, V55), 2, "its targets drain: {:?}", world.said);
    world.balancer().api = Api::Throttles;
    pass(&mut world, 100_000);
    assert_eq!(pods(&world, V55), 2, "{:?}", world.said);
    world.balancer().api = Api::Answers;
    world.settle();
    is_healthy(&world, V57);
}

#[test]
fn without_access_the_walk_goes_on_and_says_that_nobody_verifies_it() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    assert_eq!(world.status("canary")["weights"]["verified"], json!(null));
    let condition = condition(&world, "WeightVerified");
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("Unknown"), &json!("NotAsked")));
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!(world.weights, WEIGHTS);
}

#[test]
fn with_access_the_status_says_whether_the_weight_is_served() {
    let mut world = walking(RULES);
    world.run_until(|world| world.weights.len() == 1 && world.said.1.contains("does not serve 10 % yet"));
    world.turn();
    assert_eq!(world.status("canary")["weights"]["verified"], json!(false), "{:?}", world.said);
    assert_eq!(condition(&world, "WeightVerified")["reason"], "NotVerified");
    let mut world = at_weight(world, 10);
    world.turn();
    world.turn();
    assert_eq!(world.status("canary")["weights"]["verified"], json!(true), "{:?}", world.said);
    assert_eq!(condition(&world, "WeightVerified")["reason"], "Verified");
    world.balancer().api = Api::Throttles;
    world.turn();
    world.turn();
    let verified = condition(&world, "WeightVerified");
    assert_eq!((&verified["status"], &verified["reason"]), (&json!("Unknown"), &json!("RouterFailed")));
}

/// Two Ingresses share the traffic.
fn twofold(lag: Lag) -> World {
    let mut world = World::balanced(lag);
    let mut other = world.ingresses[0].clone();
    (other["metadata"]["name"], other["metadata"]["uid"]) = (json!("inner-ingress"), json!("inner-uid"));
    world.ingresses.push(other);
    let alb = &mut world.rollout["spec"]["strategy"]["canary"]["trafficRouting"]["alb"];
    alb.as_object_mut().unwrap().remove("ingress");
    alb["ingresses"] = json!(["petclinic-ingress", "inner-ingress"]);
    world
}

#[test]
fn of_several_ingresses_the_latest_is_waited_for() {
    let mut world = twofold(USUAL);
    world.balancer().later = ("inner-ingress", 40_000);
    let mut world = settled(world);
    world.deploy(V56);
    world.settle();
    is_healthy(&world, V56);
    assert_eq!(world.weights, WEIGHTS);
    assert_eq!(paused_for(&world), [30_000; 4]);
}

#[test]
fn an_ingress_without_a_load_balancer_is_waited_for() {
    let mut world = twofold(USUAL);
    world.balancer().absent = Some("inner-ingress");
    world.deploy(V55);
    pass(&mut world, 60_000);
    world.deploy(V56);
    pass(&mut world, 900_000);
    assert_eq!((world.weights.as_slice(), pods(&world, V55)), (&[][..], 2), "{:?}", world.said);
    assert_eq!(world.at(), 0);
    world.balancer().absent = None;
    world.settle();
    is_healthy(&world, V56);
    assert_eq!(world.weights, WEIGHTS);
}

#[test]
fn no_weight_rises_while_one_of_several_load_balancers_is_lost() {
    let mut world = settled(twofold(USUAL));
    world.deploy(V56);
    world.run_until(|world| world.sets.len() == 2 && is_selected(world));
    world.balancer().lose("inner-ingress");
    pass(&mut world, 900_000);
    assert_eq!((world.at(), world.weights.len(), world.phase()), (0, 0, "Progressing"), "{:?}", world.said);
    world.balancer().absent = None;
    world.settle();
    is_healthy(&world, V56);
}

#[test]
fn behind_nodes_only_the_rules_are_waited_for() {
    let mut world = World::balanced(RULES);
    world.balancer().kind = TargetKind::Nodes;
    let mut world = settled(world);
    world.deploy(V56);
    world.settle();
    is_healthy(&world, V56);
    assert_eq!((world.weights.as_slice(), paused_for(&world)), (&WEIGHTS[..], vec![30_000; 4]));
}

#[test]
fn a_push_while_the_end_of_a_walk_is_late_loses_nothing() {
    for (lag, after) in [(USUAL, 7_000), (RULES, 0), (TARGETS, 0), (TARGETS, 60_000)] {
        let mut world = promoted(lag);
        pass(&mut world, after);
        world.deploy(V57);
        world.settle();
        is_healthy(&world, V57);
    }
}

#[test]
fn an_abort_at_the_end_of_a_walk_loses_nothing() {
    for (lag, after) in [(USUAL, 0), (RULES, 30_000), (TARGETS, 0)] {
        let mut world = walking(lag);
        world.run_until(|world| world.state().asked == 100);
        pass(&mut world, after);
        assert_eq!(world.state().stable.unwrap().image, V55, "{:?}", world.said);
        world.ask(Action::Abort);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]), "{:?}", world.said);
        assert_eq!((world.served(), world.answers("was-stable")), (Some(0), 2), "{:?}", world.said);
    }
}

#[test]
fn a_rollback_at_the_end_of_a_walk_loses_nothing() {
    for (lag, after) in [(USUAL, 20_000), (RULES, 0), (TARGETS, 80_000)] {
        let mut world = promoted(lag);
        pass(&mut world, after);
        world.deploy(V55);
        world.settle();
        is_healthy(&world, V55);
    }
}

#[test]
fn a_rollback_in_mid_walk_loses_nothing() {
    for (lag, weight) in [(RULES, 10), (TARGETS, 75)] {
        let mut world = at_weight(walking(lag), weight);
        world.deploy(V55);
        world.settle();
        is_healthy(&world, V55);
    }
}

#[test]
fn a_push_in_mid_walk_loses_nothing() {
    for (lag, weight) in [(RULES, 75), (TARGETS, 10)] {
        let mut world = at_weight(walking(lag), weight);
        world.deploy(V57);
        world.settle();
        is_healthy(&world, V57);
    }
}

#[test]
fn the_stable_pods_that_follow_the_traffic_wait_for_the_load_balancer() {
    for lag in [RULES, TARGETS] {
        let mut world = World::balanced(lag);
        let canary = world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap();
        canary.insert("dynamicStableScale".into(), json!(true));
        canary.insert("maxUnavailable".into(), json!(0));
        world.scale(10);
        let mut world = settled(world);
        world.deploy(V56);
        keeps(
            &mut world,
            |_| false,
            |world| {
                let weight = usize::try_from(world.served().unwrap_or(0)).unwrap();
                let (stable, canary) = (world.answers("was-stable"), world.answers("was-canary"));
                let said = format!("{weight} %: {stable} and {canary} targets: {:?}", world.said);
                assert!(stable * 10 >= 100 - weight && canary * 10 >= weight, "{said}");
            },
        );
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 10)]), "{:?}", world.said);
        world.deploy(V57);
        let mut world = at_weight(world, 75);
        world.ask(Action::Abort);
        world.settle();
        assert_eq!((world.served(), world.running()), (Some(0), vec![(V56.to_owned(), 10)]), "{:?}", world.said);
    }
}

/// How long it takes until a weight is asked for, in ms; at most a minute.
#[track_caller]
fn takes(mut world: World, weight: u32) -> Timestamp {
    let since = world.now;
    keeps(
        &mut world,
        |world| world.state().asked == weight,
        |world| {
            assert!(world.now < since + 60_000, "{:?}: {:?}", world.weights, world.said);
        },
    );
    world.now - since
}

#[test]
fn an_abort_waits_for_no_stable_pod_that_is_still_to_be_registered() {
    let mut world = at_weight(walking(TARGETS), 25);
    world.scale(10);
    keeps(
        &mut world,
        |world| pods(world, V55) == 10 && world.pods.iter().all(|pod| pod["status"]["phase"] == "Running"),
        |_| {},
    );
    assert_eq!(world.answers("was-stable"), 2);
    for back in [true, false] {
        let mut world = world.clone();
        if back {
            world.deploy(V55);
        } else {
            world.ask(Action::Abort);
        }
        assert!(takes(world, 0) < 5_000);
    }
}

#[test]
fn an_abort_at_all_of_the_traffic_waits_for_no_api() {
    for api in [Api::Throttles, Api::Refuses] {
        let mut world = World::balanced(USUAL);
        world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{ "setWeight": 100 }, { "pause": {} }]);
        let mut world = settled(world);
        world.deploy(V56);
        let mut world = at_weight(world, 100);
        world.balancer().api = api;
        pass(&mut world, 10_000);
        world.ask(Action::Abort);
        assert!(takes(world, 0) < 5_000, "{api:?}");
    }
}

#[test]
fn a_first_version_in_place_of_a_lost_one_waits_for_its_targets() {
    for lag in [USUAL, TARGETS] {
        let mut world = at_weight(walking(lag), 50);
        // What is lost here is nobody's act.
        let mut faults = Faults::new(1);
        faults.end();
        world.faults = Some(faults);
        world.sets.retain(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] == V56);
        let left = world.sets[0]["metadata"]["uid"].clone();
        world.pods.retain(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == left);
        keeps(
            &mut world,
            |_| false,
            |world| assert!(world.state().asked >= 50 || world.answers("was-stable") > 0, "{:?}", world.said),
        );
        is_healthy(&world, V56);
    }
}

#[test]
fn an_abort_waits_for_no_load_balancer_that_is_lost() {
    let mut world = settled(twofold(USUAL));
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    pass(&mut world, 10_000);
    world.balancer().lose("inner-ingress");
    pass(&mut world, 10_000);
    world.ask(Action::Abort);
    assert!(takes(world, 0) < 5_000);
}

#[test]
fn pods_that_never_come_up_are_sent_back_though_the_load_balancer_is_late() {
    let mut world = start(USUAL);
    world.scale(20);
    let mut world = settled(world);
    world.balancer().controller = Controller::Sleeps;
    world.deploy(V56);
    world.run_until(|world| world.state().asked == 10);
    world.set_ready(V56, 1);
    pass(&mut world, 1_300_000);
    assert_eq!(world.status("abort"), &json!(true), "{:?}", world.said);
}

#[test]
fn in_a_pause_the_load_balancer_is_asked_again_within_seconds() {
    let mut world = at_weight(walking(USUAL), 25);
    pass(&mut world, 10_000);
    let wake = world.turn();
    assert!(matches!(wake, Wake::At(at) if at <= world.now + 3_000), "{wake:?}");
}

#[test]
fn a_restart_waits_until_new_pods_are_healthy_targets() {
    let mut world = start(TARGETS);
    world.scale(4);
    let mut world = settled(world);
    world.rollout["spec"]["restartAt"] = json!(write_time(world.now));
    world.changed();
    let old: Vec<Value> = world.pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect();
    let is_over = |world: &World| world.pods.iter().all(|pod| !old.contains(&pod["metadata"]["uid"]));
    keeps(&mut world, is_over, |world| assert!(world.answers("was-stable") >= 3, "{:?}", world.said));
}

#[test]
fn a_restart_replaces_pods_whose_targets_get_no_request() {
    let reason = || "Target.NotInUse".to_owned();
    for health in [TargetHealth::Unhealthy(reason()), TargetHealth::Coming(Some(reason()))] {
        let mut world = start(USUAL);
        world.balancer().ill = world.pods.iter().map(|pod| (address(pod), health.clone())).collect();
        pass(&mut world, 60_000);
        world.rollout["spec"]["restartAt"] = json!(write_time(world.now));
        world.changed();
        let old: Vec<Value> = world.pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect();
        let is_over = |world: &World| world.pods.iter().all(|pod| !old.contains(&pod["metadata"]["uid"]));
        let mut said = false;
        keeps(&mut world, is_over, |world| said |= world.said.1.contains("is no healthy target: Target.NotInUse"));
        assert!(is_over(&world) && said, "{health:?}: {:?}", world.said);
        world.settle();
        is_healthy(&world, V55);
    }
}

#[test]
fn a_pod_that_has_ended_is_no_target() {
    let mut world = at_weight(walking(USUAL), 50);
    let of = |image: &str| world.pods.iter().find(|pod| world.is_of_image(&address(pod), image)).unwrap().clone();
    let (mut ended, other) = (of(V56), of(V55));
    // Its address is another's by now.
    ended["metadata"]["uid"] = other["metadata"]["uid"].clone();
    ended["status"] = json!({ "phase": "Failed" });
    world.pods.push(ended);
    world.ask(Action::Abort);
    world.settle();
    assert_eq!(world.running(), vec![(V55.to_owned(), 2)], "{:?}", world.said);
}

#[test]
fn a_right_that_is_missing_makes_nothing_at_rest_degraded() {
    let mut world = start(USUAL);
    world.balancer().api = Api::Refuses;
    pass(&mut world, 200_000);
    assert_eq!((world.phase(), &condition(&world, "WeightVerified")["status"]), ("Healthy", &json!("Unknown")));
    world.deploy(V56);
    pass(&mut world, 200_000);
    assert_eq!((world.phase(), world.weights.len()), ("Degraded", 0), "{:?}", world.said);
    assert!(world.status("message").as_str().unwrap().contains("AccessDenied"), "{:?}", world.said);
}

#[test]
fn a_load_balancer_that_is_lost_at_the_end_of_a_walk_costs_no_request_at_another() {
    let mut world = settled(twofold(TARGETS));
    world.deploy(V56);
    world.run_until(|world| world.state().stable.unwrap().image == V56);
    world.balancer().lose("inner-ingress");
    pass(&mut world, 300_000);
    world.balancer().absent = None;
    world.settle();
    is_healthy(&world, V56);
}
