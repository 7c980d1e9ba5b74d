//! The decision, driven in a small world; and the journal cut after every entry.

#[path = "tests/world.rs"]
mod world;

use super::application::Ownership;
use super::*;
use crate::health::{Health, Judged, Status};
use crate::next::Phase;
use crate::outcome::Outcomes;
use crate::request::{Key, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use world::World;

fn key(step: &str) -> Key {
    Key { run: "user/petclinic/petclinic-was/56".into(), step: step.into() }
}

fn deployment(name: &str, image: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": name, "image": image }] } } } })
}

fn config(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "v": value } })
}

fn autoscaler(target: &str) -> Value {
    json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "hpa" },
        "spec": { "minReplicas": 2, "maxReplicas": 10,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target } } })
}

fn said(world: &mut World) -> (Phase, String) {
    let next = world.settle();
    (next.status.phase, next.status.message)
}

#[test]
fn git_is_applied_and_then_nothing_is_written() {
    let mut world = World::new(&[deployment("web", "web:1"), config("a", "1")]);
    assert_eq!(said(&mut world), (Phase::Done, "synced at c1, Healthy".into()));
    let writes = world.writes();
    assert!(world.namespaces.contains(&"petclinic".to_owned()));
    assert_eq!(said(&mut world).0, Phase::Done);
    assert_eq!(world.writes(), writes, "no change, no write");
    world.push(&[deployment("web", "web:2"), config("a", "1")]);
    assert_eq!(said(&mut world).1, "synced at c2, Healthy");
    assert_eq!(world.applied("Deployment", "web"), 2);
    assert_eq!(world.applied("ConfigMap", "a"), 1, "what has not changed is not sent");
}

#[test]
fn a_want_is_met_by_the_commit_and_its_workloads() {
    let mut world = World::new(&[deployment("web", "web:1")]);
    let _next = world.settle();
    world.ready = false;
    world.push(&[deployment("web", "web:2")]);
    world.want("sync", "c2");
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Waiting, "{text}");
    assert!(text.starts_with("applied at c2; Deployment/web in petclinic is Progressing"), "{text}");
    world.ready = true;
    world.controllers();
    let _next = world.settle();
    let met = Response::Met { outputs: json!({ "revision": "c2" }) };
    assert_eq!(world.recorded().answer(&key("sync")), Some(&met));
}

#[test]
fn a_want_fails_with_the_workload_and_with_the_refusal() {
    let mut world = World::new(&[deployment("web", "web:1")]);
    let _next = world.settle();
    world.want("degraded", "c1");
    world.degrade("web");
    let _next = world.settle();
    let answer = world.recorded().answer(&key("degraded")).cloned();
    assert!(
        matches!(&answer, Some(Response::Failed { because, .. }) if because.contains("exceeded its progress deadline")),
        "{answer:?}"
    );

    let mut world = World::new(&[deployment("web", "web:1")]);
    world.refuse = Some("web:bad".into());
    let _next = world.settle();
    world.push(&[deployment("web", "web:bad"), config("a", "1")]);
    world.want("refused", "c2");
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Blocked);
    assert!(text.contains("web:bad is refused") && text.contains("c2"), "{text}");
    assert!(
        matches!(world.recorded().answer(&key("refused")), Some(Response::Failed { because, .. }) if because.contains("web:bad"))
    );
    assert!(world.live("ConfigMap", "a").is_none(), "the rehearsal failed: nothing was applied");
    let tries = world.recorded().history.len();
    let _next = world.settle();
    assert_eq!(world.recorded().history.len(), tries, "no second automatic sync of what failed");
    world.push(&[deployment("web", "web:3")]);
    assert_eq!(said(&mut world).0, Phase::Done);
}

#[test]
fn what_was_refused_is_known_by_the_outcome_and_forgotten_with_its_sync() {
    let mut world = World::new(&[deployment("web", "web:1")]);
    let _next = world.settle();
    world.refuse = Some("web:bad".into());
    world.push(&[deployment("web", "web:bad")]);
    world.want("refused", "c2");
    // Until something was refused, and the sync has not ended yet.
    for _turn in 0..10 {
        if !refused(&world.outcomes).is_empty() {
            break;
        }
        let _next = world.turn();
    }
    let [one] = &refused(&world.outcomes)[..] else { panic!("{:?}", world.outcomes) };
    assert!(one.object.because.contains("web:bad") && one.object.sent.as_ref().is_some_and(|sent| sent.len() == 32));
    // A server that starts anew in between tries once more, and hears the same.
    let mut anew = world.clone();
    anew.outcomes = Outcomes::default();
    for mut world in [world, anew] {
        assert_eq!(said(&mut world).0, Phase::Blocked);
        assert!(matches!(world.recorded().history[0].outcome, Outcome::Failed { .. }));
        assert!(refused(&world.outcomes).is_empty(), "its sync has ended");
        world.push(&[deployment("web", "web:3")]);
        assert_eq!(said(&mut world).0, Phase::Done);
    }
}

