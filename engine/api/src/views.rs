//! What the dashboard is told: the JSON shapes of the API. The dashboard's
//! TypeScript types are generated from these.

mod deliveries;
mod pages;
mod plugins;
mod runs;
mod starts;

pub use deliveries::*;
pub use pages::*;
pub use plugins::*;
pub use runs::*;
pub use starts::*;

use decide::next::Status;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stream's status, and since when it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    /// The name of the stage that published it.
    pub stage: String,
    /// The stage's phase and its sentence.
    pub status: Status,
    /// Since when, in ms since the epoch.
    pub since_ms: u64,
}

/// An application, as last seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppView {
    /// `namespace/name` of the Application object.
    pub name: String,
    /// The cluster's name in the configuration.
    pub cluster: String,
    /// The repository that says what is wanted.
    pub repo: String,
    /// The path in it.
    pub path: String,
    /// The revision that the last look compared with (a full commit id).
    pub revision: String,
    /// `synced`, `out-of-sync` or `unknown`.
    pub sync: String,
    /// Argo's words: `Healthy`, `Progressing`, `Degraded`, `Suspended`, `Missing`, `Unknown`.
    pub health: String,
    /// Whether Bespin owns it, or only observes: `owned` or `observed`.
    pub ownership: String,
    /// Its resources, in the order of the sync.
    pub resources: Vec<ResourceView>,
    /// What ended lately, newest first.
    pub history: Vec<SyncedView>,
    /// Warnings, such as a rule that matches nothing.
    pub warnings: Vec<String>,
}

/// One object of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceView {
    /// API group, empty for the core group.
    pub group: String,
    /// API version without the group.
    pub version: String,
    /// The object's kind.
    pub kind: String,
    /// Namespace, empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// `synced`, `out-of-sync`, `missing`, `extra`, `observed` (a child that git does not name).
    pub sync: String,
    /// Argo's word for its health, empty where the kind has none.
    pub health: String,
    /// Why the health is what it is.
    pub message: String,
    /// The owner among the resources, as `kind/name`, empty at the root.
    pub parent: String,
    /// Who owns fields that git would otherwise set, such as `replicas: 4, owned by HPA was-hpa, 2 to 10`.
    pub owned: Vec<String>,
    /// The object as git says, as YAML; empty where git does not name it.
    pub desired: String,
    /// The live object without what the server adds, as YAML; empty where it is missing. Secrets' values are masked.
    pub live: String,
}

/// A sync that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncedView {
    /// The full id of the commit that was synced.
    pub revision: String,
    /// When, in ms since the epoch.
    pub at_ms: u64,
    /// How it ended, as a sentence.
    pub outcome: String,
}

/// A rollout, as last seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutView {
    /// The Application, as `namespace/name`.
    pub name: String,
    /// The cluster's name in the configuration.
    pub cluster: String,
    /// Argo's phase: `Healthy`, `Progressing`, `Paused`, `Degraded`.
    pub phase: String,
    /// The message that Argo CD would show.
    pub message: String,
    /// What is wrong with the pods that serve, as a sentence: too few, or none of a version that gets traffic.
    pub lacking: Option<String>,
    /// Whether Bespin owns it, or only observes: `owned` or `observed`.
    pub ownership: String,
    /// The steps as sentences, such as `send 10 % to the canary, then pause 30 s`.
    pub steps: Vec<StepView>,
    /// The index of the current step; the number of steps when all are done.
    pub at: usize,
    /// Weight asked of the canary, in percent.
    pub asked: u32,
    /// Weight verified at the traffic router, in percent; absent where there is none or it is not known.
    pub served: Option<u32>,
    /// The image of the stable version's pods.
    pub stable_image: String,
    /// The canary's image; equal to the stable one when nothing is moving.
    pub canary_image: String,
    /// Its pods by revision.
    pub revisions: Vec<RevisionView>,
    /// Weights over time, oldest first, bounded.
    pub weights: Vec<WeightView>,
    /// What a person may do now: `promote`, `promote-full`, `abort`, `retry`, `resume`, each with what it will do.
    pub actions: Vec<ActionView>,
    /// Until when the current pause lasts, in ms since the epoch.
    pub paused_until_ms: Option<u64>,
}

/// A step of a canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// `weight`, `pause` or `scale`.
    pub kind: String,
    /// What it does, in words.
    pub text: String,
    /// Percent, for a weight.
    pub weight: Option<u32>,
}

/// A ReplicaSet of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionView {
    /// The revision's number, counted up by one for each template.
    pub revision: u64,
    /// `stable`, `canary` or `old`.
    pub role: String,
    /// The pod template's hash.
    pub hash: String,
    /// The image of its first container.
    pub image: String,
    /// How many pods the set is to have.
    pub wanted: u32,
    /// How many pods of the set are ready.
    pub ready: u32,
    /// The pods of the set, by name.
    pub pods: Vec<PodView>,
}

/// One pod of a ReplicaSet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodView {
    /// The pod's name.
    pub name: String,
    /// `Running`, `Pending`, `Failed`, with the container's reason where it has one.
    pub phase: String,
    /// Whether it is ready.
    pub ready: bool,
}

/// The weights at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WeightView {
    /// When, in ms since the epoch.
    pub at_ms: u64,
    /// Asked of the canary, in percent.
    pub asked: u32,
    /// The canary's share of the traffic as it was verified, in percent.
    pub served: Option<u32>,
}

/// Something that a person may do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionView {
    /// The action's word, as the API takes it.
    pub action: String,
    /// What the button says.
    pub label: String,
    /// What it will do, as a sentence.
    pub effect: String,
}
