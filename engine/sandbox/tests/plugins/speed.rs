//! What makes calls cheap: nothing is compiled twice, nothing while a step waits, and instances come from a pool.

use std::sync::Arc;

use sandbox::bench::{self, Bare};
use sandbox::{Sandbox, Settings, Verdict};

use crate::world::example;

fn open(dir: &std::path::Path, concurrent: u32) -> Arc<Sandbox> {
    Arc::new(Sandbox::open(dir, Settings { concurrent, ..Settings::default() }).unwrap())
}

#[tokio::test]
async fn a_component_is_compiled_once() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = open(dir.path(), 4);
    let loads: Vec<_> = (0..8)
        .map(|_| {
            let sandbox = Arc::clone(&sandbox);
            tokio::spawn(async move { sandbox.load_file("nothing", &example("nothing")).await.unwrap() })
        })
        .collect();
    let mut plugins = Vec::new();
    for load in loads {
        plugins.push(load.await.unwrap());
    }
    assert_eq!(sandbox.compiled(), 1);
    bench::calls(&sandbox, &plugins[0], "{}", 100).await.unwrap();
    assert_eq!(sandbox.compiled(), 1, "a call compiled something");
    drop(sandbox);
    // After a restart it is there, and so it is when nobody held it for a while.
    let sandbox = open(dir.path(), 4);
    for _ in 0..2 {
        sandbox.load_file("nothing", &example("nothing")).await.unwrap();
    }
    assert_eq!(sandbox.compiled(), 0);
}

#[tokio::test]
async fn a_damaged_entry_costs_one_compilation() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), 4).load_file("nothing", &example("nothing")).await.unwrap();
    let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let entry = entries.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "cwasm")).unwrap();
    std::fs::write(&entry, b"machine code of somebody else").unwrap();
    let sandbox = open(dir.path(), 4);
    let plugin = sandbox.load_file("nothing", &example("nothing")).await.unwrap();
    assert_eq!(sandbox.compiled(), 1);
    bench::calls(&sandbox, &plugin, "{}", 1).await.unwrap();
}

#[tokio::test]
async fn many_instances_live_at_once_and_many_calls_go_through_few_places() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = open(dir.path(), 100);
    let plugin = sandbox.load_file("nothing", &example("nothing")).await.unwrap();
    let looked = bench::alive(&sandbox, &plugin, r#"{"ask":true}"#, 100, || "here").await.unwrap();
    assert_eq!(looked, "here");
    bench::at_once(&sandbox, &plugin, "{}", 300).await.unwrap();
    let refused = bench::alive(&sandbox, &plugin, r#"{"mistake":true}"#, 10, || ()).await;
    assert!(matches!(refused, Err(Verdict::Rejected { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_call_is_set_beside_a_bare_one() {
    let bare = Bare::open(&example("nothing"), &Settings::default()).unwrap();
    assert_eq!(bare.calls("{}", 50).await.unwrap().len(), 50);
    assert_eq!(bare.calls(r#"{"ask":true}"#, 1).await.unwrap().len(), 1);
    assert!(bare.calls(r#"{"mistake":true}"#, 1).await.is_err(), "a failure is no time");
}
