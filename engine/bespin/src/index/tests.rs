//! The index over a journal that was written before it was made, as after a restart.

use super::*;
use crate::drive::encode;
use decide::by::By;
use decide::run::{Entry as RunEntry, RunOutcome};
use pipeline::{Concurrency, Pipeline, Supersede};
use std::sync::Arc;

const REPOSITORY: &str = "user/petclinic";

/// What the opening of a run of a group says.
pub(crate) fn opened(pipeline: &str, number: u64, group: Option<&str>) -> Opened {
    let concurrency = group.map(|group| Concurrency { group: group.into(), supersede: Supersede::Never });
    Opened {
        id: format!("{REPOSITORY}/{pipeline}/{number}"),
        number,
        repository: REPOSITORY.into(),
        pipeline_file: format!(".bespin/{pipeline}.yaml"),
        pipeline: Pipeline { name: pipeline.into(), concurrency, ..Pipeline::default() },
        event: Default::default(),
        commit: Default::default(),
        title: String::new(),
        mistakes: Vec::new(),
        retry_of: None,
    }
}

async fn append(journal: &Journal, run: &str, index: u64, entry: RunEntry) {
    // One moment for all: the order is the journal's, and not the clock's.
    let entries = encode(&[entry], &By::Server, 5).unwrap();
    journal.append(&format!("run/{run}"), index, entries).await.unwrap();
}

async fn open(journal: &Journal, run: Opened) -> String {
    let id = run.id.clone();
    append(journal, &id, 0, RunEntry::Opened { run: Arc::new(run) }).await;
    id
}

#[tokio::test]
async fn the_order_of_a_group_is_the_journals_whatever_the_runs_are_called() {
    for names in [["a", "b", "c"], ["c", "b", "a"]] {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(directory.path()).unwrap();
        let mut ids = Vec::new();
        for name in names {
            ids.push(open(&journal, opened(name, 1, Some("deploy"))).await);
        }
        let other = open(&journal, opened("other", 1, Some("another"))).await;
        let alone = open(&journal, opened("alone", 1, None)).await;
        let ahead = async |index: &JournalIndex, run: &str| index.ahead_of(run).await.unwrap();
        // The first question of a new process, about the youngest.
        let index = JournalIndex::new(journal.clone());
        assert_eq!(ahead(&index, &ids[2]).await.as_ref(), Some(&ids[1]), "{names:?}");
        assert_eq!(ahead(&index, &ids[1]).await.as_ref(), Some(&ids[0]), "{names:?}");
        assert_eq!(ahead(&index, &ids[0]).await, None, "{names:?}");
        for free in [other.as_str(), alone.as_str(), "user/petclinic/nobody/1"] {
            assert_eq!(ahead(&index, free).await, None, "{free}");
        }
        // One that was asked to end has not ended.
        let cause = decide::run::CancelCause::Asked;
        append(&journal, &ids[1], 1, RunEntry::CancelAsked { because: "b".into(), cause }).await;
        assert_eq!(ahead(&index, &ids[2]).await.as_ref(), Some(&ids[1]), "{names:?}");
        append(&journal, &ids[1], 2, RunEntry::Closed { outcome: RunOutcome::Cancelled }).await;
        assert_eq!(ahead(&index, &ids[2]).await.as_ref(), Some(&ids[0]), "{names:?}: it reads on before it answers");
        let behind = async |run: &str| index.behind(run).await.unwrap();
        assert_eq!(behind(&ids[0]).await, [ids[2].clone()], "neither itself nor what is closed");
        assert!(behind(&ids[2]).await.is_empty() && behind(&alone).await.is_empty());
        append(&journal, &ids[0], 1, RunEntry::Closed { outcome: RunOutcome::Succeeded }).await;
        assert_eq!(ahead(&index, &ids[2]).await, None, "{names:?}");
        assert_eq!(ahead(&JournalIndex::new(journal), &ids[2]).await, None, "{names:?}: read anew");
    }
}

