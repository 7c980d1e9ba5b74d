//! What a run observes: its attempts, and the run ahead of it.

use super::entry::{Instance, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// What the server observes of a run's attempts.
///
/// After a restart nothing is alive; that is observed, not remembered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The instance that observes, and that owns what starts now.
    pub instance: Instance,
    /// Attempts that their owner still runs, as the owner registry answers.
    pub alive: BTreeSet<(String, u32)>,
    /// Attempts of this process that wait for a free place, each with what it waits for.
    pub queued: BTreeMap<(String, u32), String>,
    /// Attempts that ended in this process and are not recorded yet.
    pub exits: BTreeMap<(String, u32), Outcome>,
    /// The newest of the open runs of its concurrency group that were opened before it.
    pub ahead: Option<String>,
    /// Where this server is read by people; empty where it has no address.
    pub url: String,
}
