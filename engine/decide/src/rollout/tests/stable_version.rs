//! What is recorded is checked against what exists.

use super::super::*;
use super::world::{V55, V56, World, at_weight, settled};
use crate::by::By;
use crate::next::Wake;
use crate::request::Response;
use serde_json::{Value, json};

const V57: &str = "was:v57-9f8e7d6";

/// Deletes the Rollout with all that it owns, and applies it anew.
fn recreate(world: &mut World, image: &str) {
    world.sets.clear();
    world.pods.clear();
    world.rollout["metadata"]["uid"] = json!("another-uid");
    world.rollout["metadata"]["annotations"].as_object_mut().unwrap().remove(REVISION);
    world.rollout.as_object_mut().unwrap().remove("status");
    world.deploy(image);
}

/// Deletes a version's ReplicaSet with its pods.
fn lose(world: &mut World, image: &str) {
    let is = |set: &serde_json::Value| set["spec"]["template"]["spec"]["containers"][0]["image"] == image;
    let uid = world.sets.iter().find(|set| is(set)).unwrap()["metadata"]["uid"].clone();
    world.sets.retain(|set| !is(set));
    world.pods.retain(|pod| pod["metadata"]["ownerReferences"][0]["uid"] != uid);
}

#[test]
fn a_rollout_that_was_made_anew_is_a_first_deployment() {
    for image in [V55, V56] {
        for start in [World::seed(), World::basic(4)] {
            let mut world = settled(start);
            let pods = world.rollout["spec"]["replicas"].as_u64().unwrap();
            recreate(&mut world, image);
            world.settle();
            assert_eq!(
                (world.phase(), world.running()),
                ("Healthy", vec![(image.to_owned(), pods)]),
                "{:?}",
                world.said
            );
            assert_eq!(world.weights, [0; 0], "no step is taken, for there is nothing to compare with");
            assert_eq!(world.status("stableRS"), world.status("currentPodHash"));
        }
    }
}

#[test]
fn a_rollout_that_was_made_anew_in_mid_walk_leaves_no_traffic_on_what_is_gone() {
    for image in [V56, V57] {
        let mut world = settled(World::seed());
        world.deploy(V56);
        let mut world = at_weight(world, 50);
        recreate(&mut world, image);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(image.to_owned(), 2)]), "{:?}", world.said);
        assert_eq!(world.served(), Some(0));
        for service in &world.services {
            assert_eq!(service["spec"]["selector"][HASH], *world.status("currentPodHash"));
        }
    }
}

#[test]
fn what_the_rollout_before_it_was_refused_is_forgotten_with_it() {
    let mut world = settled(World::seed());
    world.deploy("was:v56-crash");
    world.settle();
    assert_eq!(world.phase(), "Degraded");
    recreate(&mut world, V56);
    world.settle();
    assert_eq!((world.phase(), world.state().refused), ("Healthy", Vec::new()));
}

#[test]
fn a_journal_without_uids_finds_out_by_the_sets() {
    let mut world = settled(World::seed());
    for (_, _, entry) in &mut world.journal {
        if let Entry::Began { uid, .. } = entry {
            *uid = None;
        }
    }
    recreate(&mut world, V56);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!(world.weights, [0; 0]);
}

#[test]
fn a_stable_version_whose_set_is_deleted_in_mid_walk_gives_the_walk_to_the_canary() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    lose(&mut world, V55);
    let selected = |world: &World| world.services[0]["spec"]["selector"][HASH] == *world.status("currentPodHash");
    let since = world.now;
    world.run_until(selected);
    assert!(selected(&world) && world.now < since + 2_000, "its pods are the only ones: they get everything at once");
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
}

#[test]
fn a_version_whose_pods_are_there_without_their_set_is_not_gone() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    // Deleted as `kubectl delete --cascade=orphan` does it.
    world.sets.remove(0);
    world.pods.iter_mut().take(2).for_each(|pod| pod["metadata"]["ownerReferences"] = json!([]));
    world.run_until(|world| world.served() == Some(50));
    assert_eq!(world.state().stable.unwrap().image, V55, "{:?}", world.said);
    assert_eq!(
        (world.weights.as_slice(), &world.services[0]["spec"]["selector"][HASH]),
        (&[10, 25, 50][..], world.status("stableRS"))
    );
}

