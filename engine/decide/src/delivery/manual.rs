//! A run that a person starts: what is asked for is checked whole, and nothing is recorded where something is wrong.

use super::group::with_group;
use super::observed::{Context, File, KnownRun};
use super::pipelines::title;
use crate::run::{Event, EventKind, ManualStart, Opened};
use pipeline::expr::did_you_mean;
use pipeline::{Pipeline, RunPlan, Trigger};
use serde_json::Value;
use std::collections::BTreeMap;

/// How many names a refusal lists at most.
const LISTED: usize = 20;
/// How long a key may be, in bytes.
const LONGEST_KEY: usize = 100;

/// What a person asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ManualRequest {
    /// The repository as `owner/repo`, as the configuration spells it.
    pub repository: String,
    /// The pipeline file, such as `.bespin/was.yaml`.
    pub file: String,
    /// The full reference whose commit is run.
    pub reference: String,
    /// What the client calls this start; the same key opens nothing twice.
    pub key: String,
    /// The inputs by name, as they were given.
    pub inputs: BTreeMap<String, Value>,
}

/// What becomes of a start.
#[derive(Clone, Debug, PartialEq)]
pub enum ManualPlan {
    /// Its run does not exist yet.
    Open(Box<Opened>),
    /// It was asked for before; the id of its run.
    Exists(String),
}

/// Why a run cannot be started, so that a form can show it at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRefusal {
    /// What is wrong: `repository`, `file`, `ref`, `key`, or `inputs.NAME`.
    pub field: String,
    /// What is wrong with it, as a sentence.
    pub message: String,
    /// How to fix it.
    pub help: String,
}

impl StartRefusal {
    /// A refusal of this field.
    pub fn new(field: &str, message: impl Into<String>, help: impl Into<String>) -> StartRefusal {
        StartRefusal { field: field.to_owned(), message: message.into(), help: help.into() }
    }

    /// A name that there is not, with the one most like it, or with what there is.
    pub fn unknown<'n>(
        field: &str,
        message: impl Into<String>,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> StartRefusal {
        let help = did_you_mean(name, known.clone()).unwrap_or_else(|| there_are(known));
        StartRefusal::new(field, message, help)
    }
}

/// Such as ``there are `a`, `b`, and 3 more``.
fn there_are<'n>(known: impl Iterator<Item = &'n str> + Clone) -> String {
    let (shown, all) = (known.clone().take(LISTED).map(|name| format!("`{name}`")), known.count());
    match (shown.collect::<Vec<_>>().join(", "), all.saturating_sub(LISTED)) {
        (shown, _) if shown.is_empty() => "there are none".to_owned(),
        (shown, 0) => format!("there are {shown}"),
        (shown, more) => format!("there are {shown}, and {more} more"),
    }
}

/// The full reference that a person means: a branch or a tag by its short or its full name, or the default branch.
/// `known` are the full names of all that there are.
///
/// # Errors
/// There is none of this name, or two.
pub fn reference_named<'n>(
    named: Option<&str>,
    default: Option<&str>,
    known: impl Iterator<Item = &'n str> + Clone,
) -> Result<String, StartRefusal> {
    let is_known = |full: &String| known.clone().any(|known| known == full);
    let Some(named) = named else {
        let full = default.map(|default| format!("refs/heads/{default}")).filter(is_known);
        let help = "name a branch or a tag";
        return full.ok_or_else(|| StartRefusal::new("ref", "the repository has no default branch", help));
    };
    let (branch, tag) = (format!("refs/heads/{named}"), format!("refs/tags/{named}"));
    let is_full = named.starts_with("refs/heads/") || named.starts_with("refs/tags/");
    match (is_known(&branch), is_known(&tag)) {
        (true, true) => {
            let message = format!("`{named}` is a branch and a tag");
            Err(StartRefusal::new("ref", message, format!("write `{branch}` or `{tag}`")))
        }
        (true, false) => Ok(branch),
        (false, true) => Ok(tag),
        (false, false) if is_full && is_known(&named.to_owned()) => Ok(named.to_owned()),
        (false, false) => {
            let short = |full: &'n str| full.splitn(3, '/').nth(2).unwrap_or(full);
            let message = format!("there is no branch or tag `{named}`");
            Err(StartRefusal::unknown("ref", message, named, known.map(short)))
        }
    }
}

/// Whether a person who names this may mean the full reference, as far as can be told without the others.
pub fn may_mean(named: Option<&str>, default: Option<&str>, full: &str) -> bool {
    let (branch, tag) = (full.strip_prefix("refs/heads/"), full.strip_prefix("refs/tags/"));
    match named {
        None => default.is_some() && branch == default,
        Some(_) => [Some(full), branch, tag].contains(&named),
    }
}

/// The run that has started by this key before, if there is one. What it was given is compared with what is asked for
/// now, and nothing else: the file, its defaults and the branch may be others by then.
///
/// # Errors
/// The key has started something else.
pub fn started_before(asked: &ManualRequest, runs: &[KnownRun]) -> Result<Option<String>, StartRefusal> {
    let Some(known) = run_of(&asked.key, runs) else { return Ok(None) };
    let given = known.event.manual.as_ref().map(|manual| &manual.given);
    if known.file == asked.file && known.event.reference == asked.reference && given == Some(&asked.inputs) {
        return Ok(Some(known.id.clone()));
    }
    let message = format!("the key `{}` has started {}, by another file, ref or inputs", asked.key, known.id);
    Err(StartRefusal::new("key", message, "take a key of its own for each start"))
}

