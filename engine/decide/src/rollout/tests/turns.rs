//! Two Services that take turns: a version keeps the Service that it came with.

use super::super::*;
use super::late_balancer::USUAL;
use super::world::{Step, V55, V56, World, at_weight, settled};
use serde_json::{Value, json};

const V57: &str = "was:v57-9f8e7d6";
const V58: &str = "was:v58-1111111";
const PONG: usize = 0;
const PING: usize = 1;

/// The hash that a Service names.
fn named(world: &World, service: usize) -> &Value {
    &world.services[service]["spec"]["selector"][HASH]
}

/// The hash of a version's set.
fn hash(world: &World, image: &str) -> Value {
    let of = |set: &&Value| set["spec"]["template"]["spec"]["containers"][0]["image"] == image;
    world.sets.iter().find(of).map_or(Value::Null, |set| set["metadata"]["labels"][HASH].clone())
}

/// The weight of ping, as the Ingress has it.
fn ping(world: &World) -> u64 {
    let action = &world.ingresses[0]["metadata"]["annotations"]["alb.ingress.kubernetes.io/actions.was"];
    let action: Value = serde_json::from_str(action.as_str().unwrap()).unwrap();
    let groups = action["ForwardConfig"]["TargetGroups"].as_array().unwrap();
    let of = |name: &str| groups.iter().find(|group| group["ServiceName"] == name).unwrap()["Weight"].as_u64().unwrap();
    assert_eq!(of("was-canary") + of("was-stable"), 100);
    of("was-canary")
}

/// Walks a version to its end; none of its pods is there before its Service names it, and no Service moves that gets
/// requests.
#[track_caller]
fn walked(world: &mut World, image: &str, service: usize) {
    world.deploy(image);
    let mut before = (named(world, PING).clone(), named(world, PONG).clone());
    let mut shared = ping(world);
    while world.step() == Step::On {
        let selected = (named(world, PING).clone(), named(world, PONG).clone());
        assert!(selected.0 == before.0 || shared == 0, "ping moves at {shared} %");
        assert!(selected.1 == before.1 || shared == 100, "pong moves at {shared} %");
        let hash = hash(world, image);
        let pods = world.pods.iter().filter(|pod| pod["metadata"]["labels"][HASH] == hash).count();
        assert!(pods == 0 || *named(world, service) == hash, "a pod is there before its Service names it");
        (before, shared) = (selected, ping(world));
    }
    assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
    assert_eq!(world.running(), vec![(image.to_owned(), 2)], "{:?}", world.said);
}

#[test]
fn each_promotion_makes_the_canarys_service_the_stable_one_and_moves_no_selector() {
    let mut world = settled(World::by_turns());
    assert_eq!(world.status("canary")["stablePingPong"], Value::Null);
    assert_eq!((named(&world, PING), named(&world, PONG)), (&hash(&world, V55), &hash(&world, V55)));
    assert_eq!(ping(&world), 0, "the first version serves by pong, as Argo has it");

    walked(&mut world, V56, PING);
    assert_eq!(world.weights, [10, 25, 50, 75, 100], "a promotion shifts nothing");
    assert_eq!((ping(&world), &world.status("canary")["stablePingPong"]), (100, &json!("ping")));
    assert_eq!((named(&world, PING), named(&world, PONG)), (&hash(&world, V56), &hash(&world, V55)));
    let weights = &world.status("canary")["weights"];
    assert_eq!((&weights["stable"]["serviceName"], &weights["stable"]["weight"]), (&json!("was-canary"), &json!(100)));
    assert_eq!((&weights["canary"]["serviceName"], &weights["canary"]["weight"]), (&json!("was-stable"), &json!(0)));

    walked(&mut world, V57, PONG);
    assert_eq!((ping(&world), &world.status("canary")["stablePingPong"]), (0, &json!("pong")));
    assert_eq!((named(&world, PING), named(&world, PONG)), (&hash(&world, V56), &hash(&world, V57)));
}

