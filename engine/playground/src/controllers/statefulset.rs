//! StatefulSets: numbered pods, one after the other, each with claims of its own.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, number, own, pods, revision, text};
use crate::api::refusal::Refusal;
use crate::api::store::Key;
use crate::api::{Part, Write};

/// The label that names the revision that a pod is of.
const REVISION: &str = "controller-revision-hash";

/// A look at one StatefulSet.
struct Look<'c> {
    control: &'c Control,
    set: Arc<Value>,
    key: &'c Key,
    /// The pods by their numbers.
    pods: Vec<(i64, Arc<Value>)>,
    revisions: Vec<Arc<Value>>,
    /// The names of the revision that was complete last, and of the newest.
    current: String,
    newest: String,
    again: Again,
}

/// Makes or takes away one pod at a time, and writes the status.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let Ok(set) = api.get(&api.built_in("StatefulSet"), &key.namespace, &key.name) else {
        return Ok(None);
    };
    if pods::is_going(&set) {
        return Ok(None);
    }
    let (newest, revisions) = revision::keep(control, &set, key)?;
    let current = match text(&set, "/status/currentRevision") {
        "" => newest.clone(),
        name => name.to_owned(),
    };
    let mut pods: Vec<(i64, Arc<Value>)> = pods::of(control, &set, &key.namespace)?
        .into_iter()
        .filter_map(|pod| Some((number_of(&key.name, &pod)?, pod)))
        .collect();
    pods.sort_by_key(|(number, _)| *number);
    let mut look = Look { control, set, key, pods, revisions, current, newest, again: None };
    look.step()?;
    look.write_status()
}

