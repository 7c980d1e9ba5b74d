//! An append needs no descriptor that it does not have already.

use decide::by::By;
use journal::{NewEntry, open};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// A process of its own, since the limit is one of the process.
#[tokio::test]
#[ignore = "the child of the other test"]
async fn child() {
    let entry = |n: u64| {
        let body = json!("x".repeat(if n % 5 == 3 { 200_000 } else { 500 }));
        NewEntry { at_ms: n, by: By::Server, kind: "counted".into(), body }
    };
    let journal = open(Path::new(&std::env::var("JOURNAL_DIR").unwrap())).unwrap();
    let limit = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut taken = Vec::new();
    for n in 0..40 {
        take_all(&mut taken);
        journal.append("run/1", n, vec![entry(n)]).await.unwrap();
        journal.append(&format!("run/2/{n}"), 0, vec![entry(n)]).await.unwrap();
    }
    take_all(&mut taken);
    journal.summarize("run/1", 40, entry(40), vec![3]).await.unwrap();
    journal::prune(&*journal, "run/2/", 3, |_| true).await.unwrap();
    assert_eq!(journal.read("run/1").await.unwrap().len(), 2);
    assert_eq!(*journal.broken().borrow(), None);
}

/// Opens files until the limit. Called before each append, since sled's threads close the store that the journal was
/// made with a while after it was opened.
fn take_all(taken: &mut Vec<File>) {
    let error = loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()), "{error}");
}

#[tokio::test]
async fn an_append_needs_no_new_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("JOURNAL_DIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
    let journal = open(dir.path()).unwrap();
    let streams = journal.streams("").await.unwrap();
    assert_eq!(
        streams.iter().map(|stream| (stream.base, stream.len)).collect::<Vec<_>>(),
        [(40, 41), (0, 1), (0, 1), (0, 1)]
    );
}
