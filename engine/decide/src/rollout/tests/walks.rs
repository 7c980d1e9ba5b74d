//! Walks, from a first deployment to all the ways in which a second one ends.

use super::super::*;
use super::world::{V55, V56, World, at_weight, settled};
use crate::by::By;
use crate::next::Phase;
use crate::request::Response;
use serde_json::json;

fn seed() -> World {
    settled(World::seed())
}

#[test]
fn the_first_version_skips_all_steps() {
    let world = seed();
    assert_eq!(world.running(), [(V55.to_owned(), 2)]);
    assert_eq!(world.weights, [0; 0]);
    assert_eq!(world.served(), Some(0));
    assert_eq!(world.status("currentStepIndex"), 4);
    assert_eq!(world.status("stableRS"), world.status("currentPodHash"));
    assert_eq!(world.status("HPAReplicas"), 2);
    assert_eq!(world.status("selector"), "app=was");
    assert_eq!(world.said, (Phase::Done, format!("{V55} serves everything")));
    for service in &world.services {
        assert_eq!(service["spec"]["selector"][HASH], *world.status("stableRS"));
        assert_eq!(service["spec"]["selector"]["app"], "was", "the other keys stay");
    }
}

#[test]
fn the_seeds_rollout_walks_its_weights_in_order() {
    let mut world = seed();
    let before = world.status("stableRS").clone();
    let started = world.now;
    let key = world.want("user/petclinic/was/56", Some(V56), OnTimeout::Hold);
    world.deploy(V56);
    world.settle();
    assert_eq!(world.weights, [10, 25, 50, 75, 100, 0]);
    assert_eq!(world.running(), [(V56.to_owned(), 2)]);
    assert_eq!((world.phase(), world.served()), ("Healthy", Some(0)));
    assert_ne!(*world.status("stableRS"), before);
    assert_eq!(world.answer(&key), Some(Response::Met { outputs: json!({"outcome": "promoted"}) }));
    assert!(world.now - started >= 4 * 30_000, "each pause lasts as long as it was written");
    assert_eq!(world.sets.len(), 2, "the old set stays as history");
}

#[test]
fn the_weight_comes_first_and_then_the_pause_within_one_step() {
    let mut world = seed();
    world.deploy(V56);
    let world = at_weight(world, 10);
    assert_eq!(world.status("currentStepIndex"), 0);
    let progress = world.state().progress.unwrap();
    assert!(world.now < progress.paused_since.unwrap() + 30_000);
    assert_eq!(world.running(), [(V55.to_owned(), 2), (V56.to_owned(), 1)]);
}

#[test]
fn the_weight_rises_only_when_the_pods_are_there() {
    let mut world = seed();
    world.deploy("was:v56-slow");
    world.run_until(|world| world.running().len() == 2);
    world.run_until(|world| world.now > 1_700_000_000_000 + 300_000);
    assert_eq!(world.served(), Some(0));
    assert_eq!(world.weights, [0; 0]);
    world.settle();
    let (mood, text) = &world.said;
    assert_eq!(*mood, Phase::Blocked);
    assert!(text.contains("no progress for 10 min: 0 of 1 canary pods are available"), "{text}");
    assert_eq!(world.running(), [(V55.to_owned(), 2)]);
}

#[test]
fn crashing_pods_send_the_canary_back() {
    let mut world = seed();
    let key = world.want("user/petclinic/was/56", None, OnTimeout::Hold);
    world.deploy("was:v56-crash");
    // The want came before the new template was seen: it is about v55, which serves already.
    world.settle();
    assert_eq!(world.phase(), "Degraded");
    assert_eq!(world.running(), [(V55.to_owned(), 2)]);
    assert_eq!(world.served(), Some(0));
    let message = world.status("message").as_str().unwrap();
    assert!(message.starts_with("RolloutAborted: ") && message.contains("CrashLoopBackOff"), "{message}");
    assert_eq!(world.status("abort"), true);
    let Some(Response::Failed { because, transient: false }) = world.answer(&key) else { panic!("not failed") };
    assert!(because.contains("CrashLoopBackOff"), "{because}");
    let refused = world.status("conditions").as_array().unwrap().iter().find(|c| c["type"] == "Refused").unwrap();
    assert!(refused["message"].as_str().unwrap().contains("was:v56-crash"));
}

