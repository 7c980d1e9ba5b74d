//! What every backend must do.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use decide::by::By;
use decide::run::{CancelCause, Entry, Outcome, RunOutcome, State, Status};
use futures::StreamExt;
use journal::{AppendError, Journal, NewEntry, Settings, open, open_with};
use serde_json::json;
use std::path::Path;

fn entry(n: u64) -> NewEntry {
    NewEntry { at_ms: 1_700_000_000_000 + n, by: By::Server, kind: "counted".into(), body: json!({ "n": n }) }
}

async fn fill(journal: &Journal, stream: &str, count: u64) {
    for n in 0..count {
        journal.append(stream, n, vec![entry(n)]).await.unwrap();
    }
}

async fn lines(mut stream: futures::stream::BoxStream<'static, Result<String, journal::Error>>) -> String {
    let mut text = String::new();
    while let Some(line) = stream.next().await {
        text.push_str(&line.unwrap());
    }
    text
}

#[tokio::test]
async fn entries_come_back_stamped_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.read("run/a/1").await.unwrap(), vec![]);
    assert_eq!(journal.append("run/a/1", 0, vec![entry(0), entry(1)]).await.unwrap(), 2);
    assert_eq!(journal.append("run/a/2", 0, vec![entry(0)]).await.unwrap(), 3);
    assert_eq!(journal.append("run/a/1", 2, vec![entry(2)]).await.unwrap(), 4);
    let read = journal.read("run/a/1").await.unwrap();
    assert_eq!(read.iter().map(|e| (e.seq, e.index, e.v)).collect::<Vec<_>>(), [(1, 0, 1), (2, 1, 1), (4, 2, 1)]);
    assert_eq!(read[2].body, json!({ "n": 2 }));
    assert_eq!(journal.read_from("run/a/1", 1).await.unwrap(), read[1..]);
    assert_eq!(journal.read_from("run/a/1", 3).await.unwrap(), vec![]);
    assert_eq!(*journal.newest().borrow(), 4);
}

#[tokio::test]
async fn the_second_of_two_writers_is_refused_and_nothing_of_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    fill(&journal, "s", 2).await;
    let refused = journal.append("s", 1, vec![entry(9), entry(10)]).await;
    assert!(matches!(refused, Err(AppendError::Conflict { expected: 1, actual: 2 })), "{refused:?}");
    assert_eq!(journal.read("s").await.unwrap().len(), 2);
    // Within one batch as well: of fifty that expect the same length, one wins.
    let all = (0..50).map(|n| {
        let journal = journal.clone();
        async move { journal.append("race", 0, vec![entry(n)]).await.is_ok() }
    });
    let won = futures::future::join_all(all).await.into_iter().filter(|won| *won).count();
    assert_eq!((won, journal.read("race").await.unwrap().len()), (1, 1));
}

#[tokio::test]
async fn many_callers_share_batches_and_all_of_it_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let callers = (0..40).map(|caller| {
        let journal = journal.clone();
        tokio::spawn(async move { fill(&journal, &format!("delivery/{caller:02}"), 10).await })
    });
    for done in futures::future::join_all(callers).await {
        done.unwrap();
    }
    drop(journal);
    let journal = open(dir.path()).unwrap();
    let streams = journal.streams("delivery/").await.unwrap();
    assert_eq!((streams.len(), streams.iter().map(|s| s.len).sum::<u64>()), (40, 400));
    assert!(streams.is_sorted_by_key(|s| s.name.clone()));
    let tail = journal.tail(0, 1000).await.unwrap();
    assert_eq!(tail.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=400).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_tail_is_paged_and_prefixes_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    fill(&journal, "run/a", 3).await;
    fill(&journal, "run/a/b", 2).await;
    fill(&journal, "sync", 1).await;
    let seqs = |entries: Vec<journal::Entry>| entries.iter().map(|e| e.seq).collect::<Vec<_>>();
    assert_eq!(seqs(journal.tail(2, 2).await.unwrap()), [3, 4]);
    assert_eq!(seqs(journal.tail(6, 2).await.unwrap()), [0u64; 0]);
    assert_eq!(journal.read("run/a").await.unwrap().len(), 3);
    let names = journal.streams("run/").await.unwrap().into_iter().map(|s| s.name).collect::<Vec<_>>();
    assert_eq!(names, ["run/a", "run/a/b"]);
}

