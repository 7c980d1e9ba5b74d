//! What fits today, as the README says it: printed from what the readers of these files answer.
//!
//! `UPDATE=1 cargo test -p stories --test tidy readme` writes the table anew; read the difference before it is committed.

use super::{top, tracked};
use decide::rollout::spec;
use decide::sync::application;
use serde_json::{Value, json};
use std::fmt::Write;

/// What a reader makes of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    AsItStands,
    Warned,
    Refused,
}

/// Fields of an Application, each with a value that makes sense there.
fn application_fields() -> Vec<(&'static str, Value)> {
    let source = json!({ "repoURL": "https://example.com/m.git", "path": "web" });
    vec![
        ("spec.source.path", json!("petclinic")),
        ("spec.source.directory.recurse", json!(true)),
        ("spec.source.directory.include", json!("*.yaml")),
        ("spec.source.directory.exclude", json!("*.yaml")),
        ("spec.source.directory.jsonnet", json!({ "tlas": [] })),
        ("spec.source.plugin", json!({ "name": "envsubst" })),
        ("spec.source.kustomize", json!({ "namePrefix": "a-" })),
        ("spec.source.helm", json!({ "releaseName": "redis" })),
        ("spec.source.chart", json!("redis")),
        ("spec.sources", json!([source])),
        ("spec.destination.server", json!("https://another.example.com")),
        ("spec.project", json!("team")),
        ("spec.syncPolicy.automated", json!({ "prune": true, "selfHeal": true })),
        ("spec.syncPolicy.retry", json!({ "limit": 3 })),
        ("spec.syncPolicy.managedNamespaceMetadata", json!({ "labels": { "a": "b" } })),
        ("spec.syncPolicy.syncOptions", json!(["CreateNamespace=true", "ServerSideApply=true", "PruneLast=true"])),
        ("spec.ignoreDifferences", json!([{ "kind": "Rollout", "jsonPointers": ["/spec/replicas"] }])),
        ("metadata.finalizers", json!(["resources-finalizer.argocd.argoproj.io"])),
    ]
}

/// Fields of a Rollout, the same way.
fn rollout_fields() -> Vec<(&'static str, Value)> {
    let alb = json!({ "alb": { "ingress": "ingress", "servicePort": 80 } });
    let routed = |router: &str| json!({ router: {} });
    vec![
        ("spec.strategy.canary.trafficRouting.alb", alb),
        ("spec.strategy.canary.trafficRouting.plugins", json!({ "plugins": { "argoproj-labs/gatewayAPI": {} } })),
        ("spec.strategy.canary.trafficRouting.nginx", routed("nginx")),
        ("spec.strategy.canary.trafficRouting.istio", routed("istio")),
        ("spec.strategy.canary.trafficRouting.smi", routed("smi")),
        ("spec.strategy.canary.trafficRouting.traefik", routed("traefik")),
        ("steps: setWeight", json!({ "setWeight": 10 })),
        ("steps: pause", json!({ "pause": { "duration": "30s" } })),
        ("steps: setCanaryScale", json!({ "setCanaryScale": { "replicas": 1 } })),
        ("steps: analysis", json!({ "analysis": { "templates": [{ "templateName": "a" }] } })),
        ("steps: experiment", json!({ "experiment": {} })),
        ("steps: setHeaderRoute", json!({ "setHeaderRoute": { "name": "a" } })),
        ("steps: setMirrorRoute", json!({ "setMirrorRoute": { "name": "a" } })),
        ("steps: plugin", json!({ "plugin": { "name": "a" } })),
        ("spec.strategy.blueGreen", json!({ "activeService": "a" })),
        ("spec.strategy.canary.analysis", json!({ "templates": [] })),
        ("spec.strategy.canary.dynamicStableScale", json!(true)),
        ("spec.strategy.canary.canaryMetadata", json!({ "labels": { "role": "canary" } })),
        ("spec.strategy.canary.stableMetadata", json!({ "labels": { "role": "stable" } })),
        ("spec.strategy.canary.pingPong", json!({ "pingService": "a", "pongService": "b" })),
        ("spec.progressDeadlineAbort", json!(true)),
        ("spec.workloadRef", json!({ "kind": "Deployment", "name": "a" })),
    ]
}

fn set(object: &mut Value, path: &str, value: Value) {
    let place = path.split('.').fold(object, |place, key| &mut place[key]);
    *place = value;
}

fn application(path: &str, value: Value) -> Fit {
    let mut object = json!({ "metadata": { "name": "a", "namespace": "argocd" }, "spec": {
        "project": "default",
        "source": { "repoURL": "https://example.com/m.git", "path": "web", "targetRevision": "main" },
        "destination": { "server": "https://kubernetes.default.svc", "namespace": "a" },
    } });
    set(&mut object, path, value);
    match application::read(&object) {
        Ok(application) if application.warnings.is_empty() => Fit::AsItStands,
        Ok(_) => Fit::Warned,
        Err(_) => Fit::Refused,
    }
}

