//! What becomes of each pipeline file of a pushed or proposed commit.

use super::entry::{Change, PullRequest, Push, Received, Reference, Skipped};
use super::messages::why_nothing;
use super::observed::{Ancestry, Changed, Context, File, KnownRun, RunKey, Standing};
use crate::run::{self, Event, EventKind, Opened};
use pipeline::{Concurrency, Pipeline, Supersede, Trigger};
use std::collections::BTreeMap;

/// How long a run's title may be, in characters.
const TITLE_LIMIT: usize = 120;

/// What becomes of one pipeline file.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Its run does not exist yet.
    Open(Box<Opened>),
    /// Its run exists already; the delivery was resumed, or repeated.
    Exists {
        /// The id of that run.
        run: String,
        /// What it does to older runs of its group.
        supersede: Option<Supersede>,
    },
    /// It has no run.
    Skip {
        /// The pipeline's file, relative to the repository's root.
        file: String,
        /// Why, as a sentence.
        because: String,
    },
}

/// Plans the runs of a delivery, one for each file at most.
pub fn plan(received: &Received, context: &Context) -> Vec<Plan> {
    let mut names = BTreeMap::new();
    context.files.iter().map(|file| plan_file(received, context, file, &mut names)).collect()
}

/// Why none of the pipelines at `files_at` is for a delivery, as a sentence, when that
/// can be told without its commit: whatever it changes, no pipeline would start.
/// `None` where one may be; a file that cannot be read may be for anything.
pub fn idle(received: &Received, files_at: &str, files: &[File]) -> Option<String> {
    let skip = |file: &File| {
        let because = unfit(file.pipeline.as_ref().ok()?, received, &Changed::Everything)?;
        Some(Skipped { file: file.path.clone(), because })
    };
    let skipped: Option<Vec<_>> = files.iter().map(skip).collect();
    Some(why_nothing(files_at, &skipped?))
}

fn plan_file<'f>(
    received: &Received,
    context: &'f Context,
    file: &'f File,
    names: &mut BTreeMap<&'f str, &'f str>,
) -> Plan {
    let key = RunKey::of(received, &file.path);
    let twin = match &file.pipeline {
        Ok(pipeline) => names.insert(pipeline.name.as_str(), &file.path).map(str::to_owned),
        Err(_) => None,
    };
    if let Some(known) = context.runs.iter().find(|known| known.is(&key)) {
        let pipeline = file.pipeline.as_ref().ok();
        let supersede = pipeline.and_then(|pipeline| concurrency(received, pipeline, &file.path)).map(|c| c.supersede);
        return Plan::Exists { run: known.id.clone(), supersede };
    }
    let skip = |because| Plan::Skip { file: file.path.clone(), because };
    if let Standing::Passed { by } = &context.standing {
        return skip(format!("the pull request has a newer head, {}", by.get(..7).unwrap_or(by)));
    }
    match (&file.pipeline, twin) {
        (Ok(pipeline), Some(twin)) => {
            let mistake =
                format!("{}: the name `{}` is taken by {twin}; give this pipeline another", file.path, pipeline.name);
            Plan::Open(broken(received, context, &file.path, &[mistake]))
        }
        (Err(mistakes), _) => Plan::Open(broken(received, context, &file.path, mistakes)),
        (Ok(pipeline), None) => {
            match unfit(pipeline, received, &context.changed).or_else(|| outrun(pipeline, received, file, context)) {
                Some(because) => skip(because),
                None => Plan::Open(opened(received, context, &file.path, pipeline.clone(), Vec::new())),
            }
        }
    }
}

/// Why a pipeline is not for this delivery, if it is not.
fn unfit(pipeline: &Pipeline, received: &Received, changed: &Changed) -> Option<String> {
    let changed = match changed {
        Changed::Paths(paths) => Some(paths.clone()),
        Changed::Everything => None,
    };
    let cause = match received {
        Received::Push(push) => match push.short_reference() {
            Some(Reference::Branch(branch)) => Trigger::Push { branch: branch.to_owned(), changed },
            Some(Reference::Tag(tag)) => Trigger::Tag(tag.to_owned()),
            None => return Some(format!("`{}` is neither a branch nor a tag", push.reference)),
        },
        Received::PullRequest(asked) => {
            Trigger::PullRequest { base: asked.base_branch().to_owned(), activity: asked.activity, changed }
        }
    };
    match pipeline::plan(pipeline, &cause) {
        pipeline::RunPlan::Runs { .. } => None,
        pipeline::RunPlan::Rests { because } => Some(because),
    }
}

