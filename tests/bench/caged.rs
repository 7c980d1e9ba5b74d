//! An honest step beside hostile ones that are under way, against the same step with nobody beside it.

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
/// What is tried beside the honest steps. What ends by a limit of its own does so at once; the loops and the floods of
/// calls have leave to go on to the honest steps' end, and the sleeper keeps the run open.
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

/// The permission of the hostile pipeline: to go on for as long as it likes.
const PERMISSION: &str = r#"
[[policy]]
repository = "user/petclinic"
pipeline = ".bespin/hostile.yaml"
ref = "refs/heads/main"
event = "push"
grants = {}
limits = { cpu = "60m", host-calls = "1000000000000" }
"#;

/// Measures both in turn. The goal is a ratio of at least 0.8.
pub(crate) async fn measure() {
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
    Estate::configured(Kind::Embedded, "1s", |config| config.plugins(folder).with(PERMISSION)).await
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
        (".bespin/honest.yaml", pipeline("honest", "\"honest/**\"", well)),
        (".bespin/hostile.yaml", pipeline("hostile", "\"beside/**\"", ATTACKS.iter().map(attack))),
        (&*format!("{folder}/file"), n.to_owned()),
    ];
    let before = estate.push(&files, "Begin").await.after;
    let hostile = if folder == "beside" { Some(under_way(estate, &before).await) } else { None };
    let pushed = estate.push(&[("honest/file", format!("{folder} {n}"))], "Measure").await;
    let run = estate.ended(&pushed.after).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    if let Some(id) = hostile {
        let dashboard = estate.dashboard().await;
        let run = |state: Value| state["run"]["state"].as_str().map(str::to_owned);
        // Else the steps were not beside anybody for all of their time.
        assert_eq!(
            run(dashboard.get(&format!("runs/{id}")).await).as_deref(),
            Some("open"),
            "the hostile run ended first"
        );
        let (status, answer) = dashboard.press(&format!("runs/{id}/cancel")).await;
        assert!(status < 300, "cancelling: {status}: {answer}");
        estate.ended(&before).await;
    }
    let entries = estate.bespin.journal(&format!("run/{}", run["id"].as_str().expect("an id")));
    let at = |entry: Option<&Value>| entry.and_then(|entry| entry["at_ms"].as_u64()).expect("an entry has a time");
    let first = at(entries.iter().find(|entry| entry["kind"] == "started"));
    let last = at(entries.iter().rfind(|entry| entry["kind"] == "ended"));
    (last - first) as f64 / STEPS as f64
}

/// The id of the hostile run, once what ends by a limit has ended and the rest has begun.
async fn under_way(estate: &Estate, commit: &str) -> String {
    let dashboard = estate.dashboard().await;
    let is_settled = |name: &str, step: &Value| match (name, step["summary"]["state"].as_str()) {
        ("memory" | "log-flood", state) => state == Some("failed"),
        (_, state) => state == Some("running"),
    };
    let settled = || async {
        let page = dashboard.get("runs").await;
        let row = page["runs"].as_array()?.iter().find(|row| row["run"]["sha"] == commit)?.clone();
        let id = row["run"]["id"].as_str()?.to_owned();
        let run = dashboard.get(&format!("runs/{id}")).await;
        let steps = run["steps"].as_array()?;
        let all = steps.len() == ATTACKS.len() && ATTACKS.iter().zip(steps).all(|(name, step)| is_settled(name, step));
        all.then_some(id)
    };
    eventually("the attacks are under way", PATIENCE, settled).await
}
