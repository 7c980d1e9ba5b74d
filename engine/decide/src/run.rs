//! Decides which steps of a run start next, and how the run ends.
//!
//! A run *is* its journal: [`Run::replay`] folds the entries, and starting a
//! run is replaying a journal that holds only [`Entry::Opened`]. There is no
//! other way in, so resuming after a crash is not a special case.

mod approval;
mod plan;
mod render;
mod subject;
#[cfg(test)]
mod tests;

use crate::by::By;
use crate::delivery::Origin;
use crate::next::Timestamp;
use pipeline::{Pipeline, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub use approval::{Answer, Answered, Asked, Fit, Unfit};
pub use plan::{Act, decide};

/// One line of a run's journal, in the past tense.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// The run was opened; always the first entry, and only that.
    Opened {
        /// Everything that the run rests on.
        run: Box<Opened>,
    },
    /// An attempt of a step was started, or is about to be.
    Started {
        /// The step's id.
        step: String,
        /// Counted from 1 for each step.
        attempt: u32,
    },
    /// An attempt ended.
    Ended {
        /// The step's id.
        step: String,
        /// The attempt that ended.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
    },
    /// A step will not start in this run.
    Skipped {
        /// The step's id.
        step: String,
        /// Why, as a sentence.
        because: String,
    },
    /// A step that is ready asks for leave to start; it does so once in a run.
    ApprovalAsked {
        /// The step's id.
        step: String,
        /// The question, rendered.
        ask: String,
    },
    /// A person answered, or nobody did in time; whoever wrote the entry is who said so.
    ApprovalAnswered {
        /// The step's id.
        step: String,
        /// What came of it.
        answer: Answer,
    },
    /// Somebody, or a newer run, wants this run to end early.
    CancelAsked {
        /// Why, as a sentence.
        because: String,
        /// Whether a newer run takes its place, or a person said so.
        cause: CancelCause,
    },
    /// The run ended; always the last entry.
    Closed {
        /// How it ended.
        outcome: RunOutcome,
    },
}

/// Why a run is to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelCause {
    /// A person asked.
    Asked,
    /// A newer run of the same concurrency group takes its place.
    Superseded,
}

/// What a run rests on. It never changes once the run is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// `owner/repo/pipeline/number`.
    pub id: String,
    /// Counts per repository and pipeline; never repeats.
    pub number: u64,
    /// `owner/repo`.
    pub repository: String,
    /// The file that the pipeline was read from.
    pub pipeline_file: String,
    /// The pipeline as parsed at the commit; empty where it did not parse.
    pub pipeline: Pipeline,
    /// What happened.
    pub event: Event,
    /// The commit that it happened to.
    pub commit: Commit,
    /// One line for people: the commit's subject, usually.
    pub title: String,
    /// The mistakes of a pipeline file that did not parse; such a run fails at once.
    #[serde(default)]
    pub mistakes: Vec<String>,
    /// The run that a person wanted to have again.
    #[serde(default)]
    pub retry_of: Option<String>,
}

/// What caused a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `push`, `tag`, `pull_request` or `manual`.
    pub kind: String,
    /// The full reference, such as `refs/heads/main` or `refs/pull/7/head`.
    pub reference: String,
    /// The commit before; all zeros for a new branch. Of a pull request, the commit
    /// of the base branch that its pipeline was read at.
    pub before: String,
    /// The commit after.
    pub after: String,
    /// The delivery's id; empty where no webhook was involved.
    pub delivery: String,
    /// Whether history was rewritten.
    pub forced: bool,
    /// The pull request, where the kind is `pull_request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
}

impl Event {
    /// The kind of a pull request's runs.
    pub const PULL_REQUEST: &'static str = "pull_request";
    /// Every kind that opens a run.
    pub const KINDS: [&'static str; 4] = ["push", "tag", Event::PULL_REQUEST, "manual"];

    /// Whose pull request it is; `None` of any other event. One of which nothing is known could be anybody's.
    pub fn origin(&self) -> Option<Origin> {
        match &self.pull_request {
            Some(asked) => Some(asked.origin),
            None => (self.kind == Event::PULL_REQUEST).then_some(Origin::Fork),
        }
    }
}

/// The pull request that a run is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number in the repository.
    pub number: u64,
    /// The branch that it asks to change, such as `refs/heads/main`.
    pub base: String,
    /// The branch that it comes from, by its short name; for people.
    pub head: String,
    /// Whose it is; it says what the run may do at most.
    pub origin: Origin,
}