#[test]
fn an_abort_keeps_the_turn() {
    for (image, turn) in [(V56, "pong"), (V57, "ping")] {
        let mut world = settled(World::by_turns());
        if image == V57 {
            walked(&mut world, V56, PING);
        }
        let before = ping(&world);
        world.deploy(image);
        let mut world = at_weight(world, 50);
        world.ask(Action::Abort);
        world.settle();
        assert_eq!((ping(&world), world.served()), (before, Some(0)), "{:?}", world.said);
        let said = world.status("canary")["stablePingPong"].as_str().unwrap_or("pong");
        assert_eq!((world.phase(), said), ("Degraded", turn));
        world.ask(Action::Retry);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(image.to_owned(), 2)]), "{:?}", world.said);
        assert_eq!(ping(&world), 100 - before);
    }
}

#[test]
fn undo_to_the_stable_version_in_mid_walk_takes_no_turn() {
    let mut world = settled(World::by_turns());
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.deploy(V55);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V55.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!((ping(&world), &world.status("canary")["stablePingPong"]), (0, &Value::Null));
    walked(&mut world, V57, PING);
}

#[test]
fn another_version_in_mid_walk_waits_for_its_service_until_that_gets_nothing() {
    let mut world = settled(World::by_turns());
    world.deploy(V56);
    let mut world = at_weight(world, 75);
    walked(&mut world, V57, PING);
    assert_eq!(ping(&world), 100);
}

#[test]
fn a_turn_is_taken_over_from_argo_and_from_the_status_after_a_restore() {
    for weight in [None, Some(50)] {
        let mut world = settled(World::by_turns());
        walked(&mut world, V56, PING);
        if let Some(weight) = weight {
            world.deploy(V57);
            world = at_weight(world, weight);
        }
        let (shared, journal) = (ping(&world), world.journal.len());
        for known in [0, journal / 3] {
            let mut world = world.clone();
            world.journal.truncate(known);
            world.restored = known;
            world.outcomes = Default::default();
            world.turn();
            assert_eq!(ping(&world), shared, "{:?}", world.said);
            world.settle();
            let serves = if weight.is_some() { (V57, 0) } else { (V56, 100) };
            assert_eq!((world.phase(), ping(&world)), ("Healthy", serves.1), "{:?}", world.said);
            assert_eq!(world.running(), vec![(serves.0.to_owned(), 2)]);
        }
    }
}

#[test]
fn a_backup_from_another_turn_takes_no_turn_back() {
    let mut world = settled(World::by_turns());
    walked(&mut world, V56, PING);
    walked(&mut world, V57, PONG);
    let yesterday = world.journal.len();
    walked(&mut world, V58, PING);
    world.journal.truncate(yesterday);
    world.restored = yesterday;
    world.outcomes = Default::default();
    while world.step() == Step::On {
        assert_eq!(ping(&world), 100, "{:?}", world.said);
    }
    assert_eq!((world.phase(), world.status("canary")["stablePingPong"].as_str()), ("Healthy", Some("ping")));
    assert_eq!(world.running(), vec![(V58.to_owned(), 2)]);
}

#[test]
fn a_rollout_that_was_made_anew_keeps_the_turn_that_its_router_was_told() {
    let mut world = settled(World::by_turns());
    walked(&mut world, V56, PING);
    world.rollout["metadata"]["uid"] = json!("another-uid");
    world.rollout["status"] = Value::Null;
    for set in &mut world.sets {
        set["metadata"]["ownerReferences"][0]["uid"] = json!("another-uid");
    }
    world.settle();
    assert_eq!((world.phase(), ping(&world)), ("Healthy", 100), "{:?}", world.said);
    assert_eq!(world.status("canary")["stablePingPong"], "ping");
    walked(&mut world, V57, PONG);
}

