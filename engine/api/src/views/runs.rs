//! Runs: what the lists, their rows and a run's own page are told.

use super::{EntryView, StatusView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It is on its way.
    Open,
    /// Every step that was not skipped succeeded.
    Succeeded,
    /// A step failed, or the pipeline file did not parse.
    Failed,
    /// A person ended it.
    Cancelled,
    /// A newer run took its place.
    Superseded,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Nothing is recorded about it yet.
    Waiting,
    /// It is ready, and waits for a person's approval.
    Asking,
    /// An attempt is being carried out.
    Running,
    /// An attempt waits for a free place; its time does not run.
    Queued,
    /// An attempt ended, and another one will be made.
    Retrying,
    /// It did what it was asked.
    Succeeded,
    /// It ended otherwise, for good.
    Failed,
    /// It will not start.
    Skipped,
    /// The run was cancelled while it ran.
    Cancelled,
}

/// A run in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// The run's id, `owner/repo/pipeline/number`.
    pub id: String,
    /// The run's number, which never repeats within its pipeline.
    pub number: u64,
    /// The repository, as `owner/name`.
    pub repository: String,
    /// The pipeline's name, as its file says it.
    pub pipeline: String,
    /// One line: the commit's subject, usually.
    pub title: String,
    /// The full commit id.
    pub sha: String,
    /// The author of the commit that is built.
    pub author: String,
    /// The full reference, such as `refs/heads/main`.
    pub reference: String,
    /// `push`, `tag` or `manual`.
    pub event: String,
    /// Who opened it, such as `delivery:...` or `person:ann`.
    pub by: String,
    /// The run that it repeats.
    pub retry_of: Option<String>,
    /// Whether the run goes on, or how it ended.
    pub state: RunState,
    /// When it was opened, in ms since the epoch.
    pub opened_ms: u64,
    /// When it ended, in ms since the epoch.
    pub ended_ms: Option<u64>,
    /// Why, while it is open; why it failed, once it has.
    pub status: Option<StatusView>,
}

/// A push on its way, or one that arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRowView {
    /// The run itself, as lists show it.
    pub run: RunSummary,
    /// What it passes, in order: the delivery first, then the steps.
    pub steps: Vec<StepSummary>,
}

/// A step, or the delivery, as a row shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepSummary {
    /// The step's id; `delivery` for the first.
    pub id: String,
    /// The plugin that the step uses.
    pub uses: String,
    /// Whether the step waits, runs or has ended, and how.
    pub state: StepState,
    /// When its first attempt started, in ms since the epoch.
    pub started_ms: Option<u64>,
    /// When its last attempt ended, in ms since the epoch.
    pub ended_ms: Option<u64>,
    /// Why, while it runs.
    pub status: Option<StatusView>,
    /// The stage's stream that it waits for, such as `rollout/production/petclinic/was`.
    pub stream: Option<String>,
}

/// One run with its steps and its timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// The run in one line.
    pub run: RunSummary,
    /// The file that the pipeline was read from.
    pub pipeline_file: String,
    /// The commit's whole message.
    pub message: String,
    /// The commit before; empty or zeros for a new branch.
    pub before: String,
    /// The delivery's id; empty where no webhook was involved.
    pub delivery: String,
    /// Whether history was rewritten.
    pub forced: bool,
    /// The inputs of a run that a person started, by name; empty of any other.
    pub inputs: BTreeMap<String, serde_json::Value>,
    /// The mistakes of a pipeline file that did not parse.
    pub mistakes: Vec<String>,
    /// Why it was asked to end early.
    pub cancel_asked: Option<String>,
    /// The newest run of this pipeline at this reference that succeeded after this one: a retry of this one would put
    /// older code in the place of that.
    pub newer: Option<RunSummary>,
    /// The steps, then the final steps, in the file's order.
    pub steps: Vec<RunStepView>,
    /// The journal of the run and of its image and bump stages, oldest first.
    pub journal: Vec<EntryView>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStepView {
    /// How it stands, and what it waits for.
    pub summary: StepSummary,
    /// The steps that it needs.
    pub needs: Vec<String>,
    /// Whether it belongs to `finally`.
    pub is_final: bool,
    /// The pipeline's `with`, as written.
    pub inputs: BTreeMap<String, serde_json::Value>,
    /// The pipeline's `grants`, as written, by ability.
    pub grants: BTreeMap<String, Vec<String>>,
    /// The step's `if`, as the pipeline file has it.
    pub condition: Option<String>,
    /// How long an attempt may take, in ms.
    pub timeout_ms: u64,
    /// How many failures are tried again.
    pub retry: u32,
    /// Whose approval it needs before it starts, and what came of it.
    pub approval: Option<ApprovalView>,
    /// The last attempt's outputs.
    pub outputs: BTreeMap<String, serde_json::Value>,
    /// Why it was skipped.
    pub skipped: Option<String>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// What a person is asked before a step starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalView {
    /// The question; before it is asked, as the pipeline has it.
    pub ask: String,
    /// The operators who may answer; empty means any.
    pub by: Vec<String>,
    /// How long an answer is waited for, in ms.
    pub timeout_ms: u64,
    /// Since when it is asked, in ms since the epoch.
    pub asked_ms: Option<u64>,
    /// What came of it; absent while it stands.
    pub answered: Option<AnsweredView>,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnsweredView {
    /// What the person answered.
    pub answer: AnswerView,
    /// Who said so, such as `person:ann`.
    pub by: String,
    /// When, in ms since the epoch.
    pub at_ms: u64,
}

/// An answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerView {
    /// A person lets the step start.
    Approved,
    /// A person does not.
    Refused,
    /// Nobody answered in time, which counts as a refusal.
    Expired,
}

/// An attempt of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptView {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it started, in ms since the epoch.
    pub started_ms: u64,
    /// When it ended, in ms since the epoch.
    pub ended_ms: Option<u64>,
    /// `running`, `succeeded`, `rejected`, `transient`, `timed-out`, `limit`, `lost` or `cancelled`.
    pub outcome: String,
    /// Why it ended so; empty where there is nothing to say.
    pub because: String,
}

/// A page of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunsView {
    /// The runs, newest first.
    pub runs: Vec<RunRowView>,
    /// How many there are in all that match.
    pub total: usize,
}

/// What a retry answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RetriedView {
    /// The new run's id.
    pub run: String,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Its number, from 1.
    pub n: u64,
    /// When it was written, in ms since the epoch.
    pub at: u64,
    /// `debug`, `info`, `warn`, `error`; `stdout` or `stderr` of a process; `cut` ends a log that became too long.
    pub level: String,
    /// What it says, secrets hidden.
    pub text: String,
}
