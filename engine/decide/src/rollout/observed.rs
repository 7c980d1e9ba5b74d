//! What a rollout's corner of the cluster looks like, read from its objects.

use super::act::Guard;
use super::application::{self, Origin};
use super::hash::HASH;
use super::metadata::SetMetadata;
use super::orphan;
use super::outcomes::Removal;
use super::pods::{self, Pod};
use super::router::alb::Ingress;
use super::router::balancer::BalancerReading;
use super::router::plugin::{RouterFailure, RouterStatus, Serves};
use super::service::Service;
use super::spec::RolloutSpec;
use super::write_key::WriteKey;
use crate::annotations::{BY_SHARE, OWNER};
use crate::epoch::Epoch;
use crate::next::Timestamp;
use crate::object::{self, annotation, conditions, images_of, number, text, time};
use crate::revert;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is observed of one Rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// There is no such Rollout.
    Absent {
        /// What the stream of the promise about git says, where one is open.
        revert: Box<revert::State>,
        /// What came of it that a router was told to take back what it has made for the one that was there.
        removal: Removal,
    },
    /// The Rollout exists, with everything around it.
    Present(Box<ObservedRollout>),
}

/// A Rollout with everything around it, from one look.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRollout {
    /// The Rollout itself, as JSON.
    pub rollout: Value,
    /// What its spec asks for.
    pub spec: RolloutSpec,
    /// Whether Bespin may act on it, or who may.
    pub owner: Owner,
    /// Who wrote its status or its sets, and when last.
    pub writers: BTreeMap<String, Timestamp>,
    /// Its ReplicaSets, oldest first.
    pub sets: Vec<Set>,
    /// The ready pods that name a version and are in none of these sets, so that nobody takes it for gone.
    pub strays: Vec<Pod>,
    /// The Services that it names, where they are there.
    pub services: BTreeMap<String, Service>,
    /// The Ingresses that it names, where they are there.
    pub ingresses: BTreeMap<String, Ingress>,
    /// The weight that the router serves to the canary, in percent, where that is known.
    pub served: Option<u32>,
    /// What the load balancer's API says.
    pub balancer: BalancerReading,
    /// What a router that is a plugin said, where it was asked.
    pub router_status: Option<RouterStatus>,
    /// What came of it that the router in use was told to take back what it has made.
    pub removal: Removal,
    /// Why the newest version's set could not be created the last time, where it was tried.
    pub refusal: Option<RouterFailure>,
    /// Why a pod could not be evicted the last time, where it was tried.
    pub eviction: Option<RouterFailure>,
    /// Why labels and annotations could not be put on a set or a pod the last time, where it was tried.
    pub unmarked: Option<RouterFailure>,
    /// Why a set that was left behind could not be taken over the last time, by its uid.
    pub unowned: BTreeMap<String, RouterFailure>,
    /// The writes to objects that were refused the last time.
    pub unwritten: Vec<(WriteKey, RouterFailure)>,
    /// The Events that were posted, by their names, and why one was not.
    pub posted: BTreeMap<String, Option<RouterFailure>>,
    /// The routers that this server has plugins for, and whether they serve this Rollout.
    pub routers: BTreeMap<String, Serves>,
    /// The autoscalers that own its replicas, such as `was-hpa, 2 to 10`.
    pub autoscalers: Vec<String>,
    /// The Application that brought it, if any did.
    pub origin: Origin,
    /// Where it is, as `cluster/namespace/name`.
    pub place: String,
    /// What the stream of the promise about git says, where one is open.
    pub revert: revert::State,
    /// Whether its stream has decisions of the server since the journal was begun or restored.
    pub epoch: Epoch,
}

/// Whose a Rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Bespin's: it carries the annotation `bespin.dev/owner`.
    Ours,
    /// Somebody else's, or nobody's: it is only observed.
    Observed,
}

/// The annotation of a set that says when it loses its pods.
pub const DEADLINE: &str = "scale-down-deadline";
/// The annotation that numbers the sets.
pub const REVISION: &str = "rollout.argoproj.io/revision";
/// The annotation of a set that says how many pods the Rollout wanted in all.
pub(super) const DESIRED: &str = "rollout.argoproj.io/desired-replicas";

/// A ReplicaSet of the Rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Name, uid and version.
    pub guard: Guard,
    /// The hash of its template.
    pub hash: String,
    /// Its revision, from 1; 0 where it has none.
    pub revision: u64,
    /// The images of its template's containers.
    pub images: Vec<String>,
    /// Its template, as the API server stores it, without what was put on it for the part of its version.
    pub template: Value,
    /// What its template says of its pods' metadata.
    pub metadata: SetMetadata,
    /// When it was created, in ms since the epoch.
    pub created: Timestamp,
    /// Whether its controller has seen its newest spec.
    pub caught_up: CaughtUp,
    /// The number of pods that its spec asks for.
    pub spec: u32,
    /// How long its pods must be ready to count as available, in seconds.
    pub min_ready_seconds: u32,
    /// Pods that there are.
    pub pods: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods that are ready for long enough.
    pub available: u32,
    /// Whether it has only the pods for a share of the traffic.
    pub is_by_share: bool,
    /// When it loses its pods.
    pub deadline: Option<Timestamp>,
    /// Why its controller cannot create pods.
    pub failure: Option<String>,
    /// Its pods, by name.
    pub members: Vec<Pod>,
    /// The owners that it has, where no controller is among them: the Rollout that had it was deleted without it.
    pub orphan: Option<Vec<Value>>,
}

