//! How the fields of each kind merge: which lists are maps by key, which are sets, which are one value.
//!
//! The built-in table holds the exceptions of Kubernetes' OpenAPI document (`x-kubernetes-list-type`,
//! `x-kubernetes-list-map-keys`, `x-kubernetes-map-type`); for everything else the rule is: objects merge field by
//! field, lists are one value. Custom resources bring the same marks in their own schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

/// How one value merges.
#[derive(Debug, PartialEq)]
pub enum Shape {
    /// By what it is: objects field by field, lists and scalars as one value.
    Open(Naming),
    /// An object, field by field.
    Map {
        /// The fields whose shape is known.
        fields: BTreeMap<String, Arc<Shape>>,
        /// The shape of every other field.
        rest: Arc<Shape>,
        /// Whether the other fields count as declared.
        rest_naming: Naming,
    },
    /// One value, whatever it holds.
    Atomic,
    /// A list of scalars without order or repetition.
    Set,
    /// A list whose items are found by the values of these fields.
    Keyed {
        /// The fields, each with the value that its absence stands for.
        keys: Vec<(String, Option<Value>)>,
        /// The shape of an item.
        item: Arc<Shape>,
    },
}

/// Whether a field name comes from the schema, or is a key that the object's author chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The schema declares the name, so that it is checked and ordered as the schema says.
    Declared,
    /// Chosen by the author.
    Free,
}

const fn open(naming: Naming) -> Shape {
    Shape::Open(naming)
}

static LOOSE: Shape = open(Naming::Declared);
static DEDUCED: Shape = open(Naming::Free);

impl Shape {
    /// The shape of a field, and whether its name is declared.
    pub fn field(&self, name: &str) -> (&Shape, Naming) {
        match self {
            Shape::Map { fields, rest, rest_naming } => match fields.get(name) {
                Some(shape) => (shape, Naming::Declared),
                None => (rest, *rest_naming),
            },
            Shape::Open(Naming::Declared) => (&LOOSE, Naming::Declared),
            _ => (&DEDUCED, Naming::Free),
        }
    }

    /// The shape of a list's item.
    pub fn item(&self) -> &Shape {
        match self {
            Shape::Keyed { item, .. } => item,
            _ => &Shape::Atomic,
        }
    }

    /// Whether a value of this shape is one leaf: nobody can own a part of it.
    pub fn is_leaf(&self, value: &Value) -> bool {
        match (self, value) {
            (Shape::Atomic, _) => true,
            (Shape::Open(_) | Shape::Map { .. }, Value::Object(_)) => false,
            (Shape::Set | Shape::Keyed { .. }, Value::Array(_)) => false,
            _ => true,
        }
    }

    /// The name of a list's item in a field set: `k:{..}` or `v:..`; `None` when a key is missing.
    pub fn element(&self, item: &Value) -> Option<String> {
        match self {
            Shape::Keyed { keys, .. } => {
                let mut found = BTreeMap::new();
                for (key, default) in keys {
                    found.insert(key.as_str(), item.get(key).or(default.as_ref())?);
                }
                Some(format!("k:{}", json!(found)))
            }
            Shape::Set => Some(format!("v:{item}")),
            _ => None,
        }
    }
}

/// Type, field, and the field's shape: a type's name, `atomic`, `set`, or `keyed KEY[,KEY] TYPE`.
const TABLE: &str = "
ObjectMeta finalizers set
ObjectMeta ownerReferences keyed uid atomic
Spec.Pod containers keyed name Container
Spec.Pod initContainers keyed name Container
Spec.Pod ephemeralContainers keyed name Container
Spec.Pod volumes keyed name Volume
Spec.Pod imagePullSecrets keyed name atomic
Spec.Pod hostAliases keyed ip open
Spec.Pod topologySpreadConstraints keyed topologyKey,whenUnsatisfiable Spread
Spec.Pod resourceClaims keyed name open
Spec.Pod schedulingGates keyed name open
Spec.Pod nodeSelector atomic
Spread labelSelector atomic
Container ports keyed containerPort,protocol open
Container env keyed name EnvVar
Container volumeMounts keyed mountPath open
Container volumeDevices keyed devicePath open
Container resources Resources
Resources claims keyed name open
EnvVar valueFrom EnvVarSource
EnvVarSource secretKeyRef atomic
EnvVarSource configMapKeyRef atomic
EnvVarSource fieldRef atomic
EnvVarSource resourceFieldRef atomic
PodTemplate metadata ObjectMeta
PodTemplate spec Spec.Pod
Status.Conditions conditions keyed type open
Pod metadata ObjectMeta
Pod spec Spec.Pod
Pod status Status.Pod
Status.Pod conditions keyed type open
Status.Pod podIPs keyed ip open
Workload selector atomic
Workload template PodTemplate
Deployment metadata ObjectMeta
Deployment spec Workload
Deployment status Status.Conditions
ReplicaSet metadata ObjectMeta
ReplicaSet spec Workload
ReplicaSet status Status.Conditions
StatefulSet metadata ObjectMeta
StatefulSet spec Workload
StatefulSet status Status.Conditions
DaemonSet metadata ObjectMeta
DaemonSet spec Workload
DaemonSet status Status.Conditions
Job metadata ObjectMeta
Job spec Workload
Job status Status.Conditions
CronJob metadata ObjectMeta
CronJob spec CronJobSpec
CronJobSpec jobTemplate JobTemplate
JobTemplate metadata ObjectMeta
JobTemplate spec Workload
Service metadata ObjectMeta
Service spec ServiceSpec
Service status Status.Conditions
ServiceSpec ports keyed port,protocol open
ServiceSpec selector atomic
Namespace metadata ObjectMeta
Namespace status Status.Conditions
Node metadata ObjectMeta
Node spec NodeSpec
Node status Status.Node
NodeSpec podCIDRs set
Status.Node conditions keyed type open
Status.Node addresses keyed type open
ServiceAccount metadata ObjectMeta
ServiceAccount secrets keyed name atomic
PersistentVolumeClaim metadata ObjectMeta
PersistentVolumeClaim spec ClaimSpec
PersistentVolumeClaim status Status.Conditions
ClaimSpec selector atomic
ClaimSpec dataSource atomic
Endpoints metadata ObjectMeta
Event metadata ObjectMeta
Event involvedObject atomic
Secret metadata ObjectMeta
ConfigMap metadata ObjectMeta
HorizontalPodAutoscaler metadata ObjectMeta
HorizontalPodAutoscaler status Status.Conditions
NetworkPolicy metadata ObjectMeta
NetworkPolicy spec NetworkPolicySpec
NetworkPolicySpec podSelector atomic
Ingress metadata ObjectMeta
Ingress spec IngressSpec
IngressSpec defaultBackend IngressBackend
IngressBackend resource atomic
RoleBinding metadata ObjectMeta
RoleBinding roleRef atomic
ClusterRoleBinding metadata ObjectMeta
ClusterRoleBinding roleRef atomic
PodDisruptionBudget metadata ObjectMeta
PodDisruptionBudget spec BudgetSpec
PodDisruptionBudget status Status.Conditions
BudgetSpec selector atomic
CustomResourceDefinition metadata ObjectMeta
CustomResourceDefinition spec CrdSpec
CustomResourceDefinition status Status.Conditions
Any metadata ObjectMeta
";

