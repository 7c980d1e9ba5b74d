//! `ignoreDifferences`: what is left out of the comparison.
//!
//! Source: argo-cd docs/user-guide/diffing.md and sync-options.md.

use super::fields;
use super::jq::{self, Part};
use super::object::{self, Id};
use serde::Deserialize;
use serde_json::Value;

/// One rule, as the Application writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// API group without version; a glob with `*`.
    pub group: String,
    /// Kind; a glob with `*`.
    pub kind: String,
    /// Only this name, where it is set.
    pub name: String,
    /// Only this namespace, where it is set.
    pub namespace: String,
    /// JSON pointers (RFC 6901).
    pub json_pointers: Vec<String>,
    /// jq paths; what one of them selects is not compared.
    pub jq_path_expressions: Vec<String>,
    /// Every field of these managers.
    pub managed_fields_managers: Vec<String>,
}

impl Rule {
    /// Whether the rule is about this object.
    pub fn is_about(&self, id: &Id) -> bool {
        let named = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        glob(&self.group, &id.group)
            && glob(&self.kind, &id.kind)
            && named(&self.name, &id.name)
            && named(&self.namespace, &id.namespace)
    }

    /// The rule in words, for warnings.
    pub fn spoken(&self) -> String {
        let what: Vec<&str> = [&self.json_pointers, &self.jq_path_expressions, &self.managed_fields_managers]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let group = if self.group.is_empty() { "core" } else { &self.group };
        let name = if self.name.is_empty() { String::new() } else { format!(" {}", self.name) };
        format!("{group} {}{name} {}", self.kind, what.join(", "))
    }
}

/// Whether a text matches a glob with `*`.
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The first place that a part fits at leaves the most for those after it, so no other has to be tried.
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(tail)
}

/// Takes what the rule ignores out of both sides, and says how many fields that were.
///
/// # Errors
/// A jq path that cannot be evaluated.
pub fn apply(rule: &Rule, live: &Value, desired_side: &mut Value, live_side: &mut Value) -> Result<usize, String> {
    let mut taken = 0;
    for side in [desired_side, live_side] {
        let mut paths: Vec<Vec<Part>> =
            rule.json_pointers.iter().filter_map(|pointer| pointer_path(pointer, side)).collect();
        for expression in &rule.jq_path_expressions {
            paths.extend(jq::paths(expression, side)?);
        }
        // The last element first, so that those before it keep their places.
        paths.sort();
        paths.dedup();
        taken += paths.iter().rev().filter(|path| take_out(side, path)).count();
        for share in fields::shares(live) {
            if rule.managed_fields_managers.iter().any(|manager| manager == share.manager) {
                taken += fields::take_out(side, share.fields);
            }
        }
    }
    Ok(taken)
}

/// Puts the live values of the ignored fields into what is sent
/// (`RespectIgnoreDifferences`). What is not live is not sent either.
///
/// # Errors
/// A jq path that cannot be evaluated.
pub fn respect(rule: &Rule, live: &Value, sent: &mut Value) -> Result<(), String> {
    for pointer in &rule.json_pointers {
        let Some(path) = pointer_path(pointer, sent).or_else(|| pointer_path(pointer, live)) else { continue };
        put(sent, &path, live.pointer(pointer));
    }
    for expression in &rule.jq_path_expressions {
        let there = jq::paths(expression, live)?;
        let here = jq::paths(expression, sent)?;
        for (index, path) in here.iter().enumerate().rev() {
            put(sent, path, there.get(index).and_then(|path| at(live, path)));
        }
    }
    for share in fields::shares(live) {
        if rule.managed_fields_managers.iter().any(|manager| manager == share.manager) {
            fields::take_out(sent, share.fields);
        }
    }
    Ok(())
}

fn put(sent: &mut Value, path: &[Part], value: Option<&Value>) {
    match value {
        None => {
            take_out(sent, path);
        }
        Some(value) => {
            let Some((last, above)) = path.split_last() else { return };
            let Some(place) = above.iter().try_fold(sent, |value, part| inner(value, part)) else { return };
            match (last, place) {
                (Part::Key(key), Value::Object(map)) => drop(map.insert(key.clone(), value.clone())),
                (Part::Index(index), Value::Array(items)) if *index < items.len() => items[*index] = value.clone(),
                _ => {}
            }
        }
    }
}

fn inner<'a>(value: &'a mut Value, part: &Part) -> Option<&'a mut Value> {
    match part {
        Part::Key(key) => value.get_mut(key),
        Part::Index(index) => value.get_mut(index),
    }
}

