//! Whether two pod templates are the same, as the API server means them.
//!
//! What it fills in by itself is left out of both, quantities have many spellings, and maps have no order; lists have
//! one. Where this doubts, templates differ: that costs a rollout, while the opposite would lose a change. Source: the
//! defaults of `pkg/apis/core/v1/defaults.go` in Kubernetes, and Argo's `PodTemplateEqualIgnoreHash`.

use super::hash::HASH;
use crate::sync::quantity;
use serde_json::{Map, Value, json};

/// Whether two templates make the same pods.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    alike(&normal(one), &normal(other), Kind::Plain)
}

/// Whether a value is a quantity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// A map whose values are quantities.
    Quantities,
    Quantity,
}

fn alike(one: &Value, other: &Value, kind: Kind) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let pair = |(key, value): (&String, &Value)| {
                other.get(key).is_some_and(|other| alike(value, other, kind_of(key, kind)))
            };
            one.len() == other.len() && one.iter().all(pair)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other, Kind::Plain))
        }
        _ => one == other || kind == Kind::Quantity && quantity::same(one, other),
    }
}

fn kind_of(key: &str, parent: Kind) -> Kind {
    match (parent, key) {
        (Kind::Quantities, _) | (_, "sizeLimit" | "divisor") => Kind::Quantity,
        (_, "limits" | "requests") => Kind::Quantities,
        _ => Kind::Plain,
    }
}

/// A template without what the API server fills in.
fn normal(template: &Value) -> Value {
    let mut template = bare(template);
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    without(&mut template["metadata"], &[("labels", json!({})), ("annotations", json!({}))]);
    let spec = &mut template["spec"];
    without(spec, &spec_defaults());
    // The old name of serviceAccountName, which is written with it.
    if let Some(fields) = spec.as_object_mut()
        && fields.get("serviceAccount") == fields.get("serviceAccountName")
    {
        fields.remove("serviceAccount");
    }
    for list in ["containers", "initContainers"] {
        items(spec, list).for_each(container);
    }
    items(spec, "volumes").for_each(volume);
    template
}

/// Nulls and empty lists say nothing, wherever they stand; nor does what a reference to a field or a resource has by
/// itself.
fn bare(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null() && value != &&json!([]));
            let said = said.map(|(key, value)| {
                let mut value = bare(value);
                match key.as_str() {
                    "fieldRef" => without(&mut value, &[("apiVersion", json!("v1"))]),
                    "resourceFieldRef" => without(&mut value, &[("divisor", json!("0"))]),
                    _ => {}
                }
                (key.clone(), value)
            });
            Value::Object(said.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(bare).collect(),
        other => other.clone(),
    }
}

/// Removes the fields that have just these values.
fn without(value: &mut Value, defaults: &[(&str, Value)]) {
    let Some(fields) = value.as_object_mut() else { return };
    for (key, default) in defaults {
        if fields.get(*key) == Some(default) {
            fields.remove(*key);
        }
    }
}

fn items<'a>(value: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn spec_defaults() -> [(&'static str, Value); 12] {
    [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("securityContext", json!({})),
        ("nodeSelector", json!({})),
        ("affinity", json!({})),
        ("enableServiceLinks", json!(true)),
        ("hostNetwork", json!(false)),
        ("hostPID", json!(false)),
        ("hostIPC", json!(false)),
        ("serviceAccountName", json!("")),
    ]
}

