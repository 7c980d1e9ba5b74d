//! Attempts that ask a stage whose world is up or down.

use super::*;
use crate::drive::full_disk::FullDisk;
use crate::drive::{Stage, Trouble, Turn};
use api::board::Board;
use async_trait::async_trait;
use decide::next::{Next, Timestamp, Wake};
use decide::outcome::Outcomes;
use decide::request::Change;
use decide::stream::Family;
use serde::Deserialize;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
enum Entry {
    Asked { key: Key, intent: String },
    Answered { key: Key, answer: Response },
    GaveUp { key: Key },
}

impl Requests for Entry {
    type Intent = String;

    fn asked(key: Key, intent: String) -> Entry {
        Entry::Asked { key, intent }
    }

    fn change(&self) -> Option<Change<'_, String>> {
        Some(match self {
            Entry::Asked { key, intent } => Change::Asked(key, intent),
            Entry::Answered { key, answer } => Change::Answered(key, answer),
            Entry::GaveUp { key } => Change::GaveUp(key),
        })
    }
}

/// A world that is up, or down.
struct Switch(AtomicBool);

#[async_trait]
impl Stage for Switch {
    const NAME: &'static str = "switch";
    const FAMILY: Family = Family::Bump;
    type Entry = Entry;
    type State = Ledger<String>;
    type Observed = bool;
    type Act = ();
    type ActKey = ();
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> Ledger<String> {
        ledger(entries)
    }

    fn is_current(&self, _: &Ledger<String>, (): &()) -> bool {
        true
    }

    async fn observe(&self, _: &Turn<'_>, _: &Ledger<String>, _: &Outcomes<(), ()>) -> Result<bool, Trouble> {
        Ok(self.0.load(Ordering::SeqCst))
    }

    fn decide(&self, requests: &Ledger<String>, up: &bool, _: Timestamp) -> Next<Entry, ()> {
        let Some(request) = requests.open().next() else { return Next::done(Wake::Never, "no request is open") };
        let answer = match up {
            true => Response::Met { outputs: serde_json::json!({}) },
            false => Response::Failed { because: "it is down".into(), transient: true },
        };
        let record = vec![Entry::Answered { key: request.key.clone(), answer }];
        Next { record, ..Next::progressing(Wake::Now, "answering") }
    }

    async fn act(&self, _: &Turn<'_>, _: &Ledger<String>, (): &()) -> Result<(), Trouble> {
        Ok(())
    }
}

/// Drivers of a switch, its stream, and who asks.
fn world(dir: &std::path::Path, up: bool) -> (Arc<Drivers>, Arc<Switch>, Stream, Key) {
    world_on(journal::open(dir).unwrap(), up)
}

fn world_on(journal: journal::Journal, up: bool) -> (Arc<Drivers>, Arc<Switch>, Stream, Key) {
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let switch = Arc::new(Switch(AtomicBool::new(up)));
    drivers.register(&switch);
    let key = Key { run: "user/petclinic/was/56".into(), step: "open".into() };
    (drivers, switch, Stream::bump(&key.run, &key.step), key)
}

async fn kinds(drivers: &Drivers, stream: &Stream) -> Vec<String> {
    drivers.journal().read(stream.as_str()).await.unwrap().into_iter().map(|entry| entry.kind).collect()
}

#[tokio::test]
async fn a_later_attempt_asks_again_and_what_is_met_stays_met() {
    let directory = tempfile::tempdir().unwrap();
    let (drivers, switch, stream, key) = world(directory.path(), false);
    let attempt = || request::<Entry>(&drivers, &stream, &key, "open".into(), |_| {});
    assert!(matches!(attempt().await, Err(Failure::Transient(_))));
    assert!(matches!(attempt().await, Err(Failure::Transient(_))), "it was asked again, and is still down");
    switch.0.store(true, Ordering::SeqCst);
    attempt().await.unwrap();
    switch.0.store(false, Ordering::SeqCst);
    attempt().await.unwrap();
    assert_eq!(
        kinds(&drivers, &stream).await,
        ["asked", "answered", "asked", "answered", "asked", "answered"],
        "what was met is not asked for again"
    );
    drivers.stop().await;
}

#[tokio::test]
async fn what_an_attempt_gave_up_is_asked_for_again_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let (drivers, _switch, stream, key) = world(directory.path(), true);
    let before = [Entry::Asked { key: key.clone(), intent: "open".into() }, Entry::GaveUp { key: key.clone() }];
    let written = |entries: &[Written<Entry>]| entries.is_empty().then(|| before.to_vec());
    drivers.append::<Entry, _>(&stream, By::Server, written).await.unwrap();
    request::<Entry>(&drivers, &stream, &key, "open".into(), |_| {}).await.unwrap();
    assert_eq!(kinds(&drivers, &stream).await, ["asked", "gave-up", "asked", "answered"]);
    drivers.stop().await;
}

#[tokio::test]
async fn a_journal_without_room_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(FullDisk { journal: journal::open(directory.path()).unwrap(), full: true.into() });
    let (drivers, _switch, stream, key) = world_on(disk.clone(), true);
    let makes_room = |trouble: &Trouble| {
        assert!(trouble.message.contains("no room for the journal"), "{trouble}");
        disk.full.store(false, Ordering::SeqCst);
    };
    request::<Entry>(&drivers, &stream, &key, "open".into(), makes_room).await.unwrap();
    assert_eq!(kinds(&drivers, &stream).await, ["asked", "answered"]);
    drivers.stop().await;
}
