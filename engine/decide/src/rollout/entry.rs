//! What is written down about a rollout.

use super::alert::{Alert, AlertAction};
use super::intent::{Action, Cause, Intent, Start, Through};
use super::state::{State, Version};
use super::turn::{Sharing, Turn};
use crate::next::Timestamp;
use crate::request::{Key, Response};
use crate::revert;
use crate::summary::Endless;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// An alert fires, and a rule of the configuration says what that does. Done by being recorded.
    Alerted {
        /// The alert.
        alert: Alert,
        /// What it does.
        action: AlertAction,
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
        /// The Rollout's uid, which another one of its name has not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<String>,
        /// Which of two Services that take turns is the stable version's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stable_by: Option<Turn>,
        /// The Services that share the traffic.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        services: Option<Sharing>,
    },
    /// A new template, new steps, or another Rollout of the same name.
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
        /// The Rollout's uid, which another one of its name has not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<String>,
        /// The Rollout's generation as it began: a status that says an older one is not of this walk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<u64>,
    },
    /// The recorded stable version is not there any more.
    Corrected {
        /// The version that serves in its place; absent where none does, so that the newest is the first of all.
        stable: Option<Version>,
    },
    /// The canary's weight is about to be this, in percent.
    Shifting {
        /// The canary's share that is to be served, in percent.
        weight: u32,
        /// The Services that share the traffic.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        services: Option<Sharing>,
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
    /// The pods that the canary's Service selects are the only ones that are ready, from here on.
    StableUnready,
    /// They are not any more.
    StableReady,
    /// The current step has come to its pause.
    PauseBegan {
        /// Which step, from 0.
        index: usize,
    },
    /// The weight of the current pause is not served any more; what is left of the pause waits until it is.
    PauseBroken {
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
        /// Which of two Services that take turns is its Service from now on; until now it was the canary's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stable_by: Option<Turn>,
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
    /// What the stream added up to here: it is read from this entry on.
    Summarized(Box<State>),
}

crate::request::requests!(Entry, Intent, gives up by TimedOut, summarized by Summarized);

impl Endless for Entry {
    fn begins(&self) -> bool {
        matches!(self, Entry::Began { .. } | Entry::Adopted { .. })
    }
}
