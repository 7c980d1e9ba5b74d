//! By what a write to one object of the cluster is known again.

use super::act::Act;
use serde_json::json;

/// A write as it is known again: another one of the same object is tried at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteKey {
    /// The uid of the object.
    object: String,
    /// What it is to be.
    asked: String,
}

impl WriteKey {
    /// That of an act which writes to one object of the cluster. What a Rollout's status says changes with the clock, so
    /// all of that is one write.
    pub(super) fn of(act: &Act) -> Option<WriteKey> {
        let (object, asked) = match act {
            Act::Scale { set, pods, min_ready_seconds, annotations } => {
                (set, json!(["scale", pods, min_ready_seconds, annotations]))
            }
            Act::Forget { set } => (set, json!(["forget"])),
            Act::Select { service, hash, .. } => (service, json!(["select", hash])),
            Act::Route { ingress, annotations } => (ingress, json!(["route", annotations])),
            Act::Stamp { rollout, revision } => (rollout, json!(["stamp", revision])),
            Act::Status { rollout, .. } => (rollout, json!(["status"])),
            Act::Create { .. }
            | Act::Own { .. }
            | Act::Evict { .. }
            | Act::Weigh { .. }
            | Act::Verify { .. }
            | Act::Unroute { .. }
            | Act::AskRevert { .. }
            | Act::WithdrawRevert { .. }
            | Act::Mark { .. }
            | Act::Post { .. } => return None,
        };
        Some(WriteKey { object: object.uid.clone(), asked: asked.to_string() })
    }
}
