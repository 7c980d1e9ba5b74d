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
    /// What shows of the time since the backup that a run came with, of which nothing was written since, and which has
    /// bumped nothing as far as the backup knows; absent where there is nothing.
    pub since_backup: Option<SinceBackup>,
    /// Where this server is read by people; empty where it has no address.
    pub url: String,
}

/// What the world shows of the time between a backup and its restore, in which a run may have gone on and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinceBackup {
    /// Its branch or tag stands elsewhere.
    Moved {
        /// The full reference.
        reference: String,
    },
    /// Its bump, which the backup does not know, is in the manifests.
    Bumped {
        /// The address of their repository.
        repo: String,
    },
}
