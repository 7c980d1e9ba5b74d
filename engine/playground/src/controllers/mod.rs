//! The controllers: what the control plane does by itself when objects change.
//!
//! One task follows the changes, notes whom each of them concerns, and lets those look again. Nothing is polled: a
//! controller that must look again later says when.

mod autoscaler;
mod balancer;
mod claim;
mod collector;
mod cronjob;
mod daemonset;
mod deployment;
mod endpoints;
mod job;
mod namespace;
mod pods;
mod replicaset;
mod revision;
mod rollout_math;
mod schedule;
mod statefulset;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use autoscaler::Loads;

use crate::api::Api;
use crate::api::refusal::Refusal;
use crate::api::store::{Event, Happened, Key};

#[cfg(test)]
mod tests;

/// The field manager of the control plane's controllers.
pub const MANAGER: &str = "kube-controller-manager";

/// Something that a controller should look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Namespace(String),
    Collect(Key),
    Deployment(Key),
    ReplicaSet(Key),
    StatefulSet(Key),
    DaemonSet(Key),
    Job(Key),
    CronJob(Key),
    Claim(Key),
    Volume(Key),
    Endpoints(Key),
    Balancer(Key),
    Autoscaler(Key),
}

/// When a controller must look again although nothing changes.
type Again = Option<Duration>;

/// What every controller works with.
struct Control {
    api: Api,
    loads: Loads,
}

/// Runs every controller until stopped.
pub async fn run(api: Api, loads: Loads, stop: CancellationToken) {
    let mut changes = api.changes();
    let mut load_changes = loads.changes();
    let control = Control { api: api.clone(), loads };
    let mut seen = api.version();
    let mut queue = control.everything();
    let mut later: BTreeMap<Task, Instant> = BTreeMap::new();
    loop {
        while let Some(task) = queue.pop_first() {
            later.remove(&task);
            if let Some(again) = control.look(&task) {
                later.insert(task, Instant::now() + again);
            }
        }
        changes.borrow_and_update();
        match api.since(seen) {
            Ok(events) => {
                for event in &events {
                    seen = event.version;
                    control.concerns(event, &mut queue);
                }
            }
            Err(_) => {
                seen = api.version();
                queue = control.everything();
            }
        }
        if !queue.is_empty() {
            // Others want the thread as well.
            tokio::task::yield_now().await;
            continue;
        }
        let next = later.values().min().copied();
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            _ = load_changes.changed() => queue.extend(control.all("HorizontalPodAutoscaler", Task::Autoscaler)),
            () = tokio::time::sleep_until(next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))) => {
                let now = Instant::now();
                queue.extend(later.iter().filter(|(_, at)| **at <= now).map(|(task, _)| task.clone()));
            }
        }
    }
}

impl Control {
    fn all(&self, kind: &str, task: fn(Key) -> Task) -> Vec<Task> {
        let kind = self.api.built_in(kind);
        let (objects, _) = self.api.list(&kind, "", &Default::default());
        objects
            .iter()
            .map(|o| task(Key::new(&kind, text(o, "/metadata/namespace"), text(o, "/metadata/name"))))
            .collect()
    }

    /// What a controller that has seen nothing yet must look at.
    fn everything(&self) -> BTreeSet<Task> {
        let mut queue = BTreeSet::new();
        queue.extend(self.all("Namespace", |key| Task::Namespace(key.name)));
        queue.extend(self.all("Deployment", Task::Deployment));
        queue.extend(self.all("ReplicaSet", Task::ReplicaSet));
        queue.extend(self.all("StatefulSet", Task::StatefulSet));
        queue.extend(self.all("DaemonSet", Task::DaemonSet));
        queue.extend(self.all("Job", Task::Job));
        queue.extend(self.all("CronJob", Task::CronJob));
        queue.extend(self.all("PersistentVolumeClaim", Task::Claim));
        queue.extend(self.all("PersistentVolume", Task::Volume));
        queue.extend(self.all("Service", Task::Endpoints));
        queue.extend(self.all("Service", Task::Balancer));
        queue.extend(self.all("Ingress", Task::Balancer));
        queue.extend(self.all("HorizontalPodAutoscaler", Task::Autoscaler));
        queue.extend(self.api.keys().into_iter().map(Task::Collect));
        queue
    }

    fn look(&self, task: &Task) -> Again {
        let looked = match task {
            Task::Namespace(name) => namespace::look(self, name),
            Task::Collect(key) => collector::look(self, key),
            Task::Deployment(key) => deployment::look(self, key),
            Task::ReplicaSet(key) => replicaset::look(self, key),
            Task::StatefulSet(key) => statefulset::look(self, key),
            Task::DaemonSet(key) => daemonset::look(self, key),
            Task::Job(key) => job::look(self, key),
            Task::CronJob(key) => cronjob::look(self, key),
            Task::Claim(key) => claim::look(self, key),
            Task::Volume(key) => volume::look(self, key),
            Task::Endpoints(key) => endpoints::look(self, key),
            Task::Balancer(key) => balancer::look(self, key),
            Task::Autoscaler(key) => autoscaler::look(self, key),
        };
        match looked {
            Ok(again) => again,
            // Somebody else wrote in between, or the object went: the change itself brings the next look.
            Err(Refusal { code: 404 | 409, .. }) => Some(Duration::from_millis(10)),
            Err(refusal) => {
                tracing::warn!(?task, %refusal, "a controller was refused");
                Some(Duration::from_secs(1))
            }
        }
    }

