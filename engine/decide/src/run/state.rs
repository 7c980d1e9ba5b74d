//! What a run's journal adds up to, and what follows from it alone.

use super::approval::{Answered, Asked, Fit, Unfit, may_say, until};
use super::entry::{Answer, CancelCause, Entry, Instance, Opened, Outcome, RunOutcome};
use crate::by::By;
use crate::next::Timestamp;
use pipeline::{Approval, Step, Supersede};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a step stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Status {
    /// Nothing has been recorded about it yet.
    #[default]
    Waiting,
    /// An attempt was started and has not ended.
    Started {
        /// The attempt, counted from 1.
        attempt: u32,
        /// When its clock began, in ms since the epoch: its entry's moment, and later by each wait for a place.
        since: Timestamp,
        /// The instance that runs it; `None` where the journal is from before instances were named.
        owner: Option<Instance>,
        /// What it waits for, while it waits for a free place.
        queued: Option<Queued>,
    },
    /// The newest attempt ended.
    Ended {
        /// The attempt, counted from 1.
        attempt: u32,
        /// When it was recorded, in ms since the epoch.
        at: Timestamp,
        /// How the step ended.
        outcome: Outcome,
    },
    /// It will not start.
    Skipped {
        /// Why it will not start, as a sentence.
        because: String,
    },
    /// It asked for approval, and did not get it.
    Refused {
        /// Who refused, or that the time for an answer was up.
        because: String,
    },
}

/// A wait for a free place.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// When it was recorded, in ms since the epoch.
    pub since: Timestamp,
    /// For what, as a sentence.
    pub because: String,
}

/// The state that a run's journal adds up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    opened: Option<Arc<Opened>>,
    statuses: BTreeMap<String, Status>,
    /// Failures that count against `retry`, by step.
    failures: BTreeMap<String, u32>,
    /// What steps asked before they start, by step.
    pub(super) asked: BTreeMap<String, Asked>,
    cancel: Option<(CancelCause, String, By)>,
    closed: Option<(RunOutcome, Timestamp)>,
}

