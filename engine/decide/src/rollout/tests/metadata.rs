//! `canaryMetadata` and `stableMetadata`: pods carry them for as long as their version has that part.

use super::super::*;
use super::world::{Step, V55, V56, World, at_weight, settled};
use crate::annotations::OVERWRITTEN;
use serde_json::{Value, json};

fn seed() -> World {
    let mut world = World::seed();
    let canary = &mut world.rollout["spec"]["strategy"]["canary"];
    canary["canaryMetadata"] = json!({"labels": {"role": "canary"}, "annotations": {"note": "on its way"}});
    canary["stableMetadata"] = json!({"labels": {"role": "stable"}});
    world
}

fn start() -> World {
    settled(seed())
}

/// Takes both out of the spec.
fn remove(world: &mut World) {
    let canary = world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap();
    canary.remove("stableMetadata");
    canary.remove("canaryMetadata");
    world.changed();
}

fn set<'a>(world: &'a World, image: &str) -> &'a Value {
    let is = |set: &&Value| set["spec"]["template"]["spec"]["containers"][0]["image"] == image;
    world.sets.iter().find(is).unwrap()
}

/// A label or an annotation of each pod of a version.
fn carried(world: &World, image: &str, pointer: &str) -> Vec<Value> {
    let uid = &set(world, image)["metadata"]["uid"];
    let pods = world.pods.iter().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == *uid);
    pods.map(|pod| pod.pointer(&format!("/metadata/{pointer}")).cloned().unwrap_or_default()).collect()
}

fn names(world: &World) -> Vec<Value> {
    world.pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect()
}

fn annotation(world: &World, image: &str, key: &str) -> Option<Value> {
    set(world, image)["metadata"]["annotations"].get(key).filter(|said| !said.is_null()).cloned()
}

#[test]
fn pods_carry_what_their_version_is_for_as_long_as_it_is_that() {
    let mut world = start();
    assert_eq!(carried(&world, V55, "labels/role"), ["stable", "stable"]);
    world.deploy(V56);
    let mut world = at_weight(world, 75);
    assert_eq!(carried(&world, V55, "labels/role"), ["stable", "stable"]);
    assert_eq!(carried(&world, V56, "labels/role"), ["canary", "canary"]);
    assert_eq!(carried(&world, V56, "annotations/note"), ["on its way", "on its way"]);
    let of = |world: &World| -> Vec<Value> {
        let uid = set(world, V56)["metadata"]["uid"].clone();
        let pods = world.pods.iter().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == uid);
        pods.map(|pod| pod["metadata"]["uid"].clone()).collect()
    };
    let before = of(&world);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]));
    assert_eq!(carried(&world, V56, "labels/role"), ["stable", "stable"]);
    assert_eq!(carried(&world, V56, "annotations/note"), [Value::Null, Value::Null]);
    assert_eq!(of(&world), before, "no pod is made anew for it");
    let put = Some(json!(r#"{"labels":{"role":"stable"}}"#));
    assert_eq!(annotation(&world, V56, EPHEMERAL), put, "as Argo writes it");
    assert_eq!(annotation(&world, V55, EPHEMERAL), None, "a version that serves no more carries nothing");
    assert_eq!(set(&world, V55)["spec"]["template"]["metadata"]["labels"].get("role"), None);
    world.deploy(V55);
    world.settle();
    assert_eq!((world.phase(), world.sets.len()), ("Healthy", 2), "the sets are known again");
    assert_eq!(carried(&world, V55, "labels/role"), ["stable", "stable"]);
}

#[test]
fn an_aborted_canary_is_still_the_canary() {
    let mut world = start();
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    world.ask(Action::Abort);
    world.run_until(|world| world.served() == Some(0));
    assert_eq!(carried(&world, V56, "labels/role"), ["canary"]);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]));
}

#[test]
fn what_is_taken_out_of_the_spec_is_taken_off_the_pods_and_what_they_have_of_their_own_stays() {
    let mut world = start();
    for pod in &mut world.pods {
        pod["metadata"]["labels"]["injected"] = json!("mesh");
    }
    remove(&mut world);
    world.settle();
    assert_eq!(carried(&world, V55, "labels/injected"), ["mesh", "mesh"]);
    assert_eq!(carried(&world, V55, "labels/role"), [Value::Null, Value::Null]);
    assert_eq!(annotation(&world, V55, EPHEMERAL), None);
    assert_eq!((world.phase(), world.sets.len()), ("Healthy", 1));
}