fn at<'a>(value: &'a Value, path: &[Part]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match part {
        Part::Key(key) => value.get(key),
        Part::Index(index) => value.get(index),
    })
}

fn take_out(value: &mut Value, path: &[Part]) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    let Some(place) = above.iter().try_fold(value, |value, part| inner(value, part)) else { return false };
    match (last, place) {
        (Part::Key(key), Value::Object(map)) => map.shift_remove(key).is_some(),
        (Part::Index(index), Value::Array(items)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    }
}

/// A pointer as a path, if it leads to something in this value.
fn pointer_path(pointer: &str, value: &Value) -> Option<Vec<Part>> {
    value.pointer(pointer)?;
    let mut here = value;
    let mut path = Vec::new();
    for token in pointer.strip_prefix('/')?.split('/') {
        let token = token.replace("~1", "/").replace("~0", "~");
        path.push(match here {
            Value::Array(_) => Part::Index(token.parse().ok()?),
            _ => Part::Key(token.clone()),
        });
        here = here.get(&token).or_else(|| here.get(token.parse::<usize>().ok()?))?;
    }
    Some(path)
}

/// Whether the object asks for it itself, which wins over the application in
/// both directions.
pub fn respects(object: &Value, application: Respect) -> Respect {
    let option =
        |value: &str| object::has_option(object, super::SYNC_OPTIONS, &format!("RespectIgnoreDifferences={value}"));
    match application {
        _ if option("true") => Respect::Live,
        _ if option("false") => Respect::Git,
        application => application,
    }
}

/// Which value of an ignored field is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Respect {
    /// Git's: the rule is about the comparison only.
    Git,
    /// The live one (`RespectIgnoreDifferences=true`).
    Live,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(value: Value) -> Rule {
        serde_json::from_value(value).expect("a rule")
    }

    #[test]
    fn a_rule_names_its_objects_by_globs() {
        let id = Id {
            group: "argoproj.io".into(),
            kind: "Rollout".into(),
            namespace: "petclinic".into(),
            name: "was".into(),
        };
        let about = |value| rule(value).is_about(&id);
        assert!(about(json!({ "group": "argoproj.io", "kind": "Rollout" })));
        assert!(about(json!({ "group": "*", "kind": "*" })));
        assert!(about(json!({ "group": "*.io", "kind": "Roll*", "name": "was" })));
        assert!(!about(json!({ "group": "apps", "kind": "Rollout" })));
        assert!(!about(json!({ "group": "argoproj.io", "kind": "Rollout", "namespace": "other" })));
        assert!(!about(json!({ "kind": "Rollout" })), "an empty group is the core group");
    }

    #[test]
    fn ignored_fields_leave_both_sides() {
        let live = json!({ "spec": { "replicas": 4, "webhooks": [{ "name": "a", "ca": "x" }, { "name": "b", "ca": "y" }], "z": 1 },
            "metadata": { "managedFields": [{ "manager": "other", "operation": "Update", "fieldsV1": { "f:spec": { "f:z": {} } } }] } });
        let mut ours = json!({ "spec": { "replicas": 2, "webhooks": [{ "name": "a" }, { "name": "b" }], "z": 2 } });
        let mut theirs = live.clone();
        let rule = rule(json!({ "kind": "X", "jsonPointers": ["/spec/replicas", "/spec/nothing"],
            "jqPathExpressions": [".spec.webhooks[].ca"], "managedFieldsManagers": ["other"] }));
        assert_eq!(apply(&rule, &live, &mut ours, &mut theirs), Ok(6));
        assert_eq!(ours["spec"], json!({ "webhooks": [{ "name": "a" }, { "name": "b" }] }));
        assert_eq!(theirs["spec"], ours["spec"]);
    }

    #[test]
    fn respected_fields_are_sent_as_they_live() {
        let live = json!({ "spec": { "replicas": 4, "list": [{ "v": 1 }, { "v": 2 }] } });
        let mut sent = json!({ "spec": { "replicas": 2, "gone": 1, "list": [{ "v": 7 }, { "v": 8 }, { "v": 9 }] } });
        let rule =
            rule(json!({ "jsonPointers": ["/spec/replicas", "/spec/gone"], "jqPathExpressions": [".spec.list[].v"] }));
        assert_eq!(respect(&rule, &live, &mut sent), Ok(()));
        assert_eq!(sent, json!({ "spec": { "replicas": 4, "list": [{ "v": 1 }, { "v": 2 }, {}] } }));
    }
}
