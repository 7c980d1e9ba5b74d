//! Streams that never end: their summaries, and what goes with what they replace.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use decide::by::By;
use futures::StreamExt;
use journal::{AppendError, Journal, NewEntry, open};
use serde_json::json;

fn entry(n: u64) -> NewEntry {
    NewEntry { at_ms: 1_700_000_000_000 + n, by: By::Server, kind: "counted".into(), body: json!({ "n": n }) }
}

async fn fill(journal: &Journal, stream: &str, from: u64, to: u64) {
    journal.append(stream, from, (from..to).map(entry).collect()).await.unwrap();
}

async fn indexes(journal: &Journal, stream: &str) -> (Vec<u64>, Vec<u64>) {
    let of = |entries: Vec<journal::Entry>| entries.iter().map(|entry| entry.index).collect();
    (of(journal.read(stream).await.unwrap()), of(journal.read_current(stream).await.unwrap()))
}

async fn backup(journal: &Journal) -> String {
    let lines: Vec<_> = journal::backup(journal.clone()).map(|line| line.unwrap()).collect().await;
    lines.concat()
}

#[tokio::test]
async fn a_summary_is_its_streams_base_and_what_it_replaces_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path()).unwrap();
    fill(&journal, "app/a", 0, 10).await;
    fill(&journal, "app/a/b", 0, 3).await;
    let early = journal.summarize("app/a", 9, entry(9), vec![]).await;
    assert!(matches!(early, Err(AppendError::Conflict { expected: 9, actual: 10 })), "{early:?}");
    assert_eq!(indexes(&journal, "app/a").await.0.len(), 10, "nothing goes with a summary that was refused");
    // What is to be kept may be named in any order, twice, and not be there.
    assert_eq!(journal.summarize("app/a", 10, entry(10), vec![5, 2, 5, 99]).await.unwrap(), 14);
    fill(&journal, "app/a", 11, 13).await;
    for _opened in 1..=2 {
        assert_eq!(indexes(&journal, "app/a").await, (vec![2, 5, 10, 11, 12], vec![10, 11, 12]));
        let from = |index| journal.read_from("app/a", index);
        assert_eq!(from(5).await.unwrap()[..], journal.read("app/a").await.unwrap()[1..]);
        assert_eq!(from(6).await.unwrap(), journal.read_current("app/a").await.unwrap());
        assert_eq!(from(13).await.unwrap(), vec![]);
        let known = journal.streams("app/a").await.unwrap();
        assert_eq!(known.iter().map(|s| (s.base, s.len, s.last_seq)).collect::<Vec<_>>(), [(10, 13, 16), (0, 3, 13)]);
        assert_eq!(indexes(&journal, "app/a/b").await.0, [0, 1, 2], "a stream's neighbour loses nothing");
        let seqs: Vec<u64> = journal.tail(0, 100).await.unwrap().iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, [3, 6, 11, 12, 13, 14, 15, 16]);
        journal = reopened(journal, dir.path());
    }
}

/// The same journal, closed and opened again.
fn reopened(journal: Journal, dir: &std::path::Path) -> Journal {
    drop(journal);
    open(dir).unwrap_or_else(|_| unreachable!("the folder is free"))
}

#[tokio::test]
async fn the_next_summary_replaces_the_last_and_what_it_does_not_keep() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.summarize("app/a", 0, entry(0), vec![0]).await.unwrap(), 1, "a stream may begin with one");
    assert_eq!(indexes(&journal, "app/a").await, (vec![0], vec![0]));
    fill(&journal, "app/a", 1, 2_000).await;
    journal.summarize("app/a", 2_000, entry(2_000), vec![0, 700, 1_999]).await.unwrap();
    assert_eq!(indexes(&journal, "app/a").await, (vec![0, 700, 1_999, 2_000], vec![2_000]));
    journal.summarize("app/a", 2_001, entry(2_001), vec![700]).await.unwrap();
    assert_eq!(indexes(&journal, "app/a").await, (vec![700, 2_001], vec![2_001]));
    // Its entries and its base go with it, and a stream of its name begins anew.
    assert_eq!(journal.remove(vec!["app/a".into()]).await.unwrap(), 2);
    fill(&journal, "app/a", 0, 2).await;
    let journal = reopened(journal, dir.path());
    assert_eq!(indexes(&journal, "app/a").await, (vec![0, 1], vec![0, 1]));
    assert_eq!(journal.streams("").await.unwrap()[0].base, 0);
}

