//! What may be done to the cluster, and by a rollout's own stage.

use super::entry::Entry;
use crate::next::{Next, Timestamp, Wake};
use crate::object;
use crate::revert;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the rules answer.
pub(super) type Move = Next<Entry, Act>;

/// Something is recorded, and the rules are asked again at once.
pub(super) fn moving(record: Vec<Entry>, text: impl Into<String>) -> Move {
    Next { record, ..Next::progressing(Wake::Now, text) }
}

/// What may be done to the cluster. Each is absolute, and guarded by what was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Create a ReplicaSet for a template.
    Create {
        /// The whole object, as it is sent.
        manifest: Value,
    },
    /// Make the Rollout the controller of a ReplicaSet that has none, where the Rollout is there still.
    Own {
        /// The Rollout that takes it over.
        rollout: Guard,
        /// The ReplicaSet that is taken over.
        set: Guard,
        /// All of its owners from then on.
        owners: Vec<Value>,
    },
    /// Give a ReplicaSet this many pods.
    Scale {
        /// The ReplicaSet that is scaled.
        set: Guard,
        /// The number of pods that it is to have.
        pods: u32,
        /// How long its pods must be ready to count as available, in seconds.
        min_ready_seconds: u32,
        /// Its annotations along with it; null removes one.
        annotations: BTreeMap<String, Value>,
    },
    /// Evict a pod, so that its set makes another. It fails while a disruption budget does not let the pod go.
    Evict {
        /// The pod that is evicted.
        pod: Guard,
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
    /// Put labels and annotations on a ReplicaSet's template, or on a pod; null takes one away.
    Mark {
        /// The object that is changed.
        object: Guard,
        /// What kind of object it is.
        marked: Marked,
        /// The labels that change.
        labels: BTreeMap<String, Value>,
        /// The annotations that change.
        annotations: BTreeMap<String, Value>,
    },
    /// Post a Kubernetes Event about the Rollout.
    Post {
        /// The Rollout that it is about.
        rollout: Guard,
        /// What it says.
        event: RolloutEvent,
    },
    /// Patch the Rollout's status: a JSON merge patch of the fields that differ.
    Status {
        /// The Rollout whose status is written.
        rollout: Guard,
        /// The fields that change, as a merge patch.
        patch: Value,
    },
}

/// What gets labels and annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marked {
    /// The template of a ReplicaSet.
    Set {
        /// What the set's annotation [`EPHEMERAL`](super::EPHEMERAL) then says; null where nothing was put on it.
        put: Value,
        /// The same for the values that were there before.
        overwritten: Value,
    },
    /// A pod. Whatever else has changed of it, this is right as long as it is the same one.
    Pod,
}

/// A Kubernetes Event about a Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutEvent {
    /// Its name, which follows from what it says: the same is never posted twice.
    pub name: String,
    /// Whether something is wrong.
    pub event_type: RolloutEventType,
    /// Why, in a word of letters.
    pub reason: String,
    /// What has happened, as a sentence.
    pub message: String,
    /// When that was so, in ms since the epoch.
    pub at: Timestamp,
}

/// The type of a Kubernetes Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutEventType {
    /// Something is as it should be.
    Normal,
    /// Something is wrong.
    Warning,
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

impl Guard {
    /// The guard of an object as it was read.
    pub fn of(object: &Value) -> Guard {
        Guard {
            name: object::name(object).to_owned(),
            uid: object::uid(object).to_owned(),
            resource_version: object::resource_version(object).to_owned(),
        }
    }
}
