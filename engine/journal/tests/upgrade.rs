//! A store that a Bespin from before the checksums wrote is opened, and stays what it was.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use journal::{Journal, inspect, open};
use serde_json::json;
use std::path::Path;

/// A copy of the golden store, which stays as it is.
fn older(dir: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/store");
    for item in std::fs::read_dir(golden).unwrap() {
        let path = item.unwrap().path();
        std::fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
    }
    std::fs::create_dir(dir.join("blobs")).unwrap();
}

/// What the older Bespin wrote: two rounds of six runs, of which eight are left, and a stream of 80 entries.
async fn holds_all(journal: &Journal) {
    let app = journal.read("app/a").await.unwrap();
    assert!(app.iter().map(|entry| entry.index).eq(0..80));
    let streams = journal.streams("run/").await.unwrap();
    let lens: Vec<_> = streams.iter().map(|stream| (stream.name.as_str(), stream.base, stream.len)).collect();
    let names = ["run/0/4", "run/0/5", "run/1/0", "run/1/1", "run/1/2", "run/1/3", "run/1/4", "run/1/5"];
    assert_eq!(lens, names.map(|name| (name, 0, 10)));
    let long = &journal.read("run/1/3").await.unwrap()[1];
    assert_eq!(long.body, json!({ "n": 31, "padding": "x".repeat(60_000) }));
    assert_eq!((long.at_ms, long.index), (1_795_000_000_031, 1));
    assert_eq!(journal.tail(0, 1_000).await.unwrap().len(), 160);
}

#[tokio::test]
async fn an_older_store_is_looked_at_opened_and_used() {
    let dir = tempfile::tempdir().unwrap();
    older(dir.path());
    let found = inspect(dir.path()).unwrap();
    assert_eq!((found.damage, found.entries, found.streams, found.lost), (None, 160, 9, Some(0)));
    assert!(!dir.path().join("totals").exists(), "looking changes nothing");
    for _opened in 1..=2 {
        let journal = open(dir.path()).unwrap();
        holds_all(&journal).await;
        assert_eq!(*journal.newest().borrow(), 200);
    }
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.append("run/2/0", 0, vec![]).await.unwrap(), 0);
    assert_eq!(journal.remove(vec!["run/0/4".into()]).await.unwrap(), 10);
    drop(journal);
    let found = inspect(dir.path()).unwrap();
    assert_eq!((found.damage, found.entries, found.up_to), (None, 150, 200));
}