/// The number at the end of a pod's name.
fn number_of(set: &str, pod: &Value) -> Option<i64> {
    text(pod, "/metadata/name").strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

impl Look<'_> {
    fn first(&self) -> i64 {
        number(&self.set, "/spec/ordinals/start")
    }

    fn wanted(&self) -> std::ops::Range<i64> {
        self.first()..self.first() + number(&self.set, "/spec/replicas")
    }

    fn is_healthy(&mut self, pod: &Value) -> bool {
        let least = number(&self.set, "/spec/minReadySeconds") as f64;
        match pods::until_available(pod, least) {
            _ if pods::is_going(pod) => false,
            None => false,
            Some(Duration::ZERO) => true,
            Some(wait) => {
                self.again = Some(self.again.map_or(wait, |before| before.min(wait)));
                false
            }
        }
    }

    /// What comes next: a missing pod, a pod too many, or a pod of an older revision.
    fn step(&mut self) -> Result<(), Refusal> {
        let one_by_one = self.set["spec"]["podManagementPolicy"] != "Parallel";
        for number in self.wanted() {
            let there = self.pods.iter().find(|(n, _)| *n == number).map(|(_, pod)| pod.clone());
            match there {
                None => {
                    let pod = self.make(number)?;
                    self.pods.push((number, pod));
                    self.pods.sort_by_key(|(number, _)| *number);
                    if one_by_one {
                        return Ok(());
                    }
                }
                Some(pod) if pods::is_over(&pod) && !pods::is_going(&pod) => {
                    pods::delete(self.control, &pod)?;
                    return Ok(());
                }
                Some(pod) => {
                    if !self.is_healthy(&pod) && one_by_one {
                        return Ok(());
                    }
                }
            }
        }
        let wanted = self.wanted();
        let surplus = self.pods.iter().rev().filter(|(number, _)| !wanted.contains(number)).cloned();
        for (_, pod) in surplus.collect::<Vec<_>>() {
            if !pods::is_going(&pod) {
                pods::delete(self.control, &pod)?;
            }
            if one_by_one {
                return Ok(());
            }
        }
        self.renew()
    }

    /// Takes away the last pod of an older revision, once every later one is healthy.
    fn renew(&mut self) -> Result<(), Refusal> {
        if self.set["spec"]["updateStrategy"]["type"] == "OnDelete" {
            return Ok(());
        }
        let partition = self.first() + number(&self.set, "/spec/updateStrategy/rollingUpdate/partition");
        for (number, pod) in self.pods.clone().into_iter().rev() {
            if number < partition {
                break;
            }
            let old = text(&pod["metadata"]["labels"], &format!("/{REVISION}")) != self.newest;
            if old && !pods::is_going(&pod) {
                return pods::delete(self.control, &pod);
            }
            if !self.is_healthy(&pod) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Pods below the partition are made of the revision that was complete last.
    fn make(&self, number: i64) -> Result<Arc<Value>, Refusal> {
        let partition = self.first() + self::number(&self.set, "/spec/updateStrategy/rollingUpdate/partition");
        let name = if number < partition { &self.current } else { &self.newest };
        let revision = self.revisions.iter().find(|revision| text(revision, "/metadata/name") == name);
        let template = revision.map_or_else(
            || self.set["spec"]["template"].clone(),
            |revision| {
                let mut template = revision["data"]["spec"]["template"].clone();
                if let Some(map) = template.as_object_mut() {
                    map.shift_remove("$patch");
                }
                template
            },
        );
        let mut pod = pods::made_by(&self.set, &template);
        let pod_name = format!("{}-{number}", self.key.name);
        pod["metadata"]["name"] = pod_name.as_str().into();
        let labels = &mut pod["metadata"]["labels"];
        labels[REVISION] = name.as_str().into();
        labels["apps.kubernetes.io/pod-index"] = number.to_string().into();
        labels["statefulset.kubernetes.io/pod-name"] = pod_name.as_str().into();
        pod["spec"]["hostname"] = pod_name.as_str().into();
        if let Some(service) = self.set["spec"].get("serviceName") {
            pod["spec"]["subdomain"] = service.clone();
        }
        self.claim(&mut pod, &pod_name)?;
        let api = &self.control.api;
        api.create(&api.built_in("Pod"), &self.key.namespace, pod, &Write::by(MANAGER))
    }

    /// Makes the pod's claims, where they are not there from before, and puts them in as volumes.
    fn claim(&self, pod: &mut Value, pod_name: &str) -> Result<(), Refusal> {
        let api = &self.control.api;
        let kind = api.built_in("PersistentVolumeClaim");
        let templates = self.set["spec"]["volumeClaimTemplates"].as_array().cloned().unwrap_or_default();
        let mut volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        for template in &templates {
            let volume = text(template, "/metadata/name");
            let name = format!("{volume}-{pod_name}");
            let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": template["metadata"],
                "spec": template["spec"]});
            claim["metadata"]["name"] = name.as_str().into();
            for (label, value) in self.set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
                claim["metadata"]["labels"][label] = value.clone();
            }
            if !api.exists(&kind, &self.key.namespace, &name) {
                api.create(&kind, &self.key.namespace, claim, &Write::by(MANAGER))?;
            }
            volumes.retain(|v| v["name"] != volume);
            volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": name}}));
        }
        if !volumes.is_empty() {
            pod["spec"]["volumes"] = volumes.into();
        }
        Ok(())
    }

    fn write_status(mut self) -> Result<Again, Refusal> {
        let staying: Vec<Arc<Value>> =
            self.pods.iter().map(|(_, pod)| pod.clone()).filter(|pod| !pods::is_going(pod)).collect();
        let of_revision = |name: &str| {
            staying.iter().filter(|pod| text(&pod["metadata"]["labels"], &format!("/{REVISION}")) == name).count()
        };
        let ready = staying.iter().filter(|pod| pods::ready(pod).is_some()).count();
        let (mut current, updated) = (of_revision(&self.current), of_revision(&self.newest));
        let available = staying.iter().filter(|pod| self.is_healthy(pod)).count();
        let all = self.pods.len();
        if updated == all && ready == all && self.set["spec"]["updateStrategy"]["type"] == "RollingUpdate" {
            self.current = self.newest.clone();
            current = updated;
        }
        let mut status = json!({"observedGeneration": self.set["metadata"]["generation"], "replicas": all});
        let counts = [("readyReplicas", ready), ("currentReplicas", current), ("updatedReplicas", updated)];
        for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            status[field] = count.into();
        }
        status["currentRevision"] = self.current.as_str().into();
        status["updateRevision"] = self.newest.as_str().into();
        status["collisionCount"] = number(&self.set, "/status/collisionCount").into();
        status["availableReplicas"] = available.into();
        let in_use: Vec<&str> = self
            .pods
            .iter()
            .map(|(_, pod)| text(&pod["metadata"]["labels"], &format!("/{REVISION}")))
            .chain([self.current.as_str(), self.newest.as_str()])
            .collect();
        revision::forget(self.control, &self.set, &self.revisions, &in_use)?;
        if self.set["status"] != status {
            let mut new = own(&self.set);
            new["status"] = status;
            let api = &self.control.api;
            let kind = api.built_in("StatefulSet");
            api.update(&kind, &self.key.namespace, &self.key.name, Part::Status, new, &Write::by(MANAGER))?;
        }
        Ok(self.again)
    }
}
