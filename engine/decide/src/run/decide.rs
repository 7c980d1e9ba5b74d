//! The rules of a state, in the order in which they are tried.

use super::approval::until;
use super::concurrency_group::queued;
use super::entry::{Answer, CancelCause, Entry, Opened, Outcome, RunOutcome};
use super::messages::{not_evaluated, running, since_backup, starting, summary, waits};
use super::observed::Observed;
use super::render::{question, render, scope};
use super::state::{State, Status};
use crate::by::By;
use crate::next::{Next, Timestamp, Wake};
use pipeline::Step;
use pipeline::expr;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run may cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Start an attempt, unless exactly this one is alive already.
    Start {
        /// The step's id within the pipeline.
        step: String,
        /// The attempt, counted from 1.
        attempt: u32,
        /// The plugin's name, as `uses` writes it.
        uses: String,
        /// The step's settings, rendered.
        settings: Value,
        /// What the pipeline leaves to the plugin, rendered: ability to values.
        grants: BTreeMap<String, Vec<String>>,
        /// What the step may take, in ms.
        timeout_ms: u64,
        /// Who approved the step in this state.
        approved_by: Option<String>,
    },
    /// Stop an attempt, and return only when it is gone.
    Stop {
        /// The step's id within the pipeline.
        step: String,
        /// The attempt, counted from 1.
        attempt: u32,
    },
    /// Withdraw what this step asked of other stages: its time ran out.
    GiveUp {
        /// The step's id within the pipeline.
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
pub fn decide(state: &State, observed: &Observed, now: Timestamp) -> RunNext {
    let Some(opened) = state.opened() else {
        return Next::blocked("this run's journal does not begin with its opening");
    };
    closed(state, opened, now)
        .or_else(|| refuse_mistakes(opened))
        .or_else(|| note_ends(state, observed, now))
        .or_else(|| note_places(state, observed, now))
        .or_else(|| end_restored(state, observed, now))
        .or_else(|| cancel(state, opened, observed))
        .or_else(|| time_out(state, observed, now))
        .or_else(|| queued(state, observed).map(|because| Next::waiting(Wake::OnChange, because)))
        .or_else(|| start(state, opened, observed, now))
        .or_else(|| wait(state, now))
        .unwrap_or_else(|| close(state))
}

/// For so long after its end a run tells the forge how it ended, in ms: a day, so that somebody can mend the token.
const TELLS_FOR_MS: u64 = 24 * 60 * 60 * 1000;

/// A closed run only tells the forge, as often as it is asked.
fn closed(state: &State, opened: &Opened, now: Timestamp) -> Option<RunNext> {
    let outcome = state.outcome()?;
    let text = match opened.mistakes.first() {
        Some(first) => first.lines().next().unwrap_or("the pipeline file has mistakes").to_owned(),
        None => summary(state, outcome),
    };
    // A crash may have come between a timeout's entry and its act.
    let late = state.steps().filter(|step| state.timed_out(step)).map(|step| Act::GiveUp { step: step.id.clone() });
    let is_told = state.closed_at().is_some_and(|at| now < at.saturating_add(TELLS_FOR_MS));
    let report = is_told.then(|| Act::Report { outcome: Some(outcome), text: text.clone() });
    let acts = late.chain(report).collect();
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
fn note_ends(state: &State, observed: &Observed, now: Timestamp) -> Option<RunNext> {
    let mut record = Vec::new();
    for (step, attempt) in state.running() {
        let key = (step.id.clone(), attempt);
        let outcome = match observed.exits.get(&key) {
            Some(outcome) => outcome.clone(),
            None if observed.alive.contains(&key) => continue,
            None => Outcome::Lost,
        };
        record.push(Entry::Ended { step: step.id.clone(), attempt, outcome });
    }
    noted(state, observed, now, record)
}

/// What begins to wait for a free place, and what has one, is written down: its clock stands still in between.
fn note_places(state: &State, observed: &Observed, now: Timestamp) -> Option<RunNext> {
    let change = |(step, attempt): (&Step, u32)| {
        let Status::Started { owner, queued, .. } = state.status(&step.id) else { return None };
        // Of another instance's attempts only that instance knows.
        let mine = owner.as_ref() == Some(&observed.instance);
        let id = || step.id.clone();
        match (observed.queued.get(&(id(), attempt)), queued) {
            (Some(because), None) if mine => Some(Entry::Queued { step: id(), attempt, because: because.clone() }),
            (None, Some(_)) if mine => Some(Entry::Placed { step: id(), attempt }),
            _ => None,
        }
    };
    noted(state, observed, now, state.running().filter_map(change).collect())
}

/// What was observed is written down, and what follows from it goes into the same append.
fn noted(state: &State, observed: &Observed, now: Timestamp, mut record: Vec<Entry>) -> Option<RunNext> {
    if record.is_empty() {
        return None;
    }
    let mut after = state.clone();
    record.iter().for_each(|entry| after.apply(now, &By::Server, entry));
    let next = decide(&after, observed, now);
    record.extend(next.record);
    Some(Next { record, ..next })
}

/// A run that came with a backup, and may have ended in the time that is lost, is not repeated: it would deploy what was
/// replaced since.
fn end_restored(state: &State, observed: &Observed, now: Timestamp) -> Option<RunNext> {
    let since = observed.since_backup.as_ref().filter(|_| state.cancel().is_none())?;
    let entry = Entry::CancelAsked { because: since_backup(since), cause: CancelCause::Asked };
    noted(state, observed, now, vec![entry])
}

/// A cancelled run stops what runs and starts nothing more, but its final steps.
fn cancel(state: &State, opened: &Opened, observed: &Observed) -> Option<RunNext> {
    let (_, because) = state.effective_cancel()?;
    let mut record = Vec::new();
    let mut acts = Vec::new();
    for (step, attempt) in state.running().filter(|(step, ..)| !state.is_final(step)) {
        record.push(Entry::Ended { step: step.id.clone(), attempt, outcome: Outcome::Cancelled });
        if observed.alive.contains(&(step.id.clone(), attempt)) {
            acts.push(Act::Stop { step: step.id.clone(), attempt });
        }
    }
    for step in &opened.pipeline.steps {
        let starts_later = match state.status(&step.id) {
            Status::Waiting => true,
            Status::Ended { .. } => state.retries(step),
            _ => false,
        };
        if starts_later {
            record.push(Entry::Skipped { step: step.id.clone(), because: because.to_owned() });
        }
    }
    (!record.is_empty()).then(|| Next { record, acts, ..Next::progressing(Wake::Now, format!("cancelled: {because}")) })
}

/// An attempt that takes longer than its step allows is ended.
fn time_out(state: &State, observed: &Observed, now: Timestamp) -> Option<RunNext> {
    let (step, attempt, _) = state.deadlines().find(|(.., deadline)| now >= *deadline)?;
    let outcome = Outcome::TimedOut { after_ms: step.timeout_ms };
    let record = vec![Entry::Ended { step: step.id.clone(), attempt, outcome }];
    let alive = observed.alive.contains(&(step.id.clone(), attempt));
    let stop = alive.then(|| Act::Stop { step: step.id.clone(), attempt });
    let acts = stop.into_iter().chain([Act::GiveUp { step: step.id.clone() }]).collect();
    let because = format!("{} took longer than {} s", step.id, step.timeout_ms / 1000);
    Some(Next { record, acts, ..Next::progressing(Wake::Now, because) })
}

/// Starts what is ready, skips what cannot be, tries again what may.
fn start(state: &State, opened: &Opened, observed: &Observed, now: Timestamp) -> Option<RunNext> {
    let mut record = Vec::new();
    let mut acts = Vec::new();
    let fresh = state.steps().all(|step| state.status(&step.id) == Status::Waiting);
    for step in state.steps() {
        let attempt = match state.status(&step.id) {
            Status::Waiting if state.settled(step) => 1,
            Status::Ended { attempt, .. } if state.retries(step) && now >= state.retry_at(step) => attempt + 1,
            _ => continue,
        };
        match start_or_skip(state, opened, observed, step) {
            Ok(Some(because)) if attempt == 1 => {
                record.push(Entry::Skipped { step: step.id.clone(), because });
                continue;
            }
            Err(because) => {
                record.extend(refused(observed, step, attempt, because));
                continue;
            }
            Ok(_) => {}
        }
        if let OpenGate::Closed(entries) = gate(state, opened, observed, step, now) {
            record.extend(entries);
            continue;
        }
        record.push(Entry::Started { step: step.id.clone(), attempt, owner: Some(observed.instance.clone()) });
        match render(state, opened, observed, step) {
            Ok((settings, grants)) => acts.push(Act::Start {
                step: step.id.clone(),
                attempt,
                uses: step.uses.clone(),
                settings,
                grants,
                timeout_ms: step.timeout_ms,
                approved_by: state.approved_by(&step.id).map(str::to_owned),
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

/// Waits for what runs, for a person's answer, or for the moment of the next retry.
fn wait(state: &State, now: Timestamp) -> Option<RunNext> {
    let at = next_clock(state, now);
    let running = running(state);
    if at.is_none() && running.is_none() {
        return None;
    }
    let waits = waits(state);
    // Reported at each turn, so that a restart does not leave the forge with the question of an hour ago.
    let text = waits.clone().unwrap_or_else(|| "running".into());
    let report = (!state.asked.is_empty()).then_some(Act::Report { outcome: None, text });
    let because = match (running, waits, at) {
        (None, None, Some(at)) => format!("tries again in {} s", at.saturating_sub(now).div_ceil(1000)),
        (running, waits, _) => running.into_iter().chain(waits).collect::<Vec<_>>().join("; "),
    };
    let wake = at.map_or(Wake::OnChange, Wake::At);
    Some(Next { acts: report.into_iter().collect(), ..Next::waiting(wake, because) })
}

/// The next moment at which the clock alone changes the decision.
fn next_clock(state: &State, now: Timestamp) -> Option<Timestamp> {
    let timeouts = state.deadlines().map(|(.., deadline)| deadline);
    let retries = state.steps().filter(|step| state.retries(step)).map(|step| state.retry_at(step));
    let answers = state.asking().map(|(_, approval, asked)| until(asked, approval));
    timeouts.chain(retries).chain(answers).map(|at| at.max(now)).min()
}

/// Nothing is left to start.
fn close(state: &State) -> RunNext {
    let outcome = state.ending();
    let because = summary(state, outcome);
    Next { record: vec![Entry::Closed { outcome }], ..Next::progressing(Wake::Now, because) }
}

/// A step that can never start: its attempt is over before anything ran.
fn refused(observed: &Observed, step: &Step, attempt: u32, because: String) -> [Entry; 2] {
    let (id, owner) = (|| step.id.clone(), Some(observed.instance.clone()));
    let outcome = Outcome::Rejected { because };
    [Entry::Started { step: id(), attempt, owner }, Entry::Ended { step: id(), attempt, outcome }]
}

/// Why a step that could start is skipped, if it is.
///
/// # Errors
/// Its condition cannot be evaluated. Nobody knows whether it was to run, so that it fails: what waits behind it
/// must not go on as if it had been asked.
fn start_or_skip(state: &State, opened: &Opened, observed: &Observed, step: &Step) -> Result<Option<String>, String> {
    let broken = broken_need(state, step).map(|need| format!("{need} did not succeed"));
    let missing = broken.clone().or_else(|| Some(format!("{} was skipped", skipped_need(state, step)?)));
    let Some(condition) = &step.condition else { return Ok(missing.filter(|_| !state.is_final(step))) };
    let mut scope = scope(state, opened, observed);
    let succeeds = state.ending() == RunOutcome::Succeeded;
    scope.0["run"]["succeeding"] = Value::Bool(missing.is_none() && succeeds);
    scope.0["run"]["failing"] = Value::Bool(broken.is_some() || !succeeds);
    let beside_success = expr::beside_success(condition);
    let written = beside_success.unwrap_or(condition);
    match expr::holds(condition, &scope) {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some(match missing {
            Some(missing) if beside_success.is_some() => missing,
            _ => format!("its condition `{written}` does not hold"),
        })),
        Err(error) => Err(not_evaluated(&opened.pipeline_file, step, written, &error)),
    }
}

/// A need that was skipped, if any. The final steps need nobody's success.
fn skipped_need<'a>(state: &'a State, step: &'a Step) -> Option<&'a str> {
    let is_skipped = |id: &&String| matches!(state.status(id), Status::Skipped { .. });
    step.needs.iter().filter(|_| !state.is_final(step)).find(is_skipped).map(String::as_str)
}

/// A step among the ancestors that failed, if any.
fn broken_need<'a>(state: &'a State, step: &'a Step) -> Option<&'a str> {
    let needs = step.needs.iter().filter_map(|id| state.step(id));
    let broken = |need: &'a Step| if state.failed(need) { Some(need.id.as_str()) } else { broken_need(state, need) };
    needs.into_iter().find_map(broken)
}

/// What stands between a step that is ready and its first attempt.
pub(super) enum OpenGate {
    /// Nothing stands between: it starts.
    Open,
    /// A person's answer. These entries say what is asked, or that the time for an answer is up.
    Closed(Vec<Entry>),
}

/// Whether a step that is ready may start.
pub(super) fn gate(state: &State, opened: &Opened, observed: &Observed, step: &Step, now: Timestamp) -> OpenGate {
    let Some(approval) = &step.approval else { return OpenGate::Open };
    let id = || step.id.clone();
    match state.asked(&step.id) {
        None => OpenGate::Closed(match question(state, opened, observed, approval) {
            Ok(ask) => vec![Entry::ApprovalAsked { step: id(), ask }],
            Err(because) => refused(observed, step, 1, because).into(),
        }),
        Some(asked) => match &asked.answered {
            Some(answered) if answered.answer == Answer::Approved => OpenGate::Open,
            None if now >= until(asked, approval) => {
                OpenGate::Closed(vec![Entry::ApprovalAnswered { step: id(), answer: Answer::Expired }])
            }
            _ => OpenGate::Closed(Vec::new()),
        },
    }
}
