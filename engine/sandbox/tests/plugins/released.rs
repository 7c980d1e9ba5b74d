//! Plugins that were built against an older contract run as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::{Abilities, Ability, Grants, Split, Verdict};

use crate::world::{World, example, grants, limits, outputs, sandbox};

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

/// What such components answer stands in `worlds.rs`; here they are loaded and asked.
#[tokio::test]
async fn every_released_world_is_still_asked() {
    use sandbox::World as Kind;
    for kind in Kind::ALL {
        let released = released(kind);
        assert!(!released.is_empty(), "{kind}");
        for path in released {
            let plugin = sandbox().load_file("released", &path).await.unwrap();
            assert_eq!(plugin.world(), kind, "{}", path.display());
            let host = Arc::new(World::petclinic()) as Arc<dyn Abilities>;
            let (none, limits) = (Grants::none(), limits());
            let split = Split { rollout: "{}".to_owned(), weight: 1, others: Vec::new() };
            let trapped = match kind {
                Kind::Step => trapped(sandbox().run(&plugin, "{}", &none, &limits, host).await),
                Kind::Health => trapped(sandbox().health(&plugin, "{}", &limits, host).await),
                Kind::Generate => trapped(sandbox().generate(&plugin, "{}", &limits, host).await),
                Kind::Measure => trapped(sandbox().measure(&plugin, "{}", &none, &limits, host).await),
                Kind::Route => trapped(sandbox().set_weight(&plugin, &split, &none, &limits, host).await),
            };
            assert_eq!(trapped, None, "{}", path.display());
        }
    }
}

/// Why it crashed, if it did.
fn trapped<T>(verdict: Verdict<T>) -> Option<String> {
    if let Verdict::Trapped { because } = verdict { Some(because) } else { None }
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