#[tokio::test]
async fn a_full_disk_is_never_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    fill(&journal, "s", 1).await;
    drop(journal);
    let settings = Settings { min_free_bytes: u64::MAX, ..Settings::new(dir.path()) };
    let journal = open_with(&settings).unwrap();
    let refused = journal.append("s", 1, vec![entry(1)]).await;
    assert!(matches!(refused, Err(AppendError::Full(_))), "{refused:?}");
    assert_eq!(*journal.broken().borrow(), None, "nothing was written, so that all is known");
    assert_eq!(journal.read("s").await.unwrap().len(), 1, "what is there stays readable");
    drop(journal);
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.read("s").await.unwrap().len(), 1);
    journal.append("s", 1, vec![entry(1)]).await.unwrap();
}

/// A disk of its own, which goes with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(dir.path());
        mount.output().is_ok_and(|output| output.status.success()).then(|| SmallDisk(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _output = std::process::Command::new("umount").arg(self.0.path()).output();
    }
}

#[tokio::test]
async fn a_disk_that_is_really_full_loses_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("NOT CHECKED: a full disk, because only root may mount a small one");
        return;
    };
    let store = disk.0.path().join("journal");
    let journal = open_with(&Settings { min_free_bytes: 0, ..Settings::new(&store) }).unwrap();
    let entry = |n| NewEntry { body: json!("x".repeat(10_000)), ..entry(n) };
    let mut acknowledged = 0;
    let refused = loop {
        match journal.append("s", acknowledged, vec![entry(0)]).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::Full(_)), "{refused:?}");
    // Who asks before it writes knows what the disk holds; who fails within a write does not.
    let broken = journal.broken().borrow().is_some();
    assert_eq!(broken, refused.to_string().contains("what the disk holds is unknown now"), "{refused}");
    drop(journal);
    let roomy = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(&store).arg(roomy.path()).status().unwrap();
    assert!(copied.success());
    let journal = open(&roomy.path().join("journal")).unwrap();
    assert!(journal.read("s").await.unwrap().len() as u64 >= acknowledged && acknowledged > 100, "{acknowledged}");
}

#[tokio::test]
async fn one_folder_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let _journal = open(dir.path()).unwrap();
    let error = open(dir.path()).err().expect("the second opening is refused");
    assert!(error.0.contains("lock"), "{error}");
}

#[tokio::test]
async fn large_entries_survive_and_oversized_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let large = |bytes: usize| NewEntry { body: json!("x".repeat(bytes)), ..entry(0) };
    journal.append("large", 0, vec![large(1 << 20)]).await.unwrap();
    let refused = journal.append("large", 1, vec![large(5 << 20)]).await;
    assert!(matches!(refused, Err(AppendError::Failed(_))));
    assert!(journal.append("a\0b", 0, vec![entry(0)]).await.is_err());
    drop(journal);
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.read("large").await.unwrap()[0].body, json!("x".repeat(1 << 20)));
}

#[tokio::test]
async fn retention_removes_the_oldest_ended_streams_and_never_under_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    for n in 0..5 {
        fill(&journal, &format!("run/{n}"), 2).await;
    }
    let hold = journal.hold().await;
    let refused = journal::prune(&*journal, "run/", 2, |_| true).await;
    assert!(refused.is_err_and(|error| error.0.contains("backup")));
    drop(hold);
    let gone = journal::prune(&*journal, "run/", 2, |stream| stream.name != "run/1").await.unwrap();
    assert_eq!(gone, 2);
    drop(journal);
    let journal = open(dir.path()).unwrap();
    let names = journal.streams("").await.unwrap().into_iter().map(|s| s.name).collect::<Vec<_>>();
    assert_eq!(names, ["run/1", "run/3", "run/4"]);
    assert_eq!(journal.append("run/5", 0, vec![entry(0)]).await.unwrap(), 11, "no sequence is given out twice");
}

