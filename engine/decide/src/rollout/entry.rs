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
        /// Which step.
        key: Key,
        /// What it asks for.
        intent: Intent,
    },
    /// The template that a request is about was seen.
    Bound {
        /// Which step.
        key: Key,
        /// The template's hash.
        hash: String,
    },
    /// The step's time ran out before there was an answer.
    TimedOut {
        /// Which step.
        key: Key,
    },
    /// A request has its answer.
    Answered {
        /// Which step.
        key: Key,
        /// The answer.
        answer: Response,
    },
    /// Somebody asked for something. Done by being recorded.
    Asked {
        /// What.
        action: Action,
        /// By which way.
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
        /// The template's images.
        images: Vec<String>,
        /// The steps' hash.
        steps_hash: String,
        /// How many steps there are.
        steps: usize,
    },
    /// A new template, or new steps.
    Began {
        /// The template's hash.
        hash: String,
        /// Its images, the first container's first.
        images: Vec<String>,
        /// The steps' hash.
        steps_hash: String,
        /// How many steps there are.
        steps: usize,
        /// How it begins.
        start: Start,
    },
    /// The canary's weight is about to be this, in percent.
    Shifting {
        /// The weight.
        weight: u32,
    },
    /// The router was seen to serve the canary this weight, in percent.
    Served {
        /// The weight.
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
        /// Its template's hash.
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
        /// How it ended.
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
    /// It is aborted.
    #[serde(rename = "retreat", alias = "abort")]
    Abort,
}

/// What a person may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Go on to the next step.
    Promote,
    /// Skip all steps.
    PromoteFull,
    /// Go back to the stable version.
    #[serde(rename = "retreat", alias = "abort")]
    Abort,
    /// Walk again, although it has failed.
    Retry,
    /// End the pause.
    Resume,
}

/// The way by which somebody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// Bespin's own API.
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
    /// Create a ReplicaSet.
    Create {
        /// The whole object.
        manifest: Value,
    },
    /// Give a ReplicaSet this many pods.
    Scale {
        /// Which.
        set: Guard,
        /// Pods.
        pods: u32,
        /// Its annotations along with it; null removes one.
        annotations: BTreeMap<String, Value>,
    },
    /// Delete a ReplicaSet that has no pods.
    Forget {
        /// Which.
        set: Guard,
    },
    /// Make a Service select a version.
    Select {
        /// Which Service.
        service: Guard,
        /// The template's hash.
        hash: String,
        /// The rollout's name, for the annotation that says who does this.
        rollout: String,
    },
    /// Write an Ingress' annotations.
    Route {
        /// Which Ingress.
        ingress: Guard,
        /// The annotations.
        annotations: BTreeMap<String, String>,
    },
    /// Have a router that is a plugin share the traffic. The stage's own, not the cluster's.
    Weigh {
        /// How.
        split: Box<Split>,
    },
    /// Ask such a router whether the traffic is shared so.
    Verify {
        /// How.
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
        /// The Rollout.
        rollout: Guard,
        /// The revision.
        revision: u64,
    },
    /// Patch the Rollout's status: a JSON merge patch of the fields that differ.
    Status {
        /// The Rollout.
        rollout: Guard,
        /// The fields.
        patch: Value,
    },
}

/// An object as it was seen: a write that rests on it fails when it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version.
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