fn container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    // Without a tag it is `latest`; a digest is as fixed as a tag.
    let latest = name.ends_with(":latest") || !name.contains([':', '@']);
    let pull = if latest { "Always" } else { "IfNotPresent" };
    let defaults = [
        ("imagePullPolicy", json!(pull)),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("stdin", json!(false)),
        ("stdinOnce", json!(false)),
        ("tty", json!(false)),
        ("securityContext", json!({})),
    ];
    without(container, &defaults);
    if let Some(resources) = container.get_mut("resources") {
        without(resources, &[("limits", json!({})), ("requests", json!({}))]);
    }
    without(container, &[("resources", json!({}))]);
    items(container, "ports").for_each(|port| without(port, &[("protocol", json!("TCP"))]));
    items(container, "env").for_each(|variable| without(variable, &[("value", json!(""))]));
    items(container, "volumeMounts").for_each(|mount| without(mount, &[("readOnly", json!(false))]));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            let counts =
                [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)];
            without(probe, &counts.map(|(key, count)| (key, json!(count))));
            without(probe, &[("initialDelaySeconds", json!(0))]);
            request(probe);
        }
    }
    for hook in ["/lifecycle/preStop", "/lifecycle/postStart"] {
        container.pointer_mut(hook).into_iter().for_each(request);
    }
}

fn request(handler: &mut Value) {
    let get = handler.get_mut("httpGet").into_iter();
    get.for_each(|get| without(get, &[("scheme", json!("HTTP")), ("path", json!("/"))]));
    handler.get_mut("grpc").into_iter().for_each(|grpc| without(grpc, &[("service", json!(""))]));
}

fn volume(volume: &mut Value) {
    for kind in ["secret", "configMap", "projected", "downwardAPI"] {
        volume.get_mut(kind).into_iter().for_each(|of| without(of, &[("defaultMode", json!(420))]));
    }
    for (kind, defaults) in source_defaults() {
        volume.get_mut(kind).into_iter().for_each(|of| without(of, defaults.as_slice()));
    }
    for source in items(volume.get_mut("projected").unwrap_or(&mut Value::Null), "sources") {
        let token = source.get_mut("serviceAccountToken").into_iter();
        token.for_each(|token| without(token, &[("expirationSeconds", json!(3600))]));
    }
    if let Some(claim) = volume.pointer_mut("/ephemeral/volumeClaimTemplate") {
        let spec = claim.get_mut("spec").into_iter();
        spec.for_each(|spec| without(spec, &[("volumeMode", json!("Filesystem")), ("resources", json!({}))]));
        without(claim, &[("metadata", json!({}))]);
    }
    // A volume without a source is an empty directory.
    without(volume, &[("emptyDir", json!({}))]);
}

