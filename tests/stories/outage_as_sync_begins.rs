//! The API server answers 500 to everything while a run's sync begins, when its bump has landed already. The run waits,
//! and ends well: git and the cluster say the same again.

use playground::faults::{Fault, Target};
use serde_json::Value;
use std::time::Duration;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;

/// How long the API server is away, as people see it during an upgrade. Longer than the server's first tries, which
/// double from 0.2 s, and than any time that it gives a single look.
const OUTAGE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn outage_as_sync_begins() {
    let estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    let before = estate.manifests().head();
    let commit = estate.push(&[(PIPELINE, asking(&estate)), ("was/notes", "one more\n".into())], "Outage").await.after;
    let run = eventually("the sync waits for a person", PATIENCE, || asked(&estate, &commit)).await;
    assert_ne!(estate.manifests().head(), before, "the bump has landed");

    let faults = estate.parts.playground().faults();
    faults.inject(Target::Kube, None, "", Fault::Status(500), u32::MAX);
    let (status, said) = estate.dashboard().await.press(&format!("runs/{run}/steps/sync/approve")).await;
    assert_eq!(status, 204, "{said}");
    tokio::time::sleep(OUTAGE).await;
    assert!(faults.left() < u32::MAX - 1, "the server has asked more than once");
    let row = row(&estate, &commit).await.expect("the run is listed");
    assert_eq!(row["state"], "open", "the run waits: {row}");
    faults.clear();

    let ended = estate.ended(&commit).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let journal = estate.bespin.journal(&format!("run/{run}"));
    let syncs = journal.iter().filter(|entry| entry["kind"] == "started" && entry["body"]["step"] == "sync");
    assert_eq!(syncs.count(), 1, "one attempt went through it: {journal:#?}");
    estate.settled().await;
}

const PIPELINE: &str = ".bespin/petclinic-was.yaml";

/// The sample's pipeline, whose sync waits for a person: so the outage begins between the bump and the sync.
fn asking(estate: &Estate) -> String {
    let application = estate.application();
    let text = application.file(&application.head(), PIPELINE);
    let asking = text.replace("  - id: sync\n", "  - id: sync\n    approval: Sync?\n");
    assert_ne!(asking, text, "the sample's pipeline has a step `sync`");
    asking
}

async fn row(estate: &Estate, commit: &str) -> Option<Value> {
    let runs = estate.dashboard().await.get("runs").await;
    runs["runs"].as_array()?.iter().map(|row| row["run"].clone()).find(|run| run["sha"] == commit)
}

/// The run of a commit, once its sync asks.
async fn asked(estate: &Estate, commit: &str) -> Option<String> {
    let run = row(estate, commit).await?["id"].as_str()?.to_owned();
    let page = estate.dashboard().await.get(&format!("runs/{run}")).await;
    let sync = page["steps"].as_array()?.iter().find(|step| step["summary"]["id"] == "sync")?;
    (sync["summary"]["state"] == "asking").then_some(run)
}
