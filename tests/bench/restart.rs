//! What a stream's past costs: a `sync` step of an application with very many past syncs, against one with a few.

use super::{Better, Figure, median};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use world::bespin::run;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;

/// Past syncs of the two applications that are compared.
const PAST: [usize; 2] = [10, 100_000];
/// More than is kept of a stream whose past is summarized.
const KEPT: usize = 1_000;
/// How many steps are measured of each, after a first one that nobody counts.
const STEPS: u32 = 9;

/// A pipeline that only syncs.
const PIPELINE: &str = r#"name: synced
on:
  push: { branches: [main], paths: ["synced/**"] }
steps:
  - id: sync
    uses: sync
    with: { application: petclinic }
    grants: { cluster: [production/petclinic/*] }
"#;

/// Measures both in one run.
pub(crate) async fn stream() {
    let mut took = Vec::new();
    for past in PAST {
        took.push(step_after(past).await);
    }
    let (ours, n) = (took[1] / took[0], STEPS as usize);
    Figure { bench: "restart/stream", ours, peer: None, better: Better::Lower, unit: "times", n }.print();
}

/// How long a step takes, in ms, after so many past syncs.
async fn step_after(past: usize) -> f64 {
    let mut estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    let (data, backup) = (estate.dir().join("data"), estate.dir().join("backup"));
    journal(&["backup"], &data, &backup);
    estate.bespin.process().kill();
    let text = std::fs::read_to_string(&backup).expect("a backup is text");
    let file = File::create(&backup).expect("a file can be made");
    write_with_past(&text, past, BufWriter::new(file)).expect("a file can be written");
    std::fs::remove_dir_all(data.join("journal")).expect("the journal can be removed");
    journal(&["restore"], &data, &backup);
    estate.restart(&[]).await;
    estate.settled().await;
    // What the first look does once, and nobody after it: the past is summarized and removed.
    let summarized = || async { (estate.bespin.journal_lines("app/").lines().count() < KEPT).then_some(()) };
    eventually("the past is summarized", PATIENCE, summarized).await;
    // A restored backup is 200 MB of the disk's work, which is none of a step's.
    assert!(std::process::Command::new("sync").status().expect("sync is there").success());
    let mut each = Vec::new();
    for n in 0..=STEPS {
        let files = [(".bespin/synced.yaml", PIPELINE.to_owned()), ("synced/file", n.to_string())];
        let pushed = estate.push(&files, "Synced").await;
        let run = estate.ended(&pushed.after).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        let entries = estate.bespin.journal(&format!("run/{}", run["id"].as_str().expect("an id")));
        let at = |kind: &str| {
            let of_step = entries.iter().find(|entry| entry["kind"] == kind && entry["body"]["step"] == "sync");
            of_step.and_then(|entry| entry["at_ms"].as_u64()).expect("the step started and ended")
        };
        each.push((at("ended") - at("started")) as f64);
    }
    median(each.split_off(1))
}

fn journal(command: &[&str], data: &Path, backup: &Path) {
    let (data, backup) = (data.display().to_string(), backup.display().to_string());
    let (code, said) = run(&[&["journal"], command, &["--data", &data, &backup]].concat());
    assert_eq!(code, 0, "{said}");
}

/// Writes the backup with so many more syncs of its application, each as its last one was. Line by line: the playground
/// is in this process, and would be slowed down by what is left of 200,000 values.
fn write_with_past(backup: &str, past: usize, mut to: impl Write) -> std::io::Result<()> {
    let mut lines: Vec<Value> =
        backup.lines().map(|line| serde_json::from_str(line).expect("lines are JSON")).collect();
    let mut trailer = lines.pop().expect("a backup has a last line");
    let is_sync = |line: &&Value| line["kind"] == "syncing" || line["kind"] == "synced";
    let mut pair: Vec<Value> = lines.iter().filter(is_sync).rev().take(2).cloned().collect();
    pair.reverse();
    let of_stream = |line: &&Value| line["stream"] == pair[0]["stream"];
    let next = lines.iter().filter(of_stream).count();
    let newest = lines[0]["up_to"].as_u64().expect("a header says how far it goes");
    lines[0]["up_to"] = json!(newest + 2 * past as u64);
    trailer["entries"] = json!(lines.len() - 1 + 2 * past);
    let mut digest = Sha256::new();
    let mut write = |line: &Value| {
        let line = format!("{line}\n");
        digest.update(&line);
        to.write_all(line.as_bytes())
    };
    lines.iter().try_for_each(&mut write)?;
    for n in 0..2 * past {
        let entry = &mut pair[n % 2];
        (entry["seq"], entry["index"]) = (json!(newest + 1 + n as u64), json!(next + n));
        write(entry)?;
    }
    trailer["sha256"] = hex::encode(digest.finalize()).into();
    writeln!(to, "{trailer}")?;
    to.flush()
}
