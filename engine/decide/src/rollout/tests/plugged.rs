//! Walks whose traffic is shared by a plugin.

use super::super::*;
use super::proxy::{Mode, NAME};
use super::world::World;
use crate::by::By;
use crate::next::{Phase, Wake};
use crate::outcome::Outcomes;
use crate::request::Response;
use serde_json::{Value, json};

const V55: &str = "was:v55-f31bdcc";
const V56: &str = "was:v56-0a1b2c3";

/// A world in which v55 serves everything.
fn seed() -> World {
    let mut world = World::plugged();
    world.deploy(V55);
    world.settle();
    assert_eq!((world.phase(), world.said.0), ("Healthy", Phase::Done), "{:?}", world.said);
    world
}

/// At the pause after a weight.
fn at_weight(mut world: World, weight: u32) -> World {
    world.run_until(|world| {
        world.served() == Some(weight) && world.state().progress.is_some_and(|progress| progress.paused_since.is_some())
    });
    assert_eq!(world.served(), Some(weight), "{:?}", world.said);
    world
}

fn condition(world: &World) -> (String, String) {
    let all = world.status("conditions").as_array().unwrap();
    let one = all.iter().find(|one| one["type"] == "WeightVerified").unwrap_or_else(|| panic!("none in {all:#?}"));
    (one["reason"].as_str().unwrap().to_owned(), one["message"].as_str().unwrap().to_owned())
}

fn verified(world: &World) -> &Value {
    &world.status("canary")["weights"]["verified"]
}

/// Lets some time pass.
fn wait(world: &mut World, ms: u64) {
    let until = world.now + ms;
    while world.now < until {
        // A router is asked for ever: this is no rest.
        world.proxy().idle = 0;
        if world.step() == super::world::Step::Rest {
            world.now = until;
        }
    }
}

#[test]
fn a_walk_asks_for_each_weight_and_waits_until_it_is_served() {
    let mut world = seed();
    let key = world.want("run/56", Some(V56), OnTimeout::Hold);
    world.deploy(V56);
    world.settle();
    assert_eq!(world.weights, [10, 25, 50, 75, 100, 0]);
    assert_eq!((world.phase(), world.served()), ("Healthy", Some(0)));
    assert_eq!(world.running(), [(V56.to_owned(), 2)]);
    assert!(matches!(world.answer(&key), Some(Response::Met { .. })));
    assert_eq!((condition(&world).0.as_str(), verified(&world)), ("Verified", &json!(true)));
    let state = world.state();
    assert!(!state.weights.is_empty(), "weights are recorded");
    assert!(state.weights.iter().all(|point| point.served == Some(point.asked)), "{:?}", state.weights);
    let routed = state.routed.expect("it is in use");
    assert_eq!((routed.router.as_str(), &routed.rollout["spec"]["template"]), (NAME, &Value::Null));
    assert_eq!(world.proxy().removed, Vec::<Value>::new(), "a router in use keeps what it has made");
    let reply = world.proxy().calls;
    wait(&mut world, 600_000);
    assert_eq!(world.proxy().calls, reply, "what is served is not told again");
}

#[test]
fn the_router_hears_the_hashes_that_were_decided() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let Observed::Present(observed) = world.observed() else { panic!("it is there") };
    assert!(observed.router_status.is_some_and(|status| matches!(status.reply, RouterReply::Taken { .. })));
    let split = world.proxy().told.clone().unwrap();
    let state = world.state();
    assert_eq!((split.router.as_str(), split.weight), (NAME, 25));
    assert_eq!(split.rollout["status"]["currentPodHash"], state.progress.unwrap().hash.as_str());
    assert_eq!(split.rollout["status"]["stableRS"], state.stable.unwrap().hash.as_str());
}

#[test]
fn while_nothing_is_verified_nobody_is_scaled_down_and_the_step_stays() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.proxy().mode = Mode::Ignores;
    let key = world.want("run/56", Some(V56), OnTimeout::Hold);
    world.ask(Action::Abort);
    wait(&mut world, 500_000);
    assert_eq!(world.served(), Some(50));
    assert_eq!(world.running(), [(V55.to_owned(), 2), (V56.to_owned(), 1)], "traffic before pods");
    assert_eq!((condition(&world).0.as_str(), verified(&world)), ("NotVerified", &json!(false)));
    assert!(world.state().weights.last().is_some_and(|point| (point.asked, point.served) == (0, None)));
    let reply = world.proxy().calls;
    wait(&mut world, 100_000);
    let again = world.proxy().calls - reply;
    assert!((5..=15).contains(&again), "it is told again each ten seconds: {again}");
    world.proxy().mode = Mode::Verifies;
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]));
    assert!(matches!(world.answer(&key), Some(Response::Failed { .. })));
}