/// The shape of a built-in kind.
pub(super) fn of_built_in(kind: &str) -> Arc<Shape> {
    let known = TABLE.lines().any(|line| line.split(' ').next() == Some(kind));
    named(if known { kind } else { "Any" })
}

fn named(name: &str) -> Arc<Shape> {
    match name {
        "atomic" => return Arc::new(Shape::Atomic),
        "set" => return Arc::new(Shape::Set),
        "open" => return Arc::new(open(Naming::Declared)),
        _ => {}
    }
    let mut fields = BTreeMap::new();
    for line in TABLE.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [of, field, shape] if *of == name => fields.insert((*field).to_owned(), named(shape)),
            [of, field, "keyed", keys, item] if *of == name => {
                let key = |k: &str| (k.to_owned(), (k == "protocol").then(|| json!("TCP")));
                let keys = keys.split(',').map(key).collect();
                fields.insert((*field).to_owned(), Arc::new(Shape::Keyed { keys, item: named(item) }))
            }
            _ => None,
        };
    }
    Arc::new(Shape::Map { fields, rest: Arc::new(open(Naming::Declared)), rest_naming: Naming::Declared })
}

/// The shape of a custom resource, from its structural schema.
pub(super) fn of_custom(schema: &Value) -> Arc<Shape> {
    let shape = from_schema(schema);
    let Shape::Map { mut fields, rest, rest_naming } = shape else {
        let fields = BTreeMap::from([("metadata".to_owned(), named("ObjectMeta"))]);
        let rest = Arc::new(open(Naming::Free));
        return Arc::new(Shape::Map { fields, rest, rest_naming: Naming::Free });
    };
    fields.insert("metadata".into(), named("ObjectMeta"));
    Arc::new(Shape::Map { fields, rest, rest_naming })
}

fn from_schema(schema: &Value) -> Shape {
    let mark = |name: &str| schema[name].as_str().unwrap_or_default();
    if schema["type"] == "array" {
        let keys = schema["x-kubernetes-list-map-keys"].as_array().cloned().unwrap_or_default();
        return match mark("x-kubernetes-list-type") {
            "set" => Shape::Set,
            "map" => {
                let key = |k: &Value| {
                    let name = k.as_str().unwrap_or_default().to_owned();
                    let default = schema["items"]["properties"][&name].get("default").cloned();
                    (name, default)
                };
                Shape::Keyed { keys: keys.iter().map(key).collect(), item: Arc::new(from_schema(&schema["items"])) }
            }
            _ => Shape::Atomic,
        };
    }
    if mark("x-kubernetes-map-type") == "atomic" {
        return Shape::Atomic;
    }
    let properties = schema["properties"].as_object();
    let open_ended = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let rest = match schema.get("additionalProperties") {
        Some(values) if values.is_object() => from_schema(values),
        _ => open(Naming::Free),
    };
    match properties {
        Some(properties) => Shape::Map {
            fields: properties.iter().map(|(name, s)| (name.clone(), Arc::new(from_schema(s)))).collect(),
            rest: Arc::new(rest),
            rest_naming: Naming::Free,
        },
        None if open_ended || schema["type"] == "object" => {
            Shape::Map { fields: BTreeMap::new(), rest: Arc::new(rest), rest_naming: Naming::Free }
        }
        None => open(Naming::Free),
    }
}
