//! What the journal keeps when its process is killed, and when the power goes.
//!
//! The same child appends from several tasks, removes old streams, summarizes
//! one that never ends, and says on its standard output what was acknowledged.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod disk_trace;

use decide::by::By;
use disk_trace::{Before, Dice, Trace};
use journal::{Journal, NewEntry, open};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const TASKS: usize = 6;

/// Appends until it is killed, or until `APPENDS` of each task are through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the other tests"]
async fn child() {
    let dir = std::env::var("JOURNAL_DIR").unwrap();
    let appends: u64 = std::env::var("APPENDS").unwrap().parse().unwrap();
    let journal = open(Path::new(&dir)).unwrap();
    let tasks = (0..TASKS).map(|task| tokio::spawn(append(journal.clone(), task, appends)));
    for done in futures::future::join_all(tasks).await {
        done.unwrap();
    }
}

async fn append(journal: Journal, task: usize, appends: u64) {
    let streams = journal.streams(&format!("{task}/")).await.unwrap();
    let done = streams.last().map_or(0, |last| last.name.rsplit('/').next().unwrap().parse::<u64>().unwrap() + 1);
    for n in 0..appends {
        // Streams of ten entries, so that there is always an old one to remove.
        let stream = format!("{task}/{:06}", done + n / 10);
        // Most are small; some are as large as a big pipeline's first entry, and all tasks have a huge one at once.
        let size = match n {
            41 => 700_000,
            _ if n % 97 == 5 => 200_000,
            _ => (n as usize * 37) % 900,
        };
        let body = json!({ "n": n, "padding": "x".repeat(size) });
        let entry = NewEntry { at_ms: n, by: By::Server, kind: "counted".into(), body };
        journal.append(&stream, n % 10, vec![entry]).await.unwrap();
        say(&format!("ack {stream} {}\n", n % 10 + 1));
        if n % 3 == 0 {
            endless(&journal, &format!("endless/{task}")).await;
        }
        if n % 50 == 49 {
            say(&format!("removing {task}/ {:06}\n", done + n / 10 - 1));
            journal::prune(&*journal, &format!("{task}/"), 2, |_| true).await.unwrap();
        }
    }
}

/// How many entries lie between two summaries.
const SUMMARY: u64 = 12;

/// The next entry of a stream that never ends; every twelfth is its summary, which keeps the newest few that sevens divide.
async fn endless(journal: &Journal, stream: &str) {
    let len = journal.streams(stream).await.unwrap().first().map_or(0, |stream| stream.len);
    let entry = NewEntry { at_ms: len, by: By::Server, kind: "counted".into(), body: json!({ "n": len }) };
    if len % SUMMARY == SUMMARY - 1 {
        journal.summarize(stream, len, entry, sevens(len)).await.unwrap();
    } else {
        journal.append(stream, len, vec![entry]).await.unwrap();
    }
    say(&format!("ack {stream} {}\n", len + 1));
}

/// What a summary at this index keeps.
fn sevens(base: u64) -> Vec<u64> {
    (base.saturating_sub(70)..base).filter(|index| index % 7 == 0).collect()
}

/// One write of one line: the order of the lines is the order of the facts.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What the child said that it was promised: stream -> length; what it asked
/// to remove may be there or not.
#[derive(Clone, Default)]
pub struct Promised(BTreeMap<String, u64>);

impl Promised {
    fn note(&mut self, line: &str) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["ack", stream, len] => drop(self.0.insert(stream.to_owned(), len.parse().unwrap())),
            ["removing", prefix, before] => {
                let before = format!("{prefix}{before}");
                self.0.retain(|stream, _| !stream.starts_with(prefix) || *stream >= before);
            }
            _ => {}
        }
    }
}

/// Opens what is left and says what of the promises is missing.
async fn missing(dir: &Path, promised: &Promised) -> Vec<String> {
    let journal = match open(dir) {
        Ok(journal) => journal,
        Err(error) => return vec![error.0],
    };
    let streams = journal.streams("").await.unwrap().into_iter();
    let streams: BTreeMap<_, _> = streams.map(|stream| (stream.name, (stream.base, stream.len))).collect();
    let mut missing = Vec::new();
    for (stream, len) in &promised.0 {
        let (base, there) = streams.get(stream).copied().unwrap_or_default();
        if there < *len {
            missing.push(format!("{stream} has {there} of {len} entries"));
        }
        let entries = journal.read_current(stream).await.unwrap();
        assert!(entries.iter().map(|entry| entry.index).eq(base..there));
        assert!(entries.iter().all(|entry| entry.stream == *stream));
        if base > 0 {
            let all = journal.read(stream).await.unwrap();
            let kept = |index: &u64| all.iter().any(|entry| entry.index == *index);
            assert!(sevens(base).iter().all(kept), "{stream} has the base {base}, and of those before it {all:?}");
        }
    }
    missing
}