#[test]
fn a_weight_that_is_never_served_is_no_progress() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 10);
    world.proxy().mode = Mode::Ignores;
    world.run_until(|world| world.weights.len() == 3);
    let ProgressState::Aborted { because, .. } = world.state().progress.unwrap().state else {
        panic!("{:?}", world.said)
    };
    assert_eq!(because, "no progress for 10 min: the weight is not served");
    assert_eq!(world.weights, [10, 25, 0], "25 % was asked for, and never taken for served");
    assert_eq!(world.state().weights[1].served, None);
}

#[test]
fn a_router_that_does_not_answer_holds_and_blames_no_version() {
    for (mode, reason, mood, phase) in [
        (Mode::Silent, "RouterFailed", Phase::Waiting, "Progressing"),
        (Mode::Refuses, "RouterRejected", Phase::Blocked, "Degraded"),
    ] {
        let mut world = seed();
        world.deploy(V56);
        let mut world = at_weight(world, 25);
        let at = world.at();
        world.proxy().mode = mode;
        let (calls, began) = (world.proxy().calls, world.now);
        wait(&mut world, 900_000);
        assert_eq!((world.phase(), world.said.0), (phase, mood), "{:?}", world.said);
        assert_eq!(condition(&world).0, reason);
        assert!(world.said.1.contains("no route to the proxy"), "{:?}", world.said);
        assert_eq!(verified(&world), &json!(false));
        assert!(!world.state().is_aborted(), "the version is not at fault");
        assert_eq!(world.at(), at, "the pause does not end by the clock alone");
        assert_eq!((world.served(), world.running().len()), (Some(25), 2));
        assert!((world.proxy().calls - calls) as u64 <= (world.now - began) / 30_000 + 1, "it is left alone between");
        world.proxy().mode = Mode::Verifies;
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
        assert_eq!(world.weights, [10, 25, 50, 75, 100, 0]);
    }
}

/// Where 25 % were promised, and nobody was told; the router follows a few turns after it was.
fn shifting() -> World {
    let mut world = seed();
    world.proxy().lag.0 = 5;
    world.deploy(V56);
    world.run_until(|world| world.weights.len() == 2);
    world
}

#[track_caller]
fn walks_to_its_end(mut world: World) {
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!(world.weights, [10, 25, 50, 75, 100, 0]);
}

#[test]
fn an_outage_of_the_router_longer_than_the_deadline_sends_no_version_back() {
    for mode in [Mode::Silent, Mode::Refuses, Mode::Mute] {
        let mut world = shifting();
        world.proxy().mode = mode;
        wait(&mut world, 900_000);
        world.proxy().mode = Mode::Verifies;
        walks_to_its_end(world);
        // It has taken the weight, and fails before it serves it.
        let mut world = shifting();
        world.run_until(|world| world.proxy.as_ref().is_some_and(|proxy| proxy.wanted == Some(25)));
        world.proxy().mode = mode;
        world.proxy().lag.1 = 50;
        wait(&mut world, 900_000);
        (world.proxy().mode, world.proxy().serving, world.proxy().lag.1) = (Mode::Verifies, 10, 5);
        walks_to_its_end(world);
    }
}

#[test]
fn a_restart_between_telling_and_verifying_changes_nothing() {
    let mut world = shifting();
    world.run_until(|world| world.proxy.as_ref().is_some_and(|proxy| proxy.wanted == Some(25)));
    let calls = world.proxy().calls;
    world.outcomes = Outcomes::default();
    world.run_until(|world| world.served() == Some(25));
    assert_eq!(world.proxy().calls, calls + 1, "it does not serve that yet, and is told again");
    world.outcomes = Outcomes::default();
    world.run_until(|world| world.state().weights.last().is_some_and(|point| point.served == Some(25)));
    assert_eq!(world.proxy().calls, calls + 1, "it says what it serves, and is told nothing");
    walks_to_its_end(world);
}

