//! The pods of a Rollout's sets, and how often their containers have failed.

use super::act::Guard;
use super::hash::HASH;
use super::metadata::PodMetadata;
use crate::next::Timestamp;
use crate::object::{self, annotation, conditions, number, text, time};
use serde_json::Value;
use std::collections::BTreeMap;

/// A pod of one of its ReplicaSets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// The pod's name, within the Rollout's namespace.
    pub name: String,
    /// Name, uid and version.
    pub(super) guard: Guard,
    /// When it was created, in ms since the epoch.
    pub(super) created: Timestamp,
    /// Its phase, with the container's reason where it has one.
    pub phase: String,
    /// Since when it is ready, in ms since the epoch.
    pub ready_since: Option<Timestamp>,
    /// Why it will not become ready by itself.
    pub trouble: Option<String>,
    /// How often its main container has failed.
    pub failing: Failing,
    /// Its address within the cluster, by which a load balancer knows it.
    pub(super) ip: Option<String>,
    /// Its labels, by which Services select it, and its annotations.
    pub(super) carried: PodMetadata,
}

/// How often the main container of a pod has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failing {
    /// It runs, waits for its image, or has not begun.
    No,
    /// It has ended, and is ready again.
    Before,
    /// It has ended once, and is not ready again.
    Once,
    /// It has ended twice or more and is not ready, or its image cannot be had.
    Again,
}

impl Pod {
    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.ready_since.is_some()
    }

    /// Whether it names this version.
    pub(super) fn is_of(&self, hash: &str) -> bool {
        self.carried.labels.get(HASH).is_some_and(|named| named == hash)
    }

    /// Whether it has all of these labels.
    pub(super) fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(key, value)| self.carried.labels.get(key) == Some(value))
    }

    /// Whether it runs no more: its address may be another's by now.
    pub(super) fn has_ended(&self) -> bool {
        ["Failed", "Succeeded"].contains(&self.phase.as_str())
    }

    /// Whether it is one of those that its set counts: not one that has ended or is about to.
    pub(super) fn counts(&self) -> bool {
        self.phase != "Terminating" && !self.has_ended()
    }
}

/// Reasons of a waiting container that no time mends: the kubelet has tried
/// before it says so. A first failed pull or crash is not among them.
const HOPELESS: &[&str] = &["CrashLoopBackOff", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];

/// Reads a pod as the API server answered it.
pub(super) fn read(pod: &Value) -> Pod {
    let statuses = |kind: &str| pod.pointer(&format!("/status/{kind}")).and_then(Value::as_array).into_iter().flatten();
    let all = || statuses("initContainerStatuses").chain(statuses("containerStatuses"));
    let waiting = all().find_map(|container| {
        let reason = container.pointer("/state/waiting/reason").and_then(Value::as_str)?;
        Some((text(container, "/name"), reason.to_owned(), text(container, "/state/waiting/message")))
    });
    let deleting = pod.pointer("/metadata/deletionTimestamp").is_some();
    let phase = match (deleting, &waiting) {
        (true, _) => "Terminating".to_owned(),
        (false, Some((_, reason, _))) => format!("{} ({reason})", text(pod, "/status/phase")),
        (false, None) => text(pod, "/status/phase"),
    };
    let trouble = waiting.filter(|(_, reason, _)| !deleting && HOPELESS.contains(&reason.as_str()));
    let trouble = trouble.map(|(container, reason, message)| match message.is_empty() {
        true => format!("container {container}: {reason}"),
        false => format!("container {container}: {reason}: {message}"),
    });
    let ready = conditions(pod).find(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let ready_since =
        ready.filter(|_| !deleting).map(|ready| ready.get("lastTransitionTime").and_then(time).unwrap_or(0));
    let failing = if deleting { Failing::No } else { failing(pod) };
    let created = pod.pointer("/metadata/creationTimestamp").and_then(time).unwrap_or(Timestamp::MAX);
    let carried = PodMetadata::of(&pod["metadata"]);
    Pod {
        name: text(pod, "/metadata/name"),
        guard: Guard::of(pod),
        created,
        phase,
        ready_since,
        trouble,
        failing,
        ip: pod.pointer("/status/podIP").and_then(Value::as_str).map(str::to_owned),
        carried,
    }
}

/// The annotation by which `kubectl` knows the main container of several.
const MAIN: &str = "kubectl.kubernetes.io/default-container";

/// How often the main container, which is the first unless an annotation names another, has failed; or a container that
/// ends before it begins. What runs beside it is a sidecar, wherever it stands.
fn failing(pod: &Value) -> Failing {
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let containers = list("/status/containerStatuses");
    let first = list("/spec/containers").first().or(containers.first()).map(object::name_of);
    let main = annotation(pod, MAIN).or(first);
    let is_sidecar = |status: &&Value| {
        let mut named = list("/spec/initContainers").iter().filter(|init| init["name"] == status["name"]);
        named.any(|init| init["restartPolicy"] == "Always")
    };
    let before = list("/status/initContainerStatuses").iter().filter(|status| !is_sidecar(status));
    let all = before.chain(containers.iter().filter(|container| Some(object::name_of(container)) == main));
    all.map(failures).max().unwrap_or(Failing::No)
}

/// How often one container has failed. The kubelet begins a container anew at once when it has ended for the first time,
/// and says `CrashLoopBackOff` from the second time on.
fn failures(container: &Value) -> Failing {
    let reason = container.pointer("/state/waiting/reason").and_then(Value::as_str).unwrap_or_default();
    let exit = container.pointer("/state/terminated/exitCode").and_then(Value::as_i64);
    let ended = number(container, "/restartCount").unwrap_or(0) + u32::from(exit.is_some_and(|code| code != 0));
    match ended {
        _ if exit == Some(0) => Failing::No,
        1.. if container["ready"] == true => Failing::Before,
        _ if HOPELESS.contains(&reason) => Failing::Again,
        0 => Failing::No,
        1 => Failing::Once,
        _ => Failing::Again,
    }
}
