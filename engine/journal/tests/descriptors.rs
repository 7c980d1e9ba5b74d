//! An append needs no descriptor that it does not have already, and a start that lacks one costs a damaged store nothing.

use decide::by::By;
use journal::{NewEntry, open};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::fs::File;
use std::os::fd::AsRawFd;
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

fn copy(store: &Path, flip: usize) -> tempfile::TempDir {
    let copy = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    std::fs::create_dir(copy.path().join("blobs")).unwrap();
    for item in std::fs::read_dir(store).unwrap().map(|item| item.unwrap()) {
        if item.file_type().unwrap().is_file() {
            let mut bytes = std::fs::read(item.path()).unwrap();
            if item.file_name() == "db" {
                bytes[flip] ^= 1;
            }
            std::fs::write(copy.path().join(item.file_name()), bytes).unwrap();
        }
    }
    copy
}

/// What a start says or reads, whatever its folder.
async fn started(dir: &Path) -> Result<usize, String> {
    match open(dir) {
        Ok(journal) => Ok(journal.tail(0, usize::MAX).await.unwrap().len()),
        Err(error) => Err(error.0.replace(&dir.display().to_string(), "")),
    }
}

/// Each start has a descriptor more than the one before, until the store is looked at.
#[tokio::test]
#[ignore = "the child of the other test"]
async fn child_that_starts() {
    let store = Path::new(&std::env::var("JOURNAL_DIR").unwrap()).to_owned();
    let journal = open(&store).unwrap();
    for n in 0..60 {
        let entry = NewEntry { at_ms: n, by: By::Server, kind: "counted".into(), body: json!("x".repeat(700)) };
        journal.append("run/1", n, vec![entry]).await.unwrap();
    }
    drop(journal);
    let whole = getrlimit(Resource::Nofile);
    let db = std::fs::read(store.join("db")).unwrap();
    let len = db.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut refused, mut damaged) = (0, 0);
    for flip in [len / 4, len / 2] {
        let expected = started(copy(&store, flip).path()).await;
        damaged += usize::from(expected.is_err());
        for spare in 2..9 {
            let copy = copy(&store, flip);
            let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
            setrlimit(Resource::Nofile, Rlimit { current: Some(next + spare), ..whole }).unwrap();
            let lacking = started(copy.path()).await;
            setrlimit(Resource::Nofile, whole).unwrap();
            refused += usize::from(lacking.is_err_and(|why| why.contains("Too many open files")));
            assert_eq!(started(copy.path()).await, expected, "flip at {flip}, {spare} descriptors");
            let names = std::fs::read_dir(copy.path()).unwrap().map(|item| item.unwrap().file_name());
            let aside = names.filter(|name| name.to_str().unwrap().starts_with("opening-")).count();
            assert_eq!(aside, 0, "flip at {flip}, {spare} descriptors");
        }
    }
    assert!(refused > 4 && damaged > 0, "{refused} were refused, {damaged} are damaged");
    println!("{refused} were refused, {damaged} are damaged");
}

#[test]
fn a_start_that_lacks_a_descriptor_costs_a_damaged_store_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_starts", "--ignored", "--nocapture"])
        .env("JOURNAL_DIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}
