//! The columns of the built-in kinds, with their types and priorities (pkg/printers/internalversion/printers.go).

use serde_json::{Value, json};

use super::cells::{self, age, items, number, shown, text, text_or};
use super::column::{Cell, Column, column, integer, name, string, wide};
use super::{autoscaler, network, workloads};

/// The columns of a kind; those without a printer have a name and a date.
pub(super) fn of(kind: &str) -> Vec<Column> {
    let between = match kind {
        "Event" => return event(),
        "Pod" => return workloads::pod(),
        "Node" => return workloads::node(),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => return workloads::workload(kind),
        "Job" | "CronJob" => return workloads::batch(kind),
        "PersistentVolume" | "PersistentVolumeClaim" => return volume(kind),
        "RoleBinding" | "ClusterRoleBinding" => return binding(),
        "Service" => return network::service(),
        "IngressClass" => return ingress_class(),
        "StorageClass" => return storage_class(),
        "PriorityClass" => return priority_class(),
        "ServiceAccount" => vec![],
        "Namespace" => vec![string("Status", |o| text(o, "/status/phase").into())],
        "ConfigMap" => vec![string("Data", |o| (size(&o["data"]) + size(&o["binaryData"])).into())],
        "Secret" => {
            vec![string("Type", |o| text(o, "/type").into()), string("Data", |o| size(&o["data"]).into())]
        }
        "Endpoints" => vec![string("Endpoints", network::endpoints)],
        "EndpointSlice" => vec![
            string("AddressType", |o| text(o, "/addressType").into()),
            string("Ports", network::slice_ports),
            string("Endpoints", network::slice_addresses),
        ],
        "ResourceQuota" => vec![
            string("Request", |o| quota(o, |resource| !resource.starts_with("limits."))),
            string("Limit", |o| quota(o, |resource| resource.starts_with("limits."))),
        ],
        "ControllerRevision" => {
            vec![string("Controller", controller), string("Revision", |o| number(o, "/revision").into())]
        }
        "HorizontalPodAutoscaler" => vec![
            string("Reference", |o| {
                format!("{}/{}", text(o, "/spec/scaleTargetRef/kind"), text(o, "/spec/scaleTargetRef/name")).into()
            }),
            string("Targets", autoscaler::targets),
            string("MinPods", |o| shown(o, "/spec/minReplicas", "<unset>").into()),
            string("MaxPods", |o| number(o, "/spec/maxReplicas").into()),
            string("Replicas", |o| number(o, "/status/currentReplicas").into()),
        ],
        "NetworkPolicy" => vec![string("Pod-Selector", |o| cells::selector(o, "/spec/podSelector"))],
        "Ingress" => vec![
            string("Class", |o| text_or(o, "/spec/ingressClassName", "<none>").into()),
            string("Hosts", network::hosts),
            string("Address", |o| cells::balancer(o).into()),
            string("Ports", |o| if items(o, "/spec/tls").is_empty() { "80".into() } else { "80, 443".into() }),
        ],
        "PodDisruptionBudget" => vec![
            string("Min Available", |o| shown(o, "/spec/minAvailable", "N/A").into()),
            string("Max Unavailable", |o| shown(o, "/spec/maxUnavailable", "N/A").into()),
            integer("Allowed Disruptions", |o| number(o, "/status/disruptionsAllowed").into()),
        ],
        "Lease" => vec![string("Holder", |o| text(o, "/spec/holderIdentity").into())],
        _ => {
            let created = column("Created At", "date", 0, |o| o["metadata"]["creationTimestamp"].clone());
            return vec![name(), created];
        }
    };
    [name()].into_iter().chain(between).chain([string("Age", age)]).collect()
}

fn volume(kind: &str) -> Vec<Column> {
    let phase: fn(&Value) -> Value = |o| match o["metadata"]["deletionTimestamp"].is_string() {
        true => "Terminating".into(),
        false => text(o, "/status/phase").into(),
    };
    let class = string("StorageClass", |o| text(o, "/spec/storageClassName").into());
    let attributes =
        string("VolumeAttributesClass", |o| text_or(o, "/spec/volumeAttributesClassName", "<unset>").into());
    let mode = wide("VolumeMode", |o| text_or(o, "/spec/volumeMode", "<unset>").into());
    if kind == "PersistentVolume" {
        return vec![
            name(),
            string("Capacity", |o| shown(o, "/spec/capacity/storage", "0").into()),
            string("Access Modes", |o| cells::modes(o, "/spec/accessModes")),
            string("Reclaim Policy", |o| text(o, "/spec/persistentVolumeReclaimPolicy").into()),
            string("Status", phase),
            string("Claim", |o| match &o["spec"]["claimRef"] {
                Value::Null => "".into(),
                claim => format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")).into(),
            }),
            class,
            attributes,
            string("Reason", |o| text(o, "/status/reason").into()),
            string("Age", age),
            mode,
        ];
    }
    fn if_bound(claim: &Value, cell: impl Fn() -> Value) -> Value {
        if text(claim, "/spec/volumeName").is_empty() { "".into() } else { cell() }
    }
    vec![
        name(),
        string("Status", phase),
        string("Volume", |o| text(o, "/spec/volumeName").into()),
        string("Capacity", |o| if_bound(o, || shown(o, "/status/capacity/storage", "0").into())),
        string("Access Modes", |o| if_bound(o, || cells::modes(o, "/status/accessModes"))),
        class,
        attributes,
        string("Age", age),
        mode,
    ]
}

