//! Journal entries: what a stage reads of an entry it writes again as it read it, and any order of them adds up.

use decide::by::By;
use decide::{bump, delivery, heads, image, revert, rollout, run, sync};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Looks at bytes as lines of a backup.
pub(crate) fn check(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n');
    let entries: Vec<Value> = lines.filter_map(|line| serde_json::from_slice(line).ok()).take(50).collect();
    let all = |stage: &str| of(stage, &entries);
    let deliveries: Vec<(u64, By, delivery::Entry)> = read(&all("delivery"));
    let runs: Vec<(u64, By, run::Entry)> = read(&all("run"));
    let images: Vec<(u64, By, image::Entry)> = read(&all("image"));
    let bumps: Vec<(u64, By, bump::Entry)> = read(&all("bump"));
    let syncs: Vec<(u64, By, sync::Entry)> = read(&all("app"));
    let rollouts: Vec<(u64, By, rollout::Entry)> = read(&all("rollout"));
    let branches: Vec<(u64, By, heads::Entry)> = read(&all("heads"));
    let reverts: Vec<(u64, By, revert::Entry)> = read(&all("revert"));
    let _deliveries = delivery::State::replay(deliveries.iter().map(|(at, _, entry)| (*at, entry)));
    let _runs = run::State::replay(runs.iter().map(|(at, by, entry)| (*at, by, entry)));
    let _images = image::State::replay(images.iter().map(|(_, _, entry)| entry));
    let _bumps = bump::State::replay(bumps.iter().map(|(_, _, entry)| entry));
    let _syncs = sync::State::fold(syncs.iter().map(|(at, _, entry)| (*at, entry)));
    let _rollouts = rollout::State::fold(rollouts.iter().map(|(at, by, entry)| (*at, by, entry)));
    let _heads = heads::State::replay(branches.iter().map(|(_, _, entry)| entry));
    let _reverts = revert::State::replay(reverts.iter().map(|(_, _, entry)| entry));
}

fn of<'e>(stage: &str, entries: &'e [Value]) -> Vec<&'e Value> {
    let is_of = |entry: &&Value| entry["stream"].as_str().and_then(|name| name.split('/').next()) == Some(stage);
    entries.iter().filter(is_of).collect()
}

/// The entries that can be read, as the driver does it; each is the same once it was written and read again.
fn read<E: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(lines: &[&Value]) -> Vec<(u64, By, E)> {
    let one = |line: &&Value| -> Option<(u64, By, E)> {
        let entry = serde_json::json!({ "kind": line["kind"], "body": line["body"] });
        let entry: E = serde_json::from_value(entry).ok()?;
        let written = serde_json::to_value(&entry).expect("an entry is plain data");
        let again: E = serde_json::from_value(written.clone()).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(again, entry, "{written}");
        let by: By = serde_json::from_value(line["by"].clone()).ok()?;
        assert_eq!(serde_json::to_value(&by).ok().as_ref(), Some(&line["by"]));
        Some((line["at_ms"].as_u64()?, by, entry))
    };
    lines.iter().filter_map(one).collect()
}