#[test]
fn a_status_that_the_server_does_not_keep_is_written_once() {
    let mut world = World::new(&[config("a", "1")]);
    world.keeps = world::Keeps::Nothing;
    let _next = world.settle();
    let told = world.told;
    let _next = world.settle();
    assert_eq!((told > 0, world.told), (true, told));
    world.push(&[config("a", "2")]);
    let _next = world.settle();
    assert!(world.told > told, "it says something else by then");
}

/// A custom resource whose kind a plugin judges, and what the plugin says of it.
fn judged(world: &mut World, status: Status) {
    let kind = "example.com/Widget".parse().expect("it is a kind");
    let uid = world.live("Widget", "w").map(|live| object::uid(live).to_owned()).unwrap_or_default();
    let health = Health::new(status, "so says the plugin");
    world.judged = Judged { kinds: BTreeSet::from([kind]), answers: BTreeMap::from([(uid, health)]) };
}

fn widget(name: &str, wave: &str) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": { "name": name, "annotations": { "argocd.argoproj.io/sync-wave": wave } }, "spec": { "size": 3 } })
}

#[test]
fn what_a_plugin_judges_is_waited_for_and_shown() {
    let mut world = World::new(&[widget("w", "0")]);
    assert_eq!(said(&mut world).1, "synced at c1, Healthy", "without a plugin the kind has no health");
    world.want("sync", "c1");
    judged(&mut world, Status::Progressing);
    let (mood, text) = said(&mut world);
    assert_eq!(
        (mood, text.as_str()),
        (Phase::Waiting, "applied at c1; Widget/w in petclinic is Progressing: so says the plugin")
    );
    judged(&mut world, Status::Unknown);
    assert_eq!(said(&mut world).0, Phase::Waiting, "a plugin that failed says nothing good");
    assert_eq!(world.writes(), 1, "and nothing is written or pruned for it");
    judged(&mut world, Status::Healthy);
    let _next = world.settle();
    assert!(matches!(world.recorded().answer(&key("sync")), Some(Response::Met { .. })));
    world.want("again", "c1");
    judged(&mut world, Status::Degraded);
    let _next = world.settle();
    let answer = world.recorded().answer(&key("again")).cloned();
    assert!(
        matches!(&answer, Some(Response::Failed { because, .. }) if because.contains("Degraded: so says")),
        "{answer:?}"
    );
}

#[test]
fn what_cannot_be_told_hides_no_workload_that_failed() {
    let mut world = World::new(&[widget("w", "0"), deployment("web", "web:1")]);
    let _next = world.settle();
    judged(&mut world, Status::Unknown);
    world.want("sync", "c1");
    assert_eq!(said(&mut world).0, Phase::Waiting);
    world.degrade("web");
    let _next = world.settle();
    let answer = world.recorded().answer(&key("sync")).cloned();
    assert!(
        matches!(&answer, Some(Response::Failed { because, transient: false }) if because.contains("Deployment/web")),
        "{answer:?}"
    );
}

#[test]
fn a_wave_waits_for_what_a_plugin_judges() {
    let mut world = World::new(&[widget("w", "0"), config("a", "1")]);
    let kind = "example.com/Widget".parse().expect("it is a kind");
    world.judged.kinds.insert(kind);
    world.push(&[widget("w", "-1"), config("a", "1")]);
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Waiting, "{text}");
    assert!(text.contains("wave -1: Widget/w in petclinic is Unknown: its plugin was not asked yet"), "{text}");
    assert!(world.live("ConfigMap", "a").is_none());
    judged(&mut world, Status::Healthy);
    assert_eq!(said(&mut world).0, Phase::Done);
    assert!(world.live("ConfigMap", "a").is_some());
}

#[test]
fn what_the_server_lacks_is_a_refusal_and_no_decision() {
    let world = World::new(&[config("a", "1")]);
    let lacking = Some("no [[generate]] is named `x`".to_owned());
    let observed =
        Observed::read(Objects { application: Some(world.application.clone()), lacking, ..Objects::default() });
    let next = decide(&world.recorded(), &observed, world.now);
    assert_eq!((next.status.phase, next.status.message.as_str()), (Phase::Blocked, "no [[generate]] is named `x`"));
    assert!(next.acts.is_empty() && next.record.is_empty());
}

