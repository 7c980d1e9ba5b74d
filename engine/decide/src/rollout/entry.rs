//! What is written down about a rollout, and what may be done to it.

use crate::next::{Next, Timestamp};
use crate::object::text;
use crate::request::{Key, Response};
use crate::revert;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the rules answer.
pub(super) type Move = Next<Entry, Act>;

/// An entry of the stream `rollout/<cluster>/<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// A step of a run asks for its version to be promoted.
    Wanted {
        /// The run and step that ask.
        key: Key,
        /// What it asks for.
        intent: Intent,
    },
    /// The template that a request is about was seen.
    Bound {
        /// The run and step whose request is met.
        key: Key,
        /// The hash of the template that is waited for.
        hash: String,
    },
    /// The step's time ran out before there was an answer.
    TimedOut {
        /// The run and step that gave up.
        key: Key,
    },
    /// A request has its answer.
    Answered {
        /// The run and step that are answered.
        key: Key,
        /// What the step is told.
        answer: Response,
    },
    /// Somebody asked for something. Done by being recorded.
    Asked {
        /// What the person asks for.
        action: Action,
        /// The way by which it was asked.
        through: Through,
    },
    /// A rollout that another controller took care of before was claimed as it stood.
    Adopted {
        /// The hash that we would give the template.
        template: String,
        /// The hash that the other controller gave it.
        hash: String,
        /// The stable version's hash.
        stable: Option<String>,
        /// The current step's index.
        index: usize,
        /// Since when it is paused, in ms since the epoch.
        paused_ms: Option<u64>,
        /// The canary's weight, in percent.
        weight: u32,
        /// Why it was aborted, if it was.
        aborted: Option<String>,
        /// The images of the template's containers.
        images: Vec<String>,
        /// The hash of the steps as they were at its begin.
        steps_hash: String,
        /// How many steps there are.
        steps: usize,
    },
    /// A new template, or new steps.
    Began {
        /// The hash of the template that is rolled out.
        hash: String,
        /// Its images, the first container's first.
        images: Vec<String>,
        /// The hash of the steps that it follows.
        steps_hash: String,
        /// How many steps there are.
        steps: usize,
        /// Whether it goes through its steps from the first, or at once to the end.
        start: Start,
    },
    /// The canary's weight is about to be this, in percent.
    Shifting {
        /// The canary's share that is to be served, in percent.
        weight: u32,
    },
    /// The router was seen to serve the canary this weight, in percent.
    Served {
        /// The canary's share that is served, in percent.
        weight: u32,
    },
    /// A router that is a plugin is about to be told something.
    Routing {
        /// Its name in the Rollout.
        router: String,
        /// What it needs of the Rollout to find what it has made, whatever becomes of that.
        rollout: Value,
    },
    /// That router has taken back what it made, or is not ours to tell any more.
    Unrouted {
        /// Its name in the Rollout.
        router: String,
    },
    /// The current step has come to its pause.
    PauseBegan {
        /// Which step, from 0.
        index: usize,
    },
    /// A step is done.
    StepDone {
        /// Which step, from 0.
        index: usize,
    },
    /// The progress deadline begins anew: when it was over, pods were still to be asked for.
    Extended,
    /// Back to the stable version.
    #[serde(rename = "retreated")]
    Aborted {
        /// Why, as a sentence.
        because: String,
        /// What kind of reason.
        cause: Cause,
    },
    /// The newest version is the stable one from now on.
    Promoted {
        /// The hash of the template that is stable from now on.
        hash: String,
    },
    /// Git is about to be put back, after an abort.
    PuttingBack {
        /// What it shall no longer say.
        intent: Box<revert::Intent>,
    },
    /// Git was put back, or is a person's matter from here on.
    PutBack {
        /// When it was promised.
        since: Timestamp,
        /// How the revert ended.
        outcome: revert::Outcome,
    },
}