fn commit(digit: &str) -> String {
    digit.repeat(40)
}

fn push(delivery: &str, reference: &str, before: &str, after: &str) -> Push {
    let json = serde_json::json!({
        "hook": "default", "delivery": delivery, "repository": REPOSITORY, "reference": reference,
        "before": commit(before), "after": commit(after), "change": "forward", "pusher": "kim",
        "paths": { "known": "compare", "because": "a test" },
    });
    serde_json::from_value(json).unwrap()
}

async fn receive(journal: &Journal, push: Push) {
    let stream = Stream::delivery("default", &push.delivery);
    let entry = decide::delivery::Entry::Received(push);
    journal.append(stream.as_str(), 0, encode(&[entry], &By::Server, 5).unwrap()).await.unwrap();
}

#[tokio::test]
async fn what_was_seen_to_be_gone_outlives_a_summary_of_the_looks() {
    use decide::heads::Entry as Heads;
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::open(directory.path()).unwrap();
    let [main, tag] = ["refs/heads/main", "refs/tags/v1"];
    let heads = |text: &[(&str, &str)]| text.iter().map(|(name, at)| ((*name).to_owned(), commit(at))).collect();
    let push = |delivery: &str| push(delivery, tag, "0", "1");
    let received = async |delivery: &str| receive(&journal, push(delivery)).await;
    let mut run = opened("was", 1, None);
    run.event.delivery = "d1".into();
    open(&journal, run).await;
    received("d1").await;
    let stream = format!("heads/{REPOSITORY}");
    let looks =
        [Heads::Looked { heads: heads(&[(main, "2"), (tag, "0")]) }, Heads::Moved { heads: heads(&[(main, "3")]) }];
    journal.append(&stream, 0, encode(&looks, &By::Server, 5).unwrap()).await.unwrap();
    let summary = encode(&[Heads::Summary { heads: heads(&[(main, "3")]) }], &By::Server, 5).unwrap().remove(0);
    journal.summarize(&stream, 2, summary, vec![0]).await.unwrap();
    received("d2").await;
    // As after a restart.
    let index = JournalIndex::new(journal.clone());
    let (positions, _) = index.positions(REPOSITORY).await.unwrap();
    assert_eq!(positions[main].at, commit("3"), "where the last look saw it");
    let (_, same) = index.runs_beside(&push("d2")).await.unwrap();
    assert!(same.is_empty(), "it was gone before it was pushed again");
}

#[tokio::test]
async fn after_a_restore_an_old_push_that_is_told_again_sets_nothing_back() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::open(directory.path()).unwrap();
    let main = "refs/heads/main";
    let push = |delivery: &str, before: &str, after: &str| push(delivery, main, before, after);
    receive(&journal, push("backup", "2", "3")).await;
    let looked = decide::heads::Entry::Looked { heads: BTreeMap::from([(main.to_owned(), commit("7"))]) };
    let looked = encode(&[looked], &By::Server, 5).unwrap();
    journal.append(&format!("heads/{REPOSITORY}"), 0, looked).await.unwrap();
    receive(&journal, push("next", "7", "8")).await;
    receive(&journal, push("old", "4", "5")).await;
    let index = JournalIndex::restored(journal.clone(), 1);
    assert_eq!(index.positions(REPOSITORY).await.unwrap().0[main].at, commit("8"));
    assert_eq!(index.move_epoch(&Stream::delivery("default", "old")).await.unwrap(), Epoch::Restored);
    assert!(index.stood(REPOSITORY, main, &commit("8")).await.unwrap());
    assert!(!index.stood(REPOSITORY, main, &commit("5")).await.unwrap());
    // The other hook tells of the newest move.
    let mut run = opened("was", 1, None);
    run.event.delivery = "next".into();
    open(&journal, run).await;
    receive(&journal, push("NEXT", "7", "8")).await;
    let (_, same) = index.runs_beside(&push("NEXT", "7", "8")).await.unwrap();
    assert_eq!(same, BTreeSet::from(["next".to_owned()]));
}