/// Which runs stand in the way of a run that the delivery opens.
fn concurrency(received: &Received, pipeline: &Pipeline, file: &str) -> Option<Concurrency> {
    let own = pipeline.concurrency.as_ref();
    match received {
        Received::Push(_) => own.cloned(),
        Received::PullRequest(asked) => Some(Concurrency::of_pull_request(own, file, &asked.reference())),
    }
}

/// Why a push that only moved forwards comes too late: deliveries may be
/// worked off out of order, and an older commit must not get a higher number.
fn outrun(pipeline: &Pipeline, received: &Received, file: &File, context: &Context) -> Option<String> {
    let Received::Push(push) = received else { return None };
    let supersede = pipeline.concurrency.as_ref()?.supersede;
    if supersede == Supersede::Never || push.change != Change::Forward {
        return None;
    }
    let newer = |known: &&KnownRun| {
        known.ancestry == Ancestry::Newer && known.file == file.path && known.event.reference == push.reference
    };
    let newer = context.runs.iter().find(newer)?;
    Some(format!("{} is a run of a newer commit that contains this one", newer.id))
}

/// A run that has failed before it starts, and shows every mistake.
fn broken(received: &Received, context: &Context, path: &str, mistakes: &[String]) -> Box<Opened> {
    // The name that the file had while it could be read keeps its runs together.
    let before = context.runs.iter().rev().find(|known| known.file == path).map(|known| known.pipeline.clone());
    let name = before.unwrap_or_else(|| stem(path));
    opened(received, context, path, Pipeline { name, ..Pipeline::default() }, mistakes.to_vec())
}

fn stem(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file).to_ascii_lowercase();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "pipeline".into() } else { name }
}

fn opened(
    received: &Received,
    context: &Context,
    path: &str,
    mut pipeline: Pipeline,
    mistakes: Vec<String>,
) -> Box<Opened> {
    let used = context.runs.iter().filter(|known| known.pipeline == pipeline.name).map(|known| known.number);
    let floor = context.floors.get(&pipeline.name).copied();
    let number = used.chain(floor).max().unwrap_or(0) + 1;
    pipeline.concurrency = concurrency(received, &pipeline, path);
    Box::new(Opened {
        id: format!("{}/{}/{number}", received.repository(), pipeline.name),
        number,
        repository: received.repository().to_owned(),
        pipeline_file: path.to_owned(),
        pipeline,
        event: match received {
            Received::Push(push) => pushed(push),
            Received::PullRequest(asked) => proposed(asked, &context.files_at),
        },
        title: title(&context.commit.message, &received.reference()),
        commit: context.commit.clone(),
        mistakes,
        retry_of: None,
    })
}

fn pushed(push: &Push) -> Event {
    let kind = match push.short_reference() {
        Some(Reference::Tag(_)) => EventKind::Tag,
        Some(Reference::Branch(_)) | None => EventKind::Push,
    };
    Event {
        kind,
        reference: push.reference.clone(),
        before: push.before.clone(),
        after: push.after.clone(),
        delivery: push.delivery.clone(),
        forced: push.change == Change::Forced,
        pull_request: None,
    }
}

fn proposed(asked: &PullRequest, files_at: &str) -> Event {
    let (number, base, head) = (asked.number, asked.base.clone(), asked.head.clone());
    Event {
        kind: EventKind::PullRequest,
        reference: asked.reference(),
        before: files_at.to_owned(),
        after: asked.head_sha.clone(),
        delivery: asked.delivery.clone(),
        forced: false,
        pull_request: Some(run::PullRequest { number, base, head, origin: asked.origin }),
    }
}

fn title(message: &str, reference: &str) -> String {
    let subject = message.lines().find(|line| !line.trim().is_empty()).unwrap_or(reference).trim();
    if subject.chars().count() <= TITLE_LIMIT {
        return subject.to_owned();
    }
    subject.chars().take(TITLE_LIMIT - 1).chain(['…']).collect()
}
