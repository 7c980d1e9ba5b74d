//! The rules of a run, in the order in which they are tried.

use super::approval::{Gate, gate, until, waits};
use super::render::{render, scope};
use super::{CancelCause, Entry, Opened, Outcome, Run, RunOutcome, Seen, Status};
use crate::by::By;
use crate::next::{Next, Timestamp, Wake};
use pipeline::expr;
use pipeline::{Step, Supersede};
use serde_json::Value;
use std::collections::BTreeMap;

/// The first wait before a retry, in ms; it doubles with each failure.
const RETRY_FIRST_MS: u64 = 2_000;
/// The longest wait before a retry, in ms.
const RETRY_MOST_MS: u64 = 60_000;

/// What a run may cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Start an attempt, unless exactly this one is alive already.
    Start {
        /// The step's id.
        step: String,
        /// The attempt, counted from 1.
        attempt: u32,
        /// The plugin's name.
        uses: String,
        /// The step's settings, rendered.
        settings: Value,
        /// What the pipeline leaves to the plugin, rendered: ability to values.
        grants: BTreeMap<String, Vec<String>>,
        /// What the step may take, in ms.
        timeout_ms: u64,
        /// Who approved the step in this run.
        approved_by: Option<String>,
    },
    /// Stop an attempt, and return only when it is gone.
    Stop {
        /// The step's id.
        step: String,
        /// The attempt.
        attempt: u32,
    },
    /// Let the stages know that nobody waits any more for what this step wanted: its time ran out.
    GiveUp {
        /// The step's id.
        step: String,
    },
    /// Tell the forge how the commit fares, unless exactly this is what it was told last.
    Report {
        /// `None` while the run goes on.
        outcome: Option<RunOutcome>,
        /// One line for people.
        text: String,
    },
}

type RunNext = Next<Entry, Act>;

/// Decides what a run does next.
pub fn decide(run: &Run, seen: &Seen, now: Timestamp) -> RunNext {
    let Some(opened) = run.opened() else {
        return Next::blocked("this run's journal does not begin with its opening");
    };
    closed(run, opened)
        .or_else(|| refuse_mistakes(opened))
        .or_else(|| note_ends(run, seen, now))
        .or_else(|| cancel(run, opened, seen))
        .or_else(|| time_out(run, seen, now))
        .or_else(|| queue(run, seen))
        .or_else(|| start(run, opened, seen, now))
        .or_else(|| wait(run, now))
        .unwrap_or_else(|| close(run))
}

/// A closed run only tells the forge, as often as it is asked.
fn closed(run: &Run, opened: &Opened) -> Option<RunNext> {
    let outcome = run.outcome()?;
    let text = match opened.mistakes.first() {
        Some(first) => first.lines().next().unwrap_or("the pipeline file has mistakes").to_owned(),
        None => summary(run, outcome),
    };
    // A crash may have come between a timeout's entry and its act.
    let late = run.steps().filter(|step| timed_out(run, step)).map(|step| Act::GiveUp { step: step.id.clone() });
    let acts = late.chain([Act::Report { outcome: Some(outcome), text: text.clone() }]).collect();
    Some(Next { acts, ..Next::done(Wake::Never, text) })
}

/// A pipeline file with mistakes is a run that has failed.
fn refuse_mistakes(opened: &Opened) -> Option<RunNext> {
    if opened.mistakes.is_empty() {
        return None;
    }
    let record = vec![Entry::Closed { outcome: RunOutcome::Failed }];
    let because = format!("{} has {} mistakes", opened.pipeline_file, opened.mistakes.len());
    Some(Next { record, ..Next::progressing(Wake::Now, because) })
}

/// What ended is written down, and so is what a restart took from us; what follows from it goes into the same append.
fn note_ends(run: &Run, seen: &Seen, now: Timestamp) -> Option<RunNext> {
    let mut record = Vec::new();
    for (step, attempt, _) in running(run) {
        let key = (step.id.clone(), attempt);
        let outcome = match seen.exits.get(&key) {
            Some(outcome) => outcome.clone(),
            None if seen.alive.contains(&key) => continue,
            None => Outcome::Lost,
        };
        record.push(Entry::Ended { step: step.id.clone(), attempt, outcome });
    }
    if record.is_empty() {
        return None;
    }
    let mut after = run.clone();
    record.iter().for_each(|entry| after.apply(now, &By::Server, entry));
    let next = decide(&after, seen, now);
    record.extend(next.record);
    Some(Next { record, ..next })
}

