//! What a step is given, and what expressions may name.

use super::entry::{Answer, Opened, Outcome};
use super::observed::Observed;
use super::state::{State, Status};
use crate::by::By;
use pipeline::expr::{self, Variables};
use pipeline::{Approval, Step};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A step's settings and grants, as its plugin gets them.
type Rendered = (Value, BTreeMap<String, Vec<String>>);

/// Renders a step's settings and grants.
///
/// # Errors
/// The expression that cannot be evaluated, as a sentence.
pub(super) fn render(state: &State, opened: &Opened, observed: &Observed, step: &Step) -> Result<Rendered, String> {
    let scope = scope(state, opened, observed);
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

/// How long a question may be, in characters: the person who answers must be able to read it.
const LONGEST_QUESTION: usize = 4_000;

/// Renders what a step asks before it starts.
///
/// # Errors
/// The expression that cannot be evaluated, or what makes it no question, as a sentence.
pub(super) fn question(
    state: &State,
    opened: &Opened,
    observed: &Observed,
    approval: &Approval,
) -> Result<String, String> {
    let ask = match expr::render(&Value::String(approval.ask.clone()), &scope(state, opened, observed))? {
        Value::String(text) => text.trim().to_owned(),
        other => return Err(format!("approval: `{}` is {other}, not a text", approval.ask)),
    };
    match ask.chars().count() {
        0 => Err(format!("approval: `{}` asks nothing", approval.ask)),
        length if length > LONGEST_QUESTION => Err(format!(
            "approval: the question has {length} characters, over the {LONGEST_QUESTION} that a person is shown"
        )),
        _ => Ok(ask),
    }
}

/// What expressions may name; see [`Variables`].
pub(super) fn scope(state: &State, opened: &Opened, observed: &Observed) -> Variables {
    let mut steps = Map::new();
    for step in state.steps() {
        let (outputs, outcome) = match state.status(&step.id) {
            Status::Ended { outcome: Outcome::Succeeded { outputs }, .. } => (outputs, "succeeded"),
            Status::Ended { .. } | Status::Refused { .. } => (Value::Null, "failed"),
            Status::Skipped { .. } => (Value::Null, "skipped"),
            Status::Waiting | Status::Started { .. } => continue,
        };
        let mut known = outputs.as_object().cloned().unwrap_or_default();
        known.insert("outcome".into(), outcome.into());
        let answered = state.asked(&step.id).and_then(|asked| asked.answered.as_ref());
        if let Some(By::Person(name)) = answered.filter(|one| one.answer == Answer::Approved).map(|one| &one.by) {
            known.insert("approved_by".into(), name.as_str().into());
        }
        steps.insert(step.id.clone(), known.into());
    }
    let branch = opened.event.reference.strip_prefix("refs/heads/").unwrap_or_default();
    let commit = &opened.commit;
    Variables(json!({
        "run": {
            "number": opened.number, "id": opened.id, "url": format!("{}/runs/{}", observed.url, opened.id),
            "title": opened.title, "outcome": state.ending(),
        },
        "commit": {
            "sha": commit.sha, "short": commit.short, "message": commit.message,
            "author": commit.author, "branch": branch,
        },
        "env": opened.pipeline.env,
        "steps": steps,
        "event": { "kind": opened.event.kind },
        "inputs": opened.event.inputs(&opened.pipeline),
        "ref": { "name": opened.event.ref_name() },
    }))
}