#[test]
fn a_branch_that_went_another_way_supersedes() {
    let mut world = World::new(&[config("a", "1")]);
    world.standing.insert("lost".into(), Standing::Diverged);
    world.want("sync", "lost");
    let _next = world.settle();
    assert!(matches!(world.recorded().answer(&key("sync")), Some(Response::Superseded { .. })));
    world.standing.insert("soon".into(), Standing::Behind);
    world.want("later", "soon");
    let (mood, text) = said(&mut world);
    assert_eq!((mood, text.as_str()), (Phase::Waiting, "waiting until HEAD arrives at soon"));
}

#[test]
fn drift_is_healed_and_more_slowly_each_time() {
    let mut world = World::new(&[config("a", "1")]);
    let _next = world.settle();
    let mut waits = Vec::new();
    for _attempt in 0..4 {
        world.live_mut("ConfigMap", "a")["data"]["v"] = "9".into();
        let before = world.now;
        let _next = world.settle_with_time();
        assert_eq!(world.live("ConfigMap", "a").expect("it lives")["data"]["v"], "1");
        waits.push((world.now - before) / 1_000);
    }
    assert_eq!(waits[0], 0, "{waits:?}");
    assert!(waits[1] >= 1 && waits[2] > waits[1] && waits[3] > waits[2], "{waits:?}");
    world.application["spec"]["syncPolicy"]["automated"]["selfHeal"] = false.into();
    world.live_mut("ConfigMap", "a")["data"]["v"] = "9".into();
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Waiting);
    assert_eq!(text, "drifted, and selfHeal is off: ConfigMap/a in petclinic differs at .data.v: git says 1, 9 lives");
}

#[test]
fn a_field_that_left_git_is_dropped() {
    let mut both = config("a", "1");
    both["data"]["w"] = "2".into();
    let mut world = World::new(&[both]);
    let _next = world.settle();
    world.push(&[config("a", "1")]);
    let _next = world.settle();
    assert_eq!(world.live("ConfigMap", "a").expect("it lives")["data"], json!({ "v": "1" }));
}

#[test]
fn an_autoscalers_replicas_are_never_touched() {
    let mut world = World::new(&[deployment("web", "web:1"), autoscaler("web")]);
    let _next = world.settle();
    assert_eq!(world.live("Deployment", "web").expect("it lives")["spec"]["replicas"], 2, "sent on creation");
    assert_eq!(world.owners("Deployment", "web"), ["bespin-handover"], "handed over at once");
    world.scale("web", 7);
    world.push(&[deployment("web", "web:2"), autoscaler("web")]);
    let _next = world.settle();
    let live = world.live("Deployment", "web").expect("it lives");
    assert_eq!(live["spec"]["replicas"], 7);
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    world.scale("web", 0);
    let _next = world.settle_with_time();
    assert_eq!(world.live("Deployment", "web").expect("it lives")["spec"]["replicas"], 2, "0 is outside 2 to 10");
}

#[test]
fn what_left_git_is_pruned_within_its_guards() {
    let mut kept = config("kept", "1");
    object::set_meta(&mut kept, "annotations", SYNC_OPTIONS, "Prune=false");
    let all = [config("a", "1"), config("b", "1"), kept];
    let mut world = World::new(&all);
    let _next = world.settle();
    world.add_live(
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "copy", "namespace": "petclinic",
        "annotations": { tracking::TRACKING: "petclinic:/ConfigMap:petclinic/a" } } }),
    );
    world.push(&[config("a", "1")]);
    let (mood, text) = said(&mut world);
    assert!(world.live("ConfigMap", "b").is_none());
    assert!(world.live("ConfigMap", "kept").is_some() && world.live("ConfigMap", "copy").is_some());
    assert_eq!((mood, text.as_str()), (Phase::Waiting, "ConfigMap/kept in petclinic left git and is still there"));
    world.push(&[]);
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Blocked);
    assert!(text.contains("allowEmpty"), "{text}");
    assert!(world.live("ConfigMap", "a").is_some());
    world.scope = Scope::InUse;
    assert!(said(&mut world).1.contains("before a first full look"));
}