/// Whatever was wrong with an image is mended: the same template comes up now.
fn mend(world: &mut World, image: &str) {
    for set in &mut world.sets {
        if set["spec"]["template"]["spec"]["containers"][0]["image"] == image {
            set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mended");
        }
    }
}

#[test]
fn a_template_that_has_failed_is_refused_until_somebody_retries() {
    let mut world = seed();
    world.deploy("was:v56-crash");
    world.settle();
    assert_eq!(world.phase(), "Degraded");
    mend(&mut world, "was:v56-crash");
    world.scale(3);
    world.now += 86_400_000;
    world.changed();
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 3)]), "{:?}", world.said);
    assert!(world.said.1.contains("CrashLoopBackOff"), "{:?}", world.said);
    world.ask(Action::Retry);
    world.settle();
    assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
    assert_eq!(world.running(), [("mended".to_owned(), 3)]);
    assert_eq!(world.state().refused, [], "nothing is refused any more");
}

/// What somebody does to the Rollout.
type Change = fn(&mut World);

/// What somebody changes after a version has gone back: each is a new attempt.
const ATTEMPTS: [(&str, Change); 4] = [
    ("its environment is mended", |world| {
        world.rollout["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "b"}]);
    }),
    ("its steps are edited", |world| {
        world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 5}]);
        mend(world, "was:v56-late");
    }),
    ("it is pushed again", |world| {
        world.deploy(V55);
        world.settle();
        mend(world, "was:v56-late");
        world.deploy("was:v56-late");
    }),
    ("another version comes", |world| world.deploy("was:v57")),
];

#[test]
fn what_was_refused_is_a_template_and_not_an_image() {
    for (what, change) in ATTEMPTS {
        let mut world = seed();
        world.deploy("was:v56-late");
        let mut world = at_weight(world, 25);
        world.ask(Action::Abort);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]));
        world.weights.clear();
        change(&mut world);
        world.changed();
        world.settle();
        assert_eq!(world.phase(), "Healthy", "{what}: {:?}", world.said);
        assert_ne!(world.weights, [0; 0], "{what}: it goes through its steps");
    }
}

#[test]
fn a_person_sends_it_back_and_the_pods_go_last() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.ask(Action::Abort);
    let asked_at = world.now;
    world.run_until(|world| world.served() == Some(0));
    assert_eq!(world.running(), [(V55.to_owned(), 2), (V56.to_owned(), 1)], "traffic before pods");
    world.settle();
    assert_eq!(world.running(), [(V55.to_owned(), 2)]);
    assert!(world.now >= asked_at + 30_000, "the canary's pods are kept for half a minute");
    assert_eq!(world.weights, [10, 25, 50, 0]);
    assert!(world.said.1.contains("asked for by mina"), "{:?}", world.said);
    assert_eq!(world.status("currentStepIndex"), 0);
    // A retry walks from the first step.
    world.ask(Action::Retry);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]));
}

#[test]
fn abort_scale_down_delay_zero_keeps_the_pods_for_ever() {
    let mut world = World::seed();
    world.rollout["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"] = json!(0);
    let mut world = settled(world);
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.ask(Action::Abort);
    world.settle();
    assert_eq!(world.running(), [(V55.to_owned(), 2), (V56.to_owned(), 1)]);
}

#[test]
fn a_new_template_in_mid_walk_starts_over_without_traffic_on_what_goes() {
    let mut world = seed();
    let first = world.want("run/56", Some(V56), OnTimeout::Hold);
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    let second = world.want("run/57", Some("was:v57"), OnTimeout::Hold);
    world.deploy("was:v57");
    world.settle();
    assert_eq!(world.weights, [10, 25, 50, 0, 10, 25, 50, 75, 100, 0]);
    assert_eq!(world.running(), [("was:v57".to_owned(), 2)]);
    assert!(matches!(world.answer(&first), Some(Response::Superseded { .. })), "{:?}", world.answer(&first));
    assert!(matches!(world.answer(&second), Some(Response::Met { .. })));
}

