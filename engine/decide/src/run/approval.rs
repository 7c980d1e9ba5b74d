//! Whose approval a step waits for, and what came of it.
//!
//! A step asks once in a run: what it asked is recorded, and so is the answer,
//! which is a person's or the clock's. Whatever else the journal holds about
//! it changes nothing.

use super::render::question;
use super::{Entry, Opened, Outcome, Run, Seen, Status};
use crate::by::By;
use crate::next::Timestamp;
use pipeline::{Approval, Step, duration};
use serde::{Deserialize, Serialize};

/// How much of a question stands where there is room for a line, in characters.
const BRIEF: usize = 120;

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A person lets the step start.
    Approved,
    /// A person does not.
    Refused,
    /// Nobody answered in time, which counts as a refusal.
    Expired,
}

/// What a step asked, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The question, rendered.
    pub ask: String,
    /// When it was recorded, in ms since the epoch.
    pub since: Timestamp,
    /// What came of it; absent while it stands.
    pub answered: Option<Answered>,
}

/// What came of a question, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// What.
    pub answer: Answer,
    /// Who said so; the server itself where nobody answered.
    pub by: By,
    /// When it was recorded, in ms since the epoch.
    pub at: Timestamp,
}

/// What an answer that may be given changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is the answer.
    New,
    /// The same person has given it already.
    Same,
}

/// Why an answer is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The pipeline has no such step.
    #[error("the run has no step `{0}`")]
    NoStep(String),
    /// The step asks nobody.
    #[error("the step `{0}` needs no approval")]
    NoApproval(String),
    /// Others are named, or it is no person at all.
    #[error("`{step}` takes the answer of {who}")]
    NotYours {
        /// The step.
        step: String,
        /// Whose answer it takes.
        who: String,
    },
    /// What the step needs has not ended.
    #[error("`{0}` has not asked yet: what comes before it has not ended")]
    NotAsked(String),
    /// Somebody was faster.
    #[error("`{step}`: {said}")]
    Answered {
        /// The step.
        step: String,
        /// What came of it, as a sentence.
        said: String,
    },
    /// The run, or the step in it, has come to its end, or is brought to it.
    #[error("`{0}` does not wait for an answer any more")]
    Over(String),
    /// The time for an answer is up.
    #[error("`{step}` waited {} for an answer, and its time is up", duration::show(*.waited_ms))]
    Late {
        /// The step.
        step: String,
        /// For how long it waited, in ms.
        waited_ms: u64,
    },
}

impl Answered {
    /// What came of it, as a sentence.
    pub fn said(&self) -> String {
        let name = match &self.by {
            By::Person(name) => name.clone(),
            other => other.to_string(),
        };
        match self.answer {
            Answer::Approved => format!("{name} approved it"),
            Answer::Refused => format!("{name} refused it"),
            Answer::Expired => "nobody approved it in time".to_owned(),
        }
    }
}

impl Run {
    /// What a step asked, if it did.
    pub fn asked(&self, step: &str) -> Option<&Asked> {
        self.asked.get(step)
    }

    /// Who approved a step in this run; `None` where nobody did.
    pub fn approved_by(&self, step: &str) -> Option<&str> {
        match self.asked(step)?.answered.as_ref()? {
            Answered { answer: Answer::Approved, by: By::Person(name), .. } => Some(name),
            _ => None,
        }
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

    /// The steps that wait for an answer, with what they ask.
    pub fn asking(&self) -> impl Iterator<Item = (&Step, &Approval, &Asked)> {
        self.steps().filter_map(|step| {
            let (approval, asked) = (step.approval.as_ref()?, self.asked(&step.id)?);
            let open = asked.answered.is_none() && self.closed.is_none() && self.status(&step.id) == Status::Waiting;
            open.then_some((step, approval, asked))
        })
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

fn may_say(approval: &Approval, answer: Answer, by: &By) -> bool {
    match (answer, by) {
        (Answer::Approved | Answer::Refused, By::Person(name)) => {
            approval.by.is_empty() || approval.by.iter().any(|named| named == name)
        }
        (Answer::Expired, By::Server) => true,
        _ => false,
    }
}

/// When a question has stood for long enough, in ms since the epoch.
pub(super) fn until(asked: &Asked, approval: &Approval) -> Timestamp {
    asked.since.saturating_add(approval.timeout_ms)
}

/// What stands between a step that is ready and its first attempt.
pub(super) enum Gate {
    /// Nothing.
    Open,
    /// Somebody's answer; these entries say what is asked, or that nobody answered.
    Closed(Vec<Entry>),
}

/// Whether a step that is ready may start.
pub(super) fn gate(run: &Run, opened: &Opened, seen: &Seen, step: &Step, now: Timestamp) -> Gate {
    let Some(approval) = &step.approval else { return Gate::Open };
    let id = || step.id.clone();
    match run.asked(&step.id) {
        None => Gate::Closed(match question(run, opened, seen, approval) {
            Ok(ask) => vec![Entry::ApprovalAsked { step: id(), ask }],
            Err(because) => {
                let outcome = Outcome::Rejected { because };
                vec![Entry::Started { step: id(), attempt: 1 }, Entry::Ended { step: id(), attempt: 1, outcome }]
            }
        }),
        Some(asked) => match &asked.answered {
            Some(answered) if answered.answer == Answer::Approved => Gate::Open,
            None if now >= until(asked, approval) => {
                Gate::Closed(vec![Entry::ApprovalAnswered { step: id(), answer: Answer::Expired }])
            }
            _ => Gate::Closed(Vec::new()),
        },
    }
}

/// A question's first line, for where there is room for one; the whole of it stands on the run's page.
fn shortened(ask: &str) -> String {
    let line = ask.lines().next().unwrap_or_default();
    let begin: String = line.chars().take(BRIEF).collect();
    if begin.len() < ask.len() { format!("{begin}…") } else { begin }
}

/// What a run waits for people to say, for people; `None` where it waits for nobody.
pub(super) fn waits(run: &Run) -> Option<String> {
    let each = run.asking().map(|(step, approval, asked)| {
        let by = if approval.by.is_empty() { String::new() } else { format!(" by {}", approval.who()) };
        format!("{} waits for approval{by}: {}", step.id, shortened(&asked.ask))
    });
    let all: Vec<String> = each.collect();
    (!all.is_empty()).then(|| all.join("; "))
}
