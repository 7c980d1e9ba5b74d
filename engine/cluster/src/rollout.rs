//! A Rollout's corner of the cluster: looked at whole, and acted upon piece by
//! piece. Every write names the uid that was seen; what rests on one read names
//! its resourceVersion as well, so that a stale decision changes nothing.

#[cfg(test)]
mod tests;
mod watch;

pub use watch::Noticed;

use crate::error::trying;
use crate::traffic::Balancer;
use crate::{Cluster, Error, Result, to_json};
use decide::annotations::OVERWRITTEN;
use decide::rollout::{self, Act, BalancerReading, Guard, Marked, Objects, RolloutEvent, RolloutEventType};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

/// The field manager of everything that a canary's walk writes: replicas of
/// its ReplicaSets, one selector key, weights, and the Rollout's status. Apart
/// from [`crate::MANAGER`], which is the sync's, so that neither drops the
/// other's fields.
pub const CANARY_MANAGER: &str = "bespin-canary";

/// What an act came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    /// The API server took the write, or there was nothing to write.
    Done,
    /// The object has changed since it was looked at: look again.
    Stale,
}

impl Cluster {
    /// Looks at a Rollout and everything around it, by fresh reads.
    ///
    /// # Errors
    /// Any read that fails, but for objects that are not there.
    pub async fn look_at_rollout(&self, namespace: &str, name: &str, balancer: &dyn Balancer) -> Result<Objects> {
        let Some(rollout) = self.one("argoproj.io/v1alpha1", "Rollout", namespace, name).await? else {
            return Ok(Objects::default());
        };
        let (services, ingresses) = rollout::spec::named(&rollout);
        let (sets, pods, services, ingresses, autoscalers) = futures::try_join!(
            self.versioned("apps/v1", "ReplicaSet", namespace),
            self.versioned("v1", "Pod", namespace),
            self.each("v1", "Service", namespace, services),
            self.ingresses(namespace, name, &ingresses),
            self.autoscalers(namespace),
        )?;
        let balancer = match rollout::spec::balancer_query(&rollout) {
            Some(query) => balancer.read(&query, &ingresses).await,
            None => BalancerReading::NotAsked,
        };
        let served = rollout::spec::served(&rollout, &ingresses, &balancer);
        let cluster = self.name().to_owned();
        let applications = None;
        let rollout = Some(rollout);
        let seen = Objects {
            rollout,
            sets,
            pods,
            services,
            ingresses,
            autoscalers,
            served,
            balancer,
            applications,
            cluster,
            ..Objects::default()
        };
        Ok(seen)
    }

    /// Carries out one act.
    ///
    /// # Errors
    /// What the API server refuses, but for an object that has changed.
    pub async fn act_on_rollout(&self, namespace: &str, act: &Act) -> Result<Acted> {
        // The collector deletes at once what is given to an owner that is gone.
        if let Act::Own { rollout, .. } = act
            && !self.stays(namespace, rollout).await?
        {
            return Ok(Acted::Stale);
        }
        match self.carry_out(namespace, act).await {
            Ok(()) => Ok(Acted::Done),
            // A name that is taken and a status that is not served do not go away by looking again.
            Err(error) if matches!(act, Act::Create { .. } | Act::Stamp { .. } | Act::Status { .. }) => Err(error),
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(Acted::Stale),
            Err(error) => Err(error),
        }
    }