#[test]
fn the_stable_template_again_goes_back_at_once() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    let began = world.now;
    world.deploy(V55);
    world.run_until(|world| world.phase() == "Healthy");
    assert!(world.now < began + 30_000, "no step is walked");
    world.settle();
    assert_eq!(world.running(), [(V55.to_owned(), 2)]);
    assert_eq!(world.weights, [10, 25, 50, 0]);
    assert_eq!(world.status("currentStepIndex"), 4);
}

#[test]
fn an_autoscaler_may_change_the_replicas_in_mid_walk() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.scale(10);
    world.run_until(|world| world.running() == [(V55.to_owned(), 10), (V56.to_owned(), 5)]);
    assert_eq!(world.served(), Some(50), "the weight stays while pods come up");
    world.run_until(|world| world.served() == Some(75));
    assert_eq!(world.running(), [(V55.to_owned(), 10), (V56.to_owned(), 8)]);
    world.scale(4);
    world.settle();
    assert_eq!(world.running(), [(V56.to_owned(), 4)]);
    assert_eq!(world.status("HPAReplicas"), 4);
    assert_eq!(world.weights, [10, 25, 50, 75, 100, 0]);
}

#[test]
fn nobody_is_scaled_to_nothing_by_an_autoscaler_at_zero() {
    let mut world = seed();
    world.scale(0);
    world.settle();
    world.deploy(V56);
    world.settle();
    assert_eq!(world.running(), []);
    assert_eq!(world.status("stableRS"), world.status("currentPodHash"));
}

#[test]
fn people_skip_a_step_or_all_of_them() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 10);
    world.ask(Action::Promote);
    let mut world = at_weight(world, 25);
    world.ask(Action::PromoteFull);
    world.settle();
    assert_eq!(world.weights, [10, 25, 100, 0]);
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]));
}

#[test]
fn a_pause_without_an_end_waits_for_a_person() {
    let mut world = World::seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}]);
    let mut world = settled(world);
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.status("message").as_str()), ("Paused", Some("CanaryPauseStep")));
    assert_eq!(world.status("controllerPause"), true);
    assert_eq!(world.status("pauseConditions")[0]["reason"], "CanaryPauseStep");
    assert_eq!(world.at(), 1);
    world.ask(Action::Resume);
    world.settle();
    assert_eq!(world.weights, [20, 60, 100, 0]);
    assert_eq!(world.phase(), "Healthy");
}

#[test]
fn spec_paused_holds_the_steps() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 10);
    world.rollout["spec"]["paused"] = json!(true);
    world.changed();
    world.settle();
    assert_eq!((world.phase(), world.at(), world.served()), ("Paused", 0, Some(10)));
    world.rollout["spec"]["paused"] = json!(false);
    world.changed();
    world.settle();
    assert_eq!(world.phase(), "Healthy");
}

#[test]
fn a_weight_that_falls_takes_the_traffic_before_the_pods() {
    let mut world = World::seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"setWeight": 80}, {"setWeight": 20}, {"pause": {"duration": 1}}]);
    let mut world = settled(world);
    world.scale(10);
    world.settle();
    world.deploy(V56);
    let world = at_weight(world, 20);
    assert_eq!(world.running(), [(V55.to_owned(), 10), (V56.to_owned(), 2)]);
    assert_eq!(world.weights, [80, 20]);
}

#[test]
fn set_canary_scale_starts_pods_before_their_traffic() {
    let mut world = World::seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([
        {"setCanaryScale": {"replicas": 3}}, {"setWeight": 10}, {"pause": {}},
        {"setCanaryScale": {"matchTrafficWeight": true}}, {"pause": {}}
    ]);
    let mut world = settled(world);
    world.scale(10);
    world.settle();
    world.deploy(V56);
    world.settle();
    assert_eq!((world.served(), world.running()), (Some(10), vec![(V55.to_owned(), 10), (V56.to_owned(), 3)]));
    world.ask(Action::Resume);
    world.settle();
    assert_eq!((world.served(), world.running()), (Some(10), vec![(V55.to_owned(), 10), (V56.to_owned(), 1)]));
}