fn rollout(path: &str, value: Value) -> Fit {
    let mut object = json!({ "spec": {
        "selector": { "matchLabels": { "app": "a" } },
        "template": { "metadata": { "labels": { "app": "a" } }, "spec": { "containers": [{ "name": "a", "image": "a:1" }] } },
        "strategy": { "canary": {
            "canaryService": "canary", "stableService": "stable",
            "trafficRouting": { "alb": { "ingress": "ingress", "servicePort": 80 } },
            "steps": [{ "setWeight": 10 }],
        } },
    } });
    match path {
        // Instead of the Services that are named, and with the one that the Ingress names.
        turns if turns.ends_with(".pingPong") => {
            let alb = json!({ "ingress": "ingress", "servicePort": 80, "rootService": "root" });
            object["spec"]["strategy"]["canary"] = json!({ "pingPong": value, "trafficRouting": { "alb": alb } });
        }
        steps if steps.starts_with("steps: ") => object["spec"]["strategy"]["canary"]["steps"] = json!([value]),
        router if router.contains(".trafficRouting.") => object["spec"]["strategy"]["canary"]["trafficRouting"] = value,
        path => set(&mut object, path, value),
    }
    if spec::parse(&object).is_ok() { Fit::AsItStands } else { Fit::Refused }
}

/// The first user's files, by the rows of the story that gives each to the program.
fn seed() -> Vec<(String, Fit)> {
    let story = std::fs::read_to_string(top().join("tests/stories/seed_as_it_stands.rs")).expect("the story is there");
    let files = tracked().into_iter().filter_map(|file| file.strip_prefix("tests/seed/").map(str::to_owned));
    let row = |file: String| {
        let (_, after) =
            story.split_once(&format!("(\"{file}\", ")).or_else(|| story.split_once(&format!("\"{file}\",\n")))?;
        let fates = [("Accepted(", Fit::AsItStands), ("Warned(", Fit::Warned), ("Refused(", Fit::Refused)];
        let first = fates.iter().filter_map(|(word, fit)| Some((after.find(word)?, *fit))).min_by_key(|(at, _)| *at)?;
        Some((file, first.1))
    };
    files
        .filter(|file| file != "README.md")
        .map(|file| row(file.clone()).unwrap_or_else(|| panic!("{file} has no row")))
        .collect()
}

/// What each sample of a pipeline, and each of the keys that are known and refused, comes to.
fn pipelines() -> Vec<(String, Fit)> {
    let samples = tracked().into_iter().filter(|file| file.starts_with("pipelines/samples/"));
    let samples = samples.map(|file| {
        let text = std::fs::read_to_string(top().join(&file)).expect("a sample is readable");
        let fit = if pipeline::parse(&file, &text).is_ok() { Fit::AsItStands } else { Fit::Refused };
        (file.trim_start_matches("pipelines/").to_owned(), fit)
    });
    let text = std::fs::read_to_string(top().join("pipelines/rejected/not-supported.yaml")).expect("it is there");
    let refused = pipeline::parse("not-supported.yaml", &text).expect_err("it is refused");
    let refused = refused.iter().map(|mistake| {
        let said = mistake.to_string();
        (said.split('`').nth(1).unwrap_or_else(|| panic!("{said} names no key")).to_owned(), Fit::Refused)
    });
    samples.chain(refused).collect()
}

fn row(table: &mut String, what: &str, fields: &[(String, Fit)]) {
    let of = |fit: Fit| {
        let names = fields.iter().filter(|(_, of)| *of == fit).map(|(name, _)| format!("`{name}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    let (stands, warned, refused) = (of(Fit::AsItStands), of(Fit::Warned), of(Fit::Refused));
    writeln!(table, "| {what} | {stands} | {warned} | {refused} |").expect("a text takes it");
}

fn table() -> String {
    let mut table = "| | as it stands | with a warning | refused, with the help |\n|---|---|---|---|\n".to_owned();
    let asked = |fields: Vec<(&str, Value)>, ask: fn(&str, Value) -> Fit| -> Vec<(String, Fit)> {
        let short = |name: &str| name.trim_start_matches("spec.").trim_start_matches("strategy.canary.").to_owned();
        fields.into_iter().map(|(name, value)| (short(name), ask(name, value))).collect()
    };
    row(&mut table, "Argo CD's `Application`", &asked(application_fields(), application));
    row(&mut table, "Argo's `Rollout`", &asked(rollout_fields(), rollout));
    row(&mut table, "a pipeline file", &pipelines());
    row(&mut table, "the first user's files ([tests/seed](tests/seed/README.md))", &seed());
    let plugins = tracked().into_iter().filter(|file| file.starts_with("plugins/") && file.ends_with("/src/lib.rs"));
    let names = plugins.filter_map(|file| file.split('/').nth(1).map(str::to_owned));
    let names: Vec<_> = names.filter(|name| !["sdk", "hostile", "examples"].contains(&name.as_str())).collect();
    writeln!(table, "\nBuilt-in steps: `{}`.", names.join("`, `")).expect("a text takes it");
    table
}

#[test]
fn readme_says_what_fits_today() {
    let path = top().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("it is there");
    let (head, rest) = readme.split_once("<!-- fits: ").expect("the README has the table's place");
    let (told, rest) = rest.split_once(" -->\n").expect("the place begins in a line of its own");
    let (stored, tail) = rest.split_once("<!-- end -->").expect("the place has an end");
    let printed = table();
    if std::env::var_os("UPDATE").is_some() {
        let readme = format!("{head}<!-- fits: {told} -->\n{printed}<!-- end -->{tail}");
        std::fs::write(&path, readme).expect("the README can be written");
        return;
    }
    assert!(stored == printed, "README.md is stale; UPDATE=1 writes it:\n{printed}");
}