#[test]
fn a_router_that_fails_is_left_alone_for_longer_each_time() {
    let mut world = shifting();
    world.proxy().mode = Mode::Silent;
    let mut told = Vec::new();
    while told.len() < 12 {
        let calls = world.proxy().calls;
        wait(&mut world, 1);
        if world.proxy().calls > calls {
            told.push(world.now);
        }
    }
    let pauses: Vec<u64> = told.windows(2).map(|two| (two[1] - two[0]) / 1_000).collect();
    assert!(pauses.is_sorted() && pauses[0] <= 2 && *pauses.last().unwrap() >= 60, "{pauses:?}");
    // Something else is asked of it: that was not refused yet.
    world.ask(Action::Abort);
    let calls = world.proxy().calls;
    wait(&mut world, 1_000);
    assert!(world.proxy().calls > calls, "the way back does not wait");
}

#[test]
fn what_came_of_an_act_is_kept_until_something_else_is_asked_of_the_router() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let kept = |world: &World| {
        let acts = world.outcomes.iter().map(|one| one.act.clone());
        acts.filter(|act| !matches!(act, ActKey::Create(_) | ActKey::Evict)).collect::<Vec<_>>()
    };
    assert!(matches!(kept(&world)[..], [ActKey::Weigh(_), ActKey::Verify(_)]), "{:?}", kept(&world));
    let state = world.state();
    assert!(kept(&world).iter().all(|kept| is_current(&state, kept)));
    // Somebody else's from here on.
    world.rollout["metadata"]["annotations"] = json!({});
    let before = kept(&world);
    world.settle();
    assert!(before.iter().all(|kept| !is_current(&world.state(), kept)) && kept(&world).is_empty());
}

#[test]
fn a_router_that_is_named_again_after_it_was_left_is_told_again() {
    let mut world = seed();
    world.proxy().mode = Mode::CannotTell;
    world.deploy(V56);
    world.run_until(|world| world.proxy.as_ref().is_some_and(|proxy| proxy.wanted == Some(50)));
    let routing = world.rollout["spec"]["strategy"]["canary"]["trafficRouting"].clone();
    world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap().remove("trafficRouting");
    world.changed();
    world.run_until(|world| world.proxy.as_ref().is_some_and(|proxy| !proxy.removed.is_empty()));
    // Before it is written down that it has taken back what it had made.
    assert!(world.state().routed.is_some());
    world.rollout["spec"]["strategy"]["canary"]["trafficRouting"] = routing;
    world.changed();
    world.run_until(|world| world.proxy.as_ref().is_some_and(|proxy| proxy.wanted.is_some()));
    let unrouted = world.journal.iter().filter(|(.., entry)| matches!(entry, Entry::Unrouted { .. })).count();
    assert_eq!((unrouted, world.proxy().wanted), (1, Some(50)), "what it was told before counts no more");
}

#[test]
fn a_server_that_was_down_longer_than_the_deadline_sends_no_version_back() {
    let mut world = shifting();
    world.outcomes = Outcomes::default();
    world.now += 900_000;
    walks_to_its_end(world);
}

#[test]
fn a_data_plane_that_has_lost_its_weight_and_refuses_to_say_so_is_told_again() {
    let mut world = seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Paused", Some(20)));
    let proxy = world.proxy();
    (proxy.mode, proxy.wanted, proxy.serving) = (Mode::Forgets, None, 0);
    wait(&mut world, 120_000);
    assert_eq!((world.served(), condition(&world).0.as_str()), (Some(20), "Verified"), "{:?}", world.said);
}

#[test]
fn a_failure_that_is_over_by_now_is_asked_about_at_once() {
    let mut world = seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
    world.deploy(V56);
    world.settle();
    let mut observed = world.observed();
    let Observed::Present(live) = &mut observed else { panic!("it is there") };
    let trouble = RouterFailure { because: "no route".to_owned(), remedy: Remedy::Wait, again: world.now };
    let reply = RouterReply::Taken { at: world.now, since: world.now };
    let response = RouterResponse::Failed(trouble);
    live.router_status = Some(RouterStatus { weight: 20, reply, response, stands_until: world.now });
    let next = decide(&world.state(), &observed, world.now);
    assert!(matches!(next.acts.as_slice(), [Act::Verify { .. }]) && next.wake == Wake::Now, "{next:?}");
}

#[test]
fn crashing_pods_keep_what_serves_while_the_router_is_silent() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.proxy().mode = Mode::Silent;
    let crash = json!([{"name": "was", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]);
    let pod = world.pods.len() - 1;
    world.pods[pod]["status"]["containerStatuses"] = crash;
    wait(&mut world, 300_000);
    assert!(world.state().is_aborted(), "{:?}", world.said);
    assert_eq!(world.running(), [(V55.to_owned(), 2), (V56.to_owned(), 1)], "it may still get requests");
    world.proxy().mode = Mode::Verifies;
    world.settle();
    assert_eq!((world.served(), world.running()), (Some(0), vec![(V55.to_owned(), 2)]));
}

