//! What lies on the disk, and what of it is durable.

use crate::{Entry, Error, VERSION};
use decide::by::By;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is on the disk for certain: every reader stops at its edge.
#[derive(Default)]
pub(crate) struct Durable {
    /// Each stream's length, base and newest sequence.
    pub heads: BTreeMap<String, StreamHead>,
    /// The totals, which are recorded with every batch.
    pub meta: Meta,
}

/// Where a stream's present begins and ends: what an append compares and what a listing shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamHead {
    /// The index after the newest entry.
    pub len: u64,
    /// The index of its newest summary, or 0: from here on there is no gap.
    pub base: u64,
    /// The sequence of the newest.
    pub last_seq: u64,
}

/// How much there is. A store from before there were checksums keeps it as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The newest sequence ever given out.
    pub newest: u64,
    /// How many entries there are.
    pub entries: u64,
}

/// All that a batch leaves behind: the store's own record, and its copy in the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// How many batches there were; 0 is a store that is being made or gets its checksums.
    pub generation: u64,
    /// What the writer counts.
    pub meta: Meta,
    /// The wrapping sum of the checksums of all values but this one and the parts of long ones.
    pub digest: u128,
}

impl Totals {
    /// As bytes, always as many.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Totals { generation, meta: Meta { newest, entries }, digest } = self;
        [&generation.to_be_bytes()[..], &newest.to_be_bytes(), &entries.to_be_bytes(), &digest.to_be_bytes()].concat()
    }

    /// From bytes; `None` where they are too few or too many.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Totals> {
        let (generation, rest) = bytes.split_first_chunk()?;
        let (newest, rest) = rest.split_first_chunk()?;
        let (entries, digest) = rest.split_first_chunk()?;
        let meta = Meta { newest: u64::from_be_bytes(*newest), entries: u64::from_be_bytes(*entries) };
        let digest = u128::from_be_bytes(digest.try_into().ok()?);
        Some(Totals { generation: u64::from_be_bytes(*generation), meta, digest })
    }
}

/// An entry's content as it lies on the disk; its sequence is its key.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredEntry {
    v: u32,
    stream: String,
    index: u64,
    at_ms: u64,
    by: By,
    kind: String,
    body: serde_json::Value,
}

impl StoredEntry {
    /// Encodes an entry's content.
    pub(crate) fn encode(entry: &Entry) -> Result<Vec<u8>, Error> {
        let Entry { stream, index, v, at_ms, by, kind, body, .. } = entry.clone();
        let stored = StoredEntry { v, stream, index, at_ms, by, kind, body };
        serde_json::to_vec(&stored).map_err(|error| Error(format!("encoding an entry: {error}")))
    }

    /// Decodes an entry's content.
    pub(crate) fn decode(seq: u64, value: &[u8]) -> Result<Entry, Error> {
        let stored: StoredEntry = serde_json::from_slice(value)
            .map_err(|error| Error(format!("entry {seq} of the journal cannot be read: {error}")))?;
        let StoredEntry { v, stream, index, at_ms, by, kind, body } = stored;
        Ok(Entry { seq, stream, index, v, at_ms, by, kind, body })
    }
}

/// Says why an entry of this version cannot be read, if so.
pub(crate) fn refuse_version(v: u32, stream: &str, index: u64) -> Option<Error> {
    (v == 0 || v > VERSION).then(|| {
        Error(format!(
            "entry {index} of the stream {stream} has the format version {v}, and this Bespin reads versions 1 to {VERSION}; \
             start the Bespin that wrote it, or a newer one"
        ))
    })
}