#[tokio::test]
async fn while_a_backup_reads_the_base_moves_and_what_lies_below_stays_for_the_next_summary() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    fill(&journal, "app/a", 0, 3).await;
    let hold = journal.hold().await;
    journal.summarize("app/a", 3, entry(3), vec![]).await.unwrap();
    assert_eq!(indexes(&journal, "app/a").await, (vec![0, 1, 2, 3], vec![3]));
    drop(hold);
    let journal = reopened(journal, dir.path());
    journal.summarize("app/a", 4, entry(4), vec![1]).await.unwrap();
    assert_eq!(indexes(&journal, "app/a").await, (vec![1, 4], vec![4]));
    assert_eq!(journal::prune(&*journal, "app/", 0, |_| true).await.unwrap(), 1);
    assert_eq!(reopened(journal, dir.path()).streams("").await.unwrap(), vec![]);
}

#[tokio::test]
async fn readers_meet_no_stream_without_its_present_while_it_is_summarized() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    fill(&journal, "app/a", 0, 500).await;
    let writing = tokio::spawn({
        let journal = journal.clone();
        async move {
            for n in 500..560 {
                journal.summarize("app/a", n, entry(n), vec![]).await.unwrap();
            }
        }
    });
    while !writing.is_finished() {
        for entries in [journal.read_current("app/a").await.unwrap(), journal.read("app/a").await.unwrap()] {
            assert!(entries.is_sorted_by_key(|entry| entry.index));
            let newest = entries.last().unwrap().index;
            assert!(newest >= 499, "a reader met {newest}, which was replaced long ago");
        }
    }
    writing.await.unwrap();
    assert_eq!(indexes(&journal, "app/a").await, (vec![559], vec![559]));
}

#[tokio::test]
async fn a_backup_carries_bases_and_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir.path().join("first")).unwrap();
    fill(&journal, "app/a", 0, 10).await;
    fill(&journal, "run/1", 0, 2).await;
    assert!(backup(&journal).await.starts_with("{\"journal\":1,\"up_to\":12}\n"), "every older Bespin reads it");
    journal.summarize("app/a", 10, entry(10), vec![4]).await.unwrap();
    let text = backup(&journal).await;
    let begins = "{\"journal\":2,\"up_to\":13}\n{\"base\":10,\"stream\":\"app/a\"}\n{\"seq\":5,";
    assert!(text.starts_with(begins), "{text}");
    let verified = journal::verify(text.as_bytes()).unwrap();
    assert_eq!((verified.entries, verified.streams, verified.up_to), (4, 2, 13));

    let second = dir.path().join("second");
    assert_eq!(journal::restore(text.as_bytes(), &second).unwrap(), verified);
    let restored = open(&second).unwrap();
    assert_eq!(restored.tail(0, 100).await.unwrap(), journal.tail(0, 100).await.unwrap());
    assert_eq!(restored.streams("").await.unwrap(), journal.streams("").await.unwrap());
    assert_eq!(indexes(&restored, "app/a").await, (vec![4, 10], vec![10]));
    assert_eq!(backup(&restored).await, text);
    let export: Vec<_> = journal::export(restored, "app/").map(|line| line.unwrap()).collect().await;
    assert_eq!(export.concat().lines().count(), 2);
}

#[tokio::test]
async fn a_backup_with_a_gap_that_no_base_explains_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    fill(&journal, "app/a", 0, 4).await;
    journal.summarize("app/a", 4, entry(4), vec![1]).await.unwrap();
    fill(&journal, "app/a", 5, 7).await;
    let text = backup(&journal).await;
    let rows: Vec<&str> = text.lines().collect();
    let without = |gone: usize| {
        let kept = rows.iter().enumerate().filter(|(n, _)| *n != gone);
        kept.map(|(_, row)| format!("{row}\n")).collect::<String>()
    };
    let base = |base: &str| text.replace("{\"base\":4", &format!("{{\"base\":{base}"));
    for (damaged, says) in [
        (without(1), "entry 1 of app/a with sequence 2 is out of order"),
        (without(3), "entry 5 of app/a with sequence 6 is out of order"),
        (base("3"), "entry 4 of app/a with sequence 5 is out of order"),
        (base("0"), "the base of app/a is out of order"),
        (base("7"), "SHA-256"),
        (base("18446744073709551615"), "SHA-256"),
        (text.replacen("\"journal\":2", "\"journal\":1", 1), "this is no entry"),
    ] {
        let error = journal::verify(damaged.as_bytes()).unwrap_err();
        assert!(error.0.contains(says), "{says}: {error}");
    }
}