#[test]
fn without_a_router_the_pods_are_the_weight() {
    let mut world = settled(World::basic(10));
    world.deploy(V56);
    world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
    assert_eq!(world.running(), [(V55.to_owned(), 8), (V56.to_owned(), 3)]);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 10)]));
}

#[test]
fn without_a_router_a_crashing_canary_gives_its_pods_back() {
    let mut world = settled(World::basic(4));
    world.deploy("was:v56-crash");
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 4)]));
}

#[test]
fn a_reverted_selector_or_annotation_is_healed() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.services[0]["spec"]["selector"].as_object_mut().unwrap().remove(HASH);
    world.services[1]["spec"]["selector"][HASH] = json!("nobody");
    world.ingresses[0]["metadata"]["annotations"] = json!({});
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Healthy", Some(0)), "{:?}", world.said);
    assert_eq!(world.running(), [(V56.to_owned(), 2)]);
}

#[test]
fn what_the_manifests_lack_is_named_and_nothing_moves() {
    let mut world = seed();
    let service = world.services.pop().unwrap();
    world.deploy(V56);
    world.settle();
    assert_eq!(world.said.0, Phase::Blocked);
    assert!(world.said.1.contains("Service was-canary is not there"), "{:?}", world.said);
    assert_eq!(world.served(), Some(0));
    world.services.push(service);
    world.settle();
    assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
}

#[test]
fn a_want_waits_until_the_rollout_names_its_image() {
    let mut world = seed();
    let key = world.want("run/56", Some(V56), OnTimeout::Hold);
    world.settle();
    assert_eq!(world.answer(&key), None, "v55 is not what is wanted");
    world.deploy(V56);
    world.settle();
    assert!(matches!(world.answer(&key), Some(Response::Met { .. })));
    // Who wants what serves already is answered at once, and a repeat joins.
    let again = world.want("run/56b", Some(V56), OnTimeout::Hold);
    world.settle();
    assert!(matches!(world.answer(&again), Some(Response::Met { .. })));
}

#[test]
fn a_step_out_of_time_may_want_a_retreat() {
    let run = |on_timeout| {
        let mut world = seed();
        let key = world.want("run/56", Some(V56), on_timeout);
        world.deploy(V56);
        let mut world = at_weight(world, 25);
        world.journal.push((world.now, By::Server, Entry::TimedOut { key: key.clone() }));
        world.settle();
        let failed = matches!(world.answer(&key), Some(Response::Failed { .. }));
        (failed, world.phase().to_owned(), world.running())
    };
    assert_eq!(run(OnTimeout::Hold), (true, "Healthy".into(), vec![(V56.to_owned(), 2)]));
    assert_eq!(run(OnTimeout::Abort), (true, "Degraded".into(), vec![(V55.to_owned(), 2)]));
}

#[test]
fn a_step_that_asks_again_after_its_time_is_waited_for() {
    let mut world = seed();
    let key = world.want("run/56", Some(V56), OnTimeout::Hold);
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    world.journal.push((world.now, By::Server, Entry::TimedOut { key: key.clone() }));
    assert_eq!(world.want("run/56", Some(V56), OnTimeout::Hold), key);
    world.settle();
    assert!(matches!(world.answer(&key), Some(Response::Met { .. })), "{:?}", world.answer(&key));
}

#[test]
fn an_abort_that_a_step_asked_for_by_giving_up_is_carried_out_though_it_asks_again() {
    let mut world = seed();
    let key = world.want("run/56", Some(V56), OnTimeout::Abort);
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    world.journal.push((world.now, By::Server, Entry::TimedOut { key: key.clone() }));
    world.want("run/56", Some(V56), OnTimeout::Abort);
    world.settle();
    assert!(matches!(world.answer(&key), Some(Response::Failed { transient: false, .. })), "{:?}", world.answer(&key));
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]));
}

