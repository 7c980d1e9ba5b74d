//! Pods that fail, pauses whose weight is not served, and what is said first.

use super::super::*;
use super::world::{V55, V56, World, settled};
use crate::annotations::ABORT_ON;
use crate::next::Phase;
use serde_json::{Value, json};

/// At 50 % of ten, whose pods are five.
fn at_half(abort_on: Option<&str>) -> World {
    let mut world = World::seed();
    world.scale(10);
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 50}, {"pause": {"duration": "1h"}}]);
    if let Some(word) = abort_on {
        world.rollout["metadata"]["annotations"][ABORT_ON] = json!(word);
    }
    let mut world = settled(world);
    world.deploy(V56);
    world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
    assert_eq!((world.served(), world.running()), (Some(50), vec![(V55.to_owned(), 10), (V56.to_owned(), 5)]));
    world
}

#[test]
fn a_first_version_waits_for_what_is_not_there_yet() {
    for kind in ["Ingress", "Service"] {
        let mut world = World::seed();
        let (services, ingresses) = (world.services.clone(), world.ingresses.clone());
        if kind == "Ingress" {
            world.ingresses.clear()
        } else {
            world.services.truncate(1)
        }
        world.deploy(V55);
        world.run_until(|world| world.status("availableReplicas") == 2);
        assert_eq!(world.phase(), "Progressing", "{:?}", world.said);
        assert!(world.status("message").as_str().unwrap().starts_with(kind), "{}", world.status("message"));
        assert!(world.said.0 == Phase::Waiting && world.said.1.contains("is not there"), "{:?}", world.said);
        assert!(!world.status("conditions").to_string().contains("InvalidSpec"));
        assert_eq!(world.state().stable, None);
        world.settle();
        assert_eq!(world.phase(), "Degraded", "the progress deadline ends it");
        assert!(world.status("message").as_str().unwrap().contains(kind), "{}", world.status("message"));
        let first = world.state().stable.expect("what serves by then is a version to go back to");
        world.deploy(V56);
        world.settle();
        assert_eq!(world.state().stable.as_ref(), Some(&first), "the next version has its steps: {:?}", world.said);
        world.deploy(V55);
        (world.services, world.ingresses) = (services, ingresses);
        world.settle();
        assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
    }
}

#[test]
fn nothing_rises_while_an_ingress_is_missing() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = super::world::at_weight(world, 25);
    let ingresses = std::mem::take(&mut world.ingresses);
    world.ask(Action::Promote);
    for _ in 0..40 {
        world.step();
    }
    assert_eq!((world.weights.as_slice(), world.phase()), (&[10, 25][..], "Degraded"), "{:?}", world.said);
    assert!(world.status("conditions").to_string().contains("InvalidSpec"));
    world.ingresses = ingresses;
    world.settle();
    assert_eq!((world.weights.as_slice(), world.phase()), (&[10, 25, 50, 75, 100, 0][..], "Healthy"));
}

#[test]
fn a_refusal_is_of_a_template_and_its_condition_has_bounds() {
    let mut world = settled(World::seed());
    let env = |world: &mut World, value: &str| {
        world.rollout["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "N", "value": value}]);
        world.deploy("was:v56-crash");
        world.settle();
    };
    for n in 0..8 {
        env(&mut world, &n.to_string());
    }
    assert_eq!(world.state().refused.len(), 8, "each is another template: {:?}", world.said);
    let conditions = world.status("conditions").as_array().unwrap().clone();
    let refused = conditions.iter().find(|one| one["type"] == "Refused").unwrap();
    let message = refused["message"].as_str().unwrap();
    assert!(message.ends_with("and 3 before them") && message.len() < 2_500, "{message}");
    world.ask(Action::Retry);
    world.turn();
    assert_eq!(world.state().refused.len(), 7, "the others of this image stay refused");
}

#[test]
fn a_first_version_takes_no_ready_pod_for_its_room() {
    let mut world = World::basic(4);
    world.rollout["spec"]["minReadySeconds"] = json!(60);
    let canary = &mut world.rollout["spec"]["strategy"]["canary"];
    (canary["maxSurge"], canary["maxUnavailable"]) = (json!(0), json!(1));
    world.deploy(V55);
    let ready = |world: &World| world.status("readyReplicas") == 4;
    world.run_until(ready);
    assert!(ready(&world) && world.status("availableReplicas") == 0, "{:?}", world.said);
    world.deploy("was:v56-slow");
    for _ in 0..20 {
        world.turn();
        assert_eq!(world.running(), [(V55.to_owned(), 4)], "they serve: {:?}", world.said);
    }
    // All are available: one more than there must be.
    world.now += 60_000;
    world.settle();
    assert_eq!(world.running(), [(V55.to_owned(), 3), ("was:v56-slow".to_owned(), 1)], "{:?}", world.said);
}

fn crashed(restarts: u32) -> Value {
    let waiting = json!({"reason": "CrashLoopBackOff", "message": "back-off"});
    json!({"name": "was", "restartCount": restarts, "state": {"waiting": waiting}})
}

/// It has ended once, and has begun anew.
fn once() -> Value {
    let last = json!({"terminated": {"exitCode": 1}});
    json!({"name": "was", "restartCount": 1, "ready": false, "state": {"running": {}}, "lastState": last})
}

/// It has ended once, and is ready again.
fn again() -> Value {
    let last = json!({"terminated": {"exitCode": 1}});
    json!({"name": "was", "restartCount": 1, "ready": true, "state": {"running": {}}, "lastState": last})
}

/// So many of the canary's pods have these containers, and are not ready.
fn fail(world: &mut World, pods: usize, containers: Value) {
    let uid = world.sets.last().unwrap()["metadata"]["uid"].clone();
    let of_set = world.pods.iter_mut().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == uid);
    for pod in of_set.take(pods) {
        pod["spec"] = json!({"containers": [{"name": "was"}, {"name": "proxy"}]});
        pod["status"] = json!({"phase": "Unready", "containerStatuses": containers});
    }
}

