//! A do-nothing plugin step, all of it, against `docker run` of a do-nothing static binary.

use super::{Better, Figure, median};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use world::bespin::plugins;
use world::docker::Docker;
use world::estate::{Estate, Kind};
use world::has;

/// How many steps a run has, one after the other.
const STEPS: usize = 20;
/// How many runs there are.
const RUNS: usize = 15;
/// How often the peer runs.
pub(crate) const PEER: usize = 20;

/// Measures both in turn.
pub(crate) async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(nothing(), folder.path().join("nothing.wasm")).expect("the plugin can be copied");
    let peer = if has("dockerd") { Some(peer(folder.path(), PEER).await) } else { None };
    let ours = ours(folder.path()).await;
    Figure { bench: "step", ours, peer, better: Better::Lower, unit: "ms", n: STEPS * RUNS }.print();
}

/// The plugin of the sandbox's own tests, which ends well when it is asked for no attack.
fn nothing() -> std::path::PathBuf {
    let target = plugins().parent().expect("the plugins stand in the target folder").to_owned();
    target.join("wasm32-wasip2/plugin/plugin_hostile.wasm")
}

/// Milliseconds for a step: of runs of many steps, by the times in their journals.
async fn ours(folder: &Path) -> f64 {
    let estate = Estate::configured(Kind::Embedded, "1s", |config| config.plugins(folder)).await;
    let mut pipeline = "name: nothing\non:\n  push: { branches: [main], paths: [\"nothing/**\"] }\nsteps:\n".to_owned();
    for n in 0..STEPS {
        writeln!(pipeline, "  - id: s{n}\n    uses: nothing\n    with: {{ attack: none }}").expect("a text grows");
    }
    let mut each = Vec::new();
    for n in 0..RUNS {
        let files = [(".bespin/nothing.yaml", pipeline.clone()), ("nothing/file", n.to_string())];
        let pushed = estate.push(&files, "Nothing").await;
        let run = estate.ended(&pushed.after).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        let entries = estate.bespin.journal(&format!("run/{}", run["id"].as_str().expect("an id")));
        let started = entries.iter().find(|entry| entry["kind"] == "started").expect("a step started");
        let ended = entries.iter().rfind(|entry| entry["kind"] == "ended").expect("a step ended");
        let at = |entry: &serde_json::Value| entry["at_ms"].as_u64().expect("an entry has a time");
        let (first, last) = (at(started), at(ended));
        each.push((last - first) as f64 / STEPS as f64);
    }
    median(each)
}

/// Milliseconds for `docker run` of a binary that does nothing.
pub(crate) async fn peer(folder: &Path, times: usize) -> f64 {
    let source = folder.join("nothing.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("a file can be written");
    run(Command::new("cc").args(["-static", "-O2", "-o"]).arg(folder.join("nothing")).arg(&source));
    std::fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY nothing /\nENTRYPOINT [\"/nothing\"]\n")
        .expect("a file can be written");
    let place = tempfile::tempdir().expect("a folder");
    let docker = Docker::start(place.path()).await;
    let command = || {
        let mut command = Command::new("docker");
        command.args(["--host", &docker.host]);
        command
    };
    run(command().args(["build", "--quiet", "--tag", "nothing"]).arg(folder));
    let mut each = Vec::new();
    for _ in 0..times {
        let begin = Instant::now();
        run(command().args(["run", "--rm", "--network", "none", "nothing"]));
        each.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    median(each)
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program is there");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