    /// Notes whom a change concerns.
    fn concerns(&self, event: &Event, queue: &mut BTreeSet<Task>) {
        let key = &event.key;
        let kind = match key.group.as_str() {
            "" | "apps" | "batch" | "autoscaling" | "networking.k8s.io" => key.plural.as_str(),
            _ => "",
        };
        let gone = event.happened == Happened::Deleted;
        queue.extend(looks_at(kind).iter().map(|task| task(key.clone())));
        queue.extend(maker(event).filter(|_| !kind.is_empty()));
        match kind {
            "pods" => {
                for state in event.before.iter().chain([&event.object]) {
                    queue.extend(endpoints::selecting(self, &key.namespace, state).into_iter().map(Task::Endpoints));
                }
                if gone {
                    queue.extend(self.all("PersistentVolumeClaim", Task::Claim));
                }
            }
            "nodes" => {
                queue.extend(self.all("DaemonSet", Task::DaemonSet));
                queue.extend(self.all("PersistentVolumeClaim", Task::Claim));
            }
            "persistentvolumeclaims" => queue.extend(self.all("PersistentVolume", Task::Volume)),
            "persistentvolumes" => queue.extend(self.all("PersistentVolumeClaim", Task::Claim)),
            "namespaces" if !gone => {
                queue.insert(Task::Namespace(key.name.clone()));
            }
            _ => {}
        }
        queue.extend(autoscaler::targeting(self, event).into_iter().map(Task::Autoscaler));
        if gone && !key.namespace.is_empty() {
            queue.insert(Task::Namespace(key.namespace.clone()));
        }
        queue.extend(collector::concerned(self, event).into_iter().map(Task::Collect));
    }
}

/// The looks that an object of its own kind gets when it changes.
fn looks_at(plural: &str) -> &'static [fn(Key) -> Task] {
    match plural {
        "deployments" => &[Task::Deployment],
        "replicasets" => &[Task::ReplicaSet],
        "statefulsets" => &[Task::StatefulSet],
        "daemonsets" => &[Task::DaemonSet],
        "jobs" => &[Task::Job],
        "cronjobs" => &[Task::CronJob],
        "persistentvolumeclaims" => &[Task::Claim],
        "persistentvolumes" => &[Task::Volume],
        "services" => &[Task::Endpoints, Task::Balancer],
        "ingresses" => &[Task::Balancer],
        "horizontalpodautoscalers" => &[Task::Autoscaler],
        _ => &[],
    }
}

/// The look at the controller that made an object.
fn maker(event: &Event) -> Option<Task> {
    let owners = event.object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let (group, plural) = match owner["kind"].as_str()? {
        "Deployment" => ("apps", "deployments"),
        "ReplicaSet" => ("apps", "replicasets"),
        "StatefulSet" => ("apps", "statefulsets"),
        "DaemonSet" => ("apps", "daemonsets"),
        "Job" => ("batch", "jobs"),
        "CronJob" => ("batch", "cronjobs"),
        _ => return None,
    };
    let key = sibling(&event.key, group, plural, owner["name"].as_str()?);
    looks_at(plural).first().map(|task| task(key))
}

/// The text at a pointer; empty without one.
fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a pointer; 0 without one.
fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn sibling(key: &Key, group: &str, plural: &str, name: &str) -> Key {
    Key { group: group.into(), plural: plural.into(), namespace: key.namespace.clone(), name: name.into() }
}

/// Whether the controlling owner has this uid.
fn controlled_by(object: &Value, uid: &str) -> bool {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.any(|o| o["controller"] == true && o["uid"] == uid)
}

/// Whether an object has no controlling owner.
fn is_orphan(object: &Value) -> bool {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    !owners.any(|o| o["controller"] == true)
}

/// An owner reference to a controller.
fn owner(object: &Value) -> Value {
    serde_json::json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "name": object["metadata"]["name"],
        "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    })
}

/// Sets a condition; its transition time changes only with its status.
fn set_condition(conditions: &mut Vec<Value>, kind: &str, status: bool, reason: &str, message: &str, stamp: Stamp) {
    let status = if status { "True" } else { "False" };
    let old = conditions.iter().find(|c| c["type"] == kind);
    if let Some(old) = old
        && old["status"] == status
        && old["reason"] == reason
        && old["message"] == message
    {
        return;
    }
    let now = crate::api::clock::now();
    let transition =
        old.filter(|o| o["status"] == status).map_or(Value::from(now.as_str()), |o| o["lastTransitionTime"].clone());
    let mut condition = serde_json::json!({"type": kind, "status": status, "lastTransitionTime": transition,
        "reason": reason, "message": message});
    if stamp == Stamp::Updates {
        condition["lastUpdateTime"] = now.into();
    }
    match conditions.iter().position(|c| c["type"] == kind) {
        // Those with an update time are written by controllers that put what changed last.
        Some(at) if stamp == Stamp::Updates => {
            conditions.remove(at);
            conditions.push(condition);
        }
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
}

/// Whether a kind's conditions also carry the time of their last update.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Updates,
    Transitions,
}

/// A shared object as one's own.
fn own(object: &Arc<Value>) -> Value {
    Value::clone(object)
}