/// A cancelled run stops what runs and starts nothing more, but its final steps.
fn cancel(run: &Run, opened: &Opened, seen: &Seen) -> Option<RunNext> {
    let (_, because) = effective_cancel(run, opened)?;
    let mut record = Vec::new();
    let mut acts = Vec::new();
    for (step, attempt, _) in running(run).filter(|(step, ..)| !is_final(opened, step)) {
        record.push(Entry::Ended { step: step.id.clone(), attempt, outcome: Outcome::Cancelled });
        if seen.alive.contains(&(step.id.clone(), attempt)) {
            acts.push(Act::Stop { step: step.id.clone(), attempt });
        }
    }
    for step in &opened.pipeline.steps {
        let starts_later = match run.status(&step.id) {
            Status::Waiting => true,
            Status::Ended { .. } => retries(run, step),
            _ => false,
        };
        if starts_later {
            record.push(Entry::Skipped { step: step.id.clone(), because: because.to_owned() });
        }
    }
    (!record.is_empty()).then(|| Next { record, acts, ..Next::progressing(Wake::Now, format!("cancelled: {because}")) })
}

/// A newer run takes a run's place only before its bump is recorded: after
/// that the manifests may name its image, and it goes on to its end.
fn effective_cancel<'a>(run: &'a Run, opened: &Opened) -> Option<(CancelCause, &'a str)> {
    let (cause, because) = run.cancel()?;
    let bumped = || {
        let started = |step: &Step| {
            step.uses == "bump" && matches!(run.status(&step.id), Status::Started { .. } | Status::Ended { .. })
        };
        opened.pipeline.steps.iter().any(started)
    };
    let until_bump =
        opened.pipeline.concurrency.as_ref().is_none_or(|concurrency| concurrency.supersede != Supersede::Always);
    let too_late = cause == CancelCause::Superseded && until_bump && bumped();
    (!too_late).then_some((cause, because))
}

/// An attempt that takes longer than its step allows is ended.
fn time_out(run: &Run, seen: &Seen, now: Timestamp) -> Option<RunNext> {
    let late = running(run).find(|(step, _, since)| now >= since + step.timeout_ms)?;
    let (step, attempt, _) = late;
    let outcome = Outcome::TimedOut { after_ms: step.timeout_ms };
    let record = vec![Entry::Ended { step: step.id.clone(), attempt, outcome }];
    let alive = seen.alive.contains(&(step.id.clone(), attempt));
    let stop = alive.then(|| Act::Stop { step: step.id.clone(), attempt });
    let acts = stop.into_iter().chain([Act::GiveUp { step: step.id.clone() }]).collect();
    let because = format!("{} took longer than {} s", step.id, step.timeout_ms / 1000);
    Some(Next { record, acts, ..Next::progressing(Wake::Now, because) })
}

/// One run of a concurrency group at a time; the older goes first.
fn queue(run: &Run, seen: &Seen) -> Option<RunNext> {
    let ahead = seen.ahead.as_ref()?;
    let untouched = run.steps().all(|step| run.status(&step.id) == Status::Waiting);
    untouched.then(|| Next::waiting(Wake::OnChange, format!("waits for {ahead}, which is ahead in the same group")))
}

/// Starts what is ready, skips what cannot be, tries again what may.
fn start(run: &Run, opened: &Opened, seen: &Seen, now: Timestamp) -> Option<RunNext> {
    let mut record = Vec::new();
    let mut acts = Vec::new();
    let fresh = run.steps().all(|step| run.status(&step.id) == Status::Waiting);
    for step in run.steps() {
        let attempt = match run.status(&step.id) {
            Status::Waiting if settled(run, opened, step) => 1,
            Status::Ended { attempt, .. } if retries(run, step) && now >= retry_at(run, step) => attempt + 1,
            _ => continue,
        };
        if attempt == 1
            && let Some(because) = skip(run, opened, seen, step)
        {
            record.push(Entry::Skipped { step: step.id.clone(), because });
            continue;
        }
        if let Gate::Closed(entries) = gate(run, opened, seen, step, now) {
            record.extend(entries);
            continue;
        }
        record.push(Entry::Started { step: step.id.clone(), attempt });
        match render(run, opened, seen, step) {
            Ok((settings, grants)) => acts.push(Act::Start {
                step: step.id.clone(),
                attempt,
                uses: step.uses.clone(),
                settings,
                grants,
                timeout_ms: step.timeout_ms,
                approved_by: run.approved_by(&step.id).map(str::to_owned),
            }),
            Err(because) => {
                let outcome = Outcome::Rejected { because };
                record.push(Entry::Ended { step: step.id.clone(), attempt, outcome });
            }
        }
    }
    if record.is_empty() {
        return None;
    }
    if fresh {
        acts.push(Act::Report { outcome: None, text: "running".into() });
    }
    let because = starting(&record);
    Some(Next { record, acts, ..Next::progressing(Wake::Now, because) })
}

