//! What a run observes: its attempts, and the run ahead of it.

use super::entry::{Instance, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// What the server sees of a run's attempts.
///
/// After a restart nothing is alive; that is seen, not remembered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The instance that looks, and that would own what starts now.
    pub instance: Instance,
    /// Attempts that their owner still runs, as the owner registry answers.
    pub alive: BTreeSet<(String, u32)>,
    /// Attempts that ended in this process and are not recorded yet.
    pub exits: BTreeMap<(String, u32), Outcome>,
    /// An older run of the same concurrency group that is still open.
    pub ahead: Option<String>,
    /// Where this server is read by people; empty where it has no address.
    pub url: String,
}
