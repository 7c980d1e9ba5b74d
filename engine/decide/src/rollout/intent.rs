//! What steps and people ask of a rollout, and how its progress begins and ends.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a step of a run asks of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Intent {
    /// The image that must be promoted; whatever the Rollout names at that
    /// moment, when absent.
    #[serde(default)]
    pub image: Option<String>,
    /// What happens to the canary when the step's time runs out.
    #[serde(default)]
    pub on_timeout: OnTimeout,
}

/// What happens to a canary when nobody waits for it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTimeout {
    /// It goes on as it would have.
    #[default]
    Hold,
    /// Send all traffic back to the stable version.
    #[serde(rename = "retreat", alias = "abort")]
    Abort,
}

/// What a person may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Go on to the next step.
    Promote,
    /// Skip all steps, and the analysis.
    PromoteFull,
    /// Go back to the stable version.
    #[serde(rename = "retreat", alias = "abort")]
    Abort,
    /// Go through the steps again, although the version has failed.
    Retry,
    /// End a pause without an end.
    Resume,
}

/// The way by which somebody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// By Bespin's own API.
    Api,
    /// The Rollout's status, as Argo's clients do.
    Status,
}

/// How a version's progress begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Nothing was there before: there are no steps to take.
    First,
    /// At the first step.
    Steps,
    /// The template is the stable one again: there are no steps to take.
    Back,
    /// An earlier version than the stable one, within the rollback window: it begins after its last step.
    Earlier,
}

/// What kind of reason an abort has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// Its pods failed, or made no progress.
    Failed,
    /// It had failed before. Only earlier releases wrote this.
    Refused,
}

/// A router that is in use, from before it is told anything until it has taken that back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Routed {
    /// Its name in the Rollout.
    pub router: String,
    /// What it needs of the Rollout to find what it has made.
    pub rollout: Value,
}