#[test]
fn where_the_router_cannot_tell_what_it_has_taken_counts_and_a_condition_says_so() {
    let mut world = seed();
    world.proxy().mode = Mode::CannotTell;
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.weights.as_slice()), ("Healthy", &[10, 25, 50, 75, 100, 0][..]));
    let (reason, message) = condition(&world);
    assert_eq!(reason, "NotSupported");
    assert!(message.contains("cannot verify weights"), "{message}");
    assert_eq!(verified(&world), &Value::Null, "as Argo has it");
    assert!(!world.state().weights.is_empty(), "weights are recorded");
    assert!(world.state().weights.iter().all(|point| point.served.is_none()), "nothing is recorded as served");
}

#[test]
fn what_somebody_changes_at_the_router_is_changed_back() {
    let mut world = seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Paused", Some(20)));
    world.proxy().wanted = Some(90);
    world.proxy_follows();
    // What it said a moment ago stands that long.
    world.now += 1_000;
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Paused", Some(20)));
}

#[test]
fn a_router_that_is_left_takes_back_what_it_has_made_first() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap().remove("trafficRouting");
    world.changed();
    world.proxy().mode = Mode::Silent;
    wait(&mut world, 60_000);
    assert_eq!(world.running(), [(V55.to_owned(), 2), (V56.to_owned(), 1)], "no pod is taken away before it");
    world.proxy().mode = Mode::Verifies;
    world.run_until(|world| world.state().routed.is_none());
    let removed = &world.proxy().removed;
    assert_eq!(removed.len(), 1);
    assert!(removed[0]["spec"]["strategy"]["canary"]["trafficRouting"]["plugins"][NAME]["address"].is_string());
    world.settle();
    assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
}

fn without_router(world: &mut World) {
    world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap().remove("trafficRouting");
    world.changed();
}

fn at_another_address(world: &mut World) {
    world.rollout["spec"]["strategy"]["canary"]["trafficRouting"]["plugins"][NAME]["address"] =
        json!("http://b.example");
    world.changed();
}

/// One impossible act never holds up a safer one.
#[test]
fn a_router_that_cannot_take_its_weight_back_stops_neither_abort_nor_scaling_nor_status() {
    for leave in [without_router, at_another_address] {
        for (mode, phase) in [(Mode::Silent, Phase::Waiting), (Mode::Refuses, Phase::Blocked)] {
            let mut world = seed();
            world.deploy(V56);
            let mut world = at_weight(world, 50);
            leave(&mut world);
            world.proxy().mode = mode;
            let at = world.at();
            world.scale(6);
            wait(&mut world, 900_000);
            let pods = world.running();
            assert!(pods[0].1 >= 3 && pods[1].1 >= 1, "{mode:?}: none is taken away: {pods:?}");
            assert!(pods.iter().map(|(_, pods)| pods).sum::<u64>() >= 6, "{mode:?}: it is scaled up: {pods:?}");
            assert_eq!((world.at(), world.state().is_aborted()), (at, false), "{mode:?}: no version is blamed");
            assert_eq!(world.said.0, phase, "{:?}", world.said);
            assert!(
                world.said.1.contains("has to take back what it has made: no route to the proxy"),
                "{:?}",
                world.said
            );
            let all = world.status("conditions").as_array().unwrap();
            let unrouted = all.iter().find(|one| one["type"] == "Unrouted").unwrap();
            assert!(unrouted["message"].as_str().unwrap().contains("no route to the proxy"), "{unrouted}");
            world.ask(Action::Abort);
            wait(&mut world, 60_000);
            assert_eq!((world.state().is_aborted(), world.status("abort")), (true, &json!(true)), "{:?}", world.said);
            // Without a router no more than `maxSurge` are added while none is taken away.
            assert!(world.running()[0].1 >= 5, "{:?}", world.running());
            assert_eq!(world.running().len(), 2, "it may still get requests: {:?}", world.running());
            world.proxy().mode = Mode::Verifies;
            world.settle();
            assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 6)]), "{:?}", world.said);
            assert!(!world.status("conditions").to_string().contains("Unrouted"));
            assert_eq!(world.proxy().removed.len(), 1);
        }
    }
}

