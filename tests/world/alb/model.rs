//! What the cluster says: the Ingresses with what they ask of a load balancer, and the pods behind their Services.

use super::super::kube::Kube;
use super::super::rollouts::{HASH, is_ready};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The group of a Service behind one Ingress.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupName {
    pub(super) namespace: String,
    pub(super) ingress: String,
    pub(super) service: String,
    pub(super) port: String,
}

/// The groups that share the requests of a rule, with their weights.
pub(super) type Shares = Vec<(GroupName, u32)>;

/// What an Ingress asks for: each of its paths, and who shares it.
pub(super) struct Model {
    pub(super) namespace: String,
    pub(super) ingress: String,
    pub(super) rules: Vec<(String, Shares)>,
    /// The address that its status has.
    pub(super) address: Option<String>,
}

/// The cluster at one moment. What asks for pods is read first, so that no pod is missing before it was asked away.
pub(super) struct Looked {
    rollouts: Vec<Value>,
    sets: Vec<Value>,
    pods: Vec<Value>,
    services: Vec<Value>,
    ingresses: Vec<Value>,
}

impl GroupName {
    /// The tag `ingress.k8s.aws/resource`.
    pub(super) fn resource(&self) -> String {
        format!("{}/{}-{}:{}", self.namespace, self.ingress, self.service, self.port)
    }
}

impl Model {
    /// Reads an Ingress; `None` while an annotation that it names is not there, as the real controller has it.
    fn of(object: &Value) -> Option<Model> {
        let metadata = &object["metadata"];
        let (namespace, ingress) = (text(&metadata["namespace"]), text(&metadata["name"]));
        let rules = object["spec"]["rules"].as_array()?.iter();
        let paths = rules.flat_map(|rule| rule["http"]["paths"].as_array().into_iter().flatten());
        let shared = |path: &Value| Some((text(&path["path"]), shares(metadata, &path["backend"]["service"])?));
        let rules = paths.map(shared).collect::<Option<Vec<_>>>()?;
        let address = object["status"]["loadBalancer"]["ingress"][0]["hostname"].as_str().map(str::to_owned);
        Some(Model { namespace, ingress, rules, address })
    }
}

/// Who shares the requests of a backend: its Service, or whom an annotation names.
fn shares(metadata: &Value, backend: &Value) -> Option<Shares> {
    let group = |service: &Value, port: &Value| GroupName {
        namespace: text(&metadata["namespace"]),
        ingress: text(&metadata["name"]),
        service: text(service),
        port: text(port),
    };
    if backend["port"]["name"] != "use-annotation" {
        return Some(vec![(group(&backend["name"], &backend["port"]["number"]), 1)]);
    }
    let key = format!("alb.ingress.kubernetes.io/actions.{}", text(&backend["name"]));
    let action: Value = serde_json::from_str(metadata["annotations"][&key].as_str()?).ok()?;
    let groups = action["ForwardConfig"]["TargetGroups"].as_array()?.iter();
    let weighed = |one: &Value| {
        let weight = u32::try_from(one["Weight"].as_u64().unwrap_or(1)).ok()?;
        Some((group(&one["ServiceName"], &one["ServicePort"]), weight))
    };
    groups.map(weighed).collect()
}

/// A text, or a number as one.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Looked {
    /// Looks at the whole cluster.
    pub(super) async fn at(kube: &Kube) -> Result<Looked, String> {
        // The Rollout's kind may not be there yet.
        let rollouts = kube.list("/apis/argoproj.io/v1alpha1/rollouts").await;
        let sets = list(kube, "/apis/apps/v1/replicasets").await?;
        let pods = list(kube, "/api/v1/pods").await?;
        let services = list(kube, "/api/v1/services").await?;
        let ingresses = list(kube, "/apis/networking.k8s.io/v1/ingresses").await?;
        Ok(Looked { rollouts, sets, pods, services, ingresses })
    }

    /// What each Ingress asks for.
    pub(super) fn models(&self) -> Vec<Model> {
        self.ingresses.iter().filter_map(Model::of).collect()
    }

    /// The addresses of the ready pods that a Service selects.
    pub(super) fn ready(&self, namespace: &str, service: &str) -> BTreeSet<String> {
        let is_it = |one: &&Value| one["metadata"]["namespace"] == namespace && one["metadata"]["name"] == service;
        let Some(service) = self.services.iter().find(is_it) else { return BTreeSet::new() };
        let Some(selector) = service["spec"]["selector"].as_object() else { return BTreeSet::new() };
        let selects = |pod: &&Value| {
            let labels = &pod["metadata"]["labels"];
            pod["metadata"]["namespace"] == namespace && selector.iter().all(|(key, value)| labels[key] == *value)
        };
        self.serving().filter(selects).filter_map(address).collect()
    }

    /// The address of each pod that serves, with the hash of its version.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let version = |pod: &Value| Some((address(pod)?, pod["metadata"]["labels"][HASH].as_str()?.to_owned()));
        self.serving().filter_map(version).collect()
    }

    fn serving(&self) -> impl Iterator<Item = &Value> {
        self.pods.iter().filter(|pod| is_ready(pod) && pod["metadata"]["deletionTimestamp"].is_null())
    }

    /// How many pods each version's ReplicaSet shall have, by the hash.
    pub(super) fn wanted(&self) -> BTreeMap<String, u64> {
        let wanted = |set: &Value| {
            let hash = set["metadata"]["labels"][HASH].as_str()?;
            Some((hash.to_owned(), set["spec"]["replicas"].as_u64()?))
        };
        self.sets.iter().filter_map(wanted).collect()
    }

    /// The canary's weight in the status of the Rollout whose canary has this Service, and whether it is verified.
    pub(super) fn said(&self, services: &BTreeMap<String, u32>) -> Option<(u64, bool)> {
        let weights = |rollout: &Value| {
            let weights = &rollout["status"]["canary"]["weights"];
            services.get(weights["canary"]["serviceName"].as_str()?)?;
            Some((weights["canary"]["weight"].as_u64()?, weights["verified"] == true))
        };
        self.rollouts.iter().find_map(weights)
    }
}

/// A list that must be there: with none, every target would be taken out.
async fn list(kube: &Kube, path: &str) -> Result<Vec<Value>, String> {
    let list = kube.get(path).await.ok_or_else(|| format!("{path} cannot be listed"))?;
    list["items"].as_array().cloned().ok_or_else(|| format!("{path} is no list"))
}

fn address(pod: &Value) -> Option<String> {
    pod["status"]["podIP"].as_str().map(str::to_owned)
}
