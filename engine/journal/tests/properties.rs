//! What holds of every backup that is brought, and of every entry that is kept.

#[path = "../../fuzz/src/backup.rs"]
mod backup;
#[path = "../../fuzz/src/corpus.rs"]
mod corpus;

use decide::by::By;
use futures::TryStreamExt;
use journal::{AppendError, NewEntry, open, restore, verify};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn the_corpus_holds() {
    corpus::hold("backup", backup::check);
}

/// Any JSON, with the texts and numbers that are easily lost.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Of others the last digit may be read otherwise than it was written.
        any::<i32>().prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn entry() -> impl Strategy<Value = (String, NewEntry)> {
    let by =
        prop_oneof![Just(By::Server), "[^:]{0,9}:?.{0,9}".prop_map(By::from), any::<String>().prop_map(By::Person),];
    let stream = prop_oneof![Just("run/a/b/c/1".to_owned()), "[a-zé /]{1,9}"];
    (stream, any::<u64>(), by, any::<String>(), json())
        .prop_map(|(stream, at_ms, by, kind, body)| (stream, NewEntry { at_ms, by, kind, body }))
}

fn backed_up(runtime: &tokio::runtime::Runtime, journal: journal::Journal) -> String {
    let lines: Vec<String> = runtime.block_on(journal::backup(journal).try_collect()).expect("it can be backed up");
    lines.concat()
}

/// Appends each to its stream, and gives back what the journal then says of all of them.
fn append(
    runtime: &tokio::runtime::Runtime,
    journal: &journal::Journal,
    entries: &[(String, NewEntry)],
) -> Result<(), AppendError> {
    runtime.block_on(async {
        for (stream, entry) in entries {
            let length = journal.read(stream).await?.len() as u64;
            journal.append(stream, length, vec![entry.clone()]).await?;
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(corpus::cases(256))]

    #[test]
    fn nearly_backups(bytes in corpus::nearly("backup")) {
        backup::check(&bytes);
    }
}

proptest! {
    #![proptest_config(corpus::cases(12))]

    /// What is appended is read as it was; a backup of it is sound, and restored it is the same backup.
    #[test]
    fn every_entry_comes_back_as_it_was(entries in vec(entry(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let journal = open(first.path()).expect("a journal");
        append(&runtime, &journal, &entries).map_err(|error| TestCaseError::fail(format!("{error}")))?;
        let read = runtime.block_on(journal.tail(0, 100)).expect("it can be read");
        let read: Vec<_> = read.into_iter().map(|entry| {
            let journal::Entry { stream, at_ms, by, kind, body, .. } = entry;
            (stream, NewEntry { at_ms, by, kind, body })
        }).collect();
        prop_assert_eq!(&read, &entries);
        let backup = backed_up(&runtime, journal);
        backup::check(backup.as_bytes());
        let verified = verify(backup.as_bytes()).expect("it is sound");
        prop_assert_eq!(verified.entries, entries.len() as u64);
        restore(backup.as_bytes(), &second.path().join("restored")).expect("it can be restored");
        let restored = open(&second.path().join("restored")).expect("a journal");
        prop_assert_eq!(backed_up(&runtime, restored), backup);
    }
}