    async fn carry_out(&self, namespace: &str, act: &Act) -> Result<()> {
        match act {
            Act::Create { manifest } => self.create_set(namespace, manifest).await,
            Act::Own { set, owners, .. } => {
                let change = json!({ "metadata": { "ownerReferences": owners } });
                self.change(("apps/v1", "ReplicaSet"), namespace, set, change).await
            }
            Act::Scale { set, pods, min_ready_seconds, annotations } => {
                let spec = json!({ "replicas": pods, "minReadySeconds": min_ready_seconds });
                let change = json!({ "metadata": { "annotations": annotations }, "spec": spec });
                self.change(("apps/v1", "ReplicaSet"), namespace, set, change).await
            }
            Act::Evict { pod } => self.evict(namespace, pod).await,
            Act::Forget { set } => self.forget_set(namespace, set).await,
            Act::Select { service, hash, rollout } => {
                let mut change = json!({ "metadata": { "annotations": {} }, "spec": { "selector": {} } });
                change["metadata"]["annotations"][rollout::MANAGED_BY] = rollout.as_str().into();
                change["spec"]["selector"][rollout::HASH] = hash.as_str().into();
                self.change(("v1", "Service"), namespace, service, change).await
            }
            Act::Route { ingress, annotations } => {
                let change = json!({ "metadata": { "annotations": annotations } });
                self.change(("networking.k8s.io/v1", "Ingress"), namespace, ingress, change).await
            }
            Act::Weigh { .. } | Act::Verify { .. } | Act::Unroute { .. } => {
                let cause = "its plugin is to be told, and not the API server".to_owned();
                Err(Error::Malformed { tried: format!("sharing the traffic of {namespace}"), cause })
            }
            Act::AskRevert { .. } | Act::WithdrawRevert { .. } => {
                let cause = "its revert is to be told, and not the API server".to_owned();
                Err(Error::Malformed { tried: format!("putting git back for {namespace}"), cause })
            }
            Act::Stamp { rollout, revision } => {
                let mut change = json!({ "metadata": { "uid": rollout.uid, "annotations": {} } });
                change["metadata"]["annotations"][rollout::REVISION] = revision.to_string().into();
                let api = self.api("argoproj.io/v1alpha1", "Rollout", Some(namespace)).await?;
                let tried = format!("writing the revision of Rollout {namespace}/{}", rollout.name);
                trying(&tried, api.patch(&rollout.name, &params(), &Patch::Merge(change))).await.map(drop)
            }
            Act::Mark { object, marked, labels, annotations } => {
                let metadata = json!({ "labels": labels, "annotations": annotations });
                self.mark(namespace, object, marked, metadata).await
            }
            Act::Post { rollout, event } => self.post(namespace, rollout, event).await,
            Act::Status { rollout, patch } => {
                // The status is computed whole from each look, and only ours: the uid is guard enough.
                let change = json!({ "metadata": { "uid": rollout.uid }, "status": patch });
                let api = self.api("argoproj.io/v1alpha1", "Rollout", Some(namespace)).await?;
                let tried = format!("writing the status of Rollout {namespace}/{}", rollout.name);
                trying(&tried, api.patch_status(&rollout.name, &params(), &Patch::Merge(change))).await.map(drop)
            }
        }
    }

    async fn create_set(&self, namespace: &str, manifest: &Value) -> Result<()> {
        let tried =
            format!("creating ReplicaSet {namespace}/{}", manifest["metadata"]["name"].as_str().unwrap_or_default());
        let object: DynamicObject = serde_json::from_value(manifest.clone())
            .map_err(|cause| Error::Malformed { tried: tried.clone(), cause: cause.to_string() })?;
        let api = self.api("apps/v1", "ReplicaSet", Some(namespace)).await?;
        let params = PostParams { field_manager: Some(CANARY_MANAGER.to_owned()), ..PostParams::default() };
        trying(&tried, api.create(&params, &object)).await.map(drop)
    }

    /// Whether a Rollout is there still, and is not being deleted, by a fresh read.
    async fn stays(&self, namespace: &str, rollout: &Guard) -> Result<bool> {
        let now = self.one("argoproj.io/v1alpha1", "Rollout", namespace, &rollout.name).await?;
        Ok(now.is_some_and(|now| Guard::of(&now).uid == rollout.uid && !decide::object::is_going(&now)))
    }

