//! What a step is given, and what expressions may name.

use super::plan::ending;
use super::{Opened, Outcome, Run, Seen, Status};
use crate::expr::{self, Scope};
use crate::pipeline::Step;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A step's settings and grants, as its plugin gets them.
type Rendered = (Value, BTreeMap<String, Vec<String>>);

/// Renders a step's settings and grants.
///
/// # Errors
/// The expression that cannot be evaluated, as a sentence.
pub(super) fn render(run: &Run, opened: &Opened, seen: &Seen, step: &Step) -> Result<Rendered, String> {
    let scope = scope(run, opened, seen);
    let settings = expr::render(&Value::Object(step.with.clone()), &scope)?;
    let mut grants = BTreeMap::new();
    for (ability, values) in &step.grants.0 {
        let render = |value: &String| match expr::render(&Value::String(value.clone()), &scope)? {
            Value::String(text) => Ok(text),
            other => Err(format!("grants: {ability}: `{value}` is {other}, not a text")),
        };
        grants.insert(ability.clone(), values.iter().map(render).collect::<Result<_, String>>()?);
    }
    Ok((settings, grants))
}

/// What expressions may name; see [`Scope`].
pub(super) fn scope(run: &Run, opened: &Opened, seen: &Seen) -> Scope {
    let mut steps = Map::new();
    for step in run.steps() {
        let (outputs, outcome) = match run.status(&step.id) {
            Status::Ended { outcome: Outcome::Succeeded { outputs }, .. } => (outputs, "succeeded"),
            Status::Ended { .. } => (Value::Null, "failed"),
            Status::Skipped { .. } => (Value::Null, "skipped"),
            Status::Waiting | Status::Started { .. } => continue,
        };
        let mut known = outputs.as_object().cloned().unwrap_or_default();
        known.insert("outcome".into(), outcome.into());
        steps.insert(step.id.clone(), known.into());
    }
    let branch = opened.event.reference.strip_prefix("refs/heads/").unwrap_or_default();
    let commit = &opened.commit;
    Scope(json!({
        "run": {
            "number": opened.number, "id": opened.id, "url": format!("{}/runs/{}", seen.url, opened.id),
            "title": opened.title, "outcome": ending(run),
        },
        "commit": {
            "sha": commit.sha, "short": commit.short, "message": commit.message,
            "author": commit.author, "branch": branch,
        },
        "env": opened.pipeline.env,
        "steps": steps,
        "event": { "kind": opened.event.kind },
    }))
}