#[test]
fn waves_wait_for_health_and_degraded_ends_the_sync() {
    let mut first = deployment("first", "a:1");
    object::set_meta(&mut first, "annotations", order::WAVE, "-1");
    let mut world = World::new(&[config("a", "1"), first.clone()]);
    world.ready = false;
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Waiting);
    assert!(text.starts_with("waiting for wave -1: Deployment/first in petclinic is Progressing"), "{text}");
    assert!(world.live("ConfigMap", "a").is_none());
    world.degrade("first");
    assert_eq!(said(&mut world).0, Phase::Blocked);
    assert!(matches!(world.recorded().history[0].outcome, Outcome::Failed { .. }));
}

#[test]
fn what_is_not_ours_is_only_looked_at() {
    let mut world = World::new(&[config("a", "1")]);
    world.disown();
    world.want("sync", "c1");
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Waiting);
    assert_eq!(text, "observed only; would sync, for ConfigMap/a in petclinic is missing");
    assert_eq!(world.writes(), 0);
    assert!(
        matches!(world.recorded().answer(&key("sync")), Some(Response::Failed { because, .. }) if because.contains("bespin take petclinic"))
    );
}

#[test]
fn taking_waits_until_the_old_controller_is_silent() {
    let mut world = World::new(&[config("a", "1")]);
    world.disown();
    world.append(Entry::TakeAsked);
    world.foreign_write();
    let (mood, _) = said(&mut world);
    assert_eq!(mood, Phase::Waiting);
    assert_eq!(object::annotation(&world.application, application::SKIP), Some("true"));
    assert_eq!(application::ownership(&world.application), Ownership::Observed, "its last write is too young");
    world.now += 10_000;
    world.foreign_write();
    world.now += 10_000;
    assert_eq!(said(&mut world).0, Phase::Waiting, "it wrote again");
    world.now += 20_000;
    assert_eq!(said(&mut world).0, Phase::Done);
    assert_eq!(application::ownership(&world.application), Ownership::Owned);
    world.now += 60_000;
    world.foreign_write();
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Blocked);
    assert!(text.contains("argocd-controller wrote Application/petclinic"), "{text}");
    world.append(Entry::GiveAsked);
    let _next = world.settle();
    assert_eq!(application::ownership(&world.application), Ownership::Observed);
    assert_eq!(object::annotation(&world.application, application::SKIP), None);
}

#[test]
fn mistakes_in_git_stop_everything_and_are_named() {
    let mut world = World::new(&[config("a", "1"), config("a", "2")]);
    let (mood, text) = said(&mut world);
    assert_eq!(
        (mood, text.as_str()),
        (Phase::Blocked, "at c1: ConfigMap/a in petclinic is named twice in git: keep one")
    );
    let unknown = json!({ "apiVersion": "x.io/v1", "kind": "Odd", "metadata": { "name": "o" } });
    let mut world = World::new(&[config("a", "1"), unknown]);
    world.served.remove(&("x.io/v1".to_owned(), "Odd".to_owned()));
    let (mood, text) = said(&mut world);
    assert_eq!(mood, Phase::Waiting);
    assert!(text.contains("does not serve Odd of x.io/v1"), "{text}");
    assert!(world.live("ConfigMap", "a").is_none());
}

#[test]
fn a_kind_or_a_namespace_that_is_not_there_yet_is_waited_for() {
    let odd = json!({ "apiVersion": "x.io/v1", "kind": "Odd", "metadata": { "name": "o" } });
    let mut world = World::new(&[config("a", "1"), odd]);
    let gvk = ("x.io/v1".to_owned(), "Odd".to_owned());
    let served = world.served.remove(&gvk).expect("it was served");
    world.application["spec"]["syncPolicy"]["syncOptions"] = json!([]);
    world.want("sync", "c1");
    let (mood, text) = said(&mut world);
    assert_eq!((mood, text.contains("does not serve Odd of x.io/v1")), (Phase::Waiting, true), "{text}");
    world.now += 600_000;
    let _next = world.settle();
    assert_eq!(world.recorded().answer(&key("sync")), None, "only the step's timeout ends it");
    world.served.insert(gvk, served);
    let (mood, text) = said(&mut world);
    assert_eq!((mood, text.contains("the namespace petclinic does not exist")), (Phase::Waiting, true), "{text}");
    assert_eq!((world.writes(), world.recorded().answer(&key("sync"))), (0, None));
    world.namespaces.push("petclinic".to_owned());
    assert_eq!(said(&mut world).0, Phase::Done);
    assert!(matches!(world.recorded().answer(&key("sync")), Some(Response::Met { .. })));
}