#[test]
fn what_is_asked_once_more_is_about_the_version_of_that_moment() {
    let mut world = seed();
    let key = world.want("run/56", None, OnTimeout::Hold);
    world.settle();
    // It joins what it asked before; only a failure that may pass opens it again.
    world.want("run/56", None, OnTimeout::Hold);
    assert!(matches!(world.answer(&key), Some(Response::Met { .. })));
    let failed = Response::Failed { because: "the step stopped waiting".into(), transient: true };
    let mut state = State::default();
    let intent = Intent { image: None, on_timeout: OnTimeout::Hold };
    let wanted = Entry::Wanted { key: key.clone(), intent };
    let bound = |state: &State| state.requests().map(|of| of.bound.map(str::to_owned)).collect::<Vec<_>>();
    for (entry, expected) in [
        (wanted.clone(), None),
        (Entry::Bound { key: key.clone(), hash: "h55".into() }, Some("h55".to_owned())),
        (wanted.clone(), Some("h55".to_owned())),
        (Entry::Answered { key: key.clone(), answer: failed }, Some("h55".to_owned())),
        (wanted, None),
    ] {
        state.apply(0, &By::Server, &entry);
        assert_eq!(bound(&state), [expected], "{entry:?}");
    }
    assert_eq!((state.open().count(), state.answer(&key)), (1, None));
}

#[test]
fn what_is_not_ours_is_only_observed() {
    let mut world = World::seed();
    world.rollout["metadata"]["annotations"] = json!({});
    let untouched = world.rollout.clone();
    world.settle();
    assert_eq!((world.sets.len(), world.journal.len()), (0, 0));
    assert_eq!(world.rollout, untouched, "not even the status is written");
    assert!(world.said.1.contains("put the annotation bespin.dev/owner on it"), "{:?}", world.said);
}

#[test]
fn another_controllers_write_holds_until_somebody_resumes() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let field = json!([{"manager": "rollouts-controller", "subresource": "status", "time": crate::object::write_time(world.now + 2000)}]);
    world.rollout["metadata"]["managedFields"] = field;
    world.settle();
    assert_eq!(world.said.0, Phase::Blocked);
    assert!(world.said.1.contains("rollouts-controller"), "{:?}", world.said);
    assert_eq!(world.served(), Some(25));
    world.now += 10_000;
    world.ask(Action::Resume);
    world.settle();
    assert_eq!(world.phase(), "Healthy");
}

#[test]
fn a_rollout_that_argo_walked_is_taken_over_where_it_stands() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.journal.clear();
    world.weights.clear();
    world.settle();
    assert_eq!(world.weights, [75, 100, 0], "it goes on from 50 %");
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]));
}

#[test]
fn old_sets_are_forgotten_beyond_the_history() {
    let mut world = World::seed();
    world.rollout["spec"]["revisionHistoryLimit"] = json!(2);
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([]);
    let mut world = settled(world);
    for version in 56..62 {
        world.deploy(&format!("was:v{version}"));
        world.settle();
        world.now += 5000;
    }
    assert_eq!(world.running(), [("was:v61".to_owned(), 2)]);
    assert_eq!(world.sets.len(), 3, "the one that serves, and two");
    let revision = world.rollout["metadata"]["annotations"][observed::REVISION].as_str().unwrap().to_owned();
    assert_eq!(revision, "7");
}

#[test]
fn a_spec_that_cannot_be_followed_says_so_and_moves_nothing() {
    let mut world = seed();
    let key = world.want("run/56", Some(V56), OnTimeout::Hold);
    world.rollout["spec"]["strategy"]["canary"]["analysis"] = json!({"templates": []});
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.said.0), ("Degraded", Phase::Blocked));
    assert!(world.status("message").as_str().unwrap().starts_with("InvalidSpec: spec.strategy.canary.analysis"));
    assert_eq!(world.running(), [(V55.to_owned(), 2)]);
    assert!(matches!(world.answer(&key), Some(Response::Failed { .. })));
    world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap().remove("analysis");
    world.changed();
    world.settle();
    assert_eq!(world.phase(), "Healthy");
    let invalid = world.status("conditions").as_array().unwrap().iter().any(|c| c["type"] == "InvalidSpec");
    assert!(!invalid, "the condition goes with its cause");
}

