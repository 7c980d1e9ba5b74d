//! The sentences in which a run says what it does, what it waits for and how it ended.

use super::entry::{Entry, Outcome, RunOutcome};
use super::state::{State, Status};

/// How much of a question stands where there is room for a line, in characters.
const BRIEF: usize = 120;

/// How a run ended: for one that failed, by which step and why.
pub(super) fn summary(state: &State, outcome: RunOutcome) -> String {
    match outcome {
        RunOutcome::Succeeded => "every step succeeded".into(),
        RunOutcome::Cancelled => "cancelled".into(),
        RunOutcome::Superseded => "a newer run took its place".into(),
        RunOutcome::Failed => {
            let failed = state.steps().find(|step| state.failed(step));
            failed.map_or("failed".into(), |step| format!("{}: {}", step.id, why(&state.status(&step.id))))
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

/// The answers that a run waits for, as a sentence; `None` where it waits for none.
pub(super) fn waits(state: &State) -> Option<String> {
    let each = state.asking().map(|(step, approval, asked)| {
        let by = if approval.by.is_empty() { String::new() } else { format!(" by {}", approval.who()) };
        format!("{} waits for approval{by}: {}", step.id, shortened(&asked.ask))
    });
    let all: Vec<String> = each.collect();
    (!all.is_empty()).then(|| all.join("; "))
}
