//! Sets of fields: what a manager owns, and what differs between two objects.
//!
//! After sigs.k8s.io/structured-merge-diff (fieldpath and typed packages); the JSON form is Kubernetes' `FieldsV1`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::shape::{Naming, Shape};

/// A set of field paths, as a tree. Each step is written as in `FieldsV1`: `f:name`, `k:{..}`, `v:..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    here: bool,
    children: BTreeMap<String, Set>,
}

impl Set {
    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        !self.here && self.children.values().all(Set::is_empty)
    }

    /// Whether the root of this (sub)tree is itself in the set.
    pub fn is_member(&self) -> bool {
        self.here
    }

    /// Adds the field at this path, not those below it.
    pub fn insert(&mut self, path: &[String]) {
        let mut at = self;
        for step in path {
            at = at.children.entry(step.clone()).or_default();
        }
        at.here = true;
    }

    /// What is below one step.
    pub fn child(&self, step: &str) -> Option<&Set> {
        self.children.get(step)
    }

    /// The set of all fields that are in either of the two.
    pub fn union(mut self, other: &Set) -> Set {
        self.here |= other.here;
        for (step, theirs) in &other.children {
            let ours = self.children.remove(step).unwrap_or_default();
            self.children.insert(step.clone(), ours.union(theirs));
        }
        self
    }

    /// What is in this set and not in the other.
    pub fn difference(&self, other: &Set) -> Set {
        self.combine(other, |a, b| a && !b, |left| left.clone())
    }

    /// What is in both.
    pub fn intersection(&self, other: &Set) -> Set {
        self.combine(other, |a, b| a && b, |_| Set::default())
    }

    fn combine(&self, other: &Set, rule: fn(bool, bool) -> bool, alone: fn(&Set) -> Set) -> Set {
        let mut result = Set { here: rule(self.here, other.here), children: BTreeMap::new() };
        for (step, ours) in &self.children {
            let child = match other.children.get(step) {
                Some(theirs) => ours.combine(theirs, rule, alone),
                None => alone(ours),
            };
            if !child.is_empty() {
                result.children.insert(step.clone(), child);
            }
        }
        result
    }

    /// Takes out a path and all below it.
    pub fn remove_subtree(&mut self, path: &[&str]) {
        match path {
            [] => *self = Set::default(),
            [last] => {
                self.children.remove(*last);
            }
            [first, rest @ ..] => {
                if let Some(child) = self.children.get_mut(*first) {
                    child.remove_subtree(rest);
                    if child.is_empty() {
                        self.children.remove(*first);
                    }
                }
            }
        }
    }

    /// Takes out one path, and leaves what is below it.
    pub fn remove_one(&mut self, path: &[&str]) {
        match path {
            [] => self.here = false,
            [first, rest @ ..] => {
                if let Some(child) = self.children.get_mut(*first) {
                    child.remove_one(rest);
                    if child.is_empty() {
                        self.children.remove(*first);
                    }
                }
            }
        }
    }

    /// Every path, written as conflicts write it: `.spec.containers[name="web"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        if self.here {
            out.push(prefix.to_owned());
        }
        for (step, child) in &self.children {
            child.collect(&format!("{prefix}{}", render(step)), out);
        }
    }

    /// The set as `managedFields` writes it: nested objects with `f:`, `k:` and `v:` keys (`FieldsV1`).
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.here && !self.children.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        for (step, child) in &self.children {
            map.insert(step.clone(), child.to_json());
        }
        Value::Object(map)
    }

    /// Reads the `FieldsV1` form; `None` when it is no such thing.
    pub fn from_json(value: &Value) -> Option<Set> {
        let mut set = Set::default();
        for (step, child) in value.as_object()? {
            if step == "." {
                set.here = true;
                continue;
            }
            let mut child = Set::from_json(child)?;
            if child.children.is_empty() {
                child.here = true;
            }
            set.children.insert(canonical(step)?, child);
        }
        Some(set)
    }
}