fn binding() -> Vec<Column> {
    fn subjects(object: &Value, kind: &str) -> Value {
        let of_kind = items(object, "/subjects").iter().filter(|s| s["kind"] == kind);
        let name = |s: &Value| match kind {
            "ServiceAccount" => format!("{}/{}", text(s, "/namespace"), text(s, "/name")),
            _ => text(s, "/name").to_owned(),
        };
        of_kind.map(name).collect::<Vec<_>>().join(", ").into()
    }
    vec![
        name(),
        string("Role", |o| format!("{}/{}", text(o, "/roleRef/kind"), text(o, "/roleRef/name")).into()),
        string("Age", age),
        wide("Users", |o| subjects(o, "User")),
        wide("Groups", |o| subjects(o, "Group")),
        wide("ServiceAccounts", |o| subjects(o, "ServiceAccount")),
    ]
}

fn ingress_class() -> Vec<Column> {
    vec![
        Column { cell: Cell::Built(|o| cells::class_name(o, "ingressclass.kubernetes.io/is-default-class")), ..name() },
        string("Controller", |o| text(o, "/spec/controller").into()),
        string("Parameters", |o| {
            let parameters = &o["spec"]["parameters"];
            if parameters.is_null() {
                return "<none>".into();
            }
            let group = text(parameters, "/apiGroup");
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", text(parameters, "/kind"), text(parameters, "/name")).into()
        }),
        string("Age", age),
    ]
}

fn storage_class() -> Vec<Column> {
    vec![
        Column { cell: Cell::Built(|o| cells::class_name(o, "storageclass.kubernetes.io/is-default-class")), ..name() },
        string("Provisioner", |o| text(o, "/provisioner").into()),
        string("ReclaimPolicy", |o| text_or(o, "/reclaimPolicy", "Delete").into()),
        string("VolumeBindingMode", |o| text_or(o, "/volumeBindingMode", "Immediate").into()),
        string("AllowVolumeExpansion", |o| (o["allowVolumeExpansion"] == true).into()),
        string("Age", age),
    ]
}

fn priority_class() -> Vec<Column> {
    vec![
        name(),
        integer("Value", |o| number(o, "/value").into()),
        column("Global-Default", "boolean", 0, |o| (o["globalDefault"] == true).into()),
        string("Age", age),
        string("PreemptionPolicy", |o| text(o, "/preemptionPolicy").into()),
    ]
}

fn event() -> Vec<Column> {
    fn first(event: &Value) -> String {
        cells::since(text_or(event, "/firstTimestamp", text(event, "/eventTime")))
    }
    let last: fn(&Value) -> Value = |o| match (text(o, "/series/lastObservedTime"), text(o, "/lastTimestamp")) {
        ("", "") => first(o).into(),
        ("", last) | (last, _) => cells::since(last).into(),
    };
    vec![
        string("Last Seen", last),
        string("Type", |o| text(o, "/type").into()),
        string("Reason", |o| text(o, "/reason").into()),
        string("Object", |o| {
            let kind = text(o, "/involvedObject/kind").to_lowercase();
            match text(o, "/involvedObject/name") {
                "" => kind.into(),
                name => format!("{kind}/{name}").into(),
            }
        }),
        wide("Subobject", |o| text(o, "/involvedObject/fieldPath").into()),
        wide("Source", |o| {
            let component = text_or(o, "/source/component", text(o, "/reportingComponent"));
            match text_or(o, "/source/host", text(o, "/reportingInstance")) {
                "" => component.into(),
                instance => format!("{component}, {instance}").into(),
            }
        }),
        string("Message", |o| text(o, "/message").trim().into()),
        wide("First Seen", |o| first(o).into()),
        wide("Count", |o| number(o, "/series/count").max(number(o, "/count")).max(1).into()),
        Column { priority: 1, ..name() },
    ]
}

fn size(map: &Value) -> usize {
    map.as_object().map_or(0, serde_json::Map::len)
}

fn quota(object: &Value, belongs: fn(&str) -> bool) -> Value {
    let hard = object["status"]["hard"].as_object().cloned().unwrap_or_default();
    let mut all: Vec<String> = hard
        .iter()
        .filter(|(resource, _)| belongs(resource))
        .map(|(resource, hard)| {
            let used = object["status"]["used"][resource].as_str().unwrap_or("0");
            format!("{resource}: {used}/{}", hard.as_str().unwrap_or("0"))
        })
        .collect();
    all.sort();
    all.join(", ").into()
}

fn controller(object: &Value) -> Value {
    let owner = items(object, "/metadata/ownerReferences").iter().find(|o| o["controller"] == true);
    owner.map_or(json!("<none>"), |owner| {
        let group = text(owner, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
        let dot = if group.is_empty() { "" } else { "." };
        format!("{}{dot}{group}/{}", text(owner, "/kind").to_lowercase(), text(owner, "/name")).into()
    })
}
