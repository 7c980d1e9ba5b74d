//! Deleting: preconditions, grace, finalizers and the fate of dependents.

use std::sync::Arc;

use serde_json::Value;

use super::kind::Kind;
use super::refusal::{self, Refusal};
use super::select::Selection;
use super::store::{Key, Store};
use super::write::Rehearsal;
use super::{Api, clock, incoming};

/// What becomes of an object's dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// The `DeleteOptions` of a request.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// Delete only the object with this uid.
    pub uid: Option<String>,
    /// Delete only the object of this version.
    pub resource_version: Option<String>,
    /// What becomes of dependents.
    pub propagation: Propagation,
    /// How many seconds a pod gets; its own wish without it.
    pub grace_seconds: Option<i64>,
    /// Whether the object really goes, or the answer only shows it (`dryRun`).
    pub rehearsal: Rehearsal,
}

impl Default for Deletion {
    fn default() -> Deletion {
        Deletion {
            uid: None,
            resource_version: None,
            propagation: Propagation::Background,
            grace_seconds: None,
            rehearsal: Rehearsal::No,
        }
    }
}

impl Deletion {
    /// Reads a `DeleteOptions` object.
    ///
    /// # Errors
    /// 400 and 422 for a policy that does not exist.
    pub fn read(options: &Value) -> Result<Deletion, Refusal> {
        let text = |v: &Value| v.as_str().map(str::to_owned);
        let propagation = match (options["propagationPolicy"].as_str(), options["orphanDependents"].as_bool()) {
            (None | Some("Background"), None | Some(false)) => Propagation::Background,
            (None, Some(true)) | (Some("Orphan"), _) => Propagation::Orphan,
            (Some("Foreground"), _) => Propagation::Foreground,
            (policy, _) => {
                return Err(Refusal::plain(
                    422,
                    "Invalid",
                    format!(
                        "DeleteOptions.meta.k8s.io \"\" is invalid: \
                    propagationPolicy: Unsupported value: {policy:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
                    ),
                ));
            }
        };
        Ok(Deletion {
            uid: text(&options["preconditions"]["uid"]),
            resource_version: text(&options["preconditions"]["resourceVersion"]),
            propagation,
            grace_seconds: options["gracePeriodSeconds"].as_i64(),
            rehearsal: if options["dryRun"].is_array() { Rehearsal::Yes } else { Rehearsal::No },
        })
    }
}

/// What a deletion came to.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// It is gone; this was its last state.
    Gone(Arc<Value>),
    /// It goes when its finalizers and its grace allow.
    Going(Arc<Value>),
}

impl Api {
    /// Deletes an object.
    ///
    /// # Errors
    /// 404, and 409 when a precondition fails.
    pub fn delete(&self, kind: &Kind, namespace: &str, name: &str, how: &Deletion) -> Result<Deleted, Refusal> {
        self.delete_in(&mut self.store(), kind, &Key::new(kind, namespace, name), how)
    }

    /// Deletes the selected objects of a kind, and returns what they were.
    ///
    /// # Errors
    /// 409 when a precondition fails; those before it are deleted.
    pub fn delete_all(
        &self,
        kind: &Kind,
        namespace: &str,
        selection: &Selection,
        how: &Deletion,
    ) -> Result<Vec<Arc<Value>>, Refusal> {
        let mut store = self.store();
        let chosen = store.list(kind, namespace).into_iter().filter(|(_, object)| selection.matches(object));
        let mut objects = Vec::new();
        for (key, object) in chosen.collect::<Vec<_>>() {
            self.delete_in(&mut store, kind, &key, how)?;
            objects.push(object);
        }
        Ok(objects)
    }