/// What the sources of volumes have by themselves.
fn source_defaults() -> [(&'static str, Vec<(&'static str, Value)>); 5] {
    [
        ("hostPath", vec![("type", json!(""))]),
        (
            "azureDisk",
            vec![
                ("cachingMode", json!("ReadWrite")),
                ("fsType", json!("ext4")),
                ("readOnly", json!(false)),
                ("kind", json!("Shared")),
            ],
        ),
        ("iscsi", vec![("iscsiInterface", json!("default"))]),
        ("rbd", vec![("pool", json!("rbd")), ("user", json!("admin")), ("keyring", json!("/etc/ceph/keyring"))]),
        ("scaleIO", vec![("storageMode", json!("ThinProvisioned")), ("fsType", json!("xfs"))]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Value {
        json!({
            "metadata": {"labels": {"app": "was"}},
            "spec": {
                "containers": [{
                    "name": "was", "image": "ecr/was:v55",
                    "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}},
                    "ports": [{"containerPort": 8080}],
                    "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"name": "E"},
                        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}],
                    "readinessProbe": {"httpGet": {"port": 8080, "path": "/ready"}},
                }],
                "serviceAccountName": "was",
                "volumes": [{"name": "c", "configMap": {"name": "c"}}, {"name": "tmp", "emptyDir": {}},
                    {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
                    {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}}}}}},
                    {"name": "disk", "azureDisk": {"diskName": "d", "diskURI": "u"}},
                    {"name": "block", "iscsi": {"targetPortal": "p", "iqn": "i", "lun": 0}},
                    {"name": "ceph", "rbd": {"monitors": ["m"], "image": "i"}},
                    {"name": "scale", "scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "r"}}},
                ],
            },
        })
    }

    /// The same as the API server gives it back in a ReplicaSet.
    fn stored() -> Value {
        json!({
            "metadata": {"creationTimestamp": null, "labels": {"app": "was", HASH: "6d978df76"}},
            "spec": {
                "volumes": [{"configMap": {"name": "c", "defaultMode": 420}, "name": "c"}, {"name": "tmp", "emptyDir": {}},
                    {"name": "token", "projected": {"defaultMode": 420,
                        "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
                    {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"metadata": {"creationTimestamp": null},
                        "spec": {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
                            "resources": {"requests": {"storage": "1024Mi"}}}}}},
                    {"name": "disk", "azureDisk": {"diskName": "d", "diskURI": "u", "cachingMode": "ReadWrite",
                        "fsType": "ext4", "readOnly": false, "kind": "Shared"}},
                    {"name": "block", "iscsi": {"targetPortal": "p", "iqn": "i", "lun": 0, "iscsiInterface": "default"}},
                    {"name": "ceph", "rbd": {"monitors": ["m"], "image": "i", "pool": "rbd", "user": "admin",
                        "keyring": "/etc/ceph/keyring"}},
                    {"name": "scale", "scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "r"},
                        "storageMode": "ThinProvisioned", "fsType": "xfs"}},
                ],
                "containers": [{
                    "image": "ecr/was:v55", "name": "was", "imagePullPolicy": "IfNotPresent",
                    "resources": {"limits": {"memory": "1024Mi", "cpu": 1}},
                    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                    "env": [
                        {"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
                        {"name": "E", "value": ""},
                        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}},
                        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory",
                            "divisor": "1024Ki"}}},
                    ],
                    "readinessProbe": {"httpGet": {"port": 8080, "path": "/ready", "scheme": "HTTP"}, "timeoutSeconds": 1,
                        "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
                "securityContext": {}, "schedulerName": "default-scheduler",
                "serviceAccount": "was", "serviceAccountName": "was",
            },
        })
    }

    #[test]
    fn what_the_api_server_fills_in_makes_no_other_template() {
        assert!(same(&written(), &stored()));
    }

    #[test]
    fn each_change_makes_another_template() {
        let changes: [(&str, Value); 13] = [
            ("/spec/containers/0/image", json!("ecr/was:v56")),
            ("/spec/containers/0/resources/limits/cpu", json!("1001m")),
            ("/spec/containers/0/resources/limits/memory", json!("1G")),
            ("/spec/containers/0/ports/0/containerPort", json!(8081)),
            ("/spec/containers/0/env/1/name", json!("F")),
            ("/spec/containers/0/env/1", json!({"name": "E", "value": "x"})),
            ("/spec/containers/0/readinessProbe/httpGet/path", json!("/other")),
            ("/spec/volumes/0/configMap/name", json!("d")),
            ("/metadata/labels/app", json!("other")),
            ("/spec/serviceAccountName", json!("other")),
            ("/spec/containers/0/env/3/valueFrom/resourceFieldRef/divisor", json!("1M")),
            ("/spec/volumes/2/projected/sources/0/serviceAccountToken", json!({"path": "t", "expirationSeconds": 600})),
            ("/spec/volumes/3/ephemeral/volumeClaimTemplate/spec/resources/requests/storage", json!("1G")),
        ];
        for (pointer, value) in changes {
            let mut changed = written();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(!same(&changed, &stored()), "{pointer}");
        }
        let mut turned = written();
        turned["spec"]["volumes"].as_array_mut().unwrap().reverse();
        assert!(!same(&turned, &stored()), "the order of lists counts");
        let mut longer = written();
        longer["spec"]["terminationGracePeriodSeconds"] = json!(31);
        assert!(!same(&longer, &stored()));
        let mut latest = stored();
        latest["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
        assert!(!same(&written(), &latest), "a tag is not pulled each time by itself");
    }
}
