//! Plugins that were built against an older contract run as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline::permission::Ability;
use sandbox::{Abilities, Health, HealthStatus, Judgement, Plugin, Split, Verification};

use crate::world::{World, example, grants, limits, outputs, sandbox};
use crate::worlds::{METRIC, ROLLOUT, answer};

/// `<version>.wasm`, one for every version that was ever released, or `<version>-<world>.wasm`.
fn released(world: sandbox::World) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/released");
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(".wasm");
        name.is_some_and(|name| name.split_once('-').map_or("step", |(_, of)| of) == world.to_string())
    };
    let mut released: Vec<PathBuf> = paths.filter(is_wanted).collect();
    released.sort();
    released
}

const SETTINGS: &str = r#"{
    "file": "was/Dockerfile", "secret": "token", "address": "https://api.example/x", "container": "alpine:3",
    "registry": "host.example/name", "manifests": "https://git.example/user/manifests.git",
    "application": "petclinic", "rollout": "petclinic/was"
}"#;

/// What 1.0.0 had.
const FIRST: [Ability; 10] = [
    Ability::Log,
    Ability::Workspace,
    Ability::Http,
    Ability::Secrets,
    Ability::Containers,
    Ability::Images,
    Ability::Registry,
    Ability::Git,
    Ability::Cluster,
    Ability::Canary,
];

const GRANTS: [(&str, &str); 11] = [
    ("http", "api.example"),
    ("secrets", "token"),
    ("containers", "alpine:*"),
    ("images", "build"),
    ("registry", "host.example/name"),
    ("git", "git.example/user/manifests"),
    ("cluster", "production/petclinic/*"),
    ("canary", "production/petclinic/*"),
    ("metrics", "prometheus"),
    ("terraform", "plan infrastructure"),
    ("terraform", "apply infrastructure"),
];