#[test]
fn a_request_outlives_an_application_that_is_made_again() {
    let mut world = World::new(&[config("a", "1")]);
    world.want("sync", "c1");
    let next = decide(&world.recorded(), &Observed::Gone, world.now);
    assert_eq!((next.status.phase, next.record.len()), (Phase::Waiting, 0), "{}", next.status.message);
    let _next = world.settle();
    assert!(matches!(world.recorded().answer(&key("sync")), Some(Response::Met { .. })));
}

/// The law of every stage: whatever the journal has lost at its end, the same
/// ending comes, and nothing is done that was not to be done.
#[test]
fn the_journal_may_be_cut_after_every_entry() {
    let story = |world: &mut World| {
        world.want("sync", "c2");
        let _next = world.settle_with_time();
    };
    let start = || {
        let mut world =
            World::new(&[deployment("web", "web:1"), autoscaler("web"), config("a", "1"), config("gone", "1")]);
        let _next = world.settle();
        world.scale("web", 5);
        world.push(&[deployment("web", "web:2"), autoscaler("web"), config("a", "2")]);
        world
    };
    for seed in 1..=16 {
        let mut hints = start();
        hints.loses = Some(seed);
        story(&mut hints);
        assert!(matches!(hints.recorded().answer(&key("sync")), Some(Response::Met { .. })), "seed {seed}");
    }
    let mut whole = start();
    let before = whole.journal.len();
    whole.snapshots.clear();
    story(&mut whole);
    assert!(matches!(whole.recorded().answer(&key("sync")), Some(Response::Met { .. })));
    let cuts = whole.snapshots.len();
    assert!(cuts >= 4, "the story has several entries: {cuts}");
    for cut in 0..cuts {
        for when in [world::When::BeforeActs, world::When::AfterActs] {
            let mut resumed = whole.resume(cut, when);
            assert!(resumed.journal.len() > before);
            let _next = resumed.settle_with_time();
            assert_eq!(resumed.essence(), whole.essence(), "cut {cut} {when:?}");
            assert!(
                matches!(resumed.recorded().answer(&key("sync")), Some(Response::Met { .. })),
                "cut {cut} {when:?}"
            );
        }
    }
}

#[test]
fn nothing_is_applied_before_all_of_it_was_rehearsed_wherever_it_is_cut() {
    let start = || {
        let mut all: Vec<Value> = (0..9).map(|number| config(&format!("c{number}"), "1")).collect();
        all.push(deployment("web", "web:bad"));
        let mut world = World::new(&all);
        world.refuse = Some("web:bad".into());
        world.want("sync", "c1");
        world
    };
    let refused = |world: &mut World, which: &str| {
        let _next = world.settle_with_time();
        assert_eq!(world.writes(), 0, "{which}");
        let answer = world.recorded().answer(&key("sync")).cloned();
        assert!(matches!(&answer, Some(Response::Failed { because, .. }) if because.contains("web:bad")), "{which}");
    };
    for seed in 1..=16 {
        let mut hints = start();
        hints.loses = Some(seed);
        refused(&mut hints, &format!("seed {seed}"));
    }
    let mut whole = start();
    refused(&mut whole, "uncut");
    assert!(whole.snapshots.len() >= 3, "the story has several entries: {}", whole.snapshots.len());
    for cut in 0..whole.snapshots.len() {
        for when in [world::When::BeforeActs, world::When::AfterActs] {
            refused(&mut whole.resume(cut, when), &format!("cut {cut} {when:?}"));
        }
    }
}

#[test]
fn an_application_that_is_made_again_gets_the_same_status_once_more() {
    let mut world = World::new(&[config("a", "1")]);
    let _next = world.settle();
    let told = world.told;
    object::remove(&mut world.application, &["status"]);
    world.application["metadata"]["uid"] = "made again".into();
    let _next = world.settle();
    assert_eq!((world.told, world.application["status"].is_object()), (told + 1, true));
}

#[test]
fn what_does_not_stay_as_it_was_applied_is_not_applied_without_end() {
    let mut world = World::new(&[config("a", "1")]);
    world.resets = Some("0".into());
    world.want("sync", "c1");
    let (mood, text) = said(&mut world);
    assert_eq!((mood, world.applied("ConfigMap", "a")), (Phase::Waiting, 1), "{text}");
    let next = world.settle_with_time();
    assert_eq!(next.status.phase, Phase::Blocked);
    assert!((2..10).contains(&world.applied("ConfigMap", "a")), "{}", world.applied("ConfigMap", "a"));
    let answer = world.recorded().answer(&key("sync")).cloned();
    assert!(
        matches!(&answer, Some(Response::Failed { because, .. })
            if because.contains("after it was applied, ConfigMap/a in petclinic differs at .data.v")),
        "{answer:?}"
    );
}
