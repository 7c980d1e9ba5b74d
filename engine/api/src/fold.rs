//! A run as its journal adds up for the dashboard: every attempt with its
//! times, which the run's own fold has no need to remember.

use crate::board::Board;
use crate::views::{
    AnswerView, AnsweredView, ApprovalView, AttemptView, PhaseView, RunRowView, RunState, RunStepView, RunSummary,
    StatusView, StepState, StepSummary,
};
use decide::run::{Answer, Entry, Opened, Outcome, RunOutcome, State, Status};
use decide::stream::Stream;
use pipeline::{Approval, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Which stream each step of a run waits for, by step.
pub(crate) type RequestStreams = BTreeMap<String, String>;

/// What a run's journal adds up to.
#[derive(Default)]
pub(crate) struct Fold {
    pub(crate) cancel_asked: Option<String>,
    /// What the run's own rules make of the same entries.
    pub(crate) run: State,
    opened_ms: u64,
    by: String,
    steps: BTreeMap<String, StepFold>,
    closed: Option<(RunOutcome, u64)>,
}

#[derive(Default)]
struct StepFold {
    attempts: Vec<AttemptView>,
    outputs: BTreeMap<String, Value>,
    skipped: Option<String>,
    last: Option<Outcome>,
}

impl Fold {
    /// Adds a run's next entry.
    ///
    /// # Errors
    /// When the entry is of no kind that this version knows.
    pub(crate) fn add(&mut self, entry: &journal::Entry) -> Result<(), serde_json::Error> {
        let decoded = serde_json::from_value(json!({ "kind": entry.kind, "body": entry.body }))?;
        self.run.apply(entry.at_ms, &entry.by, &decoded);
        match decoded {
            Entry::Opened { .. } => {
                self.opened_ms = entry.at_ms;
                self.by = entry.by.to_string();
            }
            // The run's own rules know whose answer counts.
            Entry::ApprovalAsked { .. } | Entry::ApprovalAnswered { .. } => {}
            Entry::Started { step, attempt, .. } => self.start(step, attempt, entry.at_ms),
            Entry::Queued { step, attempt, because } => self.word(&step, attempt, "queued", because),
            Entry::Placed { step, attempt } => self.word(&step, attempt, "running", String::new()),
            Entry::Ended { step, attempt, outcome } => self.end(step, attempt, outcome, entry.at_ms),
            Entry::Skipped { step, because } => self.steps.entry(step).or_default().skipped = Some(because),
            Entry::CancelAsked { because, .. } => {
                self.cancel_asked.get_or_insert(because);
            }
            Entry::Closed { outcome } => self.closed = Some((outcome, entry.at_ms)),
        }
        Ok(())
    }

    fn start(&mut self, step: String, attempt: u32, started_ms: u64) {
        let step = self.steps.entry(step).or_default();
        step.last = None;
        let outcome = "running".to_owned();
        step.attempts.push(AttemptView { attempt, started_ms, ended_ms: None, outcome, because: String::new() });
    }

    /// What an attempt under way does, and why.
    fn word(&mut self, step: &str, attempt: u32, word: &str, because: String) {
        let attempts = self.steps.get_mut(step).into_iter().flat_map(|step| &mut step.attempts);
        for view in attempts.filter(|view| view.attempt == attempt && view.ended_ms.is_none()) {
            (view.outcome, view.because) = (word.to_owned(), because.clone());
        }
    }

    fn end(&mut self, step: String, attempt: u32, outcome: Outcome, at_ms: u64) {
        let step = self.steps.entry(step).or_default();
        let (word, because) = words(&outcome);
        if let Some(view) = step.attempts.iter_mut().rev().find(|view| view.attempt == attempt) {
            view.ended_ms = Some(at_ms);
            view.outcome = word.to_owned();
            view.because = because;
        }
        if let Outcome::Succeeded { outputs: Value::Object(outputs) } = &outcome {
            step.outputs = outputs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        step.last = Some(outcome);
    }

    /// What the run rests on; `None` before it is opened.
    pub(crate) fn opened(&self) -> Option<&Opened> {
        self.run.opened().map(|opened| &**opened)
    }

    /// Whether the run has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether this attempt has ended, or can never begin.
    pub(crate) fn has_ended(&self, step: &str, attempt: u32) -> bool {
        let attempts = self.steps.get(step).map(|step| step.attempts.as_slice()).unwrap_or_default();
        self.is_closed() || attempts.iter().any(|view| view.attempt == attempt && view.ended_ms.is_some())
    }

    /// The run with what it passes; `None` before it is opened.
    pub(crate) fn row(&self, requests: &RequestStreams, board: &Board) -> Option<RunRowView> {
        let opened = self.opened()?;
        let first = StepSummary {
            id: "delivery".into(),
            uses: "delivery".into(),
            state: StepState::Succeeded,
            started_ms: None,
            ended_ms: Some(self.opened_ms),
            status: None,
            stream: None,
        };
        let steps = all_steps(opened).map(|(step, _)| self.step_summary(step, requests, board));
        Some(RunRowView { run: self.summary(opened, board), steps: std::iter::once(first).chain(steps).collect() })
    }

    pub(crate) fn steps(&self, requests: &RequestStreams, board: &Board) -> Vec<RunStepView> {
        let steps = self.opened().into_iter().flat_map(all_steps);
        steps.map(|(step, is_final)| self.step(step, is_final, requests, board)).collect()
    }

    fn step(&self, step: &Step, is_final: bool, requests: &RequestStreams, board: &Board) -> RunStepView {
        let fold = self.steps.get(&step.id);
        RunStepView {
            summary: self.step_summary(step, requests, board),
            needs: step.needs.clone(),
            is_final,
            inputs: step.with.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            grants: step.grants.0.clone(),
            condition: step.condition.clone(),
            timeout_ms: step.timeout_ms,
            retry: step.retry,
            approval: step.approval.as_ref().map(|approval| self.approval(&step.id, approval)),
            outputs: fold.map(|fold| fold.outputs.clone()).unwrap_or_default(),
            skipped: fold.and_then(|fold| fold.skipped.clone()),
            attempts: fold.map(|fold| fold.attempts.clone()).unwrap_or_default(),
        }
    }

    fn approval(&self, step: &str, approval: &Approval) -> ApprovalView {
        let asked = self.run.asked(step);
        let answered = asked.and_then(|asked| asked.answered.as_ref());
        ApprovalView {
            ask: asked.map_or_else(|| approval.ask.clone(), |asked| asked.ask.clone()),
            by: approval.by.clone(),
            timeout_ms: approval.timeout_ms,
            asked_ms: asked.map(|asked| asked.since),
            answered: answered.map(|answered| AnsweredView {
                answer: match answered.answer {
                    Answer::Approved => AnswerView::Approved,
                    Answer::Refused => AnswerView::Refused,
                    Answer::Expired => AnswerView::Expired,
                },
                by: answered.by.to_string(),
                at_ms: answered.at,
            }),
        }
    }

    fn step_summary(&self, step: &Step, requests: &RequestStreams, board: &Board) -> StepSummary {
        let fold = self.steps.get(&step.id);
        let attempts = fold.map(|fold| fold.attempts.as_slice()).unwrap_or_default();
        let state = self.state(step, fold);
        let stream = requests.get(&step.id).cloned();
        let said = match (&stream, state) {
            (Some(stream), StepState::Running) => board.status(stream),
            (None, StepState::Running) | (_, StepState::Asking | StepState::Queued) => {
                self.opened().and_then(|run| board.status(Stream::run(&run.id).as_str()))
            }
            _ => None,
        };
        StepSummary {
            id: step.id.clone(),
            uses: step.uses.clone(),
            state,
            started_ms: attempts.first().map(|attempt| attempt.started_ms),
            ended_ms: attempts.last().and_then(|attempt| attempt.ended_ms),
            status: said.map(StatusView::from),
            stream,
        }
    }

    fn state(&self, step: &Step, fold: Option<&StepFold>) -> StepState {
        match self.run.status(&step.id) {
            Status::Refused { .. } => return StepState::Failed,
            Status::Waiting if self.run.asking().any(|(asking, ..)| asking.id == step.id) => return StepState::Asking,
            _ => {}
        }
        let Some(fold) = fold else { return StepState::Waiting };
        if fold.skipped.is_some() {
            return StepState::Skipped;
        }
        match &fold.last {
            None if fold.attempts.is_empty() => StepState::Waiting,
            None if fold.attempts.last().is_some_and(|last| last.outcome == "queued") => StepState::Queued,
            None => StepState::Running,
            Some(Outcome::Succeeded { .. }) => StepState::Succeeded,
            Some(Outcome::Cancelled) => StepState::Cancelled,
            Some(_) if !self.is_closed() && self.run.retries(step) => StepState::Retrying,
            Some(_) => StepState::Failed,
        }
    }

    fn summary(&self, opened: &Opened, board: &Board) -> RunSummary {
        let status = match self.closed {
            None => board.status(Stream::run(&opened.id).as_str()).map(StatusView::from),
            Some((RunOutcome::Succeeded, _)) => None,
            Some((_, at_ms)) => self.why_it_ended(opened).map(|text| StatusView {
                stage: "run".into(),
                phase: PhaseView::Done,
                message: text,
                since_ms: at_ms,
            }),
        };
        RunSummary {
            id: opened.id.clone(),
            number: opened.number,
            repository: opened.repository.clone(),
            pipeline: opened.pipeline.name.clone(),
            title: opened.title.clone(),
            sha: opened.commit.sha.clone(),
            author: opened.commit.author.clone(),
            reference: opened.event.reference.clone(),
            event: opened.event.kind.as_str().to_owned(),
            by: self.by.clone(),
            retry_of: opened.retry_of.clone(),
            state: self.closed.map_or(RunState::Open, |(outcome, _)| run_state(outcome)),
            opened_ms: self.opened_ms,
            ended_ms: self.closed.map(|(_, at_ms)| at_ms),
            status,
        }
    }

    fn why_it_ended(&self, opened: &Opened) -> Option<String> {
        if let Some(mistake) = opened.mistakes.first() {
            let first = mistake.lines().next().unwrap_or_default();
            return Some(format!("the pipeline file is refused: {first}"));
        }
        let failed = all_steps(opened).find_map(|(step, _)| {
            if let Status::Refused { because } = self.run.status(&step.id) {
                return Some(format!("{}: {because}", step.id));
            }
            let fold = self.steps.get(&step.id)?;
            let last = fold.attempts.last().filter(|last| last.outcome != "succeeded")?;
            let colon = if last.because.is_empty() { "" } else { ": " };
            Some(format!("{} ended as {}{colon}{}", step.id, last.outcome, last.because))
        });
        self.cancel_asked.clone().or(failed)
    }
}

fn all_steps(opened: &Opened) -> impl Iterator<Item = (&Step, bool)> {
    let steps = opened.pipeline.steps.iter().map(|step| (step, false));
    steps.chain(opened.pipeline.finally.iter().map(|step| (step, true)))
}

fn run_state(outcome: RunOutcome) -> RunState {
    match outcome {
        RunOutcome::Succeeded => RunState::Succeeded,
        RunOutcome::Failed => RunState::Failed,
        RunOutcome::Cancelled => RunState::Cancelled,
        RunOutcome::Superseded => RunState::Superseded,
    }
}

fn words(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Succeeded { .. } => ("succeeded", String::new()),
        Outcome::Rejected { because } => ("rejected", because.clone()),
        Outcome::Failed { because } => ("failed", because.clone()),
        Outcome::Transient { because } => ("transient", because.clone()),
        Outcome::TimedOut { after_ms } => ("timed-out", format!("it took longer than {} s", after_ms / 1000)),
        Outcome::Limit { which, because } => ("limit", format!("{which}: {because}")),
        Outcome::Lost => ("lost", "the server went down while it ran; this does not count as a failure".into()),
        Outcome::Cancelled => ("cancelled", String::new()),
    }
}
