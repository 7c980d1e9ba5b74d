//! The columns of pods, of what makes them, and of where they run.

use serde_json::Value;

use super::cells::{self, age, items, number, text, text_or};
use super::column::{Column, column, integer, name, string, wide};
use super::pod;

/// The columns of pods.
pub(super) fn pod() -> Vec<Column> {
    vec![
        name(),
        string("Ready", pod::ready),
        string("Status", pod::status),
        string("Restarts", pod::restarts),
        string("Age", age),
        wide("IP", |o| text_or(o, "/status/podIPs/0/ip", "<none>").into()),
        wide("Node", |o| text_or(o, "/spec/nodeName", "<none>").into()),
        wide("Nominated Node", |o| text_or(o, "/status/nominatedNodeName", "<none>").into()),
        wide("Readiness Gates", pod::gates),
    ]
}

/// Of nodes, which have no printer of a controller.
pub(super) fn node() -> Vec<Column> {
    const INFO: &str = "/status/nodeInfo";
    vec![
        name(),
        string("Status", node_status),
        string("Roles", node_roles),
        string("Age", age),
        string("Version", |o| text(&o["status"], "/nodeInfo/kubeletVersion").into()),
        wide("Internal-IP", |o| node_address(o, "InternalIP")),
        wide("External-IP", |o| node_address(o, "ExternalIP")),
        wide("OS-Image", |o| text_or(o, &format!("{INFO}/osImage"), "<unknown>").into()),
        wide("Kernel-Version", |o| {
            let kernel = text_or(o, &format!("{INFO}/kernelVersion"), "<unknown>");
            match text(o, &format!("{INFO}/architecture")) {
                "" => kernel.into(),
                architecture => format!("{kernel} ({architecture})").into(),
            }
        }),
        wide("Container-Runtime", |o| text_or(o, &format!("{INFO}/containerRuntimeVersion"), "<unknown>").into()),
    ]
}

fn node_status(node: &Value) -> Value {
    let ready = items(node, "/status/conditions").iter().find(|c| c["type"] == "Ready");
    let word = match ready.map(|c| c["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    };
    if node["spec"]["unschedulable"] == true { format!("{word},SchedulingDisabled").into() } else { word.into() }
}

fn node_roles(node: &Value) -> Value {
    let labels = node["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        other => other.map(str::to_owned),
    };
    let roles: std::collections::BTreeSet<String> = labels.iter().filter_map(role).filter(|r| !r.is_empty()).collect();
    if roles.is_empty() { "<none>".into() } else { roles.into_iter().collect::<Vec<_>>().join(",").into() }
}

fn node_address(node: &Value, kind: &str) -> Value {
    let found = items(node, "/status/addresses").iter().find(|a| a["type"] == kind);
    found.map_or("<none>".into(), |a| a["address"].clone())
}

const CONTAINERS: &str = "/spec/template/spec/containers";

/// Of what keeps pods running.
pub(super) fn workload(kind: &str) -> Vec<Column> {
    let of_status = |name: &str, cell: fn(&Value) -> Value| integer(name, cell);
    let ready: fn(&Value) -> Value =
        |o| format!("{}/{}", number(o, "/status/readyReplicas"), number(o, "/spec/replicas")).into();
    let between = match kind {
        "Deployment" => vec![
            string("Ready", ready),
            string("Up-to-date", |o| number(o, "/status/updatedReplicas").into()),
            string("Available", |o| number(o, "/status/availableReplicas").into()),
        ],
        "ReplicaSet" => vec![
            of_status("Desired", |o| number(o, "/spec/replicas").into()),
            of_status("Current", |o| number(o, "/status/replicas").into()),
            of_status("Ready", |o| number(o, "/status/readyReplicas").into()),
        ],
        "DaemonSet" => vec![
            of_status("Desired", |o| number(o, "/status/desiredNumberScheduled").into()),
            of_status("Current", |o| number(o, "/status/currentNumberScheduled").into()),
            of_status("Ready", |o| number(o, "/status/numberReady").into()),
            of_status("Up-to-date", |o| number(o, "/status/updatedNumberScheduled").into()),
            of_status("Available", |o| number(o, "/status/numberAvailable").into()),
            string("Node Selector", |o| cells::labels(o, "/spec/template/spec/nodeSelector")),
        ],
        _ => vec![string("Ready", ready)],
    };
    let mut columns: Vec<Column> = [name()].into_iter().chain(between).chain([string("Age", age)]).collect();
    columns.push(wide("Containers", |o| cells::of_containers(o, CONTAINERS, "name")));
    columns.push(wide("Images", |o| cells::of_containers(o, CONTAINERS, "image")));
    if kind != "StatefulSet" {
        columns.push(wide("Selector", |o| cells::selector(o, "/spec/selector")));
    }
    columns
}

/// Of Jobs and CronJobs.
pub(super) fn batch(kind: &str) -> Vec<Column> {
    if kind == "Job" {
        return vec![
            name(),
            string("Status", job_status),
            string("Completions", job_completions),
            string("Duration", |o| {
                cells::between(text(o, "/status/startTime"), text(o, "/status/completionTime")).into()
            }),
            string("Age", age),
            wide("Containers", |o| cells::of_containers(o, CONTAINERS, "name")),
            wide("Images", |o| cells::of_containers(o, CONTAINERS, "image")),
            wide("Selector", |o| cells::selector(o, "/spec/selector")),
        ];
    }
    const INNER: &str = "/spec/jobTemplate/spec/template/spec/containers";
    vec![
        name(),
        string("Schedule", |o| text(o, "/spec/schedule").into()),
        string("Timezone", |o| text_or(o, "/spec/timeZone", "<none>").into()),
        column("Suspend", "boolean", 0, |o| if o["spec"]["suspend"] == true { "True".into() } else { "False".into() }),
        integer("Active", |o| items(o, "/status/active").len().into()),
        string("Last Schedule", |o| match text(o, "/status/lastScheduleTime") {
            "" => "<none>".into(),
            time => cells::since(time).into(),
        }),
        string("Age", age),
        wide("Containers", |o| cells::of_containers(o, INNER, "name")),
        wide("Images", |o| cells::of_containers(o, INNER, "image")),
        wide("Selector", |o| cells::selector(o, "/spec/jobTemplate/spec/selector")),
    ]
}

fn job_status(job: &Value) -> Value {
    let has = |kind: &str| items(job, "/status/conditions").iter().any(|c| c["type"] == kind && c["status"] == "True");
    let first = |kinds: &[&'static str]| kinds.iter().find(|kind| has(kind)).copied();
    let dying = job["metadata"]["deletionTimestamp"].is_string().then_some("Terminating");
    first(&["Complete", "Failed"])
        .or(dying)
        .or_else(|| first(&["Suspended", "FailureTarget", "SuccessCriteriaMet"]))
        .unwrap_or("Running")
        .into()
}

fn job_completions(job: &Value) -> Value {
    let done = number(job, "/status/succeeded");
    match (job["spec"]["completions"].as_i64(), number(job, "/spec/parallelism")) {
        (Some(all), _) => format!("{done}/{all}").into(),
        (None, parallel @ 2..) => format!("{done}/1 of {parallel}").into(),
        (None, _) => format!("{done}/1").into(),
    }
}
