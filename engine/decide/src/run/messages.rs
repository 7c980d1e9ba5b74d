//! The sentences in which a run says what it does, what it waits for and how it ended.

use super::entry::{Entry, Outcome, RunOutcome};
use super::observed::SinceBackup;
use super::state::{State, Status};
use pipeline::Step;

/// How much of a question stands where there is room for a line, in characters.
const BRIEF: usize = 120;

/// How a run ended: for one that failed, by which step and why.
pub(super) fn summary(state: &State, outcome: RunOutcome) -> String {
    match outcome {
        RunOutcome::Succeeded => succeeded(state),
        RunOutcome::Cancelled => state.ended_by_server().map_or("cancelled".into(), |why| format!("cancelled: {why}")),
        RunOutcome::Superseded => "a newer run took its place".into(),
        RunOutcome::Failed => {
            let failed = state.steps().find(|step| state.failed(step));
            failed.map_or("failed".into(), |step| format!("{}: {}", step.id, why(&state.status(&step.id))))
        }
    }
}

/// Why a run that came with a backup does not go on.
pub(super) fn since_backup(since: &SinceBackup) -> String {
    let happened = match since {
        SinceBackup::Moved { reference } => format!("`{reference}` has moved on"),
        SinceBackup::Bumped { repo } => format!("its bump has come to {repo}"),
    };
    format!(
        "{happened} since the backup that the journal was restored from, and what became of this run then is not known; \
         start it again if it has to run"
    )
}

/// How a run ended whose steps did all that they were to do: with what was left out, and what went wrong in the end.
fn succeeded(state: &State) -> String {
    let skipped = |step: &&Step| !state.is_final(step) && matches!(state.status(&step.id), Status::Skipped { .. });
    let skipped: Vec<_> = state.steps().filter(skipped).map(|step| step.id.as_str()).collect();
    let mut text = match skipped.as_slice() {
        [] => "every step succeeded".to_owned(),
        skipped => format!("every step succeeded but {}, skipped", skipped.join(", ")),
    };
    if let Some(last) = state.steps().find(|step| state.failed(step)) {
        text.push_str(&format!("; then {}: {}", last.id, why(&state.status(&last.id))));
    }
    text
}

/// Why a step fails whose condition is neither true nor false.
pub(super) fn not_evaluated(file: &str, step: &Step, written: &str, error: &str) -> String {
    let place = step.condition_line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    // The expression stands in the sentence already.
    let error = error.split_once("}}`: ").map_or(error, |(_, error)| error);
    let help = match error.starts_with("there is no") {
        true => "; where it may be missing, write `| default('')` after its name",
        false => "",
    };
    format!("its condition `{written}` cannot be evaluated ({place}): {error}{help}")
}

fn why(status: &Status) -> String {
    match status {
        Status::Ended { outcome, .. } => match outcome {
            Outcome::Rejected { because } | Outcome::Failed { because } | Outcome::Transient { because } => {
                because.clone()
            }
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

/// What is written down as steps start, are skipped or ask.
pub(super) fn starting(record: &[Entry]) -> String {
    let started = record.iter().filter_map(|entry| match entry {
        Entry::Started { step, attempt: 1, .. } => Some(format!("starting {step}")),
        Entry::Started { step, attempt, .. } => Some(format!("starting {step}, attempt {attempt}")),
        Entry::Skipped { step, because } => Some(format!("skipping {step}: {because}")),
        Entry::ApprovalAsked { step, .. } => Some(format!("asking for approval of {step}")),
        Entry::ApprovalAnswered { step, .. } => Some(format!("nobody approved {step} in time")),
        _ => None,
    });
    started.collect::<Vec<_>>().join("; ")
}

/// A question's first line, for where there is room for one; the whole of it stands on the run's page.
fn shortened(ask: &str) -> String {
    let line = ask.lines().next().unwrap_or_default();
    let begin: String = line.chars().take(BRIEF).collect();
    if begin.len() < ask.len() { format!("{begin}…") } else { begin }
}

/// The attempts under way, and what those of them wait for that have no place yet; `None` where there are none.
pub(super) fn running(state: &State) -> Option<String> {
    let (mut running, mut queued) = (Vec::new(), Vec::new());
    for (step, _) in state.running() {
        match state.status(&step.id) {
            Status::Started { queued: Some(wait), .. } => queued.push(format!("{}: {}", step.id, wait.because)),
            _ => running.push(step.id.as_str()),
        }
    }
    let running = (!running.is_empty()).then(|| format!("{} running", running.join(", ")));
    let all: Vec<_> = running.into_iter().chain(queued).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The answers that a run waits for, as a sentence; `None` where it waits for none.
pub(super) fn waits(state: &State) -> Option<String> {
    let each = state.asking().map(|(step, approval, asked)| {
        let by = if approval.by.is_empty() { String::new() } else { format!(" by {}", approval.who()) };
        format!("{} waits for approval{by}: {}", step.id, shortened(&asked.ask))
    });
    let all: Vec<String> = each.collect();
    (!all.is_empty()).then(|| all.join("; "))
}
