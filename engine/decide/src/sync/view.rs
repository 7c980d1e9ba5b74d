//! What the dashboard is shown of an application.

use super::Context;
use super::application::Ownership;
use super::object::{self, Id};
use super::plan::{ExtraItem, Item, Plan};
use crate::health::{self, Judged};
use serde_json::Value;
use std::collections::BTreeMap;

/// One object of an application, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The object that the row shows.
    pub id: Id,
    /// Its API version without the group.
    pub version: String,
    /// `synced`, `out-of-sync`, `missing`, `extra` or `observed`.
    pub sync: &'static str,
    /// Argo's word, empty where the kind has none.
    pub health: &'static str,
    /// Why it is not in sync, or what its health says; empty where neither is to be told.
    pub message: String,
    /// The owner among the objects, as `kind/name`; empty at the root.
    pub parent: String,
    /// What others own in it.
    pub owned: Vec<String>,
    /// As git says, in YAML.
    pub desired: String,
    /// As it lives, in YAML, on what matters to a reader.
    pub live: String,
}

/// `synced`, `out-of-sync` or `unknown`.
pub fn sync(context: &Context) -> &'static str {
    match &context.plan {
        Ok(plan) if plan.is_out_of_sync() => "out-of-sync",
        Ok(_) => "synced",
        Err(_) => "unknown",
    }
}

/// Whose the application is: `owned` by Bespin, or only `observed`.
pub fn ownership(context: &Context) -> &'static str {
    match context.ownership {
        Ownership::Owned => "owned",
        Ownership::Observed => "observed",
    }
}

/// Every object: what git names, what left git, and their children.
pub fn rows(context: &Context) -> Vec<Row> {
    let Ok(plan) = &context.plan else { return Vec::new() };
    let named = plan.items.iter().map(named).chain(plan.extras.iter().map(|extra| left(extra, &context.judged)));
    let mut rows: Vec<Row> = named.collect();
    rows.extend(children(context, plan));
    rows
}

fn named(item: &Item) -> Row {
    let sync = match (&item.live, item.is_out_of_sync()) {
        (None, _) => "missing",
        (_, true) => "out-of-sync",
        (_, false) => "synced",
    };
    let health = item.health.as_ref();
    let missing = if item.live.is_none() { "Missing" } else { "" };
    let message = match item.is_out_of_sync() {
        true => item.because(),
        false => health.map(|health| health.message.clone()).unwrap_or_default(),
    };
    Row {
        id: item.id.clone(),
        version: version(&item.desired),
        sync,
        health: health.map_or(missing, |health| health.status.word()),
        message,
        parent: String::new(),
        owned: item.owned.clone(),
        desired: yaml(&item.desired),
        live: item.live.as_ref().map(|live| yaml(&beside(&item.desired, live))).unwrap_or_default(),
    }
}

/// A live object as it stands beside git: its status is its controller's, unless git writes one.
fn beside(desired: &Value, live: &Value) -> Value {
    let mut live = live.clone();
    if desired.get("status").is_none() {
        object::remove(&mut live, &["status"]);
    }
    live
}

fn left(extra: &ExtraItem, judged: &Judged) -> Row {
    Row { sync: "extra", message: "git no longer names it".into(), ..observed(&extra.live, String::new(), judged) }
}

fn observed(live: &Value, parent: String, judged: &Judged) -> Row {
    let health = health::of(live, judged);
    Row {
        id: Id::of(live),
        version: version(live),
        sync: "observed",
        health: health.as_ref().map_or("", |health| health.status.word()),
        message: health.map(|health| health.message).unwrap_or_default(),
        parent,
        owned: Vec::new(),
        desired: String::new(),
        live: yaml(live),
    }
}

/// What the objects made: ReplicaSets and Pods, by their owners' uids.
fn children(context: &Context, plan: &Plan) -> Vec<Row> {
    let roots =
        plan.items.iter().filter_map(|item| item.live.as_ref()).chain(plan.extras.iter().map(|extra| &extra.live));
    let mut known: BTreeMap<String, String> = roots.map(|live| (object::uid(live).to_owned(), spoken(live))).collect();
    let mut rows = Vec::new();
    // A Rollout owns ReplicaSets, which own Pods: two generations, found in any order.
    for _generation in 0..2 {
        let mut born = BTreeMap::new();
        for live in context.live.iter().filter(|live| !known.contains_key(object::uid(live))) {
            let owners = live["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            let parent = owners.filter_map(|owner| owner["uid"].as_str()).find_map(|uid| known.get(uid));
            if let Some(parent) = parent {
                rows.push(observed(live, parent.clone(), &context.judged));
                born.insert(object::uid(live).to_owned(), spoken(live));
            }
        }
        known.append(&mut born);
    }
    rows
}

fn spoken(live: &Value) -> String {
    format!("{}/{}", object::kind(live), object::name(live))
}

fn version(object: &Value) -> String {
    object::group_version(object::api_version(object)).1.to_owned()
}

/// An object in YAML: without the server's book-keeping, secrets masked, its
/// fields by name, so that two texts differ only where the objects do.
fn yaml(object: &Value) -> String {
    let mut object = object.clone();
    object.sort_all_objects();
    for noise in ["managedFields", "uid", "resourceVersion", "generation", "creationTimestamp"] {
        object::remove(&mut object, &["metadata", noise]);
    }
    object::remove(&mut object, &["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"]);
    if object::kind(&object) == "Secret" {
        for below in ["data", "stringData"] {
            let values = object.get_mut(below).and_then(Value::as_object_mut);
            values.into_iter().flat_map(|values| values.values_mut()).for_each(|value| *value = "(masked)".into());
        }
    }
    serde_saphyr::to_string(&object).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
}