/// How many of five pods fail in which way, and whether that sends all back at once.
fn table() -> Vec<(Option<&'static str>, usize, Value, bool)> {
    let pull = |name: &str| json!([{"name": name, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]);
    vec![
        (None, 1, json!([crashed(5)]), false),
        (None, 4, json!([crashed(5)]), false),
        (None, 5, json!([crashed(1)]), true),
        (None, 5, json!([once()]), false),
        (None, 5, pull("was"), true),
        (None, 1, pull("proxy"), false),
        (None, 5, pull("proxy"), false),
        (Some("all"), 4, json!([crashed(1)]), false),
        (Some("majority"), 2, json!([crashed(3)]), false),
        (Some("majority"), 3, json!([once()]), true),
        (Some("majority"), 5, pull("proxy"), false),
        (Some("majority"), 3, json!([again()]), true),
        (Some("majority"), 2, json!([again()]), false),
        (None, 5, json!([again()]), false),
        (Some("any"), 1, json!([again()]), true),
        (Some("any"), 1, json!([once()]), true),
        (Some("any"), 1, pull("proxy"), true),
    ]
}

#[test]
fn as_many_pods_as_the_annotation_says_send_all_back_at_once() {
    for (abort_on, pods, containers, back) in table() {
        let mut world = at_half(abort_on);
        let before = world.now;
        fail(&mut world, pods, containers.clone());
        for _ in 0..30 {
            world.step();
            if world.state().is_aborted() || world.now > before + 60_000 {
                break;
            }
        }
        assert_eq!(world.state().is_aborted(), back, "{abort_on:?}: {pods} of 5 with {containers}: {:?}", world.said);
    }
}

#[test]
fn a_container_before_the_main_one_sends_all_back_unless_it_is_a_sidecar() {
    for (policy, back) in [(None, true), (Some("Always"), false)] {
        let mut world = at_half(None);
        let before = world.now;
        fail(&mut world, 5, json!([]));
        let uid = world.sets.last().unwrap()["metadata"]["uid"].clone();
        for pod in world.pods.iter_mut().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == uid) {
            pod["spec"]["initContainers"] = json!([{"name": "first"}]);
            if let Some(policy) = policy {
                pod["spec"]["initContainers"][0]["restartPolicy"] = json!(policy);
            }
            let mut failed = crashed(5);
            failed["name"] = json!("first");
            pod["status"]["initContainerStatuses"] = json!([failed]);
        }
        for _ in 0..30 {
            world.step();
            if world.state().is_aborted() || world.now > before + 60_000 {
                break;
            }
        }
        assert_eq!(world.state().is_aborted(), back, "{policy:?}: {:?}", world.said);
    }
}