#[test]
fn a_router_that_takes_its_weight_back_late_costs_no_version_its_deadline() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    without_router(&mut world);
    world.proxy().mode = Mode::Silent;
    wait(&mut world, 1_500_000);
    world.proxy().mode = Mode::Verifies;
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
}

#[test]
fn a_place_that_is_left_is_taken_back_before_anything_is_made_at_the_next() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    let address =
        |rollout: &Value| rollout["spec"]["strategy"]["canary"]["trafficRouting"]["plugins"][NAME]["address"].clone();
    let before = address(&world.rollout);
    world.rollout["spec"]["strategy"]["canary"]["trafficRouting"]["plugins"][NAME]["address"] =
        json!("http://b.example");
    world.changed();
    world.ask(Action::Abort);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]), "{:?}", world.said);
    let removed: Vec<Value> = world.proxy().removed.iter().map(address).collect();
    assert_eq!((removed, world.proxy().left.len()), (vec![before], 0));
    // Made anew under its name, it is where it was.
    world.rollout["metadata"]["uid"] = json!("another");
    world.turn();
    assert_eq!(world.proxy().removed.len(), 1);
}

#[test]
fn a_rollout_that_is_gone_or_given_back() {
    let world = seed();
    let state = world.state();
    let gone = decide(&state, &Observed::read(Objects::default()), world.now);
    assert!(matches!(gone.acts.as_slice(), [Act::Unroute { router, .. }] if router == NAME), "{gone:?}");
    let mut given = world.clone();
    given.rollout["metadata"]["annotations"] = json!({});
    given.settle();
    assert_eq!(given.state().routed, None);
    assert_eq!(given.proxy().removed, Vec::<Value>::new(), "what serves is another's from here on");
}

#[test]
fn a_router_that_the_server_has_not_is_refused_by_its_name() {
    let mut world = World::plugged();
    world.proxy = None;
    world.deploy(V55);
    world.settle();
    assert_eq!((world.phase(), world.said.0), ("Degraded", Phase::Blocked));
    assert!(world.sets.is_empty(), "nothing moves");
    for part in ["trafficRouting.plugins[example/http]: is no router of this server", "[[route]]"] {
        assert!(world.said.1.contains(part), "{part} is not in {:?}", world.said);
    }
}

#[test]
fn a_router_that_serves_others_alone_is_refused_with_the_mend() {
    let world = seed();
    let Observed::Present(mut observed) = Observed::read(world.objects()) else { panic!("it is there") };
    observed.routers.insert(NAME.to_owned(), Serves::Others);
    let place = observed.place.clone();
    let mut observed = Observed::Present(observed);
    hear(&world.state(), &mut observed, &world.outcomes);
    let Observed::Present(present) = &observed else { panic!("it is there") };
    assert_eq!(present.router_status, None, "it is not even asked");
    let next = decide(&world.state(), &observed, world.now);
    let text = next.status.message;
    for part in [
        "trafficRouting.plugins[example/http]: does not serve this Rollout",
        &format!("adds \"{place}\" to `rollouts` of [[route]] `example/http`"),
    ] {
        assert!(text.contains(part), "{part} is not in {text:?}");
    }
    assert!(!next.acts.iter().any(|act| matches!(act, Act::Route { .. } | Act::Unroute { .. })), "{:?}", next.acts);
}

#[test]
fn a_pause_does_not_count_while_the_router_does_not_serve_its_weight() {
    for mode in [Mode::Silent, Mode::Ignores] {
        let mut world = seed();
        world.deploy(V56);
        let mut world = at_weight(world, 25);
        let index = world.at();
        world.proxy().mode = mode;
        world.proxy().serving = 0;
        wait(&mut world, 120_000);
        assert_eq!(world.at(), index, "{mode:?}: {:?}", world.said);
        assert_eq!(world.state().progress.unwrap().paused_since, None, "{mode:?}: the pause does not run");
        world.proxy().mode = Mode::Verifies;
        wait(&mut world, 120_000);
        assert!(world.at() > index, "{mode:?}: it goes on once it is served again: {:?}", world.said);
    }
}

