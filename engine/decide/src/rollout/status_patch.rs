//! The patch that makes a Rollout's status right: only the fields that differ, and only ours.
//!
//! What is there is compared in place, for almost always all of it is right.

use super::act::Act;
use super::condition::Condition;
use super::observed::ObservedRollout;
use crate::next::Timestamp;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What a field of the status is to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted<'a> {
    /// Null, or not there.
    Nothing,
    Flag(bool),
    Number(u64),
    Text(Cow<'a, str>),
    Json(Cow<'a, Value>),
    Object(Vec<Field<'a>>),
    Conditions(Vec<Condition<'a>>),
}

/// A field of the status by its name. Those that are not named are left alone.
pub(super) type Field<'a> = (&'static str, Wanted<'a>);

/// A patch of the status, unless it was refused a moment ago: then, when it is tried again.
pub(super) type StatusPatch = (Option<Act>, Option<Timestamp>);

/// The merge patch from what is there to what is wanted.
pub(super) fn diff(observed: &ObservedRollout, wanted: &[Field], now: Timestamp) -> StatusPatch {
    let mut patch = Map::new();
    let status = &observed.rollout["status"];
    for (key, wanted) in wanted {
        let known = &status[key];
        if !wanted.is(known) {
            patch.insert((*key).to_owned(), wanted.patch(known, observed, now));
        }
    }
    if patch.is_empty() {
        return (None, None);
    }
    let act = Act::Status { rollout: observed.guard(), patch: Value::Object(patch) };
    match observed.left_alone(&act, now) {
        Some(again) => (None, Some(again)),
        None => (Some(act), None),
    }
}

/// Replaces a field's value.
pub(super) fn replace<'a>(fields: &mut [Field<'a>], name: &str, value: Wanted<'a>) {
    if let Some((_, field)) = fields.iter_mut().find(|(key, _)| *key == name) {
        *field = value;
    }
}

impl<'a> Wanted<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Wanted<'a> {
        Wanted::Text(text.into())
    }

    pub(super) fn optional(text: Option<impl Into<Cow<'a, str>>>) -> Wanted<'a> {
        text.map_or(Wanted::Nothing, Wanted::text)
    }

    /// Whether a value of the status is just this.
    fn is(&self, known: &Value) -> bool {
        match self {
            Wanted::Nothing => known.is_null(),
            Wanted::Flag(flag) => known.as_bool() == Some(*flag),
            Wanted::Number(number) => known.as_u64() == Some(*number),
            Wanted::Text(text) => known.as_str() == Some(text),
            Wanted::Json(value) => known == value.as_ref(),
            Wanted::Object(fields) => known.as_object().is_some_and(|known| {
                let wanted = |key: &str| fields.iter().find(|(name, _)| *name == key).map(|(_, wanted)| wanted);
                let is_right =
                    |(key, value): (&String, &Value)| wanted(key).map_or(value.is_null(), |wanted| wanted.is(value));
                let is_there = |(key, wanted): &Field| known.contains_key(*key) || wanted.is(&Value::Null);
                known.iter().all(is_right) && fields.iter().all(is_there)
            }),
            Wanted::Conditions(all) => known.as_array().is_some_and(|known| {
                known.len() == all.len() && all.iter().zip(known).all(|(wanted, known)| wanted.is(known))
            }),
        }
    }

    /// What RFC 7396 writes to make another value this one.
    fn patch(&self, known: &Value, observed: &ObservedRollout, now: Timestamp) -> Value {
        match self {
            Wanted::Nothing => Value::Null,
            Wanted::Flag(flag) => (*flag).into(),
            Wanted::Number(number) => (*number).into(),
            Wanted::Text(text) => text.as_ref().into(),
            Wanted::Json(value) => value.as_ref().clone(),
            Wanted::Object(fields) => {
                let null = Value::Null;
                let differ = fields.iter().filter_map(|(key, wanted)| {
                    let known = known.get(key).unwrap_or(&null);
                    (!wanted.is(known)).then(|| ((*key).to_owned(), wanted.patch(known, observed, now)))
                });
                let is_left = |key: &str| !fields.iter().any(|(name, _)| *name == key);
                let left =
                    known.as_object().into_iter().flatten().filter(|(key, value)| is_left(key) && !value.is_null());
                differ.chain(left.map(|(key, _)| (key.clone(), Value::Null))).collect::<Map<_, _>>().into()
            }
            Wanted::Conditions(all) => all.iter().map(|condition| condition.written(observed, now)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::observed::{Objects, Observed};
    use super::*;
    use serde_json::json;

    fn observed(status: &Value) -> Box<ObservedRollout> {
        let rollout = Some(json!({ "metadata": { "name": "was" }, "spec": {}, "status": status }));
        match Observed::read(Objects { rollout, ..Objects::default() }) {
            Observed::Present(observed) => observed,
            Observed::Absent { .. } => panic!("it is there"),
        }
    }

    /// The patch from a status to what is wanted of it.
    fn patch(status: &Value, wanted: &[Field]) -> Option<Value> {
        match diff(&observed(status), wanted, 90_000).0? {
            Act::Status { patch, .. } => Some(patch),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_patch_names_only_what_differs() {
        let wanted = |number| {
            let inner = vec![("c", Wanted::Number(2)), ("f", Wanted::Number(number)), ("g", Wanted::Nothing)];
            [("a", Wanted::Number(1)), ("b", Wanted::Object(inner)), ("e", Wanted::Nothing), ("t", Wanted::text("x"))]
        };
        let known = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": null, "t": "y", "theirs": true });
        assert_eq!(patch(&known, &wanted(4)), Some(json!({ "b": { "d": null, "f": 4 }, "t": "x" })));
        let right = json!({ "a": 1, "b": { "c": 2, "f": 4 }, "t": "x", "theirs": true });
        assert_eq!(patch(&right, &wanted(4)), None);
        assert_eq!(patch(&right, &wanted(5)), Some(json!({ "b": { "f": 5 } })));
    }

    #[test]
    fn a_value_of_another_type_differs() {
        let kinds = [
            (Wanted::Number(1), json!("1")),
            (Wanted::text("1"), json!(1)),
            (Wanted::Flag(true), json!("true")),
            (Wanted::Object(vec![]), json!([])),
            (Wanted::Conditions(vec![]), json!({})),
            (Wanted::Nothing, json!("")),
        ];
        for (wanted, known) in kinds {
            assert!(patch(&json!({ "a": known }), &[("a", wanted.clone())]).is_some(), "{wanted:?}, {known}");
        }
    }

    /// A condition as it is to be, and as it is written.
    fn condition() -> (Condition<'static>, Value) {
        let is = Condition::new("Paused", "True", "RolloutPaused", "Rollout is paused");
        let known = json!({
            "type": "Paused", "status": "True", "reason": "RolloutPaused", "message": "Rollout is paused",
            "lastTransitionTime": "1970-01-01T00:00:10Z", "lastUpdateTime": "1970-01-01T00:00:20Z",
        });
        (is, known)
    }

    #[test]
    fn a_condition_keeps_its_times_as_long_as_it_says_the_same() {
        let (is, known) = condition();
        let of = |known: &Value| json!({ "conditions": [known] });
        let patched = |known: &Value, is: Condition<'static>| {
            patch(&of(known), &[("conditions", Wanted::Conditions(vec![is]))])
                .map(|patch| patch["conditions"][0].clone())
        };
        assert_eq!(patched(&known, is.clone()), None);
        let now = json!("1970-01-01T00:01:30Z");
        for (field, value) in [("status", "False"), ("reason", "other"), ("message", "other")] {
            let mut other = known.clone();
            other[field] = json!(value);
            let written = patched(&other, is.clone()).expect(field);
            assert_eq!(written["lastUpdateTime"], now, "{field}");
            let transition = if field == "status" { &now } else { &known["lastTransitionTime"] };
            assert_eq!(written["lastTransitionTime"], *transition, "{field}");
        }
        for field in ["lastTransitionTime", "lastUpdateTime"] {
            let mut without = known.clone();
            without.as_object_mut().unwrap().remove(field);
            assert_eq!(patched(&without, is.clone()).expect(field)[field], now, "{field}");
        }
        let mut more = known.clone();
        more["more"] = json!(1);
        assert!(patched(&more, is.clone()).is_some(), "a field that is no condition's");
        assert_eq!(patched(&known, is.clone().updated(20_400)), None, "a time has whole seconds");
        assert_eq!(patched(&known, is.updated(21_000)).unwrap()["lastUpdateTime"], "1970-01-01T00:00:21Z");
    }

    #[test]
    fn conditions_have_their_order() {
        let (is, known) = condition();
        let other = Condition::new("Healthy", "True", "RolloutHealthy", "Rollout is healthy");
        let wanted = [("conditions", Wanted::Conditions(vec![other, is]))];
        assert!(patch(&json!({ "conditions": [known] }), &wanted).is_some());
    }
}
