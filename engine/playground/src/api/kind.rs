//! The kinds that are served: the built-in ones, and those that CustomResourceDefinitions add.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::shape::{self, Shape};

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace each.
    Namespaced,
    /// One for the cluster.
    Cluster,
}

/// Where the numbers of the scale subresource are, as JSON pointers.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    /// Where the wanted number is.
    pub replicas: String,
    /// Where the observed number is.
    pub observed: String,
    /// Where the selector is: a string, or a label selector.
    pub selector: Option<String>,
}

/// A kind as discovery lists it, with what its requests need to know.
#[derive(Debug)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version, such as `v1`.
    pub version: String,
    /// The plural name in addresses.
    pub plural: String,
    /// The singular name in lower case, such as `deployment`; kubectl takes it as well.
    pub singular: String,
    /// The name in `kind`.
    pub kind: String,
    /// The short names that kubectl knows.
    pub short: Vec<String>,
    /// Whether it lives in namespaces.
    pub scope: Scope,
    /// Whether the status is a subresource.
    pub status: bool,
    /// The scale subresource, where there is one.
    pub scale: Option<ScalePaths>,
    /// Whether `metadata.generation` is kept.
    pub generation: bool,
    /// How the fields merge.
    pub shape: Arc<Shape>,
    /// The OpenAPI schema of a custom resource, for its defaults.
    pub schema: Option<Value>,
    /// The `additionalPrinterColumns` of a custom resource.
    pub columns: Vec<Value>,
    /// Whether a CustomResourceDefinition made it.
    pub custom: bool,
}

impl Kind {
    /// `group/version`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        match self.group.is_empty() {
            true => self.version.clone(),
            false => format!("{}/{}", self.group, self.version),
        }
    }

    /// `plural.group`, or the plural for the core group: how messages name it.
    pub fn resource(&self) -> String {
        match self.group.is_empty() {
            true => self.plural.clone(),
            false => format!("{}.{}", self.plural, self.group),
        }
    }

    /// Whether it lives in namespaces.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
}

/// Every kind that is served.
#[derive(Debug)]
pub struct Kinds {
    built_in: Vec<Arc<Kind>>,
    custom: BTreeMap<String, Vec<Arc<Kind>>>,
}

/// group, version, plural, kind, short names, and traits: `c` cluster-scoped, `s` status, `r` scale, `g` generation.
const BUILT_IN: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("", "v1", "namespaces", "Namespace", "ns", "cs"),
    ("", "v1", "nodes", "Node", "no", "cs"),
    ("", "v1", "pods", "Pod", "po", "sg"),
    ("", "v1", "services", "Service", "svc", "s"),
    ("", "v1", "configmaps", "ConfigMap", "cm", ""),
    ("", "v1", "secrets", "Secret", "", ""),
    ("", "v1", "serviceaccounts", "ServiceAccount", "sa", ""),
    ("", "v1", "events", "Event", "ev", ""),
    ("", "v1", "endpoints", "Endpoints", "ep", ""),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", "s"),
    ("", "v1", "persistentvolumes", "PersistentVolume", "pv", "cs"),
    ("", "v1", "resourcequotas", "ResourceQuota", "quota", "s"),
    ("", "v1", "limitranges", "LimitRange", "limits", ""),
    ("apps", "v1", "deployments", "Deployment", "deploy", "srg"),
    ("apps", "v1", "replicasets", "ReplicaSet", "rs", "srg"),
    ("apps", "v1", "statefulsets", "StatefulSet", "sts", "srg"),
    ("apps", "v1", "daemonsets", "DaemonSet", "ds", "sg"),
    ("apps", "v1", "controllerrevisions", "ControllerRevision", "", ""),
    ("batch", "v1", "jobs", "Job", "", "sg"),
    ("batch", "v1", "cronjobs", "CronJob", "cj", "sg"),
    ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", "s"),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "netpol", "g"),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", "ing", "sg"),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", "", "cg"),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", "", ""),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", "", ""),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", "", "c"),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", "", "c"),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", "sg"),
    ("coordination.k8s.io", "v1", "leases", "Lease", "", ""),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "", "g"),
    ("events.k8s.io", "v1", "events", "Event", "ev", ""),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", "sc", "c"),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", "pc", "cg"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", "crd,crds", "csg"),
];