#[test]
fn a_half_wrong_spec_that_names_another_router_asks_nobody_again_and_again() {
    const OTHER: &str = "example/other";
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let canary = &mut world.rollout["spec"]["strategy"]["canary"];
    canary["trafficRouting"] = json!({ "plugins": { OTHER: {} } });
    canary["maxSurge"] = json!("many");
    world.changed();
    let decided = |world: &World| {
        let mut objects = world.objects();
        objects.routers.insert(OTHER.to_owned(), Serves::This);
        let mut observed = Observed::read(objects);
        hear(&world.state(), &mut observed, &world.outcomes);
        decide(&world.state(), &observed, world.now)
    };
    let first = decided(&world);
    // The pause does not count any more; that is written down once.
    world.journal.extend(first.record.into_iter().map(|entry| (world.now, By::Server, entry)));
    let next = decided(&world);
    let asks = |act: &Act| matches!(act, Act::Verify { .. } | Act::Weigh { .. });
    assert!(!next.acts.iter().any(asks), "nobody promised to use it: {:?}", next.acts);
    assert!(next.record.is_empty() && next.wake != Wake::Now, "{:?}", next.status);
}

#[test]
fn an_abort_under_a_spec_that_cannot_be_followed_reaches_the_router_where_it_was_told() {
    for leave in [without_router, at_another_address] {
        let mut world = seed();
        world.deploy(V56);
        let mut world = at_weight(world, 50);
        leave(&mut world);
        world.rollout["spec"]["analysis"] = json!({});
        world.changed();
        world.ask(Action::Abort);
        world.settle();
        assert!(world.state().is_aborted(), "{:?}", world.said);
        let proxy = world.proxy();
        assert_eq!((proxy.serving, proxy.left.len(), proxy.removed.len()), (0, 0, 1), "{:?}", world.said);
    }
}

#[test]
fn an_abort_reaches_a_router_whose_name_in_the_spec_is_mistyped() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    let routing = &mut world.rollout["spec"]["strategy"]["canary"]["trafficRouting"];
    *routing = json!({ "plugins": { "example/htpp": { "address": "http://proxy.example" } } });
    world.changed();
    world.settle();
    let proxy = world.proxy();
    assert_eq!((proxy.serving, proxy.removed.len()), (50, 0));
    world.ask(Action::Abort);
    world.settle();
    assert!(world.state().is_aborted(), "{:?}", world.said);
    let proxy = world.proxy();
    assert_eq!((proxy.serving, proxy.removed.len()), (0, 1));
}

#[test]
fn a_load_balancer_is_told_nothing_while_a_plugin_shares_the_traffic_though_nothing_is_left() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    let alb = World::seed();
    world.ingresses = alb.ingresses;
    world.rollout["spec"]["strategy"]["canary"]["trafficRouting"] =
        alb.rollout["spec"]["strategy"]["canary"]["trafficRouting"].clone();
    // Of such a spec only the pods are kept.
    world.rollout["spec"]["replicas"] = json!("ten");
    world.changed();
    wait(&mut world, 60_000);
    assert_eq!(world.ingresses[0]["metadata"]["annotations"], Value::Null, "{:?}", world.said);
    assert_eq!(world.served(), Some(50), "{:?}", world.said);
}

#[test]
fn a_version_that_was_sent_back_long_ago_gets_nothing_anew_while_the_router_is_silent() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.proxy().mode = Mode::Silent;
    world.ask(Action::Abort);
    wait(&mut world, 120_000);
    world.set_ready(V55, 0);
    wait(&mut world, 30_000);
    assert_eq!(world.weights.last(), Some(&0), "{:?} {:?}", world.weights, world.said);
}

#[test]
fn a_router_whose_settings_were_edited_serves_as_before_though_the_spec_cannot_be_followed() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    at_another_address(&mut world);
    world.rollout["spec"]["analysis"] = json!({});
    world.changed();
    world.settle();
    assert_eq!((world.served(), world.proxy().left.len()), (Some(50), 0), "{:?}", world.said);
    assert_eq!(world.at(), 2, "no step goes on");
}

#[test]
fn a_load_balancer_is_told_nothing_before_the_router_that_was_left_has_taken_its_weight_back() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    let alb = World::seed();
    world.ingresses = alb.ingresses;
    let routing = &mut world.rollout["spec"]["strategy"]["canary"]["trafficRouting"];
    *routing = alb.rollout["spec"]["strategy"]["canary"]["trafficRouting"].clone();
    world.changed();
    world.proxy().mode = Mode::Silent;
    wait(&mut world, 60_000);
    assert_eq!(world.ingresses[0]["metadata"]["annotations"], Value::Null, "{:?}", world.said);
    world.proxy().mode = Mode::Verifies;
    world.run_until(|world| world.state().routed.is_none());
    world.run_until(|world| world.ingresses[0]["metadata"]["annotations"].is_object());
    assert!(world.ingresses[0]["metadata"]["annotations"].is_object(), "{:?}", world.said);
}