/// Whether a controller has seen an object's newest spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaughtUp {
    /// Its status is about the spec that we saw.
    Yes,
    /// Its status is about an older spec.
    NotYet,
}

/// The objects of one look, as the API server answered them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// The Rollout, if there is one.
    pub rollout: Option<Value>,
    /// The ReplicaSets of its namespace that name a version, whatever its selector says.
    pub sets: Vec<Value>,
    /// The pods of its namespace that name a version.
    pub pods: Vec<Value>,
    /// The Services that it names.
    pub services: Vec<Value>,
    /// The Ingresses that it names.
    pub ingresses: Vec<Value>,
    /// The HorizontalPodAutoscalers of its namespace.
    pub autoscalers: Vec<Value>,
    /// The canary's weight as it is served, in percent, as far as that is known without a plugin.
    pub served: Option<u32>,
    /// What the load balancer's API says.
    pub balancer: BalancerReading,
    /// The routers that this server has plugins for, and whether they serve this Rollout.
    pub routers: BTreeMap<String, Serves>,
    /// The Applications, or why they cannot be read; `None` where nothing depends on them.
    pub applications: Option<Result<Vec<Value>, String>>,
    /// The cluster's name in the configuration.
    pub cluster: String,
    /// What the stream of the promise about git says, where one is open. A fact of the journal.
    pub revert: revert::State,
    /// Whether its stream has decisions of the server since the journal was begun or restored. A fact of the journal.
    pub epoch: Epoch,
}

impl Observed {
    /// Reads a look's objects.
    pub fn read(objects: Objects) -> Observed {
        let Some(rollout) = objects.rollout else {
            return Observed::Absent { revert: Box::new(objects.revert), removal: Removal::NotYet };
        };
        let uid = text(&rollout, "/metadata/uid");
        let is_its = |set: &&Value| owned_by(set, &uid) || orphan::is_left_to(set, &rollout);
        let mut sets: Vec<Set> = objects.sets.iter().filter(is_its).map(|set| read_set(set, &objects.pods)).collect();
        sets.sort_by(|a, b| (a.created, a.revision, &a.guard.name).cmp(&(b.created, b.revision, &b.guard.name)));
        let named = |value: &Value| text(value, "/metadata/name");
        let owner = match annotation(&rollout, OWNER) {
            Some(_) => Owner::Ours,
            None => Owner::Observed,
        };
        let targets = objects.autoscalers.iter().filter(|hpa| {
            hpa.pointer("/spec/scaleTargetRef/kind").and_then(Value::as_str) == Some("Rollout")
                && text(hpa, "/spec/scaleTargetRef/name") == named(&rollout)
        });
        let bounds = |hpa: &Value| {
            let min = number(hpa, "/spec/minReplicas").unwrap_or(1);
            format!("{}, {min} to {}", named(hpa), number(hpa, "/spec/maxReplicas").unwrap_or(min))
        };
        let autoscalers = targets.map(bounds).collect();
        let strays = strays(&sets, &objects.pods);
        let services = objects.services.iter();
        let pods = || sets.iter().flat_map(|set| &set.members).chain(&strays);
        let services = services.map(|service| (named(service), Service::read(service, pods()))).collect();
        Observed::Present(Box::new(ObservedRollout {
            owner,
            writers: writers(&rollout, objects.sets.iter().filter(|set| owned_by(set, &uid))),
            strays,
            sets,
            services,
            ingresses: objects.ingresses.iter().map(|ingress| (named(ingress), Ingress::read(ingress))).collect(),
            served: objects.served,
            balancer: objects.balancer,
            router_status: None,
            removal: Removal::NotYet,
            refusal: None,
            eviction: None,
            unmarked: None,
            unwritten: Vec::new(),
            posted: BTreeMap::new(),
            unowned: BTreeMap::new(),
            routers: objects.routers,
            autoscalers,
            origin: application::read(&rollout, objects.applications),
            place: format!("{}/{}/{}", objects.cluster, text(&rollout, "/metadata/namespace"), named(&rollout)),
            revert: objects.revert,
            epoch: objects.epoch,
            spec: RolloutSpec::read(&rollout),
            rollout,
        }))
    }

    /// What the stream of the promise about git says, where one is open.
    pub(super) fn revert(&self) -> &revert::State {
        match self {
            Observed::Absent { revert, .. } => revert,
            Observed::Present(live) => &live.revert,
        }
    }