/// A commit, as far as a run shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The full id.
    pub sha: String,
    /// Its first seven digits.
    pub short: String,
    /// The whole message.
    pub message: String,
    /// The author's name.
    pub author: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Outcome {
    /// It did what it was asked.
    Succeeded {
        /// A flat object of strings, for later steps.
        outputs: Value,
    },
    /// The author can mend it; trying again cannot.
    Rejected {
        /// Why, as a sentence.
        because: String,
    },
    /// Trying again may help.
    Transient {
        /// Why, as a sentence.
        because: String,
    },
    /// It took longer than its step allows.
    TimedOut {
        /// The allowance in ms.
        after_ms: u64,
    },
    /// It exceeded one of the sandbox's limits.
    Limit {
        /// Which limit.
        which: String,
        /// Why, as a sentence.
        because: String,
    },
    /// The server went down while it ran; not the step's fault, so it does not count.
    Lost,
    /// The run was cancelled while it ran.
    Cancelled,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Every step that was not skipped succeeded.
    Succeeded,
    /// A step failed, or the pipeline file did not parse.
    Failed,
    /// A person ended it.
    Cancelled,
    /// A newer run took its place.
    Superseded,
}

/// Where a step stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Status {
    /// Nothing has been recorded about it yet.
    #[default]
    Waiting,
    /// An attempt was started and has not ended.
    Started {
        /// Which attempt.
        attempt: u32,
        /// When it was recorded, in ms since the epoch.
        since: Timestamp,
    },
    /// An attempt ended.
    Ended {
        /// Which attempt.
        attempt: u32,
        /// When it was recorded, in ms since the epoch.
        at: Timestamp,
        /// How.
        outcome: Outcome,
    },
    /// It will not start.
    Skipped {
        /// Why.
        because: String,
    },
    /// It asked for leave to start, and did not get it.
    Refused {
        /// Who refused, or that nobody answered.
        because: String,
    },
}

/// The state that a run's journal adds up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    opened: Option<Box<Opened>>,
    statuses: BTreeMap<String, Status>,
    /// Failures that count against `retry`, by step.
    failures: BTreeMap<String, u32>,
    /// What steps asked before they start, by step.
    asked: BTreeMap<String, Asked>,
    cancel: Option<(CancelCause, String)>,
    closed: Option<RunOutcome>,
}

/// What the server sees of a run's attempts.
///
/// After a restart nothing is alive; that is seen, not remembered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Attempts that run in this process.
    pub alive: BTreeSet<(String, u32)>,
    /// Attempts that ended in this process and are not recorded yet.
    pub exits: BTreeMap<(String, u32), Outcome>,
    /// An older run of the same concurrency group that is still open.
    pub ahead: Option<String>,
    /// Where this server is read by people; empty where it has no address.
    pub url: String,
}

impl Run {
    /// Folds a journal; each entry comes with its moment in ms since the epoch, and with who wrote it.
    pub fn replay<'a>(journal: impl IntoIterator<Item = (Timestamp, &'a By, &'a Entry)>) -> Run {
        let mut run = Run::default();
        for (at, by, entry) in journal {
            run.apply(at, by, entry);
        }
        run
    }

    /// Adds the journal's next entry; the same as a replay of all of them.
    pub fn apply(&mut self, at: Timestamp, by: &By, entry: &Entry) {
        match entry {
            Entry::Opened { run } => self.opened = Some(run.clone()),
            Entry::Started { step, attempt } => {
                self.statuses.insert(step.clone(), Status::Started { attempt: *attempt, since: at });
            }
            Entry::Ended { step, attempt, outcome } => {
                if !matches!(outcome, Outcome::Succeeded { .. } | Outcome::Lost) {
                    *self.failures.entry(step.clone()).or_default() += 1;
                }
                let status = Status::Ended { attempt: *attempt, at, outcome: outcome.clone() };
                self.statuses.insert(step.clone(), status);
            }
            Entry::Skipped { step, because } => {
                self.statuses.insert(step.clone(), Status::Skipped { because: because.clone() });
            }
            Entry::ApprovalAsked { step, ask } => self.note_asked(step, ask, at),
            Entry::ApprovalAnswered { step, answer } => self.note_answered(step, *answer, by, at),
            Entry::CancelAsked { because, cause } => {
                self.cancel.get_or_insert_with(|| (*cause, because.clone()));
            }
            Entry::Closed { outcome } => self.closed = Some(*outcome),
        }
    }

    /// What the run rests on; absent only for an empty journal.
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_deref()
    }

    /// How the run ended, once it has.
    pub fn outcome(&self) -> Option<RunOutcome> {
        self.closed
    }

    /// Where a step stands.
    pub fn status(&self, step: &str) -> Status {
        self.statuses.get(step).cloned().unwrap_or_default()
    }

    /// Whether somebody asked the run to end early.
    pub fn cancel(&self) -> Option<(CancelCause, &str)> {
        self.cancel.as_ref().map(|(cause, because)| (*cause, because.as_str()))
    }

    /// The steps and then the final steps, in the file's order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let pipeline = self.opened.as_deref().map(|opened| &opened.pipeline);
        pipeline.into_iter().flat_map(|pipeline| pipeline.steps.iter().chain(&pipeline.finally))
    }

    /// A step of the pipeline by its id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps().find(|step| step.id == id)
    }
}
