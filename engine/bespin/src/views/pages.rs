//! The pages of the dashboard: what each of them is told in one answer.

use super::{AppView, RolloutView, Said};
use crate::login::Role;
use decide::next::Mood;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who is logged in, if anybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// The person; absent before the login.
    pub user: Option<UserView>,
    /// What every change must carry in the header `x-bespin-csrf`; empty before the login.
    pub csrf: String,
    /// The server's version.
    pub version: String,
    /// The server's clock, in ms since the epoch.
    pub now_ms: u64,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// What an error answers: what was tried, what came back, what to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemView {
    /// What was tried.
    pub tried: String,
    /// What came back.
    pub got: String,
    /// What to do about it.
    pub mend: String,
}

/// What kind of moment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MoodView {
    /// It is acting.
    Moving,
    /// It waits for something that comes by itself.
    Waiting,
    /// It cannot go on without a person.
    Stuck,
    /// It is where it should be.
    Done,
}

/// Why something is as it is, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SaidView {
    /// The stage that speaks.
    pub stage: String,
    /// What kind of moment it is.
    pub mood: MoodView,
    /// The sentence.
    pub text: String,
    /// Since when, in ms since the epoch.
    pub since_ms: u64,
}

impl From<Said> for SaidView {
    fn from(said: Said) -> SaidView {
        let mood = match said.because.mood {
            Mood::Moving => MoodView::Moving,
            Mood::Waiting => MoodView::Waiting,
            Mood::Stuck => MoodView::Stuck,
            Mood::Done => MoodView::Done,
        };
        SaidView { stage: said.stage, mood, text: said.because.text, since_ms: said.since_ms }
    }
}

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
    /// An attempt runs.
    Running,
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
    /// `owner/repo/pipeline/number`.
    pub id: String,
    /// The number.
    pub number: u64,
    /// `owner/repo`.
    pub repository: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// One line: the commit's subject, usually.
    pub title: String,
    /// The full commit id.
    pub sha: String,
    /// The commit's author.
    pub author: String,
    /// The full reference, such as `refs/heads/main`.
    pub reference: String,
    /// `push`, `tag` or `manual`.
    pub event: String,
    /// Who opened it, such as `delivery:...` or `person:ann`.
    pub by: String,
    /// The run that it repeats.
    pub retry_of: Option<String>,
    /// How it stands.
    pub state: RunState,
    /// When it was opened, in ms since the epoch.
    pub opened_ms: u64,
    /// When it ended, in ms since the epoch.
    pub ended_ms: Option<u64>,
    /// Why, while it is open; why it failed, once it has.
    pub because: Option<SaidView>,
}

/// A push on its way, or one that arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CorridorView {
    /// The run.
    pub run: RunSummary,
    /// What it passes, in order: the delivery first, then the steps.
    pub stations: Vec<StationView>,
}

/// A place in a corridor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StationView {
    /// The step's id; `delivery` for the first.
    pub id: String,
    /// The plugin that the step uses.
    pub uses: String,
    /// How it stands.
    pub state: StepState,
    /// When its first attempt started, in ms since the epoch.
    pub started_ms: Option<u64>,
    /// When its last attempt ended, in ms since the epoch.
    pub ended_ms: Option<u64>,
    /// Why, while it runs.
    pub because: Option<SaidView>,
    /// The stage's stream that it waits for, such as `rollout/production/petclinic/was`.
    pub stream: Option<String>,
}

/// Something that a person should know of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TroubleView {
    /// `app/...`, `rollout/...`, or the stream that is stuck.
    pub stream: String,
    /// In a word: `out of sync`, `Degraded`, `stuck`, `warning`.
    pub what: String,
    /// Why, as a sentence.
    pub reason: String,
    /// Since when, in ms since the epoch, where that is known.
    pub since_ms: Option<u64>,
}

/// Home: what moves, what is wrong, what ended lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HomeView {
    /// Every run on its way, newest first.
    pub corridors: Vec<CorridorView>,
    /// What is degraded, out of sync or stuck.
    pub troubles: Vec<TroubleView>,
    /// What ended lately, newest first.
    pub ended: Vec<CorridorView>,
    /// How many applications are seen.
    pub apps: usize,
    /// How many rollouts are seen.
    pub rollouts: usize,
    /// How many runs are known.
    pub runs: usize,
}

