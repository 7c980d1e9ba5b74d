//! What a plugin's call costs: beside wasmtime's own bare call, beside `docker run`, the first time after a start, and
//! a thousand times at once.

use super::{Better, Figure, median, step};
use sandbox::bench::{self, Bare};
use sandbox::{Sandbox, Settings, Verdict};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::bespin::plugins;
use world::has;

/// Calls of ours and of the bare engine.
const CALLS: usize = 10_000;
/// Calls of the one before it is the other's turn.
const TURN: usize = 100;
/// Starts of a sandbox for each built-in.
const STARTS: usize = 9;
/// Steps at the same time.
const MANY: usize = 1_000;
/// Rounds of that many.
const ROUNDS: usize = 5;

/// How often: as usual, or as `BESPIN_BENCH_TIMES` says at most, to see that a bench works at all.
fn times(usual: usize) -> usize {
    let wanted = std::env::var("BESPIN_BENCH_TIMES").ok().and_then(|times| times.parse().ok());
    usual.min(wanted.unwrap_or(usual))
}

/// The example of the SDK that does nothing.
fn nothing() -> PathBuf {
    let target = plugins().parent().expect("the plugins stand in the target folder").to_owned();
    target.join("wasm32-wasip2/plugin/examples/nothing.wasm")
}

fn us(took: &[Duration]) -> Vec<f64> {
    took.iter().map(|took| took.as_secs_f64() * 1e6).collect()
}

/// The one below which 99 of 100 are.
fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * 99 / 100).min(values.len() - 1)]
}

/// Instantiate, call and drop, of a component that is compiled already.
pub(crate) async fn start() {
    let (calls, folder) = (times(CALLS), tempfile::tempdir().expect("a folder"));
    let sandbox = Sandbox::open(&folder.path().join("cache"), Settings::default()).expect("a sandbox opens");
    let plugin = sandbox.load_file("nothing", &nothing()).await.expect("the plugin loads");
    let bare = Bare::open(&nothing(), &Settings::default()).expect("the component is one");
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    // The first turns warm the pools, and do not count.
    bench::calls(&sandbox, &plugin, "{}", TURN.min(calls)).await.expect("the step succeeds");
    bare.calls("{}", TURN.min(calls)).await.expect("the bare call succeeds");
    while ours.len() < calls {
        ours.extend(us(&bench::calls(&sandbox, &plugin, "{}", TURN.min(calls)).await.expect("the step succeeds")));
        peer.extend(us(&bare.calls("{}", TURN.min(calls)).await.expect("the bare call succeeds")));
    }
    let n = ours.len();
    let figure = |bench, ours, peer| Figure { bench, ours, peer, better: Better::Lower, unit: "us", n }.print();
    let middle = median(ours.clone());
    figure("plugin-start/bare", middle, Some(median(peer.clone())));
    figure("plugin-start/p99", p99(ours), Some(p99(peer)));
    let docker = if has("dockerd") { Some(step::peer(folder.path(), times(step::PEER)).await * 1000.0) } else { None };
    figure("plugin-start/docker", middle, docker);
}

/// The first use after a restart, with what was compiled before it on the disk: of the built-in that takes longest.
pub(crate) async fn cold() {
    let folder = tempfile::tempdir().expect("a folder");
    let built_in = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("a folder can be read").path();
    let built_ins = std::fs::read_dir(plugins()).expect("the plugins are built").map(built_in);
    let built_ins: Vec<_> = built_ins.filter(|path| path.extension().is_some_and(|kind| kind == "wasm")).collect();
    first_uses(folder.path(), &built_ins).await;
    let mut each = vec![Vec::new(); built_ins.len()];
    for _ in 0..times(STARTS) {
        for (all, took) in each.iter_mut().zip(first_uses(folder.path(), &built_ins).await) {
            all.push(took);
        }
    }
    let ours = each.into_iter().map(median).fold(0.0, f64::max);
    Figure { bench: "plugin-cold", ours, peer: None, better: Better::Lower, unit: "ms", n: times(STARTS) }.print();
}

/// Milliseconds until each plugin has given its first verdict, in a sandbox that has just been opened for it.
async fn first_uses(cache: &Path, plugins: &[PathBuf]) -> Vec<f64> {
    let mut each = Vec::new();
    for path in plugins {
        let sandbox = Sandbox::open(cache, Settings::default()).expect("a sandbox opens");
        let begin = Instant::now();
        let plugin = sandbox.load_file("built-in", path).await.expect("the plugin loads");
        // Its settings are missing, and it says so: that is an answer, too.
        let refused = bench::calls(&sandbox, &plugin, "{}", 1).await;
        each.push(begin.elapsed().as_secs_f64() * 1000.0);
        assert!(!matches!(refused, Err(Verdict::Trapped { .. })), "{}: {refused:?}", path.display());
    }
    each
}

/// A thousand steps at the same time.
pub(crate) async fn many() {
    let (many, folder) = (times(MANY), tempfile::tempdir().expect("a folder"));
    let places = u32::try_from(many).expect("a few places");
    let settings = Settings { concurrent: places, ..Settings::default() };
    let sandbox = Arc::new(Sandbox::open(folder.path(), settings).expect("a sandbox opens"));
    let plugin = sandbox.load_file("nothing", &nothing()).await.expect("the plugin loads");
    let before = resident();
    let live = bench::alive(&sandbox, &plugin, r#"{"ask":true}"#, many, resident).await.expect("all are alive");
    let memory = (live - before) / many as f64;
    let mut rates = Vec::new();
    for _ in 0..times(ROUNDS) {
        let took = bench::at_once(&sandbox, &plugin, "{}", many).await.expect("all succeed");
        rates.push(many as f64 / took.as_secs_f64());
    }
    let rounds = rates.len();
    Figure {
        bench: "plugin-many/rate",
        ours: median(rates),
        peer: None,
        better: Better::Higher,
        unit: "1/s",
        n: many * rounds,
    }
    .print();
    Figure { bench: "plugin-many/memory", ours: memory, peer: None, better: Better::Lower, unit: "MiB", n: many }
        .print();
}

/// The memory of this process that is in use, in MiB.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).expect("a number of pages");
    pages * 4096.0 / f64::from(1 << 20)
}