#[tokio::test]
async fn a_backup_is_restored_entry_by_entry() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir.path().join("first")).unwrap();
    fill(&journal, "run/1", 700).await;
    fill(&journal, "run/2", 3).await;
    journal::prune(&*journal, "run/2", 0, |_| true).await.unwrap();
    let backup = journal::backup(journal.clone());
    let mut backup = Box::pin(backup);
    let header = backup.next().await.unwrap().unwrap();
    journal.append("run/1", 700, vec![entry(700)]).await.unwrap();
    let text = header + &lines(backup).await;
    let verified = journal::verify(text.as_bytes()).unwrap();
    assert_eq!((verified.entries, verified.streams, verified.up_to), (700, 1, 703), "later entries are not in it");
    let second = dir.path().join("second");
    assert_eq!(journal::restore(text.as_bytes(), &second).unwrap(), verified);
    let restored = open(&second).unwrap();
    assert_eq!(restored.read("run/1").await.unwrap(), journal.read("run/1").await.unwrap()[..700]);
    assert_eq!(restored.append("run/1", 700, vec![entry(700)]).await.unwrap(), 704);
    assert!(journal::restore(text.as_bytes(), &second).unwrap_err().0.contains("not empty"));
    assert_eq!(lines(journal::export(journal.clone(), "run/1")).await.lines().count(), 701);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir.path().join("first")).unwrap();
    fill(&journal, "run/1", 3).await;
    let text = lines(journal::backup(journal)).await;
    let rows: Vec<&str> = text.lines().collect();
    let join = |rows: &[&str]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    for (damaged, says) in [
        (join(&rows[..4]), "cut short"),
        (text.trim_end().to_owned(), "cut short"),
        (join(&[rows[0], rows[1], rows[3], rows[4]]), "line 3 of the backup: entry 2 of run/1"),
        (text.replace("\"n\":1", "\"n\":7"), "SHA-256"),
        (text.replace("\"v\":1", "\"v\":9"), "format version 9"),
        (text.replace("\"journal\":1", "\"journal\":3"), "format 3"),
        (text.replace("\"journal\":1", "\"journal\":2"), "SHA-256"),
        (text.clone() + &text, "follows the last line"),
        (text.replace("{\"entries\":3,", "{ \"entries\":3,"), "not as it was written"),
        (String::new(), "empty"),
    ] {
        let target = dir.path().join("second");
        let error = journal::restore(damaged.as_bytes(), &target).unwrap_err();
        assert!(error.0.contains(says), "{says}: {error}");
        assert!(!target.exists() && !dir.path().join("second.restoring").exists());
    }
}

const RUN: &str = "run/user/petclinic/petclinic-was/56";

#[tokio::test]
async fn the_golden_journal_is_read_by_every_later_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.ndjson");
    // A golden journal is never written anew: old servers wrote it.
    if std::env::var_os("UPDATE").is_some() && !path.exists() {
        std::fs::write(&path, golden().await).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("journal");
    journal::restore(text.as_bytes(), &target).unwrap();
    let journal = open(&target).unwrap();
    let entries = journal.tail(0, 100).await.unwrap();
    let seen = |e: &journal::Entry| format!("{} {} {} v{} {} by {}", e.seq, e.stream, e.index, e.v, e.kind, e.by);
    let seen: Vec<String> = entries.iter().map(seen).collect();
    assert_eq!(seen[0], "1 delivery/default/72d3162e 0 v1 received by delivery:72d3162e");
    assert_eq!(seen[1], format!("2 {RUN} 0 v1 opened by delivery:72d3162e"));
    assert_eq!(seen[6], format!("7 {RUN} 5 v1 cancel-asked by person:ann"));
    // The run is what its entries add up to, as it was then.
    let entries = journal.read(RUN).await.unwrap();
    let decode = |e: journal::Entry| {
        let entry: Entry = serde_json::from_value(json!({ "kind": e.kind, "body": e.body })).unwrap();
        (e.at_ms, e.by, entry)
    };
    let entries: Vec<_> = entries.into_iter().map(decode).collect();
    let run = State::replay(entries.iter().map(|(at, by, entry)| (*at, by, entry)));
    assert_eq!(run.outcome(), Some(RunOutcome::Cancelled));
    assert!(matches!(run.status("image"), Status::Ended { attempt: 2, outcome: Outcome::Succeeded { .. }, .. }));
    assert!(matches!(run.status("push"), Status::Skipped { .. }));
    assert_eq!(run.opened().unwrap().pipeline.steps.len(), 5);
    assert_eq!(run.opened().unwrap().commit.message, "Größe ✓");
    assert_eq!(lines(journal::backup(journal)).await, text, "and a backup of it is the same text again");
}

