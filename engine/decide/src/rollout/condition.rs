//! A condition of a Rollout's status, as Argo's clients read it.

use super::observed::ObservedRollout;
use crate::next::Timestamp;
use crate::object::{time, write_time};
use serde_json::{Value, json};
use std::borrow::Cow;

/// How many fields a condition has.
const FIELDS: usize = 6;

/// What a condition is to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition<'a> {
    /// Its `type`.
    pub kind: &'static str,
    status: &'static str,
    reason: Cow<'a, str>,
    message: Cow<'a, str>,
    /// When what it says was last so; else when it was first written.
    updated: Option<Timestamp>,
}

impl<'a> Condition<'a> {
    pub(super) fn new(
        kind: &'static str,
        status: &'static str,
        reason: impl Into<Cow<'a, str>>,
        message: impl Into<Cow<'a, str>>,
    ) -> Condition<'a> {
        Condition { kind, status, reason: reason.into(), message: message.into(), updated: None }
    }

    /// The same with the moment when what it says was last so.
    pub(super) fn updated(self, at: Timestamp) -> Condition<'a> {
        Condition { updated: Some(at), ..self }
    }

    /// Whether a condition of the status says just this.
    pub(super) fn is(&self, known: &Value) -> bool {
        let is_updated = |value: &Value| match self.updated {
            Some(at) => time(value).is_some_and(|known| known / 1000 == at / 1000),
            None => value.is_string(),
        };
        let is_right = |(field, value): (&String, &Value)| match field.as_str() {
            "type" => value == self.kind,
            "status" => value == self.status,
            "reason" => *value == *self.reason,
            "message" => *value == *self.message,
            "lastTransitionTime" => value.is_string(),
            "lastUpdateTime" => is_updated(value),
            _ => false,
        };
        known.as_object().is_some_and(|fields| fields.len() == FIELDS && fields.iter().all(is_right))
    }

    /// With its times: those of the live condition as long as it says the same.
    pub(super) fn written(&self, observed: &ObservedRollout, now: Timestamp) -> Value {
        let known =
            observed.status("conditions").as_array().into_iter().flatten().find(|known| known["type"] == self.kind);
        let same_status = known.filter(|known| known["status"] == self.status);
        let same = same_status.filter(|known| known["reason"] == *self.reason && known["message"] == *self.message);
        let kept = |known: Option<&Value>, field: &str| known?.get(field).filter(|at| at.is_string()).cloned();
        let now = Value::from(write_time(now));
        let updated = self.updated.map(|at| write_time(at).into()).or_else(|| kept(same, "lastUpdateTime"));
        json!({
            "type": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": kept(same_status, "lastTransitionTime").unwrap_or_else(|| now.clone()),
            "lastUpdateTime": updated.unwrap_or(now),
        })
    }
}