/// One run, whole.
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
    /// The mistakes of a pipeline file that did not parse.
    pub mistakes: Vec<String>,
    /// Why it was asked to end early.
    pub cancel_asked: Option<String>,
    /// The steps, then the final steps, in the file's order.
    pub steps: Vec<RunStepView>,
    /// The journal of the run and of its image and bump stages, oldest first.
    pub journal: Vec<EntryView>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStepView {
    /// How it stands, and what it waits for.
    pub station: StationView,
    /// The steps that it needs.
    pub needs: Vec<String>,
    /// Whether it belongs to `finally`.
    pub is_final: bool,
    /// The pipeline's `with`, as written.
    pub inputs: BTreeMap<String, serde_json::Value>,
    /// The pipeline's `grants`, as written, by ability.
    pub grants: BTreeMap<String, Vec<String>>,
    /// The pipeline's `if`.
    pub condition: Option<String>,
    /// How long an attempt may take, in ms.
    pub timeout_ms: u64,
    /// How many failures are tried again.
    pub retry: u32,
    /// The last attempt's outputs.
    pub outputs: BTreeMap<String, serde_json::Value>,
    /// Why it was skipped.
    pub skipped: Option<String>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
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

/// A journal entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntryView {
    /// Its place in the whole journal.
    pub seq: u64,
    /// Its stream.
    pub stream: String,
    /// When, in ms since the epoch.
    pub at_ms: u64,
    /// Who caused it.
    pub by: String,
    /// What kind of entry.
    pub kind: String,
    /// What it says.
    pub body: serde_json::Value,
}

impl From<journal::Entry> for EntryView {
    fn from(entry: journal::Entry) -> EntryView {
        let journal::Entry { seq, stream, at_ms, by, kind, body, .. } = entry;
        EntryView { seq, stream, at_ms, by: by.to_string(), kind, body }
    }
}

/// A page of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunsView {
    /// The runs, newest first.
    pub runs: Vec<CorridorView>,
    /// How many there are in all that match.
    pub total: usize,
}

/// An application with what its stage says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppPage {
    /// `app/<cluster>/<namespace>/<name>`.
    pub stream: String,
    /// The latest look.
    pub app: AppView,
    /// What the sync does or waits for.
    pub because: Option<SaidView>,
    /// The newest entries of its journal, oldest first.
    pub journal: Vec<EntryView>,
}

/// A rollout with what its stage says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutPage {
    /// `rollout/<cluster>/<namespace>/<name>`.
    pub stream: String,
    /// The latest look.
    pub rollout: RolloutView,
    /// What the canary does or waits for.
    pub because: Option<SaidView>,
    /// The newest entries of its journal, oldest first.
    pub journal: Vec<EntryView>,
}

/// An application in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppSummary {
    /// `app/<cluster>/<namespace>/<name>`.
    pub stream: String,
    /// `namespace/name`.
    pub name: String,
    /// The cluster's name.
    pub cluster: String,
    /// The repository and the path in it.
    pub source: String,
    /// The revision of the last look.
    pub revision: String,
    /// `synced`, `out-of-sync` or `unknown`.
    pub sync: String,
    /// Argo's word.
    pub health: String,
    /// `owned` or `observed`.
    pub ownership: String,
    /// How many resources it has.
    pub resources: usize,
    /// How many of them are not as git says.
    pub differing: usize,
    /// What the sync does or waits for.
    pub because: Option<SaidView>,
}

/// A rollout in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutSummary {
    /// `rollout/<cluster>/<namespace>/<name>`.
    pub stream: String,
    /// `namespace/name`.
    pub name: String,
    /// The cluster's name.
    pub cluster: String,
    /// Argo's phase.
    pub phase: String,
    /// `owned` or `observed`.
    pub ownership: String,
    /// The index of the current step.
    pub at: usize,
    /// How many steps there are.
    pub steps: usize,
    /// Weight asked of the canary, in percent.
    pub asked: u32,
    /// Weight verified, in percent.
    pub served: Option<u32>,
    /// The canary's image.
    pub canary_image: String,
    /// The stable image.
    pub stable_image: String,
    /// What the canary does or waits for.
    pub because: Option<SaidView>,
}

/// What a retry answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RetriedView {
    /// The new run's id.
    pub run: String,
}

/// What changed in the journal: the data of the event `journal`, whose id is the newest sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedView {
    /// The newest global sequence.
    pub seq: u64,
    /// The streams that changed.
    pub streams: Vec<String>,
}

/// The data of the events `hello` and `beat`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BeatView {
    /// The server's clock, in ms since the epoch.
    pub now_ms: u64,
    /// The newest global sequence.
    pub seq: u64,
    /// The board's version.
    pub board: u64,
}