/// The template has the keys as well: what it says is there again, also of a version that is not the newest any more.
#[test]
fn what_the_template_says_itself_comes_back_and_is_no_other_template() {
    let mut world = seed();
    world.rollout["spec"]["template"]["metadata"]["annotations"] = json!({"note": "own", "role": "own"});
    world.rollout["spec"]["template"]["metadata"]["labels"]["role"] = json!("own");
    let mut world = settled(world);
    assert_eq!(carried(&world, V55, "labels/role"), ["stable", "stable"]);
    assert_eq!(annotation(&world, V55, OVERWRITTEN), Some(json!(r#"{"labels":{"role":"own"}}"#)));
    world.deploy(V56);
    let mut world = at_weight(world, 25);
    assert_eq!(carried(&world, V56, "annotations/note"), ["on its way"]);
    assert_eq!(carried(&world, V56, "annotations/role"), ["own"]);
    let mut back = world.clone();
    back.deploy(V55);
    back.settle();
    assert_eq!((back.phase(), back.sets.len()), ("Healthy", 2), "undo in the middle makes no third set");
    remove(&mut world);
    world.run_until(|world| carried(world, V56, "annotations/note") == ["own"]);
    assert_eq!(carried(&world, V56, "annotations/note"), ["own"]);
    world.run_until(|world| carried(world, V55, "labels/role") == ["own", "own"]);
    assert_eq!(carried(&world, V55, "labels/role"), ["own", "own"], "of the stable version as well");
    world.settle();
    assert_eq!((world.phase(), world.sets.len()), ("Healthy", 2), "{:?}", world.said);
    assert_eq!(annotation(&world, V56, OVERWRITTEN), None);
    world.rollout["spec"]["template"]["metadata"]["annotations"]["note"] = json!("other");
    world.changed();
    world.settle();
    assert_eq!(world.sets.len(), 3, "a change of such a key is a new version");
}

#[test]
fn a_set_that_argo_made_with_such_metadata_keeps_its_hash_and_its_pods() {
    let mut world = World::seed();
    world.deploy(V55);
    world.settle();
    let argos = &mut world.sets[0];
    argos["metadata"]["annotations"][EPHEMERAL] = json!(r#"{"labels":{"role":"stable"},"annotations":{"was":"argo"}}"#);
    let hash = argos["metadata"]["labels"][HASH].clone();
    argos["spec"]["template"]["metadata"]["labels"]["role"] = json!("stable");
    argos["spec"]["template"]["metadata"]["annotations"] = json!({"was": "argo"});
    for pod in &mut world.pods {
        pod["metadata"]["labels"]["role"] = json!("stable");
        pod["metadata"]["annotations"] = json!({"was": "argo"});
    }
    // Another spelling of the template, so that only the set can tell that it is the same one.
    world.rollout["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
    let canary = &mut world.rollout["spec"]["strategy"]["canary"];
    canary["stableMetadata"] = json!({"labels": {"role": "stable", "tier": "web"}});
    let before = names(&world);
    world.changed();
    world.settle();
    assert_eq!((world.sets.len(), world.phase()), (1, "Healthy"), "{:?}", world.said);
    assert_eq!((world.status("currentPodHash"), names(&world)), (&hash, before));
    assert_eq!(carried(&world, V55, "labels/tier"), ["web", "web"]);
    assert_eq!(
        carried(&world, V55, "annotations/was"),
        [Value::Null, Value::Null],
        "what Argo put there is taken away"
    );
}

#[test]
fn a_set_that_was_left_behind_with_such_metadata_is_taken_over() {
    let mut world = start();
    for set in &mut world.sets {
        set["metadata"]["ownerReferences"] = json!([]);
    }
    world.rollout["metadata"]["uid"] = json!("another-uid");
    world.rollout["status"] = json!({});
    world.changed();
    let before = names(&world);
    world.settle();
    assert_eq!((world.sets.len(), world.phase()), (1, "Healthy"), "{:?}", world.said);
    assert_eq!(names(&world), before);
}

#[test]
fn wherever_the_server_dies_no_pod_keeps_what_it_should_not() {
    let end = |mut world: World| {
        world.settle();
        assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
        let put = annotation(&world, V56, EPHEMERAL);
        (carried(&world, V56, "labels/role"), carried(&world, V56, "annotations/note"), put)
    };
    let mut world = start();
    world.deploy(V56);
    let whole = end(world.clone());
    let mut deaths = 0;
    loop {
        let before = world.clone();
        if world.step() == Step::Rest {
            break;
        }
        for index in 0..*world.acts.last().unwrap() {
            let mut dying = before.clone();
            dying.dies = Some((before.turns + 1, index));
            assert_eq!(end(dying), whole, "turn {}, act {index}", before.turns + 1);
            deaths += 1;
        }
    }
    assert!(deaths > 20, "{deaths}");
}

#[test]
fn a_label_that_selects_the_pods_is_refused() {
    let said = |metadata: Value| {
        let mut world = World::seed();
        world.rollout["spec"]["strategy"]["canary"]["canaryMetadata"] = metadata;
        match spec::parse(&world.rollout) {
            Ok(_) => String::new(),
            Err(mistakes) => mistakes.iter().map(strategy::Mistake::to_string).collect::<Vec<_>>().join("; "),
        }
    };
    let selects = said(json!({"labels": {"app": "web"}}));
    assert!(selects.contains("canaryMetadata.labels.app: is a label that selects the pods (help: take"), "{selects}");
    assert_eq!(said(json!({"labels": {"app": "was"}})), "", "the same value changes nothing");
    assert!(said(json!({"labels": {HASH: "x"}})).contains("selects the pods"));
    assert!(said(json!({"labels": {"role": 1}})).contains("canaryMetadata.labels: is no map of texts"));
    assert!(said(json!({"finalizers": []})).contains("is not a known field"));
    assert!(said(json!("x")).contains("is not an object"));
    assert_eq!(said(json!({"labels": null, "annotations": {"a": "b"}})), "");
}

/// Where the server may not patch pods, all else goes on as it would, and that is said.
#[test]
fn marks_that_are_refused_hold_nothing_up() {
    let attempts = |world: &World| world.outcomes.iter().filter(|kept| kept.act == ActKey::Mark).count();
    let mut world = start();
    world.forbids = Some("pods is forbidden");
    world.deploy(V56);
    let mut world = at_weight(world, 50);
    world.scale(4);
    world.run_until(|world| carried(world, V55, "labels/role").len() == 4);
    let mut aborted = world.clone();
    aborted.ask(Action::Abort);
    aborted.run_until(|world| world.served() == Some(0) && world.running().len() == 1);
    assert_eq!((aborted.served(), aborted.running()), (Some(0), vec![(V55.to_owned(), 4)]));
    world.run_until(|world| world.phase() == "Healthy");
    assert_eq!((world.phase(), attempts(&world)), ("Healthy", 1), "{:?}", world.said);
    world.run_until(|world| world.running().len() == 1);
    assert_eq!(world.served(), Some(0), "{:?}", world.said);
    assert!(world.said.1.contains("cannot be written: pods is forbidden"), "{:?}", world.said);
    let (now, turns) = (world.now, world.turns);
    world.run_until(|world| world.now > now + 3_600_000);
    assert!(world.turns < turns + 200, "it is tried again seldom: {} turns in an hour", world.turns - turns);
    world.forbids = None;
    world.settle();
    assert_eq!(carried(&world, V56, "labels/role"), ["stable"; 4]);
    assert!(!world.said.1.contains("cannot be written"), "{:?}", world.said);
}

/// The canary's Service selects by such a label: its pods keep it as long as they get requests by it. Another template
/// comes, and the traffic goes back as the stable version gets its pods.
#[test]
fn no_service_loses_the_pods_that_serve_by_it() {
    let mut world = seed();
    world.services[1]["spec"]["selector"]["role"] = json!("canary");
    let canary = world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap();
    canary.remove("scaleDownDelaySeconds");
    canary.insert("dynamicStableScale".into(), json!(true));
    world.scale(10);
    let mut world = settled(world);
    world.deploy(V56);
    let mut world = at_weight(world, 75);
    let hash = set(&world, V56)["metadata"]["labels"][HASH].clone();
    world.deploy("was:v57");
    let mut turns = 0;
    while world.step() == Step::On {
        if world.served() > Some(0) && world.services[1]["spec"]["selector"][HASH] == hash {
            turns += 1;
            let roles = carried(&world, V56, "labels/role");
            assert!(roles.contains(&json!("canary")), "{roles:?} at {:?} %: {:?}", world.served(), world.said);
        }
    }
    assert!(turns > 0);
    assert_eq!((world.phase(), world.served()), ("Healthy", Some(0)), "{:?}", world.said);
    assert_eq!(carried(&world, "was:v57", "labels/role"), ["stable"; 10]);
}

/// The stable Service selects by what the stable version's pods carry: the canary's get it when they are to serve by it.
#[test]
fn the_stable_service_may_select_by_what_its_pods_are_to_carry() {
    let mut world = seed();
    world.services[0]["spec"]["selector"]["role"] = json!("stable");
    let mut world = settled(world);
    world.deploy(V56);
    let mut both = world.clone();
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Healthy", Some(0)), "{:?}", world.said);
    assert_eq!(world.weights, [10, 25, 50, 75, 100, 0]);
    assert_eq!(carried(&world, V56, "labels/role"), ["stable", "stable"]);
    // No pod can be behind both Services, as it has to be while the traffic moves from one to the other.
    both.services[1]["spec"]["selector"]["role"] = json!("canary");
    both.settle();
    assert_eq!((both.served(), both.weights.as_slice()), (Some(0), &[][..]), "{:?}", both.said);
    assert!(both.said.1.contains("Service was-stable selects role=stable, which the pods of"), "{:?}", both.said);
}
