//! The pages of the dashboard: what each of them is told in one answer.

use super::{AppView, RolloutView, RunRowView, StageStatus};
use crate::login::Role;
use decide::next::Phase;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is logged in, if anybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// The person; absent before the login.
    pub user: Option<UserView>,
    /// What every change must carry in the header `x-bespin-csrf`; empty before the login.
    pub csrf: String,
    /// The server's version, as `bespin --version` prints it.
    pub version: String,
    /// The server's clock, in ms since the epoch.
    pub now_ms: u64,
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// The name by which the user logged in.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// What an error answers: what was tried, what came back, what to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemView {
    /// The request or action that failed.
    pub tried: String,
    /// The answer in place of what was expected.
    pub got: String,
    /// What to do about it.
    pub help: String,
    /// Which parts of what was sent are wrong, where that is known.
    pub fields: Vec<FieldView>,
}

/// A part of what was sent that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldView {
    /// Its name, such as `ref` or `inputs.version`.
    pub field: String,
    /// What is wrong with it, as a sentence.
    pub message: String,
    /// How to fix it.
    pub help: String,
}

/// The phase of a stage, as in `decide::next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseView {
    /// The stage is acting, or will at once.
    Progressing,
    /// It waits for something that comes by itself.
    Waiting,
    /// It cannot go on without a person.
    Blocked,
    /// It is where it should be.
    Done,
}

/// Where a stage stands, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// The name of the stage that drives it.
    pub stage: String,
    /// Whether it acts, waits, needs a person, or is done.
    pub phase: PhaseView,
    /// One sentence for a person.
    pub message: String,
    /// Since when, in ms since the epoch.
    pub since_ms: u64,
}

impl From<StageStatus> for StatusView {
    fn from(of: StageStatus) -> StatusView {
        let phase = match of.status.phase {
            Phase::Progressing => PhaseView::Progressing,
            Phase::Waiting => PhaseView::Waiting,
            Phase::Blocked => PhaseView::Blocked,
            Phase::Done => PhaseView::Done,
        };
        StatusView { stage: of.stage, phase, message: of.status.message, since_ms: of.since_ms }
    }
}

/// What kind of trouble something is, the worst first. The first ones need a person; `differs` and `warning` may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleClass {
    /// A rollout has fewer available pods than it wants, or a version that gets traffic has no ready one.
    Unserved,
    /// A canary was aborted, and its version was not put right yet.
    Aborted,
    /// A stage cannot go on without a person.
    Blocked,
    /// The newest run of a pipeline at a reference failed.
    FailedRun,
    /// An application or a rollout is degraded, missing, or of unknown health.
    Degraded,
    /// An application cannot be compared with git.
    Unreadable,
    /// A plugin that a stage needs was refused.
    PluginRefused,
    /// A delivery waits for something, so that its runs do not begin.
    DeliveryWaits,
    /// An application is not as git says.
    Differs,
    /// Somebody should know of it.
    Warning,
}

/// Something that a person should know of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TroubleView {
    /// `app/...`, `rollout/...`, `run/...`, `delivery/...`, `plugin/...`, the stream that is stuck, or
    /// `git/` and the name of a repository.
    pub stream: String,
    /// What kind of trouble it is.
    pub class: TroubleClass,
    /// In a word: `out of sync`, `Degraded`, `failed`, `stuck`, `warning`.
    pub what: String,
    /// Why, as a sentence.
    pub reason: String,
    /// Since when, in ms since the epoch, where that is known.
    pub since_ms: Option<u64>,
}

/// How many there are of each kind of thing that a person should know of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HomeCounts {
    /// Rollouts with too few available pods, or with traffic to a version without a ready one.
    pub unserved: usize,
    /// Pipelines whose newest run at a reference failed.
    pub failed_runs: usize,
    /// Canaries that were aborted.
    pub aborted: usize,
    /// Stages that cannot go on without a person.
    pub blocked: usize,
    /// Applications and rollouts that are degraded, missing, or of unknown health.
    pub degraded: usize,
    /// Applications that cannot be compared with git.
    pub unreadable: usize,
    /// Plugins that stages need and that were refused.
    pub plugins_refused: usize,
    /// Deliveries that have not ended, those that are just being worked on too.
    pub deliveries_waiting: usize,
    /// Runs that wait for somebody's approval.
    pub approvals: usize,
    /// Applications that are not as git says.
    pub differing: usize,
    /// What is warned of: a reference that cannot be fetched, a mirror that was damaged.
    pub warnings: usize,
}

