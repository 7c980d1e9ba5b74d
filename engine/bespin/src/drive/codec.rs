//! Entries of a stage as the journal holds them.

use super::Written;
use decide::by::By;
use decide::next::Timestamp;
use journal::{Journal, NewEntry};
use serde::{Serialize, de::DeserializeOwned};

/// Reads a stream as a stage's entries, from its last summary on where it has one.
///
/// # Errors
/// The journal's; or an entry of a kind or a version that this Bespin does not know, named with its place.
pub async fn read<E: DeserializeOwned>(
    journal: &Journal,
    stream: impl AsRef<str>,
) -> Result<Vec<Written<E>>, journal::Error> {
    Ok(read_current(journal, stream).await?.0)
}

/// The same, with the length that an append expects.
pub(super) async fn read_current<E: DeserializeOwned>(
    journal: &Journal,
    stream: impl AsRef<str>,
) -> Result<(Vec<Written<E>>, u64), journal::Error> {
    let entries = journal.read_current(stream.as_ref()).await?;
    let length = entries.last().map_or(0, |last| last.index + 1);
    Ok((entries.into_iter().map(decode).collect::<Result<_, _>>()?, length))
}

pub(super) async fn read_from<E: DeserializeOwned>(
    journal: &Journal,
    stream: impl AsRef<str>,
    index: u64,
) -> Result<Vec<Written<E>>, journal::Error> {
    let entries = journal.read_from(stream.as_ref(), index).await?;
    entries.into_iter().map(decode).collect()
}

/// Reads everything that is left of a stream, each entry with its index.
pub(super) async fn read_whole<E: DeserializeOwned>(
    journal: &Journal,
    stream: impl AsRef<str>,
) -> Result<Vec<(u64, Written<E>)>, journal::Error> {
    let entries = journal.read(stream.as_ref()).await?;
    entries.into_iter().map(|entry| Ok((entry.index, decode(entry)?))).collect()
}

fn decode<E: DeserializeOwned>(entry: journal::Entry) -> Result<Written<E>, journal::Error> {
    let place = format!("{} entry {} (format v{}, kind `{}`)", entry.stream, entry.index, entry.v, entry.kind);
    if entry.v > journal::VERSION {
        return Err(journal::Error(format!("{place} was written by a newer Bespin; start that version")));
    }
    known(entry.at_ms, entry.by, &entry.kind, entry.body)
        .map_err(|error| journal::Error(format!("{place} is not known to this version of Bespin: {error}")))
}

/// What a reader would find of these entries.
pub(super) fn written<E: DeserializeOwned>(entries: Vec<NewEntry>) -> Result<Vec<Written<E>>, serde_json::Error> {
    entries.into_iter().map(|NewEntry { at_ms, by, kind, body }| known(at_ms, by, &kind, body)).collect()
}

fn known<E: DeserializeOwned>(
    at_ms: Timestamp,
    by: By,
    kind: &str,
    body: serde_json::Value,
) -> Result<Written<E>, serde_json::Error> {
    let tagged = serde_json::json!({ "kind": kind, "body": body });
    Ok(Written { at_ms, by, entry: serde_json::from_value(tagged)? })
}

/// Encodes entries for an append.
///
/// # Errors
/// An entry that serialises without a `kind`.
pub fn encode<E: Serialize>(entries: &[E], by: &By, at_ms: Timestamp) -> Result<Vec<NewEntry>, journal::Error> {
    let encode = |entry: &E| {
        let value = serde_json::to_value(entry).map_err(|error| journal::Error(error.to_string()))?;
        let kind = value["kind"].as_str().ok_or_else(|| journal::Error("an entry without a kind".into()))?.to_owned();
        let body = value.get("body").cloned().unwrap_or(serde_json::Value::Null);
        Ok(NewEntry { at_ms, by: by.clone(), kind, body })
    };
    entries.iter().map(encode).collect()
}
