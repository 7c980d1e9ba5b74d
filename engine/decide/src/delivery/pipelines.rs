//! What becomes of each pipeline file of a pushed or proposed commit.

use super::entry::{Change, PullRequest, Push, Received, Reference, Skipped};
use super::group::with_group;
use super::messages::{self, why_nothing};
use super::observed::{Ancestry, Bump, Changed, Context, File, KnownRun, OpenedBy, Standing};
use super::skip::starts_nothing;
use crate::epoch::Epoch;
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
    let twin = match &file.pipeline {
        Ok(pipeline) => names.insert(pipeline.name.as_str(), &file.path).map(str::to_owned),
        Err(_) => None,
    };
    if let Some(known) = own_run(received, context, &file.path) {
        let supersede = file.pipeline.as_ref().ok().and_then(|pipeline| supersede(received, pipeline));
        return Plan::Exists { run: known.id.clone(), supersede };
    }
    let skip = |because| Plan::Skip { file: file.path.clone(), because };
    if let Standing::Passed { by } = &context.standing {
        return skip(format!("the pull request has a newer head, {}", by.get(..7).unwrap_or(by)));
    }
    if let Some(because) = lost(received, context) {
        return skip(because);
    }
    if let Some(because) = starts_nothing(received, context, file.pipeline.as_ref().ok()) {
        return skip(because);
    }
    let refuse = |mistakes: &[String]| Plan::Open(broken(received, context, &file.path, mistakes));
    match (&file.pipeline, twin) {
        (Ok(pipeline), Some(twin)) => {
            let mistake =
                format!("{}: the name `{}` is taken by {twin}; give this pipeline another", file.path, pipeline.name);
            refuse(&[mistake])
        }
        (Err(mistakes), _) => refuse(mistakes),
        (Ok(pipeline), None) => {
            match unfit(pipeline, received, &context.changed).or_else(|| outrun(pipeline, received, file, context)) {
                Some(because) => skip(because),
                None => match with_group(pipeline, &event(received, context), &context.commit) {
                    Ok(pipeline) => Plan::Open(opened(received, context, &file.path, pipeline, Vec::new())),
                    Err(because) => refuse(&[format!("{}: concurrency: group: {because}", file.path)]),
                },
            }
        }
    }
}

/// The run of a pipeline file that this delivery has opened already, or another delivery of the same push or head.
fn own_run<'c>(received: &Received, context: &'c Context, file: &str) -> Option<&'c KnownRun> {
    let by_deliveries = |known: &&KnownRun| known.opened_by == OpenedBy::Delivery && known.file == file;
    let mut newest_first = context.runs.iter().rev().filter(by_deliveries);
    match received {
        Received::Push(push) => newest_first.find(|known| {
            let told_by = &known.event.delivery;
            known.event.reference == push.reference && (*told_by == push.delivery || context.same.contains(told_by))
        }),
        Received::PullRequest(asked) => {
            let of_it: Vec<_> = newest_first.filter(|known| is_of(known, asked)).collect();
            let at_head = |known: &&&KnownRun| known.event.after == asked.head_sha;
            let own = of_it.iter().filter(at_head).find(|known| known.event.delivery == asked.delivery);
            // A head that was left and is back was pushed again.
            let is_back = context.standing == Standing::Current
                && of_it.first().is_some_and(|newest| newest.event.after != asked.head_sha);
            own.or_else(|| of_it.iter().find(at_head).filter(|_| !is_back)).copied()
        }
    }
}

/// Whether a run is of a pull request with this base. Another base makes another run of it; where the base stands
/// makes none.
fn is_of(known: &KnownRun, asked: &PullRequest) -> bool {
    known.event.pull_request.as_ref().is_some_and(|of| of.number == asked.number && of.base == asked.base)
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

/// What a run that the delivery opens does to older ones of its group.
fn supersede(received: &Received, pipeline: &Pipeline) -> Option<Supersede> {
    let own = pipeline.concurrency.as_ref();
    match received {
        Received::Push(_) => own.map(|own| own.supersede),
        Received::PullRequest(_) => Some(Concurrency::of_pull_request(own, "", "").supersede),
    }
}

/// Why a push that waited while the backup was made, or is of the time that is lost and told again, comes too late: its
/// branch or tag has moved on. It may have had its run in that time, and the runs of newer commits as well, so that no
/// known run tells of them.
fn lost(received: &Received, context: &Context) -> Option<String> {
    let (Received::Push(push), Standing::Moved { .. }) = (received, &context.standing) else { return None };
    // What stood at the commit since the restore was worked off then.
    let began_since = |known: &KnownRun| known.epoch == Epoch::This && known.event.delivery == push.delivery;
    (context.receipt == Epoch::Restored && !context.runs.iter().any(began_since))
        .then(|| messages::lost(&push.reference))
}

/// Why a push comes too late: its branch or tag has moved on, and what stands there now has its run. Deliveries may be
/// worked off out of order, and an older commit must not get a higher number.
fn outrun(pipeline: &Pipeline, received: &Received, file: &File, context: &Context) -> Option<String> {
    let (Received::Push(push), Standing::Moved { .. }) = (received, &context.standing) else { return None };
    let of_it = |known: &&KnownRun| known.file == file.path && known.event.reference == push.reference;
    let mut runs = context.runs.iter().rev().filter(of_it);
    // A person's run takes no push's place, unless git names its image.
    let counts = |known: &KnownRun| known.opened_by == OpenedBy::Delivery || known.bump == Bump::Recorded;
    let newer = runs.find(|known| known.ancestry == Ancestry::Newer && counts(known))?;
    // Where every push has its run, so has this one, unless its commit had one already, or git would name the older
    // image again.
    let bumps = pipeline.steps.iter().chain(&pipeline.finally).any(|step| step.uses == "bump");
    let each_counts = supersede(received, pipeline).unwrap_or(Supersede::Never) == Supersede::Never && !bumps;
    let ran_before = || context.runs.iter().filter(of_it).any(|known| known.event.after == push.after);
    if each_counts && !ran_before() {
        return None;
    }
    Some(format!("`{}` has moved on, and {} is a run of a newer commit", push.reference, newer.id))
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
    let number = context.next_number(&pipeline.name);
    if let Received::PullRequest(asked) = received {
        let own = pipeline.concurrency.as_ref();
        pipeline.concurrency = Some(Concurrency::of_pull_request(own, path, &asked.reference()));
    }
    Box::new(Opened {
        id: format!("{}/{}/{number}", received.repository(), pipeline.name),
        number,
        repository: received.repository().to_owned(),
        pipeline_file: path.to_owned(),
        pipeline,
        event: event(received, context),
        title: title(&context.commit.message, &received.reference()),
        commit: context.commit.clone(),
        mistakes,
        retry_of: None,
    })
}

fn event(received: &Received, context: &Context) -> Event {
    match received {
        Received::Push(push) => pushed(push),
        Received::PullRequest(asked) => proposed(asked, &context.files_at),
    }
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
        manual: None,
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
        manual: None,
    }
}

pub(super) fn title(message: &str, reference: &str) -> String {
    let subject = message.lines().find(|line| !line.trim().is_empty()).unwrap_or(reference).trim();
    if subject.chars().count() <= TITLE_LIMIT {
        return subject.to_owned();
    }
    subject.chars().take(TITLE_LIMIT - 1).chain(['…']).collect()
}
