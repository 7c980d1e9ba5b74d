//! The pipeline file: what it means once it is read, and how it is read; and what its steps may do.
//!
//! [`parse`] reports every mistake at once, with its place and its help. What
//! a journal recorded is not parsed again: a run keeps the pipeline it began with.
//! [`permission`] and [`limits`] are what the server's policy and a step's grants say together.
//!
//! Deliberately absent: files, network, clock, environment and async.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

mod approval;
mod built_in;
pub mod declaration;
pub mod duration;
pub mod expr;
pub mod glob;
mod graph;
mod inputs;
pub mod limits;
pub mod lock;
mod mistake;
pub mod permission;
mod plan;
mod plugin;
mod read;
mod reader;
mod reference;
mod settings;
pub mod shape;
mod steps;
mod tree;

pub use approval::Approval;
pub use inputs::{Input, InputKind, InputPresence, WrongInput, given_in};
pub use mistake::{Mistake, lint, report};
pub use plan::{PlannedStep, RunPlan, Trigger, plan};
pub use read::{ReadPipeline, read, read_with};
pub use reference::{BadReference, Digest, ImageRef};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reads a pipeline file, such as `.bespin/was.yaml`.
///
/// # Errors
/// Every mistake in it, in the file's order.
pub fn parse(file: &str, text: &str) -> Result<Pipeline, Vec<Mistake>> {
    let read = read(file, text);
    read.pipeline.ok_or(read.mistakes)
}

/// A pipeline, checked and resolved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its name; part of every run's id.
    pub name: String,
    /// The events that start a run.
    pub on: On,
    /// Which runs stand in each other's way.
    pub concurrency: Option<Concurrency>,
    /// Values that expressions read as `env.NAME`.
    pub env: BTreeMap<String, String>,
    /// Its steps, in the file's order.
    pub steps: Vec<Step>,
    /// What runs at the end, whatever happened.
    pub finally: Vec<Step>,
}

/// What starts a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct On {
    /// A push to a branch.
    pub push: Option<Push>,
    /// A push of a tag.
    pub tag: Option<Tag>,
    /// Pull requests into matching branches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
    /// A run that a person starts.
    pub manual: Option<Manual>,
}

/// Which pushes start a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Globs of branch names; empty means all.
    pub branches: Vec<String>,
    /// Globs of changed paths; empty means all.
    pub paths: Vec<String>,
    /// Whether a push counts that brings nothing but Bespin's own commits.
    #[serde(default, skip_serializing_if = "OwnCommits::is_default")]
    pub own_commits: OwnCommits,
}

/// What a push does that brings nothing but Bespin's own commits, such as a bump's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnCommits {
    /// It starts nothing: a bump into the application's own repository would start the next run for ever.
    #[default]
    Ignore,
    /// It starts a run, as every other push does.
    Run,
}

impl OwnCommits {
    fn is_default(&self) -> bool {
        *self == OwnCommits::default()
    }
}

/// Which pull requests start a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Globs of the branches that they ask to change; empty means all.
    pub branches: Vec<String>,
    /// Globs of the paths that they change; empty means all.
    pub paths: Vec<String>,
    /// What happened to them; empty means [`Activity::USUAL`].
    pub types: Vec<Activity>,
}

/// What happened to a pull request, in GitHub's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// The pull request was opened.
    Opened,
    /// It has other commits than before.
    Synchronize,
    /// It was closed, and is open again.
    Reopened,
    /// It is no draft any more.
    ReadyForReview,
}

impl Activity {
    /// What counts where a pipeline does not say; the same as on GitHub.
    pub const USUAL: [Activity; 3] = [Activity::Opened, Activity::Synchronize, Activity::Reopened];
    /// Every activity that may start a pipeline.
    pub const ALL: [Activity; 4] =
        [Activity::Opened, Activity::Synchronize, Activity::Reopened, Activity::ReadyForReview];

    /// GitHub's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Activity::Opened => "opened",
            Activity::Synchronize => "synchronize",
            Activity::Reopened => "reopened",
            Activity::ReadyForReview => "ready_for_review",
        }
    }

    /// The activity of GitHub's word, if it is one that may start a pipeline.
    pub fn named(word: &str) -> Option<Activity> {
        Activity::ALL.into_iter().find(|activity| activity.word() == word)
    }
}

/// Which tags start a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// Globs of tag names; empty means all.
    pub tags: Vec<String>,
}

/// A person may start the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manual {
    /// What the person gives, in the file's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
}

/// Which runs stand in each other's way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Runs of one repository with the same group go one after the other. Rendered in a run; in a file it may hold
    /// expressions.
    pub group: String,
    /// What a newer run does to an older one.
    pub supersede: Supersede,
}

impl Concurrency {
    /// What holds among the runs of one pull request. They stand in nobody else's way: whoever can open a
    /// pull request must not thereby end or hold up a deployment. `own` is what the pipeline says for its
    /// other runs, `file` its file, `reference` the pull request's.
    pub fn of_pull_request(own: Option<&Concurrency>, file: &str, reference: &str) -> Concurrency {
        let group = own.map_or(file, |own| &own.group);
        let supersede = own.map_or(Supersede::Always, |own| own.supersede);
        Concurrency { group: format!("{group} of {reference}"), supersede }
    }
}

/// What a newer run of a group does to an older one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Supersede {
    /// It waits behind it.
    Never,
    /// It takes its place until the older one's bump is recorded.
    #[default]
    UntilBump,
    /// It always takes its place.
    Always,
}

/// A step of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in its pipeline.
    pub id: String,
    /// The plugin: a built-in by name, or a reference to a component.
    pub uses: String,
    /// The plugin's settings, not yet rendered.
    pub with: serde_json::Map<String, serde_json::Value>,
    /// The ids of the steps that it follows.
    pub needs: Vec<String>,
    /// An expression that must hold for it to start.
    pub condition: Option<String>,
    /// The line of the file in which that expression stands; absent in journals that are older than it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition_line: Option<usize>,
    /// What it may take, in ms.
    pub timeout_ms: u64,
    /// How often it is tried again after it failed or ran out of time.
    pub retry: u32,
    /// What the pipeline leaves to the plugin, within the server's policy.
    pub grants: Grants,
    /// What a person is asked before it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// Abilities with their values, not yet rendered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grants(pub BTreeMap<String, Vec<String>>);
