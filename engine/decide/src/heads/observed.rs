//! What is observed of a repository's heads.

use super::redelivery::Lost;
use crate::next::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What a look found, and what the journal knew of the same heads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The repository, as `owner/repo`.
    pub repository: String,
    /// The hook that its deliveries come by.
    pub hook: String,
    /// The id that each branch and tag stands at, by its full reference.
    pub heads: BTreeMap<String, String>,
    /// What the journal knew of each, before the look and after it alike. What changed meanwhile is left out of both
    /// this and `heads`.
    pub known: BTreeMap<String, Known>,
    /// Branches and tags that the look does not show, of which the journal knows only what came with a backup: they stood
    /// somewhere then.
    pub formerly: BTreeSet<String>,
    /// How those that both know stand to each other, where they differ.
    pub ways: BTreeMap<String, Way>,
    /// What the forge's API says that nobody took; nothing where it was not asked, or cannot say.
    pub lost: Vec<Lost>,
    /// Whether the repository was looked at since the journal was begun or restored.
    pub look: Look,
    /// A part of the time between two looks that is drawn by lot, in ms, so that repositories do not move in step.
    pub jitter_ms: u64,
}

/// Where a head stands, as far as the journal knows by deliveries and by earlier looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The id; zeros where it is gone.
    pub at: String,
    /// When a delivery told it, in ms since the epoch; `None` where a look saw it since.
    pub told_ms: Option<Timestamp>,
}

/// Whether a look is the first one since the journal was begun or restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// It is: what is seen for the first time is where everything begins.
    #[default]
    First,
    /// There was one before.
    Later,
}

/// How a head has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The commit before is in the history of the commit after.
    Forward,
    /// History was rewritten, or nothing is known of it.
    Elsewhere,
}
