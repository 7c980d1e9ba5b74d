//! Deliveries: what webhooks brought, and what became of each.

use super::StatusView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// It is worked on, or waits for something.
    Waiting,
    /// It opened runs.
    Opened,
    /// It opened none, and never will.
    Ignored,
}

/// One delivery, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryView {
    /// The delivery's stream, `delivery/<hook>/<id>`.
    pub stream: String,
    /// The hook that it came by.
    pub hook: String,
    /// GitHub's id of the delivery; what the server found by itself has one of its own.
    pub delivery: String,
    /// `push` or `pull-request`; another word for what an older dashboard does not know.
    pub event: String,
    /// The repository, as `owner/name`.
    pub repository: String,
    /// The full reference, such as `refs/heads/main`.
    pub reference: String,
    /// The commit; zeros where the reference was deleted.
    pub sha: String,
    /// The login of who did it.
    pub sender: String,
    /// When it was recorded, in ms since the epoch.
    pub received_ms: u64,
    /// When its end was recorded, in ms since the epoch.
    pub ended_ms: Option<u64>,
    /// Whether it waits, or how it ended.
    pub state: DeliveryState,
    /// What became of it and why, as a sentence.
    pub message: String,
    /// The ids of the runs that it opened.
    pub runs: Vec<String>,
    /// The pipeline files that it opened no run of, and why.
    pub skipped: Vec<SkippedView>,
    /// What it waits for, while it does.
    pub status: Option<StatusView>,
}

/// A pipeline file that a delivery opened no run of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedView {
    /// The file, relative to the repository's root.
    pub file: String,
    /// Why, as a sentence.
    pub because: String,
}

/// A page of deliveries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveriesView {
    /// The deliveries, newest first.
    pub deliveries: Vec<DeliveryView>,
    /// How many there are in all that match.
    pub total: usize,
    /// How many of all wait, whether they match or not.
    pub waiting: usize,
}