#[test]
fn a_changed_selector_is_no_lost_version() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = settled(start);
        for place in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
            world.rollout.pointer_mut(place).unwrap()["tier"] = json!("web");
        }
        world.deploy(V56);
        world.run_until(|world| world.at() == 1);
        assert_eq!((world.at(), world.state().stable.unwrap().image.as_str()), (1, V55), "{:?}", world.said);
        world.settle();
        assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
    }
}

#[test]
fn an_abort_without_a_version_to_go_back_to_leaves_what_serves() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = settled(start);
        let pods = world.rollout["spec"]["replicas"].as_u64().unwrap();
        world.deploy(V56);
        world.run_until(|world| world.at() == 2 && world.state().progress.unwrap().paused_since.is_some());
        lose(&mut world, V55);
        world.ask(Action::Abort);
        world.settle();
        assert_eq!(world.running(), [(V56.to_owned(), pods)], "{:?}", world.said);
        assert!(world.served().is_none_or(|served| served == 0), "the stable Service leads to it");
    }
}

#[test]
fn the_version_that_serves_is_the_one_to_go_back_to() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    // The stable version is gone with its pods when the next one comes.
    lose(&mut world, V55);
    world.deploy(V57);
    world.turn();
    let stable = world.state().stable.unwrap();
    assert_eq!(stable.image, V56);
    let mut world = at_weight(world, 10);
    assert_eq!(world.running(), [(V56.to_owned(), 2), (V57.to_owned(), 1)]);
    world.ask(Action::Abort);
    world.settle();
    assert_eq!((world.served(), world.running()), (Some(0), vec![(V56.to_owned(), 2)]), "{:?}", world.said);
}

#[test]
fn a_stable_version_without_ready_pods_is_none() {
    let mut world = settled(World::seed());
    world.set_ready(V55, 0);
    world.deploy(V56);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!(world.weights, [0; 0]);
}

#[test]
fn an_abort_takes_no_traffic_from_the_only_ready_pods_and_gives_them_no_more() {
    for grace in [0, 10_000] {
        let mut world = settled(World::seed());
        world.deploy(V56);
        let mut world = at_weight(world, 50);
        world.rollout["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"] = json!(0);
        world.set_ready(V55, 0);
        let until = world.now + grace;
        world.run_until(|world| world.now >= until);
        let share = world.served();
        assert_eq!(share, Some(if grace == 0 { 50 } else { 100 }));
        world.ask(Action::Abort);
        for _ in 0..40 {
            world.step();
            assert_eq!(world.served(), share, "{:?}", world.said);
        }
        world.set_ready(V55, 2);
        world.settle();
        assert_eq!((world.served(), world.phase()), (Some(0), "Degraded"));
        // What was sent back is not taken for the stable version.
        world.set_ready(V55, 0);
        world.now += 60_000;
        world.settle();
        assert_eq!((world.served(), world.phase()), (Some(0), "Degraded"), "{:?}", world.said);
    }
}

#[test]
fn a_moment_without_ready_pods_moves_no_traffic() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    let wait = |world: &mut World, ms: u64| {
        (0..3).for_each(|_| assert_ne!(world.turn(), Wake::Never));
        world.now += ms;
        (0..3).for_each(|_| assert_ne!(world.turn(), Wake::Never));
        world.served()
    };
    world.set_ready(V55, 0);
    assert_eq!(wait(&mut world, 4_000), Some(50));
    world.set_ready(V55, 1);
    assert_eq!(wait(&mut world, 0), Some(50));
    world.set_ready(V55, 0);
    assert_eq!(wait(&mut world, 4_000), Some(50), "it counts anew: {:?}", world.said);
    assert_eq!(wait(&mut world, 1_000), Some(100), "{:?}", world.said);
    world.set_ready(V55, 2);
    assert_eq!(wait(&mut world, 0), Some(50), "{:?}", world.said);
}