impl Default for Kinds {
    fn default() -> Kinds {
        Kinds { built_in: BUILT_IN.iter().map(|row| Arc::new(built_in(*row))).collect(), custom: BTreeMap::new() }
    }
}

fn built_in((group, version, plural, kind, short, traits): (&str, &str, &str, &str, &str, &str)) -> Kind {
    let has = |letter| traits.contains(letter);
    Kind {
        group: group.into(),
        version: version.into(),
        plural: plural.into(),
        singular: kind.to_lowercase(),
        kind: kind.into(),
        short: short.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
        scope: if has('c') { Scope::Cluster } else { Scope::Namespaced },
        status: has('s'),
        scale: has('r').then(|| ScalePaths {
            replicas: "/spec/replicas".into(),
            observed: "/status/replicas".into(),
            selector: Some("/spec/selector".into()),
        }),
        generation: has('g'),
        shape: shape::of_built_in(kind),
        schema: None,
        columns: Vec::new(),
        custom: false,
    }
}

impl Kinds {
    /// Every kind, the built-in ones first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.built_in.iter().chain(self.custom.values().flatten())
    }

    /// The kind behind an address.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.all().find(|k| k.group == group && k.version == version && k.plural == plural).cloned()
    }

    /// The kind of an object's `apiVersion` and `kind`.
    pub fn of(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        self.all().find(|k| k.kind == kind && k.api_version() == api_version).cloned()
    }

    /// Any version of a kind, by group and plural: what the store's keys name.
    pub fn stored(&self, group: &str, plural: &str) -> Option<Arc<Kind>> {
        self.all().find(|k| k.group == group && k.plural == plural).cloned()
    }

    /// The built-in kind of this name.
    ///
    /// # Panics
    /// When there is none: the names in this crate are constants of this table.
    pub fn named(&self, kind: &str) -> Arc<Kind> {
        self.built_in.iter().find(|k| k.kind == kind).expect("the kind is in the table above").clone()
    }

    /// Serves what a CustomResourceDefinition defines, in place of what it defined before.
    pub fn define(&mut self, crd: &Value) {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.custom.insert(name, from_crd(crd).into_iter().map(Arc::new).collect());
    }

    /// Serves no longer what this CustomResourceDefinition defined.
    pub fn forget(&mut self, crd_name: &str) {
        self.custom.remove(crd_name);
    }
}

fn from_crd(crd: &Value) -> Vec<Kind> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let spec = &crd["spec"];
    let names = &spec["names"];
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    let pointer = |path: &Value| path.as_str().map(|p| p.replace('.', "/"));
    let served = versions.iter().filter(|v| v["served"].as_bool() == Some(true));
    served
        .map(|version| {
            let schema = &version["schema"]["openAPIV3Schema"];
            let scale = &version["subresources"]["scale"];
            Kind {
                group: text(&spec["group"]),
                version: text(&version["name"]),
                plural: text(&names["plural"]),
                singular: names["singular"].as_str().map_or_else(|| text(&names["kind"]).to_lowercase(), str::to_owned),
                kind: text(&names["kind"]),
                short: names["shortNames"].as_array().into_iter().flatten().map(&text).collect(),
                scope: if spec["scope"] == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
                status: version["subresources"].get("status").is_some_and(|s| !s.is_null()),
                scale: pointer(&scale["specReplicasPath"]).map(|replicas| ScalePaths {
                    replicas,
                    observed: pointer(&scale["statusReplicasPath"]).unwrap_or_default(),
                    selector: pointer(&scale["labelSelectorPath"]),
                }),
                generation: true,
                shape: shape::of_custom(schema),
                schema: Some(schema.clone()),
                columns: version["additionalPrinterColumns"].as_array().cloned().unwrap_or_default(),
                custom: true,
            }
        })
        .collect()
}
