//! Rounds over a real journal with real logs.

use super::*;
use crate::drive::encode;
use crate::external_run_numbers::ExternalRunNumbers;
use crate::logs::Logs;
use crate::stages::delivery::DeliveryStage;
use api::board::Board;
use decide::by::By;
use decide::delivery::{Change, Entry as DeliveryEntry, Paths, Push, Received, Source};
use decide::run::{Entry as RunEntry, Event, Opened, RunOutcome};
use serde::Serialize;
use std::collections::BTreeMap;

const DAY: u64 = 24 * 60 * 60 * 1_000;
const PIPELINE: &str = "user/petclinic/was";

struct World {
    retention: Retention,
    delivery: Arc<DeliveryStage>,
    logs: Arc<Logs>,
    directory: tempfile::TempDir,
}

impl World {
    fn new(keep_runs: usize) -> World {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(&directory.path().join("journal")).unwrap();
        let drivers = Drivers::new(journal, Arc::new(Board::default()));
        let forge = forge::Forge::new(forge::Settings::default(), directory.path().join("git")).unwrap();
        let external = ExternalRunNumbers::new(forge.clone(), Arc::default(), Vec::new(), directory.path());
        let index = Arc::new(crate::index::JournalIndex::new(drivers.journal().clone()));
        let plugins = Arc::new(crate::plugins::Plugins::of(&directory.path().join("plugins")));
        let delivery = DeliveryStage::new(&forge, index, BTreeMap::new(), (external, plugins));
        let logs = Arc::new(Logs::open(directory.path().join("logs")));
        let leftovers = Arc::new(Leftovers::new(
            logs.clone(),
            directory.path().join("workspaces"),
            crate::host::Artifacts::open(directory.path().join("artifacts")),
        ));
        let memories: Vec<Arc<dyn Memory>> = vec![delivery.clone()];
        World { retention: Retention { drivers, leftovers, memories, keep_runs }, delivery, logs, directory }
    }

    async fn write<E: Serialize>(&self, stream: &str, at_ms: u64, entries: &[E]) {
        let entries = encode(entries, &By::Server, at_ms).unwrap();
        self.retention.drivers.journal().append(stream, 0, entries).await.unwrap();
    }

    /// A run with a log, a workspace and an image stream.
    async fn run(&self, number: u64, outcome: Option<RunOutcome>) {
        let id = format!("{PIPELINE}/{number}");
        let opened = Opened {
            id: id.clone(),
            number,
            repository: "user/petclinic".into(),
            pipeline_file: ".bespin/was.yaml".into(),
            pipeline: pipeline::Pipeline { name: "was".into(), ..Default::default() },
            event: Event::default(),
            commit: Default::default(),
            title: "Fix it".into(),
            mistakes: Vec::new(),
            retry_of: None,
        };
        let closed = outcome.map(|outcome| RunEntry::Closed { outcome });
        let entries: Vec<_> = [RunEntry::Opened { run: Arc::new(opened) }].into_iter().chain(closed).collect();
        self.write(&format!("run/{id}"), 1, &entries).await;
        let unread = [serde_json::json!({ "kind": "wanted", "body": {} })];
        self.write(&format!("image/{id}/image"), 1, &unread).await;
        self.logs.line(&id, "image", 1, "info", "hello");
        std::fs::create_dir_all(self.workspace(number)).unwrap();
    }

    fn workspace(&self, number: u64) -> std::path::PathBuf {
        self.directory.path().join("workspaces").join(PIPELINE).join(number.to_string())
    }

    async fn delivery(&self, id: &str, at_ms: u64, ended: bool) {
        let push = Received::Push(Push {
            hook: "default".into(),
            delivery: id.into(),
            repository: "user/petclinic".into(),
            reference: "refs/heads/main".into(),
            before: "1".repeat(40),
            after: "2".repeat(40),
            change: Change::Forward,
            pusher: "kim".into(),
            paths: Paths::Listed { paths: Vec::new() },
            source: Source::Webhook,
        });
        let stream = push.stream();
        let ignored = ended.then(|| DeliveryEntry::Ignored { because: "a test".into() });
        let entries: Vec<_> = [push.entry()].into_iter().chain(ignored).collect();
        self.write(stream.as_str(), at_ms, &entries).await;
    }

    async fn streams(&self, prefix: &str) -> Vec<String> {
        let streams = self.retention.drivers.journal().streams(prefix).await.unwrap();
        streams.into_iter().map(|stream| stream.name).collect()
    }
}

#[tokio::test]
async fn what_had_its_time_goes_and_nothing_else() {
    let world = World::new(1);
    world.run(1, Some(RunOutcome::Succeeded)).await;
    world.run(2, None).await;
    world.run(3, Some(RunOutcome::Failed)).await;
    world.run(4, Some(RunOutcome::Succeeded)).await;
    let now = now();
    world.delivery("old", now - 4 * DAY, true).await;
    world.delivery("open", now - 4 * DAY, false).await;
    world.delivery("new", now - DAY, true).await;
    let asked = serde_json::json!({ "kind": "asked", "body": {} });
    let answered = serde_json::json!({ "kind": "answered", "body": {} });
    for (since, days, entries) in
        [(1, 31, vec![asked.clone(), answered.clone()]), (2, 31, vec![asked.clone()]), (3, 29, vec![asked, answered])]
    {
        world.write(&format!("revert/eks/petclinic/was/{since}"), now - days * DAY, &entries).await;
    }
    assert_eq!(world.delivery.index().of("user/petclinic").await.unwrap().len(), 4);

    assert_eq!(world.retention.round().await.unwrap(), 6, "two runs of two streams, a delivery, and a revert");
    assert_eq!(world.streams("revert/").await, [2, 3].map(|since| format!("revert/eks/petclinic/was/{since}")));
    let kept = [2, 4].map(|number| format!("run/{PIPELINE}/{number}"));
    assert_eq!(world.streams("run/").await, kept);
    assert_eq!(world.streams("image/").await, [2, 4].map(|number| format!("image/{PIPELINE}/{number}/image")));
    assert_eq!(world.streams("delivery/").await, ["delivery/default/new", "delivery/default/open"]);
    let logs = world.directory.path().join("logs").join(PIPELINE);
    let has_log = [1, 2, 3, 4].map(|number: u64| logs.join(number.to_string()).exists());
    assert_eq!(has_log, [false, true, false, true]);
    let has_workspace = [1, 2, 3, 4].map(|number| world.workspace(number).exists());
    assert_eq!(has_workspace, [false, true, false, false], "only an open run needs its workspace");
    assert_eq!(world.delivery.index().of("user/petclinic").await.unwrap().len(), 2);
    assert_eq!(world.retention.round().await.unwrap(), 0, "once more is nothing");
}

#[tokio::test]
async fn a_backup_is_waited_for() {
    let world = World::new(1);
    world.run(1, Some(RunOutcome::Succeeded)).await;
    world.run(2, Some(RunOutcome::Succeeded)).await;
    let hold = world.retention.drivers.journal().hold().await;
    world.retention.round().await.expect_err("a backup reads the streams");
    assert_eq!(world.streams("run/").await.len(), 2);
    drop(hold);
    assert_eq!(world.retention.round().await.unwrap(), 2);
}