#[test]
fn a_moment_without_ready_pods_costs_the_version_that_serves_no_pod() {
    for (surge, unavailable) in [(1, 0), (0, 1)] {
        let mut world = World::basic(4);
        let canary = &mut world.rollout["spec"]["strategy"]["canary"];
        (canary["maxSurge"], canary["maxUnavailable"]) = (json!(surge), json!(unavailable));
        let mut world = settled(world);
        world.set_ready(V55, 0);
        world.deploy("was:v56-slow");
        for _ in 0..40 {
            world.step();
            let kept = world.running().iter().find(|(image, _)| image == V55).map_or(0, |(_, pods)| *pods);
            assert!(kept >= 3 + surge, "{surge} {:?} {:?}", world.running(), world.said);
        }
        world.set_ready(V55, 4);
        world.run_until(|world| world.state().stable.is_some());
        assert_eq!(world.state().stable.unwrap().image, V55);
        assert!(!world.status("message").is_null());
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 4)]), "{:?}", world.said);
    }
}

#[test]
fn a_first_version_takes_the_place_of_pods_that_never_come_back() {
    for (surge, unavailable) in [(1, 0), (0, 1)] {
        let mut world = World::basic(4);
        let canary = &mut world.rollout["spec"]["strategy"]["canary"];
        (canary["maxSurge"], canary["maxUnavailable"]) = (json!(surge), json!(unavailable));
        let mut world = settled(world);
        world.set_ready(V55, 0);
        world.deploy(V56);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 4)]), "{:?}", world.said);
    }
}

#[test]
fn what_was_sent_back_is_no_stable_version_though_its_pods_are_ready() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = settled(start);
        world.rollout["spec"]["strategy"]["canary"]["abortScaleDownDelaySeconds"] = json!(0);
        world.deploy(V56);
        world.run_until(|world| world.at() == 2 && world.state().progress.unwrap().paused_since.is_some());
        world.ask(Action::Abort);
        world.turn();
        // In the same moment, no pod of the stable version is ready.
        world.set_ready(V55, 0);
        world.deploy("was:v57-slow");
        world.turn();
        assert_ne!(world.state().stable.map(|stable| stable.image), Some(V56.to_owned()));
        for _ in 0..30 {
            world.step();
            assert_ne!(world.state().stable.map(|stable| stable.image), Some(V56.to_owned()), "{:?}", world.said);
        }
    }
}

#[test]
fn the_recorded_version_comes_before_one_that_serves_by_its_pods_alone() {
    let mut world = settled(World::basic(4));
    world.deploy(V56);
    world.run_until(|world| world.at() == 2 && world.state().progress.unwrap().paused_since.is_some());
    world.set_ready(V55, 0);
    world.deploy(V57);
    world.turn();
    assert_eq!(world.state().stable.unwrap().image, V55);
}

#[test]
fn other_steps_in_a_moment_without_ready_pods_are_walked() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    world.set_ready(V55, 0);
    world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
    world.changed();
    world.turn();
    let state = world.state();
    assert_eq!((state.stable.unwrap().image.as_str(), state.progress.unwrap().start), (V55, Start::Steps));
}

#[test]
fn another_time_to_be_ready_is_no_new_version_and_reaches_the_newest_set() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = settled(start);
        world.rollout["spec"]["minReadySeconds"] = json!(30);
        world.changed();
        world.run_until(|world| world.sets[0]["spec"]["minReadySeconds"] == 30);
        assert_eq!((world.sets.len(), &world.sets[0]["spec"]["minReadySeconds"]), (1, &json!(30)), "{:?}", world.said);
    }
}

#[test]
fn a_version_of_a_rollout_without_replicas_is_promoted_and_answers_its_step() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = settled(start);
        world.scale(0);
        world.settle();
        assert_eq!(world.running(), []);
        let key = world.want("run/56", Some(V56), OnTimeout::Hold);
        world.deploy(V56);
        world.settle();
        assert!(matches!(world.answer(&key), Some(Response::Met { .. })), "{:?} {:?}", world.answer(&key), world.said);
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![]));
        world.scale(3);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 3)]), "{:?}", world.said);
    }
}

#[test]
fn a_first_version_that_was_never_promoted_is_nothing_to_go_back_to() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = start;
        world.deploy(V55);
        world.run_until(|world| !world.running().is_empty());
        world.set_ready(V55, 1);
        world.step();
        assert_ne!(world.phase(), "Healthy", "not all of its pods are ready");
        world.deploy(V56);
        world.settle();
        assert_eq!((world.phase(), world.weights.len()), ("Healthy", 0), "{:?}", world.said);
        let is_canary =
            |entry: &Entry| matches!(entry, Entry::Began { start: Start::Steps, .. } | Entry::StepDone { .. });
        assert!(!world.journal.iter().any(|(_, _, entry)| is_canary(entry)), "no step is taken: {:?}", world.said);
    }
}