#[tokio::test]
async fn the_newest_contract_has_every_ability() {
    let plugin = sandbox().load_file("every", &example("every")).await.unwrap();
    assert_eq!(plugin.imports(), Ability::ALL);
    let world = Arc::new(World::petclinic());
    let abilities = Arc::clone(&world) as Arc<dyn Abilities>;
    let outputs = outputs(sandbox().run(&plugin, SETTINGS, &grants(&GRANTS), &limits(), abilities).await);
    assert_eq!(outputs["samples"], "1");
    let happened = world.happened();
    assert_eq!(happened.artifacts["report.txt"], b"FROM scratch");
    assert_eq!(happened.archives["every-1"], b"FROM scratch");
    assert_eq!(happened.queries[0].provider, "prometheus");
    assert_eq!(happened.plans[0], ("infrastructure".into(), vec![("token".into(), "hunter2".into())]));
    assert_eq!(happened.applied[0].folder, "infrastructure");
    assert_eq!(happened.log[2].1, r#"1 to add, 2 changes, left {"address":"10.0.0.1"}"#);
    assert_eq!(happened.log[1].1, "1 artifacts, cache Saved::Saved, 12 bytes restored");
}

#[tokio::test]
async fn every_released_contract_is_still_served() {
    let released = released(sandbox::World::Step);
    for version in ["1.0.0.wasm", "1.1.0.wasm"] {
        assert!(released.iter().any(|path| path.ends_with(version)), "{released:?}");
    }
    for path in released {
        let plugin = sandbox().load_file("every", &path).await.unwrap();
        for ability in FIRST {
            assert!(plugin.imports().contains(&ability), "{}: {ability}", path.display());
        }
        let world = Arc::new(World::petclinic());
        let abilities = Arc::clone(&world) as Arc<dyn Abilities>;
        let outputs = outputs(sandbox().run(&plugin, SETTINGS, &grants(&GRANTS), &limits(), abilities).await);
        for (name, value) in
            [("status", "200"), ("exit", "0"), ("digest", "sha256:b1"), ("revision", "c0ffee"), ("outcome", "promoted")]
        {
            assert_eq!(outputs[name], value, "{}", path.display());
        }
        let happened = world.happened();
        assert_eq!(happened.log[0].1, "was/Dockerfile has 12 bytes; there are 1 names");
        assert_eq!(happened.requests[0].2, [("authorization".to_owned(), "hunter2".to_owned())]);
        assert_eq!(happened.containers[0].2, [("TOKEN".to_owned(), "hunter2".to_owned())]);
    }
}

/// Each gives the answer that an example of its world gives today; a refused ability would be none.
#[tokio::test]
async fn every_released_world_still_answers() {
    use sandbox::World as Kind;
    for kind in Kind::ALL {
        let released = released(kind);
        assert!(!released.is_empty(), "{kind}");
        for path in released {
            let plugin = sandbox().load_file("released", &path).await.unwrap();
            assert_eq!(plugin.world(), kind, "{}", path.display());
            let mut world = World::petclinic();
            world.files.insert("app.yaml.in".to_owned(), b"replicas: @REPLICAS@\n".to_vec());
            world.secrets.insert("router".to_owned(), "hunter2".to_owned());
            world.metrics.extend([("good".to_owned(), vec![99.0]), ("all".to_owned(), vec![100.0])]);
            let world = Arc::new(world);
            answers(&plugin, &world).await;
        }
    }
}

/// Asks a plugin what the example of its world can answer, and compares.
async fn answers(plugin: &Plugin, world: &Arc<World>) {
    use sandbox::World as Kind;
    let host = Arc::clone(world) as Arc<dyn Abilities>;
    let limits = limits();
    match plugin.world() {
        Kind::Step => {
            let outputs = outputs(sandbox().run(plugin, SETTINGS, &grants(&GRANTS), &limits, host).await);
            assert_eq!(outputs["revision"], "c0ffee");
        }
        Kind::Health => {
            let certificate = r#"{"status":{"conditions":[{"type":"Ready","status":"True","message":"issued"}]}}"#;
            let health = answer(sandbox().health(plugin, certificate, &limits, host).await);
            assert_eq!(health, Health { status: HealthStatus::Healthy, message: "issued".to_owned() });
        }
        Kind::Generate => {
            let asked = r#"{"parameters":{"REPLICAS":3}}"#;
            assert_eq!(answer(sandbox().generate(plugin, asked, &limits, host).await), ["replicas: 3\n"]);
            assert_eq!(world.happened().log[0].1, "app.yaml.in: 12 bytes");
        }
        Kind::Measure => {
            let granted = grants(&[("metrics", "prometheus")]);
            let measured = answer(sandbox().measure(plugin, METRIC, &granted, &limits, host).await);
            assert_eq!((measured.value.to_string().as_str(), measured.judgement), ("0.99", Judgement::Successful));
        }
        Kind::Route => {
            let granted = grants(&[("http", "PUT,GET,DELETE router.example"), ("secrets", "router")]);
            let split = Split { rollout: ROLLOUT.to_owned(), weight: 20, others: Vec::new() };
            answer(sandbox().set_weight(plugin, &split, &granted, &limits, Arc::clone(&host)).await);
            let verified = sandbox().verify_weight(plugin, &split, &granted, &limits, Arc::clone(&host)).await;
            assert_eq!(answer(verified), Verification::NotVerified, "the world answers `ok`, which is no weight");
            answer(sandbox().remove(plugin, ROLLOUT, &granted, &limits, host).await);
            let methods = world.happened().requests.into_iter().map(|(method, ..)| method).collect::<Vec<_>>();
            assert_eq!(methods, ["PUT", "GET", "DELETE"]);
        }
    }
}

#[tokio::test]
async fn another_contract_is_refused_by_its_version_or_the_name_that_is_unknown() {
    for (from, to, because) in [
        ("@1.0.0", "@2.0.0", "built against version 2.0.0 of the contract; this server offers 1."),
        ("@1.0.0", "@0.9.0", "built against version 0.9.0 of the contract; this server offers 1."),
        ("canary@1", "canare@1", "asks for `bespin:plugin/canare@1.0.0`"),
        ("follow", "hollow", "`hollow`"),
    ] {
        let wasm = fs::read(&released(sandbox::World::Step)[0]).unwrap();
        let refused = sandbox().load("mine", &replaced(wasm, from, to)).await.err().unwrap().to_string();
        assert!(refused.contains(because), "{refused}");
    }
}

/// A component with one text in place of another of the same length; versions only where it is the contract's.
fn replaced(mut wasm: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let package = b"bespin:plugin/";
    for at in 40..wasm.len() - from.len() {
        let ours = wasm[at - 40..at].windows(package.len()).any(|text| text == package);
        if (ours || !from.starts_with('@')) && wasm[at..].starts_with(from.as_bytes()) {
            wasm[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    wasm
}
