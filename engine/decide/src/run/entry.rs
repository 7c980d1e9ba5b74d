//! What a run writes down, and what it rests on.

use pipeline::Pipeline;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One line of a run's journal, in the past tense.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// The run was opened; always the first entry, and only that.
    Opened {
        /// Everything that the run rests on.
        run: Arc<Opened>,
    },
    /// An attempt of a step was started, or is about to be.
    Started {
        /// The step's id within the pipeline.
        step: String,
        /// Counted from 1 for each step.
        attempt: u32,
        /// The server instance that runs it. Absent in journals that were written before instances
        /// were named: such an instance does not exist any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Instance>,
    },
    /// An attempt waits for a free place. Its clock stands still until it has one, or ends.
    Queued {
        /// The step's id within the pipeline.
        step: String,
        /// The attempt that waits.
        attempt: u32,
        /// For what, as a sentence.
        because: String,
    },
    /// An attempt that waited has its place, and its clock runs.
    Placed {
        /// The step's id within the pipeline.
        step: String,
        /// The attempt that waited.
        attempt: u32,
    },
    /// An attempt of a step ended.
    Ended {
        /// The step's id within the pipeline.
        step: String,
        /// The attempt that ended.
        attempt: u32,
        /// How the attempt ended.
        outcome: Outcome,
    },
    /// A step will not start in this run.
    Skipped {
        /// The step's id within the pipeline.
        step: String,
        /// Why, as a sentence.
        because: String,
    },
    /// A step that is ready asks for approval before it starts; it does so once in a run.
    ApprovalAsked {
        /// The step's id within the pipeline.
        step: String,
        /// The question, with its expressions rendered.
        ask: String,
    },
    /// A person answered, or the time for an answer is up; the entry's author is the answer's.
    ApprovalAnswered {
        /// The step's id within the pipeline.
        step: String,
        /// What came of it.
        answer: Answer,
    },
    /// A person, or a newer run, asked for this run to end early.
    CancelAsked {
        /// Why, as a sentence.
        because: String,
        /// Whether a newer run takes its place, or a person said so.
        cause: CancelCause,
    },
    /// The run ended; always the last entry.
    Closed {
        /// How the run ended.
        outcome: RunOutcome,
    },
}

/// One life of a server process, by the id that it was given at its start; a restart is another instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(pub String);

/// Why a run is to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelCause {
    /// A person asked for it; or the server, since it may have ended already in a time that the journal has lost.
    Asked,
    /// A newer run of the same concurrency group takes its place.
    Superseded,
}

/// What a run rests on. It never changes once the run is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The run's id, `owner/repo/pipeline/number`.
    pub id: String,
    /// Counts per repository and pipeline; never repeats.
    pub number: u64,
    /// The repository as `owner/repo`, as the configuration spells it.
    pub repository: String,
    /// The file that the pipeline was read from.
    pub pipeline_file: String,
    /// The pipeline as parsed at the commit; empty where it did not parse.
    pub pipeline: Pipeline,
    /// The event that opened the run.
    pub event: Event,
    /// The commit that it happened to.
    pub commit: Commit,
    /// One line for people: the commit's subject, usually.
    pub title: String,
    /// The mistakes of a pipeline file that did not parse; such a run fails at once.
    #[serde(default)]
    pub mistakes: Vec<String>,
    /// The run that a person asked to repeat.
    #[serde(default)]
    pub retry_of: Option<String>,
}

/// What caused a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What kind of thing happened.
    pub kind: EventKind,
    /// The full reference, such as `refs/heads/main` or `refs/pull/7/head`.
    pub reference: String,
    /// The commit before; all zeros for a new branch. Of a pull request, the commit
    /// of the base branch that its pipeline was read at.
    pub before: String,
    /// The commit after; the one that the run is of.
    pub after: String,
    /// The delivery's id; empty where no webhook was involved.
    pub delivery: String,
    /// Whether history was rewritten.
    pub forced: bool,
    /// The pull request, where the kind is `pull_request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
    /// How a person started it, where the kind is `manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<ManualStart>,
}

/// How a person started a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualStart {
    /// What the person's client calls this start: one that is asked for again opens nothing more.
    pub key: String,
    /// The value of each input of the pipeline, by name: what the person gave, and the defaults.
    #[serde(default)]
    pub inputs: BTreeMap<String, Value>,
    /// What the person gave, as they gave it: by this a start is known that is asked for again, also where the file has
    /// other defaults by then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<String, Value>,
}

/// What kind of thing happened, by the word that pipelines, policies and journals use for it.
///
/// A word that is not among these is refused where it is read: a run of an unknown kind could match
/// the policy rows of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A branch was pushed.
    #[default]
    Push,
    /// A tag was pushed.
    Tag,
    /// A pull request was opened, or got another head or base.
    PullRequest,
    /// The clock reached a time that the pipeline names.
    Schedule,
    /// A person started it.
    Manual,
    /// An alert that the pipeline names fired.
    Alert,
    /// A release was published.
    Release,
}

impl EventKind {
    /// The kinds that open runs today.
    pub const OPENING: [EventKind; 4] = [EventKind::Push, EventKind::Tag, EventKind::PullRequest, EventKind::Manual];

    /// The kind's word, as it stands in files and journals.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Push => "push",
            EventKind::Tag => "tag",
            EventKind::PullRequest => "pull_request",
            EventKind::Schedule => "schedule",
            EventKind::Manual => "manual",
            EventKind::Alert => "alert",
            EventKind::Release => "release",
        }
    }
}

impl Event {
    /// The short name of the branch or tag; of a pull request `pull/7/head`.
    pub fn ref_name(&self) -> &str {
        let short =
            ["refs/heads/", "refs/tags/", "refs/"].iter().find_map(|prefix| self.reference.strip_prefix(prefix));
        short.unwrap_or(&self.reference)
    }

    /// What expressions read as `inputs`, by name. A run that nobody started by hand has what its pipeline gives to
    /// inputs that are left out.
    pub fn inputs(&self, pipeline: &Pipeline) -> Map<String, Value> {
        let given = |name: &str| self.manual.as_ref()?.inputs.get(name).cloned();
        let declared = pipeline.on.manual.iter().flat_map(|manual| &manual.inputs);
        declared.map(|input| (input.name.clone(), given(&input.name).unwrap_or_else(|| input.unset()))).collect()
    }

    /// Whose pull request it is; `None` of any other event. One of which nothing is known counts as a stranger's.
    pub fn origin(&self) -> Option<Origin> {
        match &self.pull_request {
            Some(asked) => Some(asked.origin),
            None => (self.kind == EventKind::PullRequest).then_some(Origin::Fork),
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

/// Whose a pull request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Its head is a branch of the base's own repository: its author may push there.
    Own,
    /// Its head is anywhere else, or gone: its author may be a stranger.
    Fork,
}

/// A commit, as far as a run shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The commit's full id.
    pub sha: String,
    /// Its first seven digits.
    pub short: String,
    /// The whole message, with its subject.
    pub message: String,
    /// The author's name, without the address.
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
    /// The author can fix it; trying again cannot: a mistake in the file, or what the server's policy refuses.
    Rejected {
        /// Why, as a sentence.
        because: String,
    },
    /// What ran says that it failed; it is tried again where its step asks for that.
    Failed {
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
        /// The limit's name, as the sandbox calls it.
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

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A person lets the step start.
    Approved,
    /// A person does not.
    Refused,
    /// The time for an answer was up, which counts as a refusal.
    Expired,
}
