//! The concurrency group of a run, which is known before the run is open.

use crate::run::{Commit, Event};
use pipeline::expr::{self, Variables};
use pipeline::{Concurrency, Pipeline};
use serde_json::{Value, json};

/// How long the name of a concurrency group may be, in characters.
const GROUP_LIMIT: usize = 500;

/// The pipeline with its group rendered, as a run that is opened for this event and commit has it.
///
/// # Errors
/// What is wrong with the group, as a sentence.
pub fn with_group(pipeline: &Pipeline, event: &Event, commit: &Commit) -> Result<Pipeline, String> {
    let mut pipeline = pipeline.clone();
    let Some(own) = &pipeline.concurrency else { return Ok(pipeline) };
    let scope = early(&pipeline, event, commit);
    let group = match expr::render(&Value::String(own.group.clone()), &scope)? {
        Value::String(group) => group,
        Value::Number(number) => number.to_string(),
        other => return Err(format!("`{}` is {other}, not a text", own.group)),
    };
    let group = group.trim().to_owned();
    match group.chars().count() {
        0 => return Err(format!("`{}` is empty; give the group a name", own.group)),
        length if length > GROUP_LIMIT => return Err(format!("it has {length} characters, over {GROUP_LIMIT}")),
        _ => {}
    }
    pipeline.concurrency = Some(Concurrency { group, ..own.clone() });
    Ok(pipeline)
}

/// What is known before a run is open.
pub(super) fn early(pipeline: &Pipeline, event: &Event, commit: &Commit) -> Variables {
    let branch = event.reference.strip_prefix("refs/heads/").unwrap_or_default();
    Variables(json!({
        "env": pipeline.env,
        "commit": {
            "sha": commit.sha, "short": commit.short, "message": commit.message,
            "author": commit.author, "branch": branch,
        },
        "event": { "kind": event.kind },
        "inputs": event.inputs(pipeline),
        "ref": { "name": event.ref_name() },
    }))
}
