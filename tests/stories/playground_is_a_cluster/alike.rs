//! What differs from one server to the next, or from one moment to the next, is taken away before answers are
//! compared.

use serde_json::{Value, json};

/// Takes it away.
pub(super) fn normalise(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in [
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "deletionTimestamp",
                "lastTransitionTime",
                "lastUpdateTime",
                "nodePort",
                "lastPhaseTransitionTime",
            ] {
                if map.contains_key(key) {
                    map.insert(key.into(), json!("-"));
                }
            }
            // The time of a manager of a subresource is forgotten by the real one when somebody else applies.
            map.remove("time");
            // What controllers have written by now is a race, here and there.
            let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default();
            let (moves, is_row) = (MOVING.contains(&kind), kind == "PartialObjectMetadata");
            if moves {
                map.remove("status");
            }
            if (moves || is_row)
                && let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut)
            {
                metadata.remove("generation");
                metadata.remove("annotations");
            }
            if let Some(Value::Array(managed)) = map.get_mut("managedFields") {
                managed.retain(|entry| entry["manager"] != "kube-controller-manager");
                // A client that names no manager is known by its user agent's first word.
                managed.sort_by_key(|entry| entry["manager"].to_string() + &entry["operation"].to_string());
            }
            if let Some(Value::Array(causes)) = map.get_mut("causes") {
                // The real server gives a cause twice that two of its checks find.
                let mut seen = Vec::new();
                causes.retain(|cause| {
                    !seen.contains(cause) && {
                        seen.push(cause.clone());
                        true
                    }
                });
            }
            if let Some(Value::Array(columns)) = map.get_mut("columnDefinitions") {
                // kubectl shows no description: the real one's are pages of the API's documentation.
                columns.iter_mut().filter_map(Value::as_object_mut).for_each(|column| {
                    column.remove("description");
                });
            }
            if let Some(Value::Array(cells)) = map.get_mut("cells") {
                cells.iter_mut().filter(|cell| cell.as_str().is_some_and(is_time)).for_each(|cell| *cell = json!("-"));
            }
            map.values_mut().for_each(normalise);
        }
        Value::Array(all) => all.iter_mut().for_each(normalise),
        Value::String(text) => *text = plain(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes away, of what controllers have brought to rest, what they name and time by chance.
pub(super) fn rested(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in TIMED {
                if map.get(key).is_some_and(|time| !time.is_null()) {
                    map.insert(key.into(), json!("-"));
                }
            }
            // Who wrote what is compared elsewhere; and here it is controllers alone.
            map.remove("managedFields");
            if let Some(Value::Object(annotations)) = map.get_mut("annotations") {
                annotations.remove("endpoints.kubernetes.io/last-change-trigger-time");
            }
            if map.get("annotations").is_some_and(|annotations| annotations == &json!({})) {
                map.remove("annotations");
            }
            rename(map);
            map.values_mut().for_each(rested);
        }
        Value::Array(all) => {
            all.iter_mut().for_each(rested);
            all.sort_by_key(|item| {
                let name = |pointer: &str| item.pointer(pointer).map(Value::to_string);
                name("/targetRef/name").or_else(|| name("/metadata/name"))
            });
        }
        Value::String(text) if text.starts_with("10.244.") => *text = "-".into(),
        Value::String(text) => *text = plain(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

const TIMED: [&str; 12] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "lastTransitionTime",
    "lastPhaseTransitionTime",
    "lastProbeTime",
    "startTime",
    "startedAt",
    "finishedAt",
    "completionTime",
    "containerID",
    "clusterIP",
];

/// A name that ends by chance ends in a dash; so does the hash of a DaemonSet's template, which is of a Go structure.
fn rename(map: &mut serde_json::Map<String, Value>) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, prefix) = (text(map.get("name")), text(map.get("generateName")));
    let end = name.strip_prefix(&prefix).unwrap_or_default();
    if !prefix.is_empty() && end.parse::<u32>().is_err() {
        map.insert("name".into(), prefix.into());
    }
    for label in ["controller-revision-hash", "pod-template-hash"] {
        if map.get(label).and_then(Value::as_str).is_some_and(|hash| !hash.contains('-')) {
            map.insert(label.into(), json!("-"));
        }
    }
}

/// The kinds whose status, generation and annotations controllers write.
const MOVING: [&str; 11] = [
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "ResourceQuota",
    "PersistentVolumeClaim",
    "Scale",
];

/// A message that names a uid or a random address names another one elsewhere, and one with the difference between two
/// Go structures, or with a whole one, is only for people.
fn plain(text: &str) -> String {
    let is_difference = |line: &&str| line.starts_with(['@', '+', '-', ' ']);
    let text = match text.contains("\n@@") {
        true => text.lines().filter(|line| !is_difference(line)).collect::<String>(),
        false => text.to_owned(),
    };
    let whole = |kind: &str| text.find(&format!("Invalid value: {{\"{kind}\":{{"));
    let text = match (whole("labels").or(whole("metadata")), text.rfind("}: ")) {
        (Some(from), Some(to)) if from < to && text.to_lowercase().contains("\"containers\"") => {
            format!("{}Invalid value: {{-{}", &text[..from], &text[to..])
        }
        _ => text,
    };
    // A patch that leaves nonsense is shown with the whole object.
    let text = match (text.find("patch: Invalid value: \"{"), text.rfind("}\": ")) {
        (Some(from), Some(to)) => format!("{}patch: Invalid value: {{-{}", &text[..from], &text[to..]),
        _ => match (text.find("Invalid value: \"{"), text.rfind("}\": ")) {
            (Some(0), Some(to)) => format!("Invalid value: {{-{}", &text[to..]),
            _ => text,
        },
    };
    let is_uid = |word: &str| word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let is_address = |word: &str| word.starts_with("10.96.") && word != ASKED_ADDRESS;
    let words = text.split(' ').map(|word| {
        let mut out = String::new();
        for part in word.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.') {
            let bare = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            out += &if is_uid(bare) || is_address(bare) { part.replace(bare, "-") } else { part.to_owned() };
        }
        out
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Where two answers differ, a line for each place.
pub(super) fn differences(at: &str, ours: &Value, theirs: &Value, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                let inner = format!("{at}/{name}");
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => differences(&inner, one, other, out),
                    (Some(one), None) => out.push(format!("  {inner}: only the playground has {one}")),
                    (None, other) => {
                        out.push(format!("  {inner}: only the real one has {}", other.unwrap_or(&Value::Null)))
                    }
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (place, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{at}/{place}"), one, other, out);
            }
        }
        _ if ours == theirs => {}
        _ => out.push(format!("  {at}:\n    playground {ours}\n    real       {theirs}")),
    }
}

/// The address that a Service asks for in vain.
pub(super) const ASKED_ADDRESS: &str = "10.96.77.77";

/// Whether a cell is a time, or how long ago one was.
fn is_time(cell: &str) -> bool {
    let ago = cell.strip_suffix(" ago").unwrap_or(cell);
    let span = ago.starts_with(|c: char| c.is_ascii_digit())
        && ago.ends_with(['s', 'm', 'h', 'd'])
        && ago.chars().all(|c| c.is_ascii_digit() || ['s', 'm', 'h', 'd'].contains(&c));
    span || (cell.len() == 20 && cell.ends_with('Z') && cell.as_bytes()[10] == b'T')
}
