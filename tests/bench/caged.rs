//! An honest step beside hostile ones, against the same step with nobody beside it.

use super::{Better, Figure, median};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use world::bespin::plugins;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;

/// How many honest steps a run has, one after the other.
const STEPS: usize = 20;
/// How many runs there are of each kind, in turn.
const RUNS: usize = 7;
/// What is tried beside the honest steps. The sleeper keeps the run open to their end.
const ATTACKS: [&str; 12] = [
    "loop",
    "loop",
    "loop",
    "loop",
    "loop",
    "loop",
    "loop-with-calls",
    "memory",
    "random-flood",
    "log-flood",
    "host-call-flood",
    "sleep",
];

/// Measures both in turn. The goal is a ratio of at least 0.8.
pub async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = plugins().parent().expect("the plugins stand in the target folder").to_owned();
    let built = target.join("wasm32-wasip2/plugin/plugin_hostile.wasm");
    std::fs::copy(built, folder.path().join("hostile.wasm")).expect("the plugin can be copied");
    let estate = estate(folder.path()).await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // The first step of all compiles or loads the plugin; it is not counted.
    honest(&estate, "warm", "alone").await;
    for n in 0..RUNS {
        alone.push(honest(&estate, &format!("{n}"), "alone").await);
        beside.push(honest(&estate, &format!("{n}"), "beside").await);
    }
    let (ours, peer) = (median(beside), Some(median(alone)));
    Figure { bench: "plugin-beside", ours, peer, better: Better::Lower, unit: "ms", n: STEPS * RUNS }.print();
}

async fn estate(folder: &Path) -> Estate {
    let (built_in, own) = (plugins().display().to_string(), folder.display().to_string());
    let edit = |config: String| config.replace(&format!("plugins = \"{built_in}\""), &format!("plugins = \"{own}\""));
    Estate::configured(Kind::Embedded, "1s", edit).await
}

fn pipeline(name: &str, paths: &str, steps: impl Iterator<Item = String>) -> String {
    let mut text = format!("name: {name}\non:\n  push: {{ branches: [main], paths: [{paths}] }}\nsteps:\n");
    for (n, step) in steps.enumerate() {
        writeln!(text, "  - id: s{n}\n    uses: hostile\n{step}").expect("a text grows");
    }
    text
}

/// Milliseconds for a step of an honest run, by the times in its journal. `folder` says who is beside it.
async fn honest(estate: &Estate, n: &str, folder: &str) -> f64 {
    let well = (0..STEPS).map(|_| "    with: { attack: none }".to_owned());
    let attack = |name: &&str| format!("    needs: []\n    with: {{ attack: {name} }}");
    let files = [
        (".bespin/honest.yaml", pipeline("honest", "\"alone/**\", \"beside/**\"", well)),
        (".bespin/hostile.yaml", pipeline("hostile", "\"beside/**\"", ATTACKS.iter().map(attack))),
        (&*format!("{folder}/file"), n.to_owned()),
    ];
    let commit = estate.push(&files, "Measure").await.after;
    let dashboard = estate.dashboard().await;
    let runs = || async {
        let page = dashboard.get("runs").await;
        let rows = page["runs"].as_array().cloned().unwrap_or_default();
        rows.into_iter().map(|row| row["run"].clone()).filter(|run| run["sha"] == commit.as_str()).collect::<Vec<_>>()
    };
    let is = |run: &Value, name: &str| run["id"].as_str().is_some_and(|id| id.contains(&format!("/{name}/")));
    let ended = || async { runs().await.into_iter().find(|run| is(run, "honest") && run["state"] != "open") };
    let run = eventually("the honest run ended", PATIENCE, ended).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    for hostile in runs().await.into_iter().filter(|run| is(run, "hostile")) {
        // Else the step was not beside anybody for all of its time.
        assert_eq!(hostile["state"], "open", "the hostile run ended first");
        let id = hostile["id"].as_str().expect("a run has an id");
        let (status, answer) = dashboard.press(&format!("runs/{id}/cancel")).await;
        assert!(status < 300, "cancelling: {status}: {answer}");
    }
    let over = || async { runs().await.iter().all(|run| run["state"] != "open").then_some(()) };
    eventually("the hostile run is over", PATIENCE, over).await;
    let entries = estate.bespin.journal(&format!("run/{}", run["id"].as_str().expect("an id")));
    let at = |entry: Option<&Value>| entry.and_then(|entry| entry["at_ms"].as_u64()).expect("an entry has a time");
    let first = at(entries.iter().find(|entry| entry["kind"] == "started"));
    let last = at(entries.iter().rfind(|entry| entry["kind"] == "ended"));
    (last - first) as f64 / STEPS as f64
}