    /// Evicts a pod. A disruption budget may say that it does not go now.
    async fn evict(&self, namespace: &str, pod: &Guard) -> Result<()> {
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod.name, "namespace": namespace },
            "deleteOptions": { "preconditions": { "uid": pod.uid } },
        });
        let api = self.api("v1", "Pod", Some(namespace)).await?;
        let tried = format!("evicting Pod {namespace}/{}", pod.name);
        let params = PostParams::default();
        let evicted = api.create_subresource::<_, Value>("eviction", &pod.name, &params, &eviction);
        trying(&tried, evicted).await.map(drop)
    }

    /// Patches the metadata of a set's template, or of a pod. A pod's status changes often, and no label rests on it.
    async fn mark(&self, namespace: &str, object: &Guard, marked: &Marked, metadata: Value) -> Result<()> {
        match marked {
            Marked::Set { put, overwritten } => {
                let annotations = json!({ rollout::EPHEMERAL: put, OVERWRITTEN: overwritten });
                let spec = json!({ "template": { "metadata": metadata } });
                let change = json!({ "metadata": { "annotations": annotations }, "spec": spec });
                self.change(("apps/v1", "ReplicaSet"), namespace, object, change).await
            }
            Marked::Pod => {
                let mut change = json!({ "metadata": metadata });
                change["metadata"]["uid"] = object.uid.as_str().into();
                let api = self.api("v1", "Pod", Some(namespace)).await?;
                let tried = format!("patching the labels and annotations of Pod {namespace}/{}", object.name);
                trying(&tried, api.patch(&object.name, &params(), &Patch::Merge(change))).await.map(drop)
            }
        }
    }

    /// Posts an Event. One of its name says the same.
    async fn post(&self, namespace: &str, rollout: &Guard, event: &RolloutEvent) -> Result<()> {
        let at = decide::object::write_time(event.at);
        let about = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "name": rollout.name, "namespace": namespace, "uid": rollout.uid,
        });
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": event.name, "namespace": namespace },
            "involvedObject": about,
            "type": match event.event_type {
                RolloutEventType::Normal => "Normal",
                RolloutEventType::Warning => "Warning",
            },
            "reason": event.reason,
            "message": event.message,
            "source": { "component": CANARY_MANAGER },
            "reportingComponent": CANARY_MANAGER,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        });
        let tried = format!("posting an Event about Rollout {namespace}/{}", rollout.name);
        let event: DynamicObject = serde_json::from_value(event)
            .map_err(|cause| Error::Malformed { tried: tried.clone(), cause: cause.to_string() })?;
        let api = self.api("v1", "Event", Some(namespace)).await?;
        let params = PostParams { field_manager: Some(CANARY_MANAGER.to_owned()), ..PostParams::default() };
        match trying(&tried, api.create(&params, &event)).await {
            Err(error) if error.is_conflict() => Ok(()),
            posted => posted.map(drop),
        }
    }

    async fn forget_set(&self, namespace: &str, set: &Guard) -> Result<()> {
        let api = self.api("apps/v1", "ReplicaSet", Some(namespace)).await?;
        let preconditions =
            Preconditions { uid: Some(set.uid.clone()), resource_version: Some(set.resource_version.clone()) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let tried = format!("deleting ReplicaSet {namespace}/{}", set.name);
        trying(&tried, api.delete(&set.name, &params)).await.map(drop)
    }

    /// A merge patch that fails when the object is not the one that was seen.
    async fn change(&self, kind: (&str, &str), namespace: &str, guard: &Guard, mut change: Value) -> Result<()> {
        change["metadata"]["uid"] = guard.uid.as_str().into();
        change["metadata"]["resourceVersion"] = guard.resource_version.as_str().into();
        let api = self.api(kind.0, kind.1, Some(namespace)).await?;
        let tried = format!("patching {} {namespace}/{}", kind.1, guard.name);
        trying(&tried, api.patch(&guard.name, &params(), &Patch::Merge(change))).await.map(drop)
    }

    async fn one(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        let resource = self.kind(api_version, kind).await?;
        let tried = format!("reading {kind} {namespace}/{name}");
        let found = trying(&tried, self.api_of(&resource, Some(namespace)).get_opt(name)).await?;
        Ok(found.map(|object| to_json(object, &resource.resource())))
    }

    async fn each(&self, api_version: &str, kind: &str, namespace: &str, names: Vec<String>) -> Result<Vec<Value>> {
        let reads = names.iter().map(|name| self.one(api_version, kind, namespace, name));
        Ok(futures::future::try_join_all(reads).await?.into_iter().flatten().collect())
    }

    /// The objects that name a version of some Rollout. Whose they are, their owners say: the selector of today may not
    /// select the sets of yesterday.
    async fn versioned(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Vec<Value>> {
        let resource = self.kind(api_version, kind).await?;
        let api: Api<DynamicObject> = self.api_of(&resource, Some(namespace));
        let tried = format!("listing each {kind} of {namespace}");
        let list = trying(&tried, api.list(&ListParams::default().labels(rollout::HASH))).await?;
        Ok(list.items.into_iter().map(|object| to_json(object, &resource.resource())).collect())
    }

    /// The Ingresses of these names, and those that carry an action for the Rollout though it names them no more.
    async fn ingresses(&self, namespace: &str, rollout: &str, names: &[String]) -> Result<Vec<Value>> {
        let resource = self.kind("networking.k8s.io/v1", "Ingress").await?;
        let api = self.api_of(&resource, Some(namespace));
        let tried = format!("listing the Ingresses of {namespace}");
        let list = trying(&tried, api.list(&ListParams::default())).await?;
        let all = list.items.into_iter().map(|object| to_json(object, &resource.resource()));
        let is_named = |ingress: &Value| names.iter().any(|name| ingress["metadata"]["name"] == *name);
        Ok(all.filter(|ingress| is_named(ingress) || rollout::carries_action(ingress, rollout)).collect())
    }

    async fn autoscalers(&self, namespace: &str) -> Result<Vec<Value>> {
        let resource = match self.kind("autoscaling/v2", "HorizontalPodAutoscaler").await {
            Err(Error::UnknownKind { .. }) => return Ok(Vec::new()),
            found => found?,
        };
        let api = self.api_of(&resource, Some(namespace));
        let tried = format!("listing the autoscalers of {namespace}");
        let list = trying(&tried, api.list(&ListParams::default())).await?;
        Ok(list.items.into_iter().map(|object| to_json(object, &resource.resource())).collect())
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(CANARY_MANAGER.to_owned()), ..PatchParams::default() }
}