fn starting(record: &[Entry]) -> String {
    let started = record.iter().filter_map(|entry| match entry {
        Entry::Started { step, attempt: 1 } => Some(format!("starting {step}")),
        Entry::Started { step, attempt } => Some(format!("starting {step}, attempt {attempt}")),
        Entry::Skipped { step, because } => Some(format!("skipping {step}: {because}")),
        Entry::ApprovalAsked { step, .. } => Some(format!("asking for approval of {step}")),
        Entry::ApprovalAnswered { step, .. } => Some(format!("nobody approved {step} in time")),
        _ => None,
    });
    started.collect::<Vec<_>>().join("; ")
}

/// Waits for what runs, for a person's answer, or for the moment of the next retry.
fn wait(run: &Run, now: Timestamp) -> Option<RunNext> {
    let running: Vec<_> = running(run).map(|(step, ..)| step.id.as_str()).collect();
    let at = next_clock(run, now)?;
    let running = (!running.is_empty()).then(|| format!("{} running", running.join(", ")));
    let waits = waits(run);
    // Said at each look, so that a restart does not leave the forge with the question of an hour ago.
    let text = waits.clone().unwrap_or_else(|| "running".into());
    let report = (!run.asked.is_empty()).then_some(Act::Report { outcome: None, text });
    let because = match (running, waits) {
        (None, None) => format!("tries again in {} s", at.saturating_sub(now).div_ceil(1000)),
        (running, waits) => running.into_iter().chain(waits).collect::<Vec<_>>().join("; "),
    };
    Some(Next { acts: report.into_iter().collect(), ..Next::waiting(Wake::At(at), because) })
}

/// The next moment at which the clock alone changes the decision.
fn next_clock(run: &Run, now: Timestamp) -> Option<Timestamp> {
    let timeouts = running(run).map(|(step, _, since)| since + step.timeout_ms);
    let retries = run.steps().filter(|step| retries(run, step)).map(|step| retry_at(run, step));
    let answers = run.asking().map(|(_, approval, asked)| until(asked, approval));
    timeouts.chain(retries).chain(answers).map(|at| at.max(now)).min()
}

/// Nothing is left to start.
fn close(run: &Run) -> RunNext {
    let outcome = ending(run);
    let because = summary(run, outcome);
    Next { record: vec![Entry::Closed { outcome }], ..Next::progressing(Wake::Now, because) }
}

/// How the run would end if nothing more happened.
pub(super) fn ending(run: &Run) -> RunOutcome {
    let Some(opened) = run.opened() else { return RunOutcome::Failed };
    match effective_cancel(run, opened) {
        Some((CancelCause::Asked, _)) => RunOutcome::Cancelled,
        Some((CancelCause::Superseded, _)) => RunOutcome::Superseded,
        None if opened.pipeline.steps.iter().any(|step| failed(run, step)) => RunOutcome::Failed,
        None => RunOutcome::Succeeded,
    }
}

fn summary(run: &Run, outcome: RunOutcome) -> String {
    match outcome {
        RunOutcome::Succeeded => "every step succeeded".into(),
        RunOutcome::Cancelled => "cancelled".into(),
        RunOutcome::Superseded => "a newer run took its place".into(),
        RunOutcome::Failed => {
            let failed = run.steps().find(|step| failed(run, step));
            failed.map_or("failed".into(), |step| format!("{}: {}", step.id, why(&run.status(&step.id))))
        }
    }
}

