//! Server-side apply: merging a configuration into the live object, and settling who owns what.
//!
//! After sigs.k8s.io/structured-merge-diff, merge/update.go.

use serde_json::{Map, Value};

use super::fields::{self, Set};
use super::managed::{Conflict, Managers, Who};
use super::shape::{Naming, Shape};

/// Fields that nobody owns: identity and what the server itself keeps.
const OWNERLESS: &[&[&str]] = &[
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
];

/// What an apply comes to.
#[derive(Debug)]
pub struct Applied {
    /// The merged object, before defaults.
    pub object: Value,
    /// All managers after the apply, with the fields that each owns then.
    pub managers: Managers,
}

/// Whether a conflict is refused, or the fields are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// A conflict refuses the whole apply with 409.
    No,
    /// The applier becomes the only owner of the fields (`force=true`).
    Yes,
}

/// Applies `config` for `who` on `live` (an empty object on creation).
///
/// # Errors
/// The conflicts, when other managers own what would change and `force` is [`Force::No`].
pub fn apply(
    shape: &Shape,
    live: &Value,
    config: &Value,
    mut managers: Managers,
    who: &Who,
    force: Force,
) -> Result<Applied, Vec<Conflict>> {
    let wanted = without_ownerless(fields::named_by(shape, config));
    let before = managers.clone();
    let merged = merge(shape, live, config);
    let last = managers.set(who).cloned().unwrap_or_default();
    managers.put(who.clone(), wanted);
    let object = prune(shape, merged, &last, &managers.union());
    let comparison = settle(shape, live, &object, &mut managers, who, force)?;
    if comparison.added.is_empty() && comparison.modified.is_empty() && comparison.removed.is_empty() {
        managers.untimed(who, &before);
    }
    Ok(Applied { object, managers })
}

/// Settles ownership after a write that is no apply: the writer owns what it changed.
pub fn update(shape: &Shape, live: &Value, new: &Value, mut managers: Managers, who: &Who) -> Managers {
    let comparison = match settle(shape, live, new, &mut managers, who, Force::Yes) {
        Ok(comparison) => comparison,
        Err(_) => unreachable!("a forced write has no conflicts"),
    };
    let before = managers.set(who).cloned().unwrap_or_default();
    let after = before.difference(&comparison.removed).union(&comparison.modified).union(&comparison.added);
    managers.put(who.clone(), without_ownerless(after));
    managers
}

/// Every field of an object: what a manager that was there before the first apply owns.
pub fn whole(shape: &Shape, live: &Value) -> Set {
    without_ownerless(fields::named_by(shape, live))
}

fn settle(
    shape: &Shape,
    live: &Value,
    new: &Value,
    managers: &mut Managers,
    who: &Who,
    force: Force,
) -> Result<fields::Comparison, Vec<Conflict>> {
    let mut comparison = fields::compare(shape, live, new);
    comparison.added = without_ownerless(comparison.added);
    comparison.modified = without_ownerless(comparison.modified);
    let touched = comparison.modified.clone().union(&comparison.added);
    let mut conflicts = Vec::new();
    for (other, set) in managers.others(who) {
        let hit = set.intersection(&touched);
        if !hit.is_empty() && force == Force::No {
            conflicts.push(Conflict { who: other, paths: hit.paths() });
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    for (other, set) in managers.others(who) {
        let left = set.difference(&touched).difference(&comparison.removed);
        managers.reduce(&other, left);
    }
    Ok(comparison)
}

fn without_ownerless(mut set: Set) -> Set {
    for path in OWNERLESS {
        set.remove_subtree(path);
    }
    set.remove_one(&["f:metadata"]);
    set.remove_one(&[]);
    set
}

/// Lays `config` over `live`: objects field by field, keyed lists item by item, everything else as one value.
pub fn merge(shape: &Shape, live: &Value, config: &Value) -> Value {
    if shape.is_leaf(live) || shape.is_leaf(config) {
        return config.clone();
    }
    match (live, config) {
        (Value::Object(old), Value::Object(new)) => {
            let mut out = old.clone();
            for (name, value) in new {
                let merged = match old.get(name) {
                    Some(before) => merge(shape.field(name).0, before, value),
                    None => value.clone(),
                };
                out.insert(name.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(old), Value::Array(new)) => Value::Array(merge_lists(shape, old, new)),
        _ => config.clone(),
    }
}

/// Keeps the live order; items that only the configuration has come after the item that precedes them there.
fn merge_lists(shape: &Shape, old: &[Value], new: &[Value]) -> Vec<Value> {
    let find = |list: &[Value], item: &Value| {
        let step = shape.element(item);
        list.iter().position(|other| shape.element(other) == step)
    };
    let mut out = Vec::with_capacity(old.len() + new.len());
    let mut taken = 0;
    for item in old {
        let Some(at) = find(new, item) else {
            out.push(item.clone());
            continue;
        };
        for only_new in new.iter().take(at).skip(taken).filter(|n| find(old, n).is_none()) {
            out.push(only_new.clone());
        }
        taken = taken.max(at + 1);
        out.push(merge(shape.item(), item, &new[at]));
    }
    out.extend(new.iter().skip(taken).filter(|n| find(old, n).is_none()).cloned());
    out
}

/// Takes out what the manager applied last time and nobody names any more.
fn prune(shape: &Shape, merged: Value, last: &Set, owned: &Set) -> Value {
    match merged {
        Value::Object(map) if !matches!(shape, Shape::Atomic) => {
            let mut out = Map::new();
            for (name, value) in map {
                let step = format!("f:{name}");
                let (inner, naming) = shape.field(&name);
                if let Some(kept) = prune_child(inner, value, &step, naming == Naming::Declared, last, owned) {
                    out.insert(name, kept);
                }
            }
            Value::Object(out)
        }
        Value::Array(items) if matches!(shape, Shape::Keyed { .. } | Shape::Set) => {
            let keep = |item: Value| match shape.element(&item) {
                Some(step) => prune_child(shape.item(), item, &step, false, last, owned),
                None => Some(item),
            };
            Value::Array(items.into_iter().filter_map(keep).collect())
        }
        other => other,
    }
}

/// A declared field counts as named when anything below it is named.
fn prune_child(shape: &Shape, value: Value, step: &str, declared: bool, last: &Set, owned: &Set) -> Option<Value> {
    let Some(was) = last.child(step) else {
        return Some(value);
    };
    let empty = Set::default();
    let now = owned.child(step).unwrap_or(&empty);
    let was_named = was.is_member() || declared;
    if was_named && now.is_empty() {
        return None;
    }
    Some(prune(shape, value, was, now))
}