#[test]
fn an_abort_that_has_promised_its_weight_takes_none_from_the_only_ready_pods() {
    for start in [World::seed(), World::plugged()] {
        let mut world = settled(start);
        world.deploy(V56);
        let mut world = at_weight(world, 50);
        world.ask(Action::Abort);
        world.run_until(|world| world.weights.last() == Some(&0));
        assert_eq!(world.served(), Some(50), "promised, and not written yet");
        world.set_ready(V55, 0);
        for _ in 0..40 {
            world.step();
            assert_eq!(world.served(), Some(50), "{:?} {:?}", world.weights, world.said);
        }
        world.set_ready(V55, 2);
        world.settle();
        assert_eq!((world.served(), world.phase()), (Some(0), "Degraded"), "{:?}", world.said);
    }
}

/// Deletes the Rollout alone, as `kubectl delete --cascade=orphan` does it, and applies it anew.
fn orphan(world: &mut World, image: &str) {
    let sets = world.sets.clone();
    let pods = world.pods.clone();
    recreate(world, image);
    (world.sets, world.pods) = (sets, pods);
    for set in &mut world.sets {
        set["metadata"]["ownerReferences"] = json!([{"uid": "a-note", "kind": "ConfigMap", "name": "note"}]);
    }
}

fn uids(world: &World) -> Vec<String> {
    world.pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect()
}

#[test]
fn sets_that_a_rollout_left_behind_are_those_of_the_one_that_is_made_anew() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = settled(start);
        let pods = uids(&world);
        orphan(&mut world, V55);
        world.settle();
        assert_eq!((world.phase(), world.sets.len()), ("Healthy", 1), "{:?}", world.said);
        assert_eq!((uids(&world), world.weights.len()), (pods, 0), "the same pods serve, and no step is taken");
        let owners = world.sets[0]["metadata"]["ownerReferences"].as_array().unwrap();
        assert_eq!(
            owners.iter().map(|one| one["uid"].as_str().unwrap()).collect::<Vec<_>>(),
            ["a-note", "another-uid"]
        );
    }
}

#[test]
fn what_serves_though_its_rollout_was_deleted_is_the_version_to_go_back_to() {
    for start in [World::seed(), World::basic(4)] {
        let mut world = settled(start);
        let number = world.pods.len() as u64;
        orphan(&mut world, V56);
        world.run_until(|world| world.at() == 1 && world.state().progress.unwrap().paused_since.is_some());
        assert_eq!(world.state().stable.unwrap().image, V55, "{:?}", world.said);
        world.ask(Action::Abort);
        world.settle();
        assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), number)]), "{:?}", world.said);
    }
}

/// A set such as the first one, of another version.
fn sibling(world: &World, hash: &str) -> Value {
    let mut set = world.sets[0].clone();
    set["metadata"]["name"] = json!(format!("was-{hash}"));
    set["metadata"]["uid"] = json!(format!("{hash}-uid"));
    set["metadata"]["labels"][HASH] = json!(hash);
    set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(format!("was:{hash}"));
    set
}