/// Key steps are compared as text, so that their JSON must be written in one way.
fn canonical(step: &str) -> Option<String> {
    let Some(key) = step.strip_prefix("k:") else {
        return Some(step.to_owned());
    };
    let parsed: BTreeMap<String, Value> = serde_json::from_str(key).ok()?;
    Some(format!("k:{}", serde_json::to_string(&parsed).ok()?))
}

fn render(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", key)) => {
            let parsed: BTreeMap<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let pairs: Vec<String> = parsed.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("[{}]", pairs.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        _ => format!("[{step}]"),
    }
}

/// The fields that an applied configuration names.
pub(super) fn named_by(shape: &Shape, value: &Value) -> Set {
    let mut set = Set::default();
    if shape.is_leaf(value) {
        set.here = true;
        return set;
    }
    match value {
        Value::Object(map) => {
            for (name, item) in map {
                let (inner, naming) = shape.field(name);
                let mut child = named_by(inner, item);
                let empty = item.as_object().is_some_and(Map::is_empty);
                child.here |= empty || naming == Naming::Free;
                set.children.insert(format!("f:{name}"), child);
            }
        }
        Value::Array(items) => {
            for item in items {
                if let Some(step) = shape.element(item) {
                    let mut child = named_by(shape.item(), item);
                    child.here = true;
                    set.children.insert(step, child);
                }
            }
        }
        _ => set.here = true,
    }
    set
}

/// What differs between two objects.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// In the second only.
    pub added: Set,
    /// In both, with another value.
    pub modified: Set,
    /// In the first only.
    pub removed: Set,
}

/// Compares two values of one shape.
pub(super) fn compare(shape: &Shape, before: &Value, after: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    walk(shape, Some(before), Some(after), &mut Vec::new(), &mut comparison);
    comparison
}

fn walk(shape: &Shape, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<String>, out: &mut Comparison) {
    let leaf = |v: Option<&Value>| v.is_some_and(|v| shape.is_leaf(v));
    let hollow = |v: Option<&Value>| match v {
        None => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    let kinds_differ = matches!((old, new), (Some(a), Some(b)) if a.is_object() != b.is_object());
    let one_value = leaf(old) || leaf(new) || (hollow(old) && hollow(new)) || kinds_differ;
    if !one_value {
        descend(shape, old, new, path, out);
    }
    match (old, new) {
        (None, Some(_)) => out.added.insert(path),
        (Some(_), None) => out.removed.insert(path),
        (Some(a), Some(b)) if one_value && a != b => out.modified.insert(path),
        _ => {}
    }
}

fn descend(shape: &Shape, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<String>, out: &mut Comparison) {
    let mut visit = |step: String, inner: &Shape, a: Option<&Value>, b: Option<&Value>| {
        path.push(step);
        walk(inner, a, b, path, out);
        path.pop();
    };
    let olds = old.and_then(Value::as_object);
    let news = new.and_then(Value::as_object);
    if olds.is_some() || news.is_some() {
        for (name, a) in olds.into_iter().flatten() {
            visit(format!("f:{name}"), shape.field(name).0, Some(a), news.and_then(|m| m.get(name)));
        }
        for (name, b) in news.into_iter().flatten().filter(|(name, _)| !olds.is_some_and(|m| m.contains_key(*name))) {
            visit(format!("f:{name}"), shape.field(name).0, None, Some(b));
        }
        return;
    }
    let index = |v: Option<&Value>| -> BTreeMap<String, Value> {
        let items = v.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| Some((shape.element(item)?, item.clone()))).collect()
    };
    let (olds, news) = (index(old), index(new));
    for (step, a) in &olds {
        visit(step.clone(), shape.item(), Some(a), news.get(step));
    }
    for (step, b) in news.iter().filter(|(step, _)| !olds.contains_key(*step)) {
        visit(step.clone(), shape.item(), None, Some(b));
    }
}
