//! What becomes of each pipeline file of a pushed commit.

use super::{Ancestry, Changed, File, Found, Known, RunKey};
use crate::delivery::{Change, Push, Reference};
use crate::pipeline::{self, Cause, Pipeline, Supersede};
use crate::run::{Event, Opened};
use std::collections::BTreeMap;

/// How long a run's title may be, in characters.
const TITLE_LIMIT: usize = 120;

/// What becomes of one pipeline file.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Its run does not exist yet.
    Open(Box<Opened>),
    /// Its run exists.
    Exists {
        /// The run's id.
        run: String,
        /// What it does to older runs of its group.
        supersede: Option<Supersede>,
    },
    /// It has no run.
    Skip {
        /// The file.
        file: String,
        /// Why, as a sentence.
        because: String,
    },
}

/// Plans the runs of a push, one for each file at most.
pub fn plan(push: &Push, found: &Found) -> Vec<Plan> {
    let mut names = BTreeMap::new();
    found.files.iter().map(|file| plan_file(push, found, file, &mut names)).collect()
}

fn plan_file<'f>(push: &Push, found: &'f Found, file: &'f File, names: &mut BTreeMap<&'f str, &'f str>) -> Plan {
    let key = RunKey { reference: &push.reference, before: &push.before, after: &push.after, file: &file.path };
    let supersede = file.pipeline.as_ref().ok().and_then(|p| p.concurrency.as_ref()).map(|c| c.supersede);
    let twin = match &file.pipeline {
        Ok(pipeline) => names.insert(pipeline.name.as_str(), &file.path).map(str::to_owned),
        Err(_) => None,
    };
    if let Some(known) = found.runs.iter().find(|known| known.is(&key)) {
        return Plan::Exists { run: known.id.clone(), supersede };
    }
    match (&file.pipeline, twin) {
        (Ok(pipeline), Some(twin)) => {
            let mistake =
                format!("{}: the name `{}` is taken by {twin}; give this pipeline another", file.path, pipeline.name);
            Plan::Open(broken(push, found, &file.path, &[mistake]))
        }
        (Err(mistakes), _) => Plan::Open(broken(push, found, &file.path, mistakes)),
        (Ok(pipeline), None) => {
            let skip = unfit(pipeline, push, &found.changed).or_else(|| outrun(pipeline, push, file, found));
            match skip {
                Some(because) => Plan::Skip { file: file.path.clone(), because },
                None => Plan::Open(opened(push, found, &file.path, pipeline.clone(), Vec::new())),
            }
        }
    }
}

/// Why a pipeline is not for this push, if it is not.
fn unfit(pipeline: &Pipeline, push: &Push, changed: &Changed) -> Option<String> {
    let cause = match push.short_reference() {
        Some(Reference::Branch(branch)) => {
            let changed = match changed {
                Changed::Paths(paths) => Some(paths.clone()),
                Changed::Everything => None,
            };
            Cause::Push { branch: branch.to_owned(), changed }
        }
        Some(Reference::Tag(tag)) => Cause::Tag(tag.to_owned()),
        None => return Some(format!("`{}` is neither a branch nor a tag", push.reference)),
    };
    match pipeline::plan(pipeline, &cause) {
        pipeline::Plan::Runs { .. } => None,
        pipeline::Plan::Rests { because } => Some(because),
    }
}

/// Why a push that only moved forwards comes too late: deliveries may be
/// worked off out of order, and an older commit must not get a higher number.
fn outrun(pipeline: &Pipeline, push: &Push, file: &File, found: &Found) -> Option<String> {
    let supersede = pipeline.concurrency.as_ref()?.supersede;
    if supersede == Supersede::Never || push.change != Change::Forward {
        return None;
    }
    let newer = |known: &&Known| {
        known.ancestry == Ancestry::Newer && known.file == file.path && known.event.reference == push.reference
    };
    let newer = found.runs.iter().find(newer)?;
    Some(format!("{} is a run of a newer commit that contains this one", newer.id))
}

/// A run that has failed before it starts, and shows every mistake.
fn broken(push: &Push, found: &Found, path: &str, mistakes: &[String]) -> Box<Opened> {
    // The name that the file had while it could be read keeps its runs together.
    let before = found.runs.iter().rev().find(|known| known.file == path).map(|known| known.pipeline.clone());
    let name = before.unwrap_or_else(|| stem(path));
    opened(push, found, path, Pipeline { name, ..Pipeline::default() }, mistakes.to_vec())
}

fn stem(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file).to_ascii_lowercase();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "pipeline".into() } else { name }
}

fn opened(push: &Push, found: &Found, path: &str, pipeline: Pipeline, mistakes: Vec<String>) -> Box<Opened> {
    let used = found.runs.iter().filter(|known| known.pipeline == pipeline.name).map(|known| known.number);
    let floor = found.floors.get(&pipeline.name).copied();
    let number = used.chain(floor).max().unwrap_or(0) + 1;
    let kind = if push.reference.starts_with("refs/tags/") { "tag" } else { "push" };
    Box::new(Opened {
        id: format!("{}/{}/{number}", push.repository, pipeline.name),
        number,
        repository: push.repository.clone(),
        pipeline_file: path.to_owned(),
        pipeline,
        event: Event {
            kind: kind.into(),
            reference: push.reference.clone(),
            before: push.before.clone(),
            after: push.after.clone(),
            delivery: push.delivery.clone(),
            forced: push.change == Change::Forced,
        },
        title: title(&found.commit.message, push),
        commit: found.commit.clone(),
        mistakes,
        retry_of: None,
    })
}

fn title(message: &str, push: &Push) -> String {
    let subject = message.lines().find(|line| !line.trim().is_empty()).unwrap_or(&push.reference).trim();
    if subject.chars().count() <= TITLE_LIMIT {
        return subject.to_owned();
    }
    subject.chars().take(TITLE_LIMIT - 1).chain(['…']).collect()
}