/// Home: what moves, what is wrong, what ended lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HomeView {
    /// Every run on its way, newest first.
    pub open: Vec<RunRowView>,
    /// What failed, is degraded, out of sync or stuck, the worst first.
    pub troubles: Vec<TroubleView>,
    /// How many there are of each kind: no kind is left out.
    pub counts: HomeCounts,
    /// What ended lately, newest first.
    pub ended: Vec<RunRowView>,
    /// How many applications are seen.
    pub apps: usize,
    /// How many rollouts are seen.
    pub rollouts: usize,
    /// How many runs are known.
    pub runs: usize,
}

/// One journal entry, as the timeline shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntryView {
    /// Its place in the whole journal.
    pub seq: u64,
    /// The stream in which it stands.
    pub stream: String,
    /// When, in ms since the epoch.
    pub at_ms: u64,
    /// Who caused the entry: `server`, `person:`, `delivery:`, `run:` or `alert:`.
    pub by: String,
    /// What kind of entry.
    pub kind: String,
    /// What the entry says, by its kind.
    pub body: serde_json::Value,
}

impl From<journal::Entry> for EntryView {
    fn from(entry: journal::Entry) -> EntryView {
        let journal::Entry { seq, stream, at_ms, by, kind, body, .. } = entry;
        EntryView { seq, stream, at_ms, by: by.to_string(), kind, body }
    }
}

/// An application with what its stage says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppPage {
    /// The application's stream, `app/<cluster>/<namespace>/<name>`.
    pub stream: String,
    /// The application as it was observed last.
    pub app: AppView,
    /// What the sync does or waits for.
    pub status: Option<StatusView>,
    /// The newest entries of its journal, oldest first.
    pub journal: Vec<EntryView>,
}

/// A rollout with what its stage says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutPage {
    /// The rollout's stream, `rollout/<cluster>/<namespace>/<name>`.
    pub stream: String,
    /// The rollout as it was observed last.
    pub rollout: RolloutView,
    /// What the canary does or waits for.
    pub status: Option<StatusView>,
    /// The newest entries of its journal, oldest first.
    pub journal: Vec<EntryView>,
}

/// An application in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppSummary {
    /// The application's stream, `app/<cluster>/<namespace>/<name>`.
    pub stream: String,
    /// The Application, as `namespace/name`.
    pub name: String,
    /// The cluster's name in the configuration.
    pub cluster: String,
    /// The repository and the path in it.
    pub source: String,
    /// The revision of the last look.
    pub revision: String,
    /// `synced`, `out-of-sync` or `unknown`.
    pub sync: String,
    /// The word that Argo CD shows for its health.
    pub health: String,
    /// Whether Bespin acts on it: `owned` or `observed`.
    pub ownership: String,
    /// How many resources it has.
    pub resources: usize,
    /// How many of them are not as git says.
    pub differing: usize,
    /// What the sync does or waits for.
    pub status: Option<StatusView>,
}

/// A rollout in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutSummary {
    /// The rollout's stream, `rollout/<cluster>/<namespace>/<name>`.
    pub stream: String,
    /// The Rollout, as `namespace/name`.
    pub name: String,
    /// The cluster's name in the configuration.
    pub cluster: String,
    /// The phase as Argo Rollouts names it.
    pub phase: String,
    /// Whether Bespin acts on it: `owned` or `observed`.
    pub ownership: String,
    /// The index of the current step.
    pub at: usize,
    /// How many steps there are.
    pub steps: usize,
    /// Weight asked of the canary, in percent.
    pub asked: u32,
    /// Weight verified, in percent.
    pub served: Option<u32>,
    /// The image of the canary's pods.
    pub canary_image: String,
    /// The image of the stable version's pods.
    pub stable_image: String,
    /// What the canary does or waits for.
    pub status: Option<StatusView>,
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
    /// Counts up with each change of what is shown and not journaled.
    pub board: u64,
}