fn why(status: &Status) -> String {
    match status {
        Status::Ended { outcome, .. } => match outcome {
            Outcome::Rejected { because } | Outcome::Transient { because } => because.clone(),
            Outcome::Limit { which, because } => format!("limit {which}: {because}"),
            Outcome::TimedOut { after_ms } => format!("took longer than {} s", after_ms / 1000),
            Outcome::Lost => "lost to a restart".into(),
            Outcome::Cancelled => "cancelled".into(),
            Outcome::Succeeded { .. } => "succeeded".into(),
        },
        Status::Skipped { because } | Status::Refused { because } => because.clone(),
        Status::Waiting | Status::Started { .. } => "has not ended".into(),
    }
}

/// The steps that have an attempt under way, with its number and its start.
fn running(run: &Run) -> impl Iterator<Item = (&Step, u32, Timestamp)> {
    run.steps().filter_map(|step| match run.status(&step.id) {
        Status::Started { attempt, since } => Some((step, attempt, since)),
        _ => None,
    })
}

fn is_final(opened: &Opened, step: &Step) -> bool {
    opened.pipeline.finally.iter().any(|last| last.id == step.id)
}

/// Whether a step that ended will be tried again.
fn retries(run: &Run, step: &Step) -> bool {
    let Status::Ended { outcome, .. } = run.status(&step.id) else { return false };
    match outcome {
        Outcome::Lost => true,
        Outcome::Transient { .. } | Outcome::TimedOut { .. } => failures(run, step) <= step.retry,
        Outcome::Succeeded { .. } | Outcome::Rejected { .. } | Outcome::Limit { .. } | Outcome::Cancelled => false,
    }
}

fn timed_out(run: &Run, step: &Step) -> bool {
    matches!(run.status(&step.id), Status::Ended { outcome: Outcome::TimedOut { .. }, .. })
}

fn failures(run: &Run, step: &Step) -> u32 {
    run.failures.get(&step.id).copied().unwrap_or_default()
}

/// When a step is tried again: at once after a restart, else with growing waits.
fn retry_at(run: &Run, step: &Step) -> Timestamp {
    match run.status(&step.id) {
        Status::Ended { outcome: Outcome::Lost, .. } => 0,
        Status::Ended { at, .. } => {
            let doublings = failures(run, step).saturating_sub(1).min(5);
            at + (RETRY_FIRST_MS << doublings).min(RETRY_MOST_MS)
        }
        _ => 0,
    }
}

/// Whether a step has come to its end, whatever that was.
fn ended(run: &Run, step: &Step) -> bool {
    match run.status(&step.id) {
        Status::Skipped { .. } | Status::Refused { .. } => true,
        Status::Ended { .. } => !retries(run, step),
        Status::Waiting | Status::Started { .. } => false,
    }
}

fn failed(run: &Run, step: &Step) -> bool {
    match run.status(&step.id) {
        Status::Refused { .. } => true,
        Status::Ended { outcome, .. } => !matches!(outcome, Outcome::Succeeded { .. }) && !retries(run, step),
        Status::Waiting | Status::Started { .. } | Status::Skipped { .. } => false,
    }
}

/// Whether everything that a step waits for has ended.
fn settled(run: &Run, opened: &Opened, step: &Step) -> bool {
    let needs = step.needs.iter().filter_map(|id| run.step(id)).all(|need| ended(run, need));
    let body = !is_final(opened, step) || opened.pipeline.steps.iter().all(|step| ended(run, step));
    needs && body
}

/// Why a step that could start does not, if it does not.
fn skip(run: &Run, opened: &Opened, seen: &Seen, step: &Step) -> Option<String> {
    let broken = broken_need(run, step);
    match (&step.condition, broken) {
        (None, Some(need)) if !is_final(opened, step) => Some(format!("{need} did not succeed")),
        (None, _) => None,
        (Some(condition), broken) => {
            let mut scope = scope(run, opened, seen);
            scope.0["run"]["succeeding"] = Value::Bool(broken.is_none() && ending(run) == RunOutcome::Succeeded);
            match expr::holds(condition, &scope) {
                Ok(true) => None,
                Ok(false) => Some(format!("its condition `{condition}` does not hold")),
                Err(error) => Some(format!("its condition `{condition}` cannot be evaluated: {error}")),
            }
        }
    }
}

/// A step among the ancestors that failed, if any.
fn broken_need<'a>(run: &'a Run, step: &'a Step) -> Option<&'a str> {
    let needs = step.needs.iter().filter_map(|id| run.step(id));
    let broken = |need: &'a Step| if failed(run, need) { Some(need.id.as_str()) } else { broken_need(run, need) };
    needs.into_iter().find_map(broken)
}
