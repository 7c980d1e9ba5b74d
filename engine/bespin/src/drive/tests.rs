//! The loop over a real journal, with a stage that is done at its second look.

use super::*;
use serde::Deserialize;

struct Brief;

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
enum Entry {
    Begun,
    Ended,
}

#[async_trait]
impl Stage for Brief {
    const NAME: &'static str = "brief";
    type Entry = Entry;
    type Recorded = bool;
    type Seen = ();
    type Act = ();

    fn replay(&self, entries: &[Written<Entry>]) -> bool {
        entries.iter().any(|written| matches!(written.entry, Entry::Ended))
    }

    async fn observe(&self, _stream: &str, _recorded: &bool) -> Result<(), Trouble> {
        Ok(())
    }

    fn decide(&self, recorded: &bool, (): &(), _now: Timestamp) -> Next<Entry, ()> {
        match recorded {
            true => Next::done(Wake::Never, "it is over"),
            false => Next { record: vec![Entry::Ended], ..Next::progressing(Wake::Now, "ending") },
        }
    }

    async fn act(&self, _stream: &str, (): &()) -> Result<(), Trouble> {
        Ok(())
    }
}

#[tokio::test]
async fn what_nobody_reads_leaves_the_board_and_a_runs_last_word_stays() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
    let stage = Arc::new(Brief);
    let mut changed = drivers.board().changed();
    for stream in ["delivery/default/1", "image/a/b/c/1/image", "bump/a/b/c/1/bump", "run/a/b/c/1"] {
        drivers.append(stream, By::Server, |_: &[Written<Entry>]| Some(vec![Entry::Begun])).await.unwrap();
        drivers.ensure(&stage, stream);
        while drivers.is_driven(stream) {
            tokio::select! {
                change = changed.changed() => change.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    }
    let said = drivers.board().statuses();
    assert_eq!(said.keys().collect::<Vec<_>>(), ["run/a/b/c/1"]);
    assert_eq!(said["run/a/b/c/1"].status.message, "it is over");
    drivers.stop().await;
}

#[tokio::test]
async fn the_moment_that_decides_is_the_one_that_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(dir.path()).unwrap(), Arc::new(Board::default()));
    let mut decided_at = 0;
    let make = |_: &[Written<Entry>], at_ms: u64| {
        decided_at = at_ms;
        // Deciding takes a while.
        while now() < at_ms + 5 {}
        Some(vec![Entry::Begun])
    };
    drivers.append_at("run/a/b/c/1", By::Server, make).await.unwrap();
    let written = read::<Entry>(drivers.journal(), "run/a/b/c/1").await.unwrap();
    assert_eq!(written[0].at_ms, decided_at);
}
