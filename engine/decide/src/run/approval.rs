//! Whose approval a step waits for, and which answer counts.
//!
//! A step asks once in a run: what it asked is recorded, and so is the answer,
//! which is a person's or the clock's. Whatever else the journal holds about
//! it changes nothing.

use super::entry::Answer;
use crate::by::By;
use crate::next::Timestamp;
use pipeline::{Approval, duration};

/// What a step asked, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The question, with its expressions rendered.
    pub ask: String,
    /// When it was recorded, in ms since the epoch.
    pub since: Timestamp,
    /// What came of it; absent while it stands.
    pub answered: Option<Answered>,
}

/// What came of a question, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The answer that counts.
    pub answer: Answer,
    /// The person whose answer it is; the server, where the time was up.
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
    /// The step has no `approval`.
    #[error("the step `{0}` needs no approval")]
    NoApproval(String),
    /// Others are named, or it is no person at all.
    #[error("`{step}` takes the answer of {who}")]
    NotYours {
        /// The step's id within the pipeline.
        step: String,
        /// Whose answer it takes.
        who: String,
    },
    /// What the step needs has not ended.
    #[error("`{0}` has not asked yet: what comes before it has not ended")]
    NotAsked(String),
    /// Another person's answer counts already.
    #[error("`{step}`: {said}")]
    Answered {
        /// The step's id within the pipeline.
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
        /// The step's id within the pipeline.
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

/// Whether the pipeline takes this answer from its author: a person that it names, or the clock.
pub(super) fn may_say(approval: &Approval, answer: Answer, by: &By) -> bool {
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