impl State {
    /// Folds a journal; each entry comes with its moment in ms since the epoch, and with who wrote it.
    pub fn replay<'a>(journal: impl IntoIterator<Item = (Timestamp, &'a By, &'a Entry)>) -> State {
        let mut run = State::default();
        for (at, by, entry) in journal {
            run.apply(at, by, entry);
        }
        run
    }

    /// Adds the journal's next entry; the same as a replay of all of them.
    pub fn apply(&mut self, at: Timestamp, by: &By, entry: &Entry) {
        match entry {
            Entry::Opened { run } => self.opened = Some(run.clone()),
            Entry::Started { step, attempt, owner } => {
                let status = Status::Started { attempt: *attempt, since: at, owner: owner.clone(), queued: None };
                self.statuses.insert(step.clone(), status);
            }
            Entry::Queued { step, attempt, because } => {
                self.note_queued(step, *attempt, Some(Queued { since: at, because: because.clone() }), at);
            }
            Entry::Placed { step, attempt } => self.note_queued(step, *attempt, None, at),
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
                self.cancel.get_or_insert_with(|| (*cause, because.clone(), by.clone()));
            }
            Entry::Closed { outcome } => self.closed = Some((*outcome, at)),
        }
    }

    /// What the run rests on; absent only for an empty journal.
    pub fn opened(&self) -> Option<&Arc<Opened>> {
        self.opened.as_ref()
    }

    /// How the run ended, once it has.
    pub fn outcome(&self) -> Option<RunOutcome> {
        self.closed.map(|(outcome, _)| outcome)
    }

    /// When the run ended, in ms since the epoch.
    pub(super) fn closed_at(&self) -> Option<Timestamp> {
        self.closed.map(|(_, at)| at)
    }

    /// Where a step stands.
    pub fn status(&self, step: &str) -> Status {
        self.statuses.get(step).cloned().unwrap_or_default()
    }

    /// Who or what asked the run to end early, and why, as a sentence.
    pub fn cancel(&self) -> Option<(CancelCause, &str)> {
        self.cancel.as_ref().map(|(cause, because, _)| (*cause, because.as_str()))
    }

    /// Why the server ended it by itself. Who else did is for the journal to say: this stands where everybody reads it.
    pub(super) fn ended_by_server(&self) -> Option<&str> {
        self.cancel.as_ref().filter(|(_, _, by)| *by == By::Server).map(|(_, because, _)| because.as_str())
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

    /// What a step asked, if it did.
    pub fn asked(&self, step: &str) -> Option<&Asked> {
        self.asked.get(step)
    }

    /// The person who approved a step in this run, if one did.
    pub fn approved_by(&self, step: &str) -> Option<&str> {
        match self.asked(step)?.answered.as_ref()? {
            Answered { answer: Answer::Approved, by: By::Person(name), .. } => Some(name),
            _ => None,
        }
    }

    /// The steps that wait for an answer, with what they ask.
    pub fn asking(&self) -> impl Iterator<Item = (&Step, &Approval, &Asked)> {
        self.steps().filter_map(|step| {
            let (approval, asked) = (step.approval.as_ref()?, self.asked(&step.id)?);
            let open = asked.answered.is_none() && self.closed.is_none() && self.status(&step.id) == Status::Waiting;
            open.then_some((step, approval, asked))
        })
    }

    /// A newer run takes a run's place only before its bump is recorded: after
    /// that the manifests may name its image, and it goes on to its end.
    pub(super) fn effective_cancel(&self) -> Option<(CancelCause, &str)> {
        let (cause, because) = self.cancel()?;
        let bumped = || {
            let started = |step: &Step| {
                step.uses == "bump" && matches!(self.status(&step.id), Status::Started { .. } | Status::Ended { .. })
            };
            self.opened().is_some_and(|opened| opened.pipeline.steps.iter().any(started))
        };
        let until_bump = self
            .opened()
            .and_then(|opened| opened.pipeline.concurrency.as_ref())
            .is_none_or(|concurrency| concurrency.supersede != Supersede::Always);
        let too_late = cause == CancelCause::Superseded && until_bump && bumped();
        (!too_late).then_some((cause, because))
    }

    /// How the run would end if nothing more happened.
    pub(super) fn ending(&self) -> RunOutcome {
        let Some(opened) = self.opened() else { return RunOutcome::Failed };
        match self.effective_cancel() {
            Some((CancelCause::Asked, _)) => RunOutcome::Cancelled,
            Some((CancelCause::Superseded, _)) => RunOutcome::Superseded,
            None if opened.pipeline.steps.iter().any(|step| self.failed(step)) => RunOutcome::Failed,
            None => RunOutcome::Succeeded,
        }
    }

    /// The steps that have an attempt under way, with its number.
    pub(super) fn running(&self) -> impl Iterator<Item = (&Step, u32)> {
        self.steps().filter_map(|step| match self.status(&step.id) {
            Status::Started { attempt, .. } => Some((step, attempt)),
            _ => None,
        })
    }

    /// When each attempt under way is out of time, in ms since the epoch; none of those that wait for a place.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (&Step, u32, Timestamp)> {
        self.steps().filter_map(|step| match self.status(&step.id) {
            Status::Started { attempt, since, queued: None, .. } => {
                Some((step, attempt, since.saturating_add(step.timeout_ms)))
            }
            _ => None,
        })
    }

    /// An attempt under way begins to wait, or has its place: what it waited is no time of its own.
    fn note_queued(&mut self, step: &str, of: u32, now: Option<Queued>, at: Timestamp) {
        let Some(Status::Started { attempt, since, queued, .. }) = self.statuses.get_mut(step) else { return };
        if *attempt != of || queued.is_some() == now.is_some() {
            return;
        }
        if let Some(Queued { since: began, .. }) = std::mem::replace(queued, now) {
            *since = since.saturating_add(at.saturating_sub(began));
        }
    }

    pub(super) fn is_final(&self, step: &Step) -> bool {
        self.opened().is_some_and(|opened| opened.pipeline.finally.iter().any(|last| last.id == step.id))
    }

    pub(super) fn timed_out(&self, step: &Step) -> bool {
        matches!(self.status(&step.id), Status::Ended { outcome: Outcome::TimedOut { .. }, .. })
    }

    pub(super) fn failures(&self, step: &Step) -> u32 {
        self.failures.get(&step.id).copied().unwrap_or_default()
    }

    /// Whether a step has come to its end, whatever that was.
    pub(super) fn ended(&self, step: &Step) -> bool {
        match self.status(&step.id) {
            Status::Skipped { .. } | Status::Refused { .. } => true,
            Status::Ended { .. } => !self.retries(step),
            Status::Waiting | Status::Started { .. } => false,
        }
    }

    pub(super) fn failed(&self, step: &Step) -> bool {
        match self.status(&step.id) {
            Status::Refused { .. } => true,
            Status::Ended { outcome, .. } => !matches!(outcome, Outcome::Succeeded { .. }) && !self.retries(step),
            Status::Waiting | Status::Started { .. } | Status::Skipped { .. } => false,
        }
    }

    /// Whether everything that a step waits for has ended.
    pub(super) fn settled(&self, step: &Step) -> bool {
        let needs = step.needs.iter().filter_map(|id| self.step(id)).all(|need| self.ended(need));
        let body = !self.is_final(step)
            || self.opened().is_none_or(|opened| opened.pipeline.steps.iter().all(|step| self.ended(step)));
        needs && body
    }

    /// Whether an answer would be taken at `at`, in ms since the epoch.
    ///
    /// # Errors
    /// Why it would not.
    pub fn fits(&self, id: &str, answer: Answer, by: &By, at: Timestamp) -> Result<Fit, Unfit> {
        let step = self.step(id).ok_or_else(|| Unfit::NoStep(id.to_owned()))?;
        let approval = step.approval.as_ref().ok_or_else(|| Unfit::NoApproval(id.to_owned()))?;
        if !may_say(approval, answer, by) {
            return Err(Unfit::NotYours { step: id.to_owned(), who: approval.who() });
        }
        match self.asked(id).and_then(|asked| asked.answered.as_ref()) {
            Some(answered) if answered.answer == answer && answered.by == *by => return Ok(Fit::Same),
            Some(answered) => return Err(Unfit::Answered { step: id.to_owned(), said: answered.said() }),
            None if self.closed.is_some() || self.status(id) != Status::Waiting => {
                return Err(Unfit::Over(id.to_owned()));
            }
            None => {}
        }
        let asked = self.asked(id).ok_or_else(|| Unfit::NotAsked(id.to_owned()))?;
        let in_time = at < until(asked, approval);
        match answer {
            Answer::Expired if in_time => Err(Unfit::NotYours { step: id.to_owned(), who: approval.who() }),
            Answer::Approved | Answer::Refused if !in_time => {
                Err(Unfit::Late { step: id.to_owned(), waited_ms: approval.timeout_ms })
            }
            _ => Ok(Fit::New),
        }
    }

    pub(super) fn note_asked(&mut self, step: &str, ask: &str, since: Timestamp) {
        if self.step(step).is_some_and(|step| step.approval.is_some()) {
            let asked = Asked { ask: ask.to_owned(), since, answered: None };
            self.asked.entry(step.to_owned()).or_insert(asked);
        }
    }

    pub(super) fn note_answered(&mut self, step: &str, answer: Answer, by: &By, at: Timestamp) {
        if self.fits(step, answer, by, at) != Ok(Fit::New) {
            return;
        }
        let Some(asked) = self.asked.get_mut(step) else { return };
        let answered = Answered { answer, by: by.clone(), at };
        if answer != Answer::Approved {
            let because = answered.said();
            self.statuses.insert(step.to_owned(), Status::Refused { because });
        }
        asked.answered = Some(answered);
    }
}