/// What differs from a set that is taken over, each alone.
fn differences() -> [(&'static str, &'static str, Value); 5] {
    [
        ("selector", "/metadata/labels/app", json!("other")),
        ("controller", "/metadata/ownerReferences", json!([{"uid": "somebody", "controller": true}])),
        ("name", "/metadata/name", json!("else-name")),
        ("going", "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        // It costs nobody anything, and no history deletes it.
        ("idle", "/spec/replicas", json!(0)),
    ]
}

#[test]
fn a_set_is_taken_over_only_where_a_rollout_of_this_name_has_left_it() {
    for (what, pointer, value) in differences() {
        let mut world = settled(World::seed());
        world.rollout["spec"]["revisionHistoryLimit"] = json!(0);
        orphan(&mut world, V56);
        let mut set = sibling(&world, what);
        match pointer {
            "/metadata/deletionTimestamp" => set["metadata"]["deletionTimestamp"] = value,
            _ => *set.pointer_mut(pointer).unwrap() = value,
        }
        if what == "idle" {
            set["status"]["replicas"] = json!(0);
        }
        world.sets.push(set.clone());
        world.settle();
        assert_eq!(world.phase(), "Healthy", "{what}: {:?}", world.said);
        let after = world.sets.iter().find(|one| one["metadata"]["uid"] == set["metadata"]["uid"]).unwrap();
        assert_eq!(after["metadata"]["ownerReferences"], set["metadata"]["ownerReferences"], "{what}");
        assert_eq!(after["spec"], set["spec"], "{what}");
    }
}

#[test]
fn a_set_with_the_name_of_the_template_and_another_one_is_not_taken_over() {
    for pods in [0, 2] {
        let mut world = settled(World::seed());
        orphan(&mut world, V55);
        // Somebody has edited it: its pods are not those that its name promises.
        world.sets[0]["spec"]["template"]["spec"]["containers"][0]["image"] = json!("was:edited");
        world.sets[0]["spec"]["replicas"] = json!(pods);
        let before = world.sets[0]["metadata"]["ownerReferences"].clone();
        world.run_until(|world| world.said.1.contains("already exists"));
        assert!(world.said.1.contains("already exists"), "{:?}", world.said);
        assert_eq!(world.sets[0]["metadata"]["ownerReferences"], before);
    }
}

#[test]
fn what_is_not_owned_yet_loses_no_pods() {
    let mut world = settled(World::seed());
    orphan(&mut world, V56);
    world.sets[0]["spec"]["replicas"] = json!(7);
    let decided = |world: &World| decide(&world.state(), &world.observed(), world.now).acts;
    world.run_until(|world| !decided(world).is_empty());
    let acts = decided(&world);
    assert!(acts.iter().any(|act| matches!(act, Act::Own { .. })), "{acts:?}");
    let loses = |act: &Act| matches!(act, Act::Scale { pods, .. } if *pods < 7);
    assert!(!acts.iter().any(loses), "{acts:?}");
}

#[test]
fn a_set_that_cannot_be_taken_over_holds_up_nothing_and_is_said() {
    let mut world = settled(World::seed());
    orphan(&mut world, "was:v56-slow");
    world.disowns = Some("may not update ReplicaSets");
    // It is tried again for ever; the deadline passes all the same.
    world.run_until(|world| world.state().is_aborted());
    world.run_until(|world| world.phase() == "Degraded");
    let said = |world: &World| world.status("conditions").to_string().contains("may not update ReplicaSets");
    assert!(said(&world), "{}", world.status("conditions"));
    world.disowns = None;
    world.settle();
    assert_eq!(
        (world.sets[0]["metadata"]["ownerReferences"][1]["uid"].as_str(), said(&world)),
        (Some("another-uid"), false)
    );
}

#[test]
fn a_set_whose_rollout_is_gone_and_that_is_not_collected_yet_is_waited_for() {
    let mut world = settled(World::seed());
    let (sets, pods) = (world.sets.clone(), world.pods.clone());
    recreate(&mut world, V55);
    (world.sets, world.pods) = (sets, pods);
    world.run_until(|world| world.said.1.contains("already exists"));
    assert!(world.said.1.contains("already exists"), "{:?}", world.said);
    lose(&mut world, V55);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V55.to_owned(), 2)]), "{:?}", world.said);
}

#[test]
fn a_rollout_that_is_being_deleted_is_left_alone() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    let key = world.want("run/56", Some(V56), OnTimeout::Hold);
    world.turn();
    world.rollout["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let left = world.journal.len();
    // The collector takes what it owned, set by set.
    for image in [V56, V55] {
        lose(&mut world, image);
        for _ in 0..5 {
            world.step();
            world.now += 600_000;
        }
    }
    assert_eq!((world.sets.len(), world.journal.len()), (0, left), "{:?}", world.said);
    assert!(world.said.1.contains("being deleted"), "{:?}", world.said);
    let entry = Entry::TimedOut { key: key.clone() };
    world.journal.push((world.now, By::Run("run/56".into()), entry));
    world.settle();
    assert!(matches!(world.answer(&key), Some(Response::Failed { transient: true, .. })), "{:?}", world.answer(&key));
}