/// The run that this key has started.
pub fn run_of<'r>(key: &str, runs: &'r [KnownRun]) -> Option<&'r KnownRun> {
    runs.iter().find(|known| known.event.manual.as_ref().is_some_and(|manual| manual.key == key))
}

/// Decides what becomes of a start at the commit of its reference.
///
/// # Errors
/// Everything that is wrong with what the person asks for.
pub fn plan_manual(asked: &ManualRequest, context: &Context) -> Result<ManualPlan, Vec<StartRefusal>> {
    if let Some(run) = started_before(asked, &context.runs).map_err(|refused| vec![refused])? {
        return Ok(ManualPlan::Exists(run));
    }
    let mut refused: Vec<StartRefusal> = bad_key(&asked.key).into_iter().collect();
    match file(asked, context).and_then(|pipeline| opened(asked, context, pipeline)) {
        Ok(opened) if refused.is_empty() => return Ok(ManualPlan::Open(Box::new(opened))),
        Ok(_) => {}
        Err(more) => refused.extend(more),
    }
    Err(refused)
}

fn bad_key(key: &str) -> Option<StartRefusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_good = !key.is_empty() && key.len() <= LONGEST_KEY && key.chars().all(fits);
    let message = format!("a key has 1 to {LONGEST_KEY} letters, digits, `.`, `_` and `-`");
    (!is_good).then(|| StartRefusal::new("key", message, "take a random one, such as a UUID"))
}

/// The pipeline that is meant, if it can be started.
fn file<'c>(asked: &ManualRequest, context: &'c Context) -> Result<&'c Pipeline, Vec<StartRefusal>> {
    let (path, short) = (asked.file.as_str(), &context.commit.short);
    let refuse = |message: String, help: String| Err(vec![StartRefusal::new("file", message, help)]);
    let paths = context.files.iter().map(|file| file.path.as_str());
    let Some(at) = context.files.iter().position(|file| file.path == path) else {
        let message = format!("there is no pipeline file `{path}` at {short}");
        return Err(vec![StartRefusal::unknown("file", message, path, paths)]);
    };
    let pipeline = match &context.files[at].pipeline {
        Ok(pipeline) => pipeline,
        Err(mistakes) => {
            let message = format!("`{path}` has mistakes at {short}:\n{}", mistakes.join("\n"));
            return refuse(message, "correct it and push; `bespin lint` checks a file before".to_owned());
        }
    };
    let is_twin = |file: &&File| file.pipeline.as_ref().is_ok_and(|other| other.name == pipeline.name);
    if let Some(twin) = context.files[..at].iter().find(is_twin) {
        let message = format!("`{path}`: the name `{}` is taken by {}", pipeline.name, twin.path);
        return refuse(message, "give this pipeline another".to_owned());
    }
    match pipeline::plan(pipeline, &Trigger::Manual) {
        RunPlan::Runs { .. } => Ok(pipeline),
        RunPlan::Rests { because } => {
            let starts = |file: &&File| file.pipeline.as_ref().is_ok_and(|pipeline| pipeline.on.manual.is_some());
            let others = context.files.iter().filter(starts).map(|file| file.path.as_str());
            let help = format!("add `manual: {{}}` to its `on`; of those that start by hand {}", there_are(others));
            refuse(format!("`{path}`: {because}"), help)
        }
    }
}

fn opened(asked: &ManualRequest, context: &Context, pipeline: &Pipeline) -> Result<Opened, Vec<StartRefusal>> {
    let inputs = pipeline.on.manual.clone().unwrap_or_default().values(&asked.inputs).map_err(|wrong| {
        let each =
            wrong.into_iter().map(|one| StartRefusal::new(&format!("inputs.{}", one.input), one.message, one.help));
        each.collect::<Vec<_>>()
    })?;
    let event = Event {
        kind: EventKind::Manual,
        reference: asked.reference.clone(),
        after: context.commit.sha.clone(),
        manual: Some(ManualStart { key: asked.key.clone(), inputs, given: asked.inputs.clone() }),
        ..Event::default()
    };
    let pipeline = with_group(pipeline, &event, &context.commit).map_err(|because| {
        let message = format!("`{}`: concurrency: group: {because}", asked.file);
        vec![StartRefusal::new("file", message, "give other inputs, or correct the group and push")]
    })?;
    let number = context.next_number(&pipeline.name);
    Ok(Opened {
        id: format!("{}/{}/{number}", asked.repository, pipeline.name),
        number,
        repository: asked.repository.clone(),
        pipeline_file: asked.file.clone(),
        pipeline,
        title: title(&context.commit.message, &event.reference),
        event,
        commit: context.commit.clone(),
        mistakes: Vec::new(),
        retry_of: None,
    })
}

#[cfg(test)]
mod tests;
