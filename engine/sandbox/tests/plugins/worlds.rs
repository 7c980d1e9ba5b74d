//! Plugins of the worlds beside `step`: what they answer, and what they cannot have.

use std::fs;
use std::sync::Arc;

use pipeline::limits::{Limit, Limits};
use pipeline::permission::{Ability, Permissions};
use sandbox::{Abilities, Health, HealthStatus, Judgement, Plugin, Sandbox, Split, Verdict, Verification};

use crate::world::{self, World, example, grants, limits, sandbox};

async fn plugin(name: &str) -> Plugin {
    sandbox().load_file(name, &example(name)).await.unwrap()
}

fn abilities(world: World) -> (Arc<World>, Arc<dyn Abilities>) {
    let world = Arc::new(world);
    (Arc::clone(&world), world)
}

#[track_caller]
pub(crate) fn answer<T: std::fmt::Debug>(verdict: Verdict<T>) -> T {
    match verdict {
        Verdict::Succeeded { outputs } => outputs,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_world_says_what_it_asks() {
    for (name, world, imports) in [
        ("health", sandbox::World::Health, vec![]),
        ("generate", sandbox::World::Generate, vec![Ability::Log, Ability::Workspace]),
        ("measure", sandbox::World::Measure, vec![Ability::Metrics]),
        ("route", sandbox::World::Route, vec![Ability::Http, Ability::Secrets]),
    ] {
        let plugin = plugin(name).await;
        assert_eq!((plugin.world(), plugin.imports()), (world, &imports[..]), "{name}");
        for ability in &imports {
            assert!(world.may_ask().contains(ability), "{name}: {ability}");
        }
    }
}

#[tokio::test]
async fn health_is_what_the_plugin_says() {
    let plugin = plugin("health").await;
    let assess = async |object: &str| {
        let (_, host) = abilities(World::default());
        sandbox().health(&plugin, object, &limits(), host).await
    };
    for (object, status, message) in [
        (r#"{"kind":"Certificate"}"#, HealthStatus::Progressing, "it has no condition yet"),
        (r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#, HealthStatus::Healthy, ""),
        (
            r#"{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Failed","message":"no such issuer"}]}}"#,
            HealthStatus::Degraded,
            "no such issuer",
        ),
        (r#"{"status":{"conditions":[{"type":"Ready","status":"maybe"}]}}"#, HealthStatus::Unknown, ""),
    ] {
        assert_eq!(answer(assess(object).await), Health { status, message: message.to_owned() }, "{object}");
    }
    let verdict = assess(r#"{"status":{"conditions":[{"type":1}]}}"#).await;
    let Verdict::Rejected { because } = verdict else { panic!("{verdict:?}") };
    assert!(because.starts_with("object: status.conditions[0].type: "), "{because}");
}

#[tokio::test]
async fn manifests_come_from_the_folder_and_the_parameters() {
    let plugin = plugin("generate").await;
    let mut world = World::default();
    world.files.insert("app.yaml.in".to_owned(), b"replicas: @REPLICAS@\n".to_vec());
    world.files.insert("README.md".to_owned(), b"@REPLICAS@".to_vec());
    let (world, host) = abilities(world);
    let generate = async |limits: &Limits| {
        sandbox()
            .generate(&plugin, r#"{"env":{"STAGE":"x"},"parameters":{"REPLICAS":3}}"#, limits, Arc::clone(&host))
            .await
    };
    assert_eq!(answer(generate(&limits()).await), ["replicas: 3\n"]);
    assert_eq!(world.happened().log[0].1, "app.yaml.in: 12 bytes");
    let verdict = generate(&Limits { output_bytes: 11, ..limits() }).await;
    assert!(matches!(verdict, Verdict::Limit { which: Limit::Output, .. }), "{verdict:?}");
}

pub(crate) const METRIC: &str = r#"{"provider":"prometheus","good":"good","all":"all","at-least":0.95}"#;

async fn measured(values: &[(&str, &[f64])], granted: &[(&str, &str)]) -> Verdict<sandbox::Measurement> {
    let plugin = plugin("measure").await;
    let metrics = values.iter().map(|(query, values)| ((*query).to_owned(), values.to_vec())).collect();
    let (_, host) = abilities(World { metrics, ..World::default() });
    sandbox().measure(&plugin, METRIC, &grants(granted), &limits(), host).await
}

#[tokio::test]
async fn a_measurement_is_a_value_and_a_judgement() {
    let granted = [("metrics", "prometheus")];
    for (good, all, value, judgement) in [
        (99.0, 100.0, "0.99", Judgement::Successful),
        (90.0, 100.0, "0.9", Judgement::Failed),
        (0.0, 0.0, "0", Judgement::Inconclusive),
    ] {
        let measurement = answer(measured(&[("good", &[good]), ("all", &[all])], &granted).await);
        assert_eq!((measurement.value.to_string().as_str(), measurement.judgement), (value, judgement));
    }
    let verdict = measured(&[], &granted).await;
    assert_eq!(verdict, Verdict::Rejected { because: "good: 0 series instead of one".to_owned() });
    let verdict = measured(&[], &[("metrics", "another")]).await;
    let Verdict::Denied(denied) = verdict else { panic!("{verdict:?}") };
    assert_eq!(denied.help, r#"add to the step: grants: { metrics: ["prometheus"] }"#);
}

pub(crate) const ROLLOUT: &str = r#"{"metadata":{"namespace":"petclinic","name":"was"},"spec":{"strategy":{"canary":
    {"trafficRouting":{"plugins":{"example/http":{"address":"https://router.example/weights"}}}}}}}"#;

#[tokio::test]
async fn a_router_sets_verifies_and_removes() {
    let plugin = plugin("route").await;
    let mut world = World::petclinic();
    world.secrets.insert("router".to_owned(), "hunter2".to_owned());
    let (world, host) = abilities(world);
    let split = Split { rollout: ROLLOUT.to_owned(), weight: 20, others: Vec::new() };
    let granted = grants(&[("http", "PUT,GET,DELETE router.example"), ("secrets", "router")]);
    answer(sandbox().set_weight(&plugin, &split, &granted, &limits(), Arc::clone(&host)).await);
    // The world answers `ok`, which is no weight.
    let verified = sandbox().verify_weight(&plugin, &split, &granted, &limits(), Arc::clone(&host)).await;
    assert_eq!(answer(verified), Verification::NotVerified);
    answer(sandbox().remove(&plugin, ROLLOUT, &granted, &limits(), Arc::clone(&host)).await);
    let sent: Vec<_> =
        world.happened().requests.into_iter().map(|(method, url, _, body)| (method, url, body)).collect();
    let url = "https://router.example/weights/petclinic/was";
    let expected = [("PUT", "20"), ("GET", ""), ("DELETE", "")];
    assert_eq!(sent, expected.map(|(method, body)| (method.to_owned(), url.to_owned(), body.to_owned())));
    let verdict = sandbox().set_weight(&plugin, &split, &Permissions::none(), &limits(), host).await;
    assert!(matches!(&verdict, Verdict::Denied(denied) if denied.grant == Ability::Secrets), "{verdict:?}");
}

#[tokio::test]
async fn a_plugin_of_another_world_is_not_asked() {
    let (_, host) = abilities(World::petclinic());
    let health = plugin("health").await;
    let verdict = sandbox().run(&health, "{}", &Permissions::none(), &limits(), Arc::clone(&host)).await;
    let because = "the plugin `health` is of the world `health`, and not of `step`".to_owned();
    assert_eq!(verdict, Verdict::Rejected { because });
    let step = world::plugin("sync").await;
    let verdict = sandbox().health(&step, "{}", &limits(), host).await;
    let because = "the plugin `sync` is of the world `step`, and not of `health`".to_owned();
    assert_eq!(verdict, Verdict::Rejected { because });
}

/// A component with one text in place of another of the same length.
fn patched(name: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut wasm = fs::read(example(name)).unwrap();
    for at in 0..wasm.len() - from.len() {
        if wasm[at..].starts_with(from.as_bytes()) {
            wasm[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    wasm
}

#[tokio::test]
async fn what_is_outside_of_its_world_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(dir.path(), sandbox::Settings::default()).unwrap();
    for (name, from, to, because) in [
        (
            "generate",
            "plugin/workspace@",
            "plugin/artifacts@",
            "it asks for artifacts, which a plugin of the world `generate` cannot have: it may have log, workspace",
        ),
        (
            "route",
            "plugin/secrets@",
            "plugin/cluster@",
            "it asks for cluster, which a plugin of the world `route` cannot have: it may have log, http, secrets",
        ),
    ] {
        let refused = sandbox.load(name, &patched(name, from, to)).await.err().unwrap().to_string();
        assert!(refused.contains(because), "{refused}");
    }
}