    pub(super) fn removal(&self) -> &Removal {
        match self {
            Observed::Absent { removal, .. } => removal,
            Observed::Present(observed) => &observed.removal,
        }
    }
}

impl ObservedRollout {
    /// The Rollout, to be written to.
    pub fn guard(&self) -> Guard {
        Guard::of(&self.rollout)
    }

    /// The Rollout's uid.
    pub(super) fn uid(&self) -> &str {
        object::uid(&self.rollout)
    }

    /// The Rollout's generation, which each change of its spec raises.
    pub fn generation(&self) -> Option<u64> {
        self.rollout["metadata"]["generation"].as_u64()
    }

    /// The Rollout's name, within its namespace.
    pub fn name(&self) -> &str {
        object::name(&self.rollout)
    }

    /// A field of the Rollout's status.
    pub fn status(&self, field: &str) -> &Value {
        &self.rollout["status"][field]
    }

    /// The set of a version.
    pub fn set(&self, hash: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.hash == hash)
    }

    /// How many pods of a version are ready, in its set or outside of it.
    pub fn ready(&self, hash: &str) -> u32 {
        self.set(hash).map_or(0, |set| set.ready).max(count(self.strays.iter().filter(|pod| pod.is_of(hash))))
    }

    /// How many ready pods of a version a Service selects by its whole selector, once that names the version.
    pub(super) fn reached(&self, service: &Service, hash: &str) -> u32 {
        if service.hash.as_deref() == Some(hash) {
            return service.ready;
        }
        let pods = self.sets.iter().flat_map(|set| &set.members).chain(&self.strays);
        count(pods.filter(|pod| pod.is_ready() && pod.is_of(hash) && pod.has(&service.selector)))
    }
}

fn count<'a>(pods: impl Iterator<Item = &'a Pod>) -> u32 {
    u32::try_from(pods.count()).unwrap_or(u32::MAX)
}

/// The ready pods that name a version and are in none of these sets.
fn strays(sets: &[Set], all: &[Value]) -> Vec<Pod> {
    let stray = all.iter().filter(|pod| !sets.iter().any(|set| owned_by(pod, &set.guard.uid)));
    stray.map(pods::read).filter(Pod::is_ready).collect()
}

fn read_set(set: &Value, pods: &[Value]) -> Set {
    let uid = text(set, "/metadata/uid");
    let generation = set.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or(0);
    let observed = set.pointer("/status/observedGeneration").and_then(Value::as_u64).unwrap_or(0);
    let failure =
        conditions(set).find(|condition| condition["type"] == "ReplicaFailure" && condition["status"] == "True");
    let mut members: Vec<Pod> = pods.iter().filter(|pod| owned_by(pod, &uid)).map(pods::read).collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let (metadata, template) = SetMetadata::read(set);
    Set {
        guard: Guard::of(set),
        hash: text(set, &format!("/metadata/labels/{HASH}")),
        revision: annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0),
        images: images_of(&set["spec"]["template"]),
        template,
        metadata,
        created: set.pointer("/metadata/creationTimestamp").and_then(time).unwrap_or(0),
        caught_up: if observed >= generation { CaughtUp::Yes } else { CaughtUp::NotYet },
        spec: number(set, "/spec/replicas").unwrap_or(1),
        min_ready_seconds: number(set, "/spec/minReadySeconds").unwrap_or(0),
        pods: number(set, "/status/replicas").unwrap_or(0),
        ready: number(set, "/status/readyReplicas").unwrap_or(0),
        available: number(set, "/status/availableReplicas").unwrap_or(0),
        is_by_share: annotation(set, BY_SHARE).is_some(),
        deadline: annotation(set, DEADLINE).and_then(|text| time(&Value::from(text))),
        failure: failure.map(|condition| text(condition, "/message")),
        members,
        orphan: orphan::is_one(set).then(|| orphan::owners(set).cloned().collect()),
    }
}

/// Who wrote the status, or a set, and when last; by `metadata.managedFields`.
fn writers<'a>(rollout: &Value, sets: impl Iterator<Item = &'a Value>) -> BTreeMap<String, Timestamp> {
    let fields = |object: &Value| {
        object.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let of_status = fields(rollout).into_iter().filter(|field| field["subresource"] == "status");
    // A set's own controller writes its status: only its spec tells who commands it.
    let of_sets = sets.flat_map(fields).filter(|field| field.get("subresource").is_none());
    let mut writers = BTreeMap::new();
    for field in of_status.chain(of_sets) {
        let (Some(manager), Some(at)) = (field["manager"].as_str(), field.get("time").and_then(time)) else { continue };
        let newest = writers.entry(manager.to_owned()).or_insert(at);
        *newest = at.max(*newest);
    }
    writers
}

fn owned_by(object: &Value, uid: &str) -> bool {
    orphan::owners(object).any(|owner| owner["controller"] == true && owner["uid"] == *uid)
}
