//! Decides which runs a delivery opens, and which older ones they supersede.
//!
//! The same push never opens a second run of a pipeline, by whichever delivery it comes and however
//! often the server dies between opening the run and recording that it did. A push is known by its place
//! in the order of the moves of its branch or tag ([`Reflog`](super::Reflog)): what went away and came back
//! was pushed again.

use super::entry::{Change, Entry, Push, Received, Skipped};
use super::messages;
use super::observed::{Context, Observed};
use super::pipelines::{Plan, plan};
use super::state::{Ended, State};
use super::supersede::superseded;
use crate::next::{Next, Timestamp, Wake};
use crate::run::Opened;

/// How long a commit may be missing before the delivery is given up, in ms since the first look that missed it.
pub const PATIENCE_MS: u64 = 10 * 60 * 1_000;

/// What a delivery may cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Open a run, unless its stream exists already.
    Open(Box<Opened>),
    /// Ask an older run to end, unless it was asked or has ended.
    Supersede {
        /// The older run's id.
        run: String,
        /// The newer run's id.
        by: String,
    },
}

/// Decides what a delivery does next.
pub fn decide(state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
    match &state.ended {
        Some(Ended::Opened(runs)) => return Next::done(Wake::Never, format!("opened {}", runs.join(", "))),
        Some(Ended::Ignored(because)) => return Next::done(Wake::Never, because.clone()),
        None => {}
    }
    let Some((received, _)) = &state.received else {
        return Next::blocked("this delivery's journal does not begin with its receipt");
    };
    if let Received::Push(Push { change: Change::Deleted, reference, .. }) = received {
        return ignore(format!("`{reference}` was deleted, and a deletion opens no runs"));
    }
    match observed {
        Observed::Nothing => Next::waiting(Wake::Now, "looking at the repository"),
        Observed::Missing if is_given_up(state, now) => ignore(format!(
            "the commit {} is not in {}; its reference was moved or deleted before it could be read",
            received.commit(),
            received.repository()
        )),
        Observed::Missing => {
            miss(state, now, format!("waiting until the commit {} can be read", &received.commit()[..7]))
        }
        Observed::Unreadable { because } if is_given_up(state, now) => {
            ignore(format!("{because}; given up after {} minutes", PATIENCE_MS / 60_000))
        }
        Observed::Unreadable { because } => miss(state, now, format!("{because}; trying again")),
        Observed::Refused { because } => ignore(because.clone()),
        Observed::Readable(context) => open(received, context),
    }
}

/// Whether it was waited for since the first look that missed, and not since the receipt: the repository may have been
/// away in between.
fn is_given_up(state: &State, now: Timestamp) -> bool {
    state.missed.is_some_and(|since| now.saturating_sub(since) > PATIENCE_MS)
}

/// Looks again, the later the longer it has waited, and records that it waits.
fn miss(state: &State, now: Timestamp, because: String) -> Next<Entry, Act> {
    let waited = now.saturating_sub(state.missed.unwrap_or(now));
    let record = match state.missed {
        None => vec![Entry::Missed { because: because.clone() }],
        Some(_) => Vec::new(),
    };
    Next { record, ..Next::waiting(Wake::At(now + (waited / 2).clamp(500, 30_000)), because) }
}

fn ignore(because: String) -> Next<Entry, Act> {
    let record = vec![Entry::Ignored { because: because.clone() }];
    Next { record, ..Next::done(Wake::Never, because) }
}

pub(super) fn open(received: &Received, context: &Context) -> Next<Entry, Act> {
    let plans = plan(received, context);
    let (mut acts, mut runs, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for plan in plans {
        match plan {
            Plan::Open(opened) => acts.push(Act::Open(opened)),
            Plan::Exists { run, supersede } => {
                acts.extend(
                    superseded(&run, supersede, context).map(|old| Act::Supersede { run: old, by: run.clone() }),
                );
                runs.push(run);
            }
            Plan::Skip { file, because } => skipped.push(Skipped { file, because }),
        }
    }
    if !acts.is_empty() {
        let because = format!("opening the runs of {}", &context.commit.short);
        return Next { acts, ..Next::progressing(Wake::Now, because) };
    }
    if runs.is_empty() {
        return ignore(messages::why_nothing(&context.files_at, &skipped));
    }
    let because = format!("opened {}", runs.join(", "));
    Next { record: vec![Entry::Opened { runs, skipped }], ..Next::done(Wake::Never, because) }
}