#[test]
fn one_bad_pod_is_a_matter_of_the_deadline_and_is_named() {
    let mut world = settled(World::basic(4));
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 50}, {"pause": {"duration": "1h"}}]);
    world.deploy("was:v56-slow");
    world.run_until(|world| world.sets.len() == 2 && world.pods.len() == 5);
    fail(&mut world, 1, json!([{"name": "proxy", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]));
    world.turn();
    assert!(world.said.1.contains("container proxy: ImagePullBackOff"), "{:?}", world.said);
    assert!(!world.state().is_aborted());
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 4)]));
    assert!(
        world.said.1.contains("no progress for 10 min") && world.said.1.contains("container proxy"),
        "{:?}",
        world.said
    );
}

#[test]
fn a_word_that_nobody_knows_is_refused_and_an_abort_works() {
    let mut world = at_half(None);
    world.rollout["metadata"]["annotations"][ABORT_ON] = json!("some");
    world.settle();
    assert!(world.said.1.contains("`some` is none of all, majority, any"), "{:?}", world.said);
    world.ask(Action::Abort);
    world.settle();
    assert_eq!(world.served(), Some(0));
}

#[test]
fn a_pause_counts_only_while_its_weight_is_served() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
    let began = world.now;
    // The Service goes after ten of thirty seconds, for an hour.
    world.now += 10_000;
    let service = world.services.pop().unwrap();
    for _ in 0..20 {
        world.step();
    }
    assert!(world.said.1.contains("Service was-canary is not there"), "{:?}", world.said);
    let invalid = world.status("conditions").as_array().unwrap().iter().find(|one| one["type"] == "InvalidSpec");
    assert!(invalid.unwrap()["message"].as_str().unwrap().contains("was-canary"), "kubectl sees it");
    world.now += 3_600_000;
    for _ in 0..20 {
        world.step();
    }
    assert_eq!((world.at(), world.served()), (1, Some(0)), "nothing rises: {:?}", world.said);
    world.services.push(service);
    let back = world.now;
    world.run_until(|world| world.at() == 2);
    assert!(
        began < back && (19_000..=22_000).contains(&(world.now - back)),
        "what was left of it: {}",
        world.now - back
    );
    world.settle();
    assert_eq!((world.phase(), world.weights.clone()), ("Healthy", vec![10, 25, 0, 25, 50, 75, 100, 0]));
}

#[test]
fn a_pause_of_its_own_does_not_begin_without_its_weight() {
    let mut world = World::seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"setWeight": 20}, {"pause": {"duration": "1h"}}, {"setWeight": 60}]);
    let mut world = settled(world);
    world.deploy(V56);
    world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
    world.set_ready(V56, 0);
    let mut broken = 0;
    for _ in 0..40 {
        world.step();
        broken += usize::from(world.state().progress.unwrap().paused_since.is_none());
    }
    assert!(broken > 0, "{:?}", world.said);
    assert!(!world.weights.contains(&60));
}

#[test]
fn the_first_sentence_is_about_the_pods_that_serve() {
    let mut world = at_half(None);
    world.set_ready(V55, 0);
    world.turn();
    world.run_until(|world| world.served() == Some(100));
    world.set_ready(V56, 0);
    world.rollout["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"] = json!(0);
    world.run_until(|world| world.said.1.starts_with("no pod of was:v5"));
    assert!(world.said.1.starts_with("no pod of was:v5"), "{:?}", world.said);
    let serving = world.status("conditions").as_array().unwrap().iter().find(|one| one["type"] == "Serving").cloned();
    assert_eq!(serving.unwrap()["reason"], "NoReadyPods");

    let mut world = settled(World::seed());
    world.set_ready(V55, 1);
    world.turn();
    assert_eq!(world.said.1.split(';').next(), Some("only 1 of 2 pods are available"));
    assert_ne!(world.said.0, Phase::Done);
    let Observed::Present(observed) = world.observed() else { panic!("it is there") };
    let shown = show(&world.state(), &observed, world.now).message;
    assert!(shown.starts_with("only 1 of 2 pods are available"), "{shown}");
    world.set_ready(V55, 2);
    world.settle();
    let serving = world.status("conditions").as_array().unwrap().iter().any(|one| one["type"] == "Serving");
    assert!(!serving, "the condition goes with its cause");
}

#[test]
fn a_pause_does_not_count_while_no_canary_pod_is_ready() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
    world.set_ready(V56, 0);
    let began = world.now;
    while world.now < began + 300_000 {
        world.turn();
        world.now += 5_000;
        assert_eq!((world.at(), world.state().is_aborted()), (1, false), "{:?}", world.said);
    }
    assert_eq!(world.served(), Some(0), "it has no traffic");
    world.set_ready(V56, 2);
    world.run_until(|world| world.at() == 2);
    assert!(world.now > began + 320_000, "the pause has its time after that");
}