    fn delete_in(&self, store: &mut Store, kind: &Kind, key: &Key, how: &Deletion) -> Result<Deleted, Refusal> {
        let live = store.get(key).ok_or_else(|| Refusal::not_found(kind, &key.name))?;
        preconditions(kind, &key.name, &live, how)?;
        let mut new = Value::clone(&live);
        match how.propagation {
            Propagation::Background => {}
            Propagation::Foreground => hold(&mut new, "foregroundDeletion", "orphan"),
            Propagation::Orphan => hold(&mut new, "orphan", "foregroundDeletion"),
        }
        let grace = grace(kind, &live, how);
        mark(&mut new, grace);
        if kind.kind == "Namespace" {
            if let Some(metadata) = new["metadata"].as_object_mut() {
                metadata.shift_remove("deletionGracePeriodSeconds");
            }
            new["status"]["phase"] = "Terminating".into();
        }
        if how.rehearsal == Rehearsal::Yes {
            return Ok(Deleted::Gone(live));
        }
        if incoming::may_go(kind, &new) {
            let last = self.take_away(store, kind, key);
            // A pod is shown on its way; anything else as it was, unless it was on its way before.
            let shown_going = kind.kind == "Pod" || live["metadata"]["deletionTimestamp"].is_string();
            return Ok(Deleted::Gone(if shown_going { Arc::new(new) } else { last.unwrap_or(live) }));
        }
        if new == *live {
            return Ok(Deleted::Going(live));
        }
        Ok(Deleted::Going(self.commit(store, kind, key.clone(), new)))
    }
}

fn preconditions(kind: &Kind, name: &str, live: &Value, how: &Deletion) -> Result<(), Refusal> {
    let found = |field: &str| live["metadata"][field].as_str().unwrap_or_default();
    if let Some(uid) = how.uid.as_deref().filter(|uid| *uid != found("uid")) {
        return Err(Refusal::unmet(kind, name, "UID", uid, found("uid"), "deleted and then recreated"));
    }
    if let Some(version) = how.resource_version.as_deref().filter(|v| *v != found("resourceVersion")) {
        return Err(Refusal::unmet(kind, name, "ResourceVersion", version, found("resourceVersion"), "modified"));
    }
    Ok(())
}

fn hold(object: &mut Value, finalizer: &str, instead_of: &str) {
    let metadata = &mut object["metadata"];
    let mut list = metadata["finalizers"].as_array().cloned().unwrap_or_default();
    list.retain(|f| f != instead_of);
    if !list.iter().any(|f| f == finalizer) {
        list.push(finalizer.into());
    }
    metadata["finalizers"] = list.into();
}

/// Only pods are given time: those that run on a node.
fn grace(kind: &Kind, live: &Value, how: &Deletion) -> i64 {
    let on_node = live["spec"]["nodeName"].as_str().is_some_and(|n| !n.is_empty());
    let over = matches!(live["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if kind.kind != "Pod" || !on_node || over {
        return 0;
    }
    let wish = live["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let wanted = how.grace_seconds.unwrap_or(wish);
    match live["metadata"]["deletionGracePeriodSeconds"].as_i64() {
        Some(already) => wanted.min(already),
        None => wanted,
    }
}

fn mark(object: &mut Value, grace: i64) {
    let metadata = &mut object["metadata"];
    let first = !metadata["deletionTimestamp"].is_string();
    if !first && metadata["deletionGracePeriodSeconds"] == grace {
        return;
    }
    if first && let Some(generation) = metadata["generation"].as_i64() {
        metadata["generation"] = (generation + 1).into();
    }
    metadata["deletionTimestamp"] = clock::after(grace).into();
    metadata["deletionGracePeriodSeconds"] = grace.into();
}

/// The answer to a deletion: kinds that real servers answer with the object itself, and a `Status` for the rest.
pub(super) fn answer(kind: &Kind, deleted: &Deleted) -> Value {
    match deleted {
        Deleted::Going(object) => Value::clone(object),
        Deleted::Gone(object) => {
            let whole =
                ["Pod", "Service", "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota"];
            if whole.contains(&kind.kind.as_str()) {
                return Value::clone(object);
            }
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            refusal::deleted(kind, &text("name"), &text("uid"))
        }
    }
}
