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