fn child_command(program: &str, dir: &Path, appends: u64) -> Command {
    let mut command = Command::new(program);
    command.env("JOURNAL_DIR", dir).env("APPENDS", appends.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

const CHILD: [&str; 4] = ["--exact", "child", "--ignored", "--nocapture"];

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    let (mut promised, mut dice) = (Promised::default(), Dice(7));
    for round in 0..8 {
        let mut child = child_command(exe.to_str().unwrap(), dir.path(), 100_000).args(CHILD).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let deadly = 50 + dice.below(800);
        for (n, line) in lines.enumerate() {
            promised.note(&line.unwrap());
            if n as u64 == deadly {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let missing = missing(dir.path(), &promised).await;
        assert!(missing.is_empty(), "round {round}: {missing:?}");
    }
}

#[tokio::test]
async fn opening_it_again_and_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // More by hand: `REOPEN=1000 cargo test -p journal --test torture again`.
    let times: u64 = std::env::var("REOPEN").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    for n in 0..times {
        let journal = open(dir.path()).unwrap();
        assert_eq!(journal.read("s").await.unwrap().len() as u64, n);
        let entry = NewEntry { at_ms: n, by: By::Server, kind: "counted".into(), body: json!({ "n": n }) };
        journal.append("s", n, vec![entry]).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_cut() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("NOT CHECKED: a power cut, because strace is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("journal");
    // More by hand: `APPENDS=4000 CUTS=1000 cargo test -p journal --test torture power`.
    let appends = std::env::var("APPENDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let cuts = std::env::var("CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let first = traced(dir.path(), &store, appends, Before::default());
    cut(dir.path(), &first, &Promised::default(), cuts).await;
    // And a store that is opened again: what was promised before, stays.
    let promised = kept(&store).await;
    let again = traced(dir.path(), &store, appends / 4, Before::of(&store));
    cut(dir.path(), &again, &promised, cuts).await;
}

/// A power cut would leave a log that sled has cut, and nothing to put back.
#[test]
fn what_is_kept_aside_is_on_the_disk_before_sled_opens_its_log() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("NOT CHECKED: what is kept aside, because strace is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, log) = (dir.path().canonicalize().unwrap().join("journal"), dir.path().join("trace"));
    let exe = std::env::current_exe().unwrap();
    for _start in 0..2 {
        let mut command = child_command("strace", &store, 5);
        command.args(["-f", "-y", "-e", "trace=openat,fsync", "-o"]).arg(&log).arg(&exe).args(CHILD);
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
    }
    let trace = std::fs::read_to_string(log).unwrap();
    let calls: Vec<&str> = trace.lines().collect();
    let first = |of: &str, says: &str| {
        let found = calls.iter().position(|call| call.contains(of) && call.contains(says));
        found.unwrap_or_else(|| panic!("no {of} {says} in {trace}"))
    };
    let folder = format!("<{}>", store.display());
    let opened = first("openat(", &format!("\"{}/db\", O_RDWR", store.display()));
    let aside = first("fsync(", &format!("<{}/opening-", store.display()));
    let named =
        aside + calls[aside..].iter().position(|call| call.contains("fsync(") && call.contains(&folder)).unwrap();
    assert!(aside < named && named < opened, "synced {aside} and {named}, opened {opened}: {trace}");
}

/// Runs the child under strace, on what is there.
fn traced(dir: &Path, store: &Path, appends: u64, before: Before) -> Trace {
    let (exe, log) = (std::env::current_exe().unwrap(), dir.join("trace"));
    let mut command = child_command("strace", store, appends);
    command.args(disk_trace::STRACE).arg("-o").arg(&log).arg(&exe).args(CHILD).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
    Trace::read(&log, store, before)
}

/// What a store holds that nobody is working with.
async fn kept(store: &Path) -> Promised {
    let journal = open(store).unwrap();
    let streams = journal.streams("").await.unwrap();
    Promised(streams.into_iter().map(|stream| (stream.name, stream.len)).collect())
}

/// Cuts the power anywhere; and while the store is opened, where few of those would come.
async fn cut(dir: &Path, trace: &Trace, before: &Promised, cuts: u64) {
    let (mut lost, mut tried) = (Vec::new(), 0);
    let anywhere = (0..cuts).map(|seed| (seed, None));
    for (seed, at) in anywhere.chain((0..40).map(|at| (cuts + at, Some(at as usize)))) {
        let (left, mut dice) = (dir.join("left"), Dice(seed * 7919 + 1));
        let at = at.unwrap_or_else(|| dice.below(trace.len() as u64) as usize);
        let mut promised = before.clone();
        for line in trace.cut(at, &left, &mut dice) {
            promised.note(&line);
        }
        tried += promised.0.len();
        let missing = missing(&left, &promised).await;
        if !missing.is_empty() {
            lost.push(format!("cut {seed} at {at}: {missing:?}"));
        }
        std::fs::remove_dir_all(&left).unwrap();
    }
    assert!(tried > 100, "the cuts met {tried} promises only");
    assert!(lost.is_empty(), "{} cuts lost something:\n{}", lost.len(), lost.join("\n"));
}