/// The template of a version, as the API server stores it in its set.
fn stored(world: &World, image: &str) -> serde_json::Value {
    let is = |set: &&serde_json::Value| set["spec"]["template"]["spec"]["containers"][0]["image"] == image;
    let mut template = world.sets.iter().find(is).unwrap()["spec"]["template"].clone();
    template["metadata"]["labels"].as_object_mut().unwrap().remove(HASH);
    template["metadata"]["creationTimestamp"] = json!(null);
    template["spec"]["restartPolicy"] = json!("Always");
    template["spec"]["containers"][0]["terminationMessagePath"] = json!("/dev/termination-log");
    template
}

#[test]
fn undo_to_the_stable_version_in_mid_walk_makes_no_third_set() {
    let mut world = seed();
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.rollout["spec"]["template"] = stored(&world, V55);
    world.changed();
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V55.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!((world.sets.len(), world.weights.as_slice()), (2, &[10, 25, 50, 0][..]));
}

#[test]
fn another_spelling_of_the_template_is_no_new_version() {
    let mut world = seed();
    world.rollout["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1000m"}});
    world.deploy(V56);
    world.settle();
    let before = (world.sets.len(), world.weights.clone(), world.status("currentPodHash").clone());
    world.rollout["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
    world.rollout["spec"]["template"]["spec"]["dnsPolicy"] = json!("ClusterFirst");
    world.changed();
    world.settle();
    assert_eq!(before, (world.sets.len(), world.weights.clone(), world.status("currentPodHash").clone()));
    assert_eq!(world.phase(), "Healthy");
}

#[test]
fn an_earlier_version_within_the_rollback_window_needs_no_steps() {
    for (window, weights) in [(1, vec![100, 0]), (0, vec![10, 25, 50, 75, 100, 0])] {
        let mut world = World::seed();
        world.rollout["spec"]["rollbackWindow"] = json!({"revisions": window});
        let mut world = settled(world);
        world.now += 5000;
        world.deploy(V56);
        world.settle();
        world.weights.clear();
        world.deploy(V55);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V55.to_owned(), 2)]), "{:?}", world.said);
        assert_eq!(world.weights, weights, "{window} revisions");
    }
}

#[test]
fn no_version_that_was_aborted_is_within_the_rollback_window() {
    let mut world = World::seed();
    world.rollout["spec"]["rollbackWindow"] = json!({"revisions": 9});
    world.rollout["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"] = json!(0);
    let mut world = settled(world);
    for image in [V56, "was:v57"] {
        world.now += 5000;
        world.deploy(image);
        world = at_weight(world, 25);
        world.ask(Action::Abort);
        world.settle();
    }
    assert!(world.running().iter().any(|(image, _)| image == "was:v57"), "its pods are ready still");
    world.weights.clear();
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.weights.as_slice()), ("Healthy", &[10, 25, 50, 75, 100, 0][..]));
}

#[test]
fn nobody_has_asked_for_what_the_rollback_window_skips() {
    let mut world = World::seed();
    world.rollout["spec"]["rollbackWindow"] = json!({"revisions": 1});
    let mut world = settled(world);
    world.now += 5000;
    for image in [V56, V55] {
        world.deploy(image);
        world.settle();
    }
    assert!(!world.journal.iter().any(|(_, _, entry)| matches!(entry, Entry::Asked { .. })));
    let mut starts = world.journal.iter().filter_map(|(_, _, entry)| match entry {
        Entry::Began { start, .. } => Some(*start),
        _ => None,
    });
    assert_eq!(starts.next_back(), Some(Start::Earlier));
}

#[test]
fn only_so_many_replaced_versions_keep_their_pods() {
    for (limit, kept) in [(json!(null), 2), (json!(1), 1), (json!(0), 0)] {
        let mut world = World::seed();
        let canary = &mut world.rollout["spec"]["strategy"]["canary"];
        canary["steps"] = json!([]);
        canary["scaleDownDelaySeconds"] = json!(3600);
        canary["scaleDownDelayRevisionLimit"] = limit.clone();
        let mut world = settled(world);
        for image in [V56, "was:v57"] {
            world.now += 5000;
            world.deploy(image);
            world.run_until(|world| world.state().stable.is_some_and(|stable| stable.image == image));
            for _ in 0..12 {
                world.turn();
                world.now += 100;
            }
        }
        assert_eq!(world.running().len(), kept + 1, "{limit}: {:?}", world.running());
    }
}