crate::request::requests!(Entry, Intent, gives up by TimedOut);

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
}

/// What kind of reason an abort has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// Its pods failed, or made no progress.
    Failed,
    /// It had failed before.
    Refused,
}

/// What may be done to the cluster. Each is absolute, and guarded by what was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Create a ReplicaSet for a template.
    Create {
        /// The whole object, as it is sent.
        manifest: Value,
    },
    /// Give a ReplicaSet this many pods.
    Scale {
        /// The ReplicaSet that is scaled.
        set: Guard,
        /// The number of pods that it is to have.
        pods: u32,
        /// Its annotations along with it; null removes one.
        annotations: BTreeMap<String, Value>,
    },
    /// Delete a ReplicaSet that has no pods.
    Forget {
        /// The ReplicaSet that is deleted.
        set: Guard,
    },
    /// Make a Service select a version.
    Select {
        /// The Service whose selector changes.
        service: Guard,
        /// The template's hash, which the selector then names.
        hash: String,
        /// The rollout's name, for the annotation that says who does this.
        rollout: String,
    },
    /// Write an Ingress' annotations.
    Route {
        /// The Ingress that is annotated.
        ingress: Guard,
        /// The annotations that it is to have.
        annotations: BTreeMap<String, String>,
    },
    /// Have a router that is a plugin share the traffic. The stage's own, not the cluster's.
    Weigh {
        /// How the traffic is to be shared.
        split: Box<Split>,
    },
    /// Ask such a router whether the traffic is shared so.
    Verify {
        /// How the traffic is to be shared.
        split: Box<Split>,
    },
    /// Have such a router take back what it has made. Once it has, [`Entry::Unrouted`] is recorded.
    Unroute {
        /// Its name in the Rollout.
        router: String,
        /// What it needs of the Rollout.
        rollout: Value,
    },
    /// Ask for a revert, by a stream that this promise alone has, and have it driven. The stage's own.
    AskRevert {
        /// The moment of the promise, in ms since the epoch.
        since: Timestamp,
        /// What git shall no longer say.
        intent: Box<revert::Intent>,
    },
    /// Take that request back. The stage's own.
    WithdrawRevert {
        /// The moment of the promise, in ms since the epoch.
        since: Timestamp,
        /// What was promised, for a request that was never made.
        intent: Box<revert::Intent>,
        /// Why it is taken back.
        cause: revert::Withdrawal,
    },
    /// Write the revision on the Rollout, where Argo's clients look for it.
    Stamp {
        /// The Rollout that is annotated.
        rollout: Guard,
        /// The revision that the annotation says.
        revision: u64,
    },
    /// Patch the Rollout's status: a JSON merge patch of the fields that differ.
    Status {
        /// The Rollout whose status is written.
        rollout: Guard,
        /// The fields that change, as a merge patch.
        patch: Value,
    },
}

/// An object as it was seen: a write that rests on it fails when it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The object's name, within its namespace.
    pub name: String,
    /// The uid of the object that is meant.
    pub uid: String,
    /// The resourceVersion of the read that the act rests on.
    pub resource_version: String,
}

/// How the traffic of a rollout is to be shared. What is left over is the stable version's.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The plugin's name in the Rollout.
    pub router: String,
    /// The canary's share, in percent.
    pub weight: u32,
    /// The whole Rollout; its status has the hashes of both versions as they were decided.
    pub rollout: Value,
}

/// A router that is in use, from before it is told anything until it has taken that back.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// Its name in the Rollout.
    pub router: String,
    /// What it needs of the Rollout to find what it has made.
    pub rollout: Value,
}

impl Guard {
    /// The guard of an object as it was read.
    pub fn of(object: &Value) -> Guard {
        Guard {
            name: text(object, "/metadata/name"),
            uid: text(object, "/metadata/uid"),
            resource_version: text(object, "/metadata/resourceVersion"),
        }
    }
}