#[tokio::test]
async fn the_stages_golden_journals_are_restored_and_backed_up_to_the_same_bytes() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folders = ["stages", "exported"].map(|folder| std::fs::read_dir(golden.join(folder)).unwrap());
    let items = folders.into_iter().flatten().map(|item| item.unwrap().path());
    let files: Vec<_> = items.filter(|path| path.extension().is_some_and(|of| of == "ndjson")).collect();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("journal");
        let restored = journal::restore(text.as_bytes(), &target);
        let restored = restored.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(restored.entries + 2, text.lines().count() as u64, "{}", file.display());
        assert_eq!(lines(journal::backup(open(&target).unwrap())).await, text, "{}", file.display());
    }
}

/// A run of the sample, with every kind of entry that a run has.
async fn golden() -> String {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/samples/petclinic-was.yaml");
    let pipeline = pipeline::parse("was.yaml", &std::fs::read_to_string(file).unwrap()).unwrap();
    let opened = json!({
        "id": "user/petclinic/petclinic-was/56", "number": 56, "repository": "user/petclinic",
        "pipeline_file": ".bespin/was.yaml", "pipeline": pipeline, "title": "Größe ✓",
        "event": {
            "kind": "push", "reference": "refs/heads/main", "before": "0".repeat(40), "after": "f31bdcc".repeat(5) + "f31bd",
            "delivery": "72d3162e", "forced": false,
        },
        "commit": { "sha": "f31bdcc".repeat(5) + "f31bd", "short": "f31bdcc", "message": "Größe ✓", "author": "Ann" },
    });
    let step = |attempt: u32, outcome| Entry::Ended { step: "image".into(), attempt, outcome };
    let outputs = json!({ "build": "sha256:1", "digest": "sha256:2" });
    let entries = [
        ("delivery:72d3162e", Entry::Opened { run: serde_json::from_value(opened).unwrap() }),
        ("server", Entry::Started { step: "image".into(), attempt: 1, owner: None }),
        ("server", step(1, Outcome::Lost)),
        ("server", Entry::Started { step: "image".into(), attempt: 2, owner: None }),
        ("server", step(2, Outcome::Succeeded { outputs })),
        ("person:ann", Entry::CancelAsked { because: "Ann asked".into(), cause: CancelCause::Asked }),
        ("server", Entry::Skipped { step: "push".into(), because: "the run was cancelled".into() }),
        ("server", Entry::Closed { outcome: RunOutcome::Cancelled }),
    ];
    let new = |n: u64, by: &str, value: serde_json::Value| {
        let (kind, body) = (value["kind"].as_str().unwrap().to_owned(), value["body"].clone());
        vec![NewEntry { at_ms: 1_795_000_000_000 + n, by: By::from(by.to_owned()), kind, body }]
    };
    let received = json!({ "kind": "received", "body": { "event": "push" } });
    journal.append("delivery/default/72d3162e", 0, new(1, "delivery:72d3162e", received)).await.unwrap();
    for (n, (by, entry)) in (0..).zip(entries) {
        journal.append(RUN, n, new(n + 2, by, serde_json::to_value(&entry).unwrap())).await.unwrap();
    }
    lines(journal::backup(journal)).await
}