#[test]
fn what_turns_need_is_said_with_its_place() {
    let said = |change: fn(&mut Value)| {
        let mut world = World::by_turns();
        change(&mut world.rollout["spec"]["strategy"]["canary"]);
        let mistakes = spec::parse(&world.rollout).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let one = said(|canary| drop(canary["pingPong"].as_object_mut().unwrap().remove("pongService")));
    assert!(one.contains("spec.strategy.canary.pingPong: needs two Services"), "{one}");
    let same = said(|canary| canary["pingPong"]["pongService"] = json!("was-canary"));
    assert!(same.contains("pingPong.pongService: is the ping Service as well"), "{same}");
    let root = said(|canary| drop(canary["trafficRouting"]["alb"].as_object_mut().unwrap().remove("rootService")));
    assert!(root.contains("trafficRouting.alb.rootService: is missing"), "{root}");
    let both = said(|canary| canary["stableService"] = json!("web"));
    assert!(both.contains("pingPong: stands beside canaryService or stableService"), "{both}");
    let unrouted = said(|canary| drop(canary.as_object_mut().unwrap().remove("trafficRouting")));
    assert!(unrouted.contains("pingPong: works with trafficRouting.alb only"), "{unrouted}");
    let unknown = said(|canary| canary["pingPong"]["pang"] = json!("x"));
    assert!(unknown.contains("spec.strategy.canary.pingPong.pang"), "{unknown}");
}

/// The share of a version's pods, in percent.
fn share(world: &World, image: &str) -> u64 {
    let hash = hash(world, image);
    let of = |service, weight| if *named(world, service) == hash { weight } else { 0 };
    of(PING, ping(world)) + of(PONG, 100 - ping(world))
}

/// What a person changes in the canary's strategy, by the names of its two Services.
type Edit = fn(&mut Value, &Value);

/// Edits of the canary's strategy that name each of the Services in the other's place.
const TURNED: [(&str, Edit); 3] = [
    ("named", |canary, names| {
        let names = (names["stableService"].clone(), names["canaryService"].clone());
        canary.as_object_mut().unwrap().remove("pingPong");
        (canary["canaryService"], canary["stableService"]) = names;
    }),
    ("by turns", |canary, names| {
        let turns = json!({ "pingService": names["stableService"], "pongService": names["canaryService"] });
        canary["pingPong"] = turns;
        let canary = canary.as_object_mut().unwrap();
        canary.remove("canaryService");
        canary.remove("stableService");
    }),
    ("by turns, in their places", |canary, names| {
        let turns = json!({ "pingService": names["canaryService"], "pongService": names["stableService"] });
        canary["pingPong"] = turns;
        let canary = canary.as_object_mut().unwrap();
        canary.remove("canaryService");
        canary.remove("stableService");
    }),
];

#[test]
fn services_that_change_places_in_mid_walk_move_no_traffic() {
    for (what, change) in TURNED {
        for by_turns in [false, true] {
            for ending in ["promoted", "aborted", "sent back", "restored"] {
                let said = format!("{what} {by_turns} {ending}");
                let mut world = settled(if by_turns { World::by_turns() } else { rooted() }.behind(USUAL));
                if by_turns {
                    walked(&mut world, V56, PING);
                }
                let (before, next) = if by_turns { (V56, V57) } else { (V55, V56) };
                // Those that the walk shares the traffic between.
                let names = match by_turns {
                    true => json!({ "canaryService": "was-stable", "stableService": "was-canary" }),
                    false => json!({ "canaryService": "was-canary", "stableService": "was-stable" }),
                };
                world.deploy(next);
                let mut world = at_share(world, next, 10);
                change(&mut world.rollout["spec"]["strategy"]["canary"], &names);
                world.changed();
                match ending {
                    "aborted" => world.ask(Action::Abort),
                    "sent back" => world.deploy(before),
                    "restored" => lose_journal(&mut world),
                    _ => {}
                }
                let goes_on = matches!(ending, "promoted" | "restored");
                let mut last = 10;
                while world.step() == Step::On {
                    let now = share(&world, next);
                    let is_over = world.state().stable.unwrap().image == next;
                    assert!(now <= last + 25 || is_over, "{said}: from {last} % to {now} %: {:?}", world.said);
                    assert!(goes_on || now <= 10, "{said}: {now} %: {:?}", world.said);
                    assert!(share(&world, before) + now >= 100 || is_over, "{said}: {:?}", world.said);
                    last = now;
                }
                let serves = if goes_on { next } else { before };
                let (shared, running) = (share(&world, serves), world.running());
                assert_eq!((shared, running), (100, vec![(serves.to_owned(), 2)]), "{said}: {:?}", world.said);
                if let Some(stable) = world.rollout["spec"]["strategy"]["canary"]["stableService"].as_str() {
                    let by_name = if stable == "was-canary" { ping(&world) } else { 100 - ping(&world) };
                    assert_eq!(by_name, 100, "{said}: {:?}", world.said);
                }
            }
        }
    }
}

#[test]
fn the_places_of_services_are_known_while_nobody_shares_the_traffic() {
    let mut world = settled(rooted());
    world.deploy(V56);
    let mut world = at_share(world, V56, 10);
    let canary = world.rollout["spec"]["strategy"]["canary"].clone();
    world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap().remove("trafficRouting");
    world.changed();
    world.run_until(|world| world.state().asked == 25);
    world.rollout["spec"]["paused"] = json!(true);
    world.changed();
    world.settle();
    let names = json!({ "canaryService": "was-canary", "stableService": "was-stable" });
    world.rollout["spec"]["strategy"]["canary"] = canary;
    TURNED[0].1(&mut world.rollout["spec"]["strategy"]["canary"], &names);
    world.rollout["spec"]["paused"] = json!(false);
    world.changed();
    let mut last = 25;
    while world.step() == Step::On && world.state().stable.unwrap().image == V55 {
        let now = share(&world, V56);
        assert!(now <= last + 25, "from {last} % to {now} %: {:?}", world.said);
        last = now;
    }
    world.settle();
    assert_eq!((share(&world, V56), world.running()), (100, vec![(V56.to_owned(), 2)]), "{:?}", world.said);
}

#[test]
fn that_services_keep_their_places_is_said_until_they_change_them() {
    let mut world = settled(rooted());
    world.deploy(V56);
    let mut world = at_share(world, V56, 10);
    let names = json!({ "canaryService": "was-canary", "stableService": "was-stable" });
    TURNED[0].1(&mut world.rollout["spec"]["strategy"]["canary"], &names);
    world.changed();
    let said = |world: &World| {
        let all = world.status("conditions").as_array().unwrap();
        let of = all.iter().find(|one| one["type"] == "ServicesInPlace");
        of.map(|one| one["message"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    world.run_until(|world| share(world, V56) == 25);
    assert!(said(&world).contains("they change places once no request comes by was-canary"), "{}", said(&world));
    world.settle();
    assert_eq!((world.phase(), said(&world).as_str()), ("Healthy", ""));
}

/// The journal is begun anew.
fn lose_journal(world: &mut World) {
    world.journal.clear();
    world.restored = 0;
    world.outcomes = Default::default();
}

/// By names, with a root of its own.
fn rooted() -> World {
    let mut world = World::by_turns();
    let canary = &mut world.rollout["spec"]["strategy"]["canary"];
    canary.as_object_mut().unwrap().remove("pingPong");
    canary["canaryService"] = json!("was-canary");
    canary["stableService"] = json!("was-stable");
    world
}

/// On until a version has so much of the traffic, in percent.
fn at_share(mut world: World, image: &str, percent: u64) -> World {
    world.run_until(|world| share(world, image) == percent);
    world
}

#[test]
fn names_that_are_swapped_without_a_root_are_taken_as_they_stand() {
    for is_aborted in [false, true] {
        let mut world = settled(World::seed());
        world.deploy(V56);
        world.settle();
        world.ingresses[0]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = json!("was-canary");
        let canary = &mut world.rollout["spec"]["strategy"]["canary"];
        (canary["canaryService"], canary["stableService"]) = (json!("was-stable"), json!("was-canary"));
        world.changed();
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
        world.deploy(V57);
        if is_aborted {
            world.run_until(|world| world.state().asked == 25);
            world.ask(Action::Abort);
        }
        world.settle();
        let serves = if is_aborted { V56 } else { V57 };
        // All of it comes by `was-canary`, which is the stable version's now.
        assert_eq!((world.shared(), world.running()), (Some(100), vec![(serves.to_owned(), 2)]), "{:?}", world.said);
    }
}
