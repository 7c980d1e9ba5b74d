//! Quantities: what is none, what is too much, and how a good one is written back.

use super::asked::{Asked, apply, merge, post, put};
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/compared/deployments";
const MEASURED: &str = "/apis/apps/v1/namespaces/compared/deployments/measured";
const CLAIMS: &str = "/api/v1/namespaces/compared/persistentvolumeclaims";
const QUOTAS: &str = "/api/v1/namespaces/compared/resourcequotas";
const HPAS: &str = "/apis/autoscaling/v2/namespaces/compared/horizontalpodautoscalers";

/// Pods' resources, claims, quotas and autoscalers.
pub(super) fn requests() -> Vec<Asked> {
    [unreadable(), wrong(), canonical(), owned(), claims(), quotas(), targets()].into_iter().flatten().collect()
}

fn deployment(name: &str, resources: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": "compared" },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "c", "image": "example.com/c:1", "resources": resources }] },
            },
        },
    })
}

fn asks_for(cpu: Value) -> Value {
    deployment("measured", json!({ "requests": { "cpu": cpu } }))
}

fn unreadable() -> Vec<Asked> {
    let mut all = vec![post("a deployment with resources", DEPLOYMENTS, asks_for(json!("1")))];
    for text in ["500mm", "1.5.0", "abc", "", "1e", "1gi", "1 Gi", "0x10"] {
        let body = asks_for(json!(text));
        let patch = json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "c", "image": "example.com/c:1", "resources": { "requests": { "cpu": text } } }] } } } });
        all.push(post(&format!("{text:?}, created"), &format!("{DEPLOYMENTS}?dryRun=All"), body.clone()));
        all.push(put(&format!("{text:?}, replaced"), MEASURED, body.clone()));
        all.push(merge(&format!("{text:?}, merged"), MEASURED, patch));
        all.push(apply(&format!("{text:?}, applied"), MEASURED, "quantities&force=true", body));
    }
    all.push(put("a quantity that is a truth", MEASURED, asks_for(json!(true))));
    all
}

fn wrong() -> Vec<Asked> {
    let of = |what: &str, resources: Value| {
        let body = deployment("measured", resources);
        [
            put(&format!("{what}, replaced"), MEASURED, body.clone()),
            apply(&format!("{what}, applied"), MEASURED, "quantities&force=true", body),
        ]
    };
    [
        of("less than nothing", json!({ "requests": { "cpu": "-1" } })),
        of("a limit below nothing", json!({ "limits": { "memory": "-1Mi" } })),
        of("more than the limit", json!({ "requests": { "cpu": "2" }, "limits": { "cpu": "1000m" } })),
        of("an unknown resource", json!({ "limits": { "fuel": "1" } })),
        of("half a device", json!({ "limits": { "example.com/gpu": "500m" } })),
        of("a device without a limit", json!({ "requests": { "example.com/gpu": "1" } })),
        of(
            "fewer devices than the limit",
            json!({ "requests": { "example.com/gpu": "1" }, "limits": { "example.com/gpu": "2" } }),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn canonical() -> Vec<Asked> {
    let written = [
        "1000m",
        "0.5",
        "1024Mi",
        "1000Mi",
        "1.5Gi",
        "100u",
        "1e3",
        "1E3",
        "1000000",
        "1.0",
        "+1",
        "01",
        "0m",
        "0.0001",
        "1.2345678912",
        "1Ei",
        "10000000000000000000",
        "1048576Ki",
        "0.5Gi",
        ".5",
        "5.",
        "1500000u",
        " 1 ",
        "-0",
    ];
    let mut all = Vec::new();
    for text in written.map(|text| json!(text)).into_iter().chain([json!(1), json!(0.5)]) {
        let body = asks_for(text.clone());
        all.push(put(&format!("{text}, written back"), MEASURED, body.clone()));
        all.push(apply(&format!("{text}, applied and written back"), MEASURED, "quantities&force=true", body));
    }
    all
}

/// Who owns a quantity that is written otherwise than it stands.
fn owned() -> Vec<Asked> {
    let path = format!("{DEPLOYMENTS}/shared");
    let body = |cpu: &str| deployment("shared", json!({ "requests": { "cpu": cpu } }));
    vec![
        apply("a quantity is applied", &path, "one", body("1000m")),
        apply("the same quantity is applied again", &path, "one", body("1000m")),
        apply("another applies the same, as it was written", &path, "two", body("1000m")),
        apply("another applies the same, as it stands", &path, "two", body("1")),
    ]
}

fn claims() -> Vec<Asked> {
    let claim = |spec: Value| json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "measured" }, "spec": spec });
    let sized = |size: &str| {
        claim(json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } }))
    };
    let path = format!("{CLAIMS}?dryRun=All");
    let mut all: Vec<Asked> = ["500mm", "abc", "", "-1Gi", "0", "1024Mi", "1.5"]
        .iter()
        .map(|size| post(&format!("a claim of {size:?}"), &path, sized(size)))
        .collect();
    all.push(post("a claim of nothing", &path, claim(json!({ "accessModes": ["ReadWriteOnce"] }))));
    all.push(post(
        "a claim without a mode",
        &path,
        claim(json!({ "resources": { "requests": { "storage": "1Gi" } } })),
    ));
    all
}

fn quotas() -> Vec<Asked> {
    let hard = [
        json!({ "cpu": "500mm" }),
        json!({ "cpu": "abc" }),
        json!({ "requests.cpu": "" }),
        json!({ "cpu": "-1" }),
        json!({ "cpu": "1000m" }),
        json!({ "pods": "1.5" }),
        json!({ "fuel": "1" }),
    ];
    let quota = |hard: &Value| json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "measured" }, "spec": { "hard": hard } });
    hard.iter().map(|hard| post(&format!("a quota of {hard}"), &format!("{QUOTAS}?dryRun=All"), quota(hard))).collect()
}

fn targets() -> Vec<Asked> {
    let targets = [
        json!({ "type": "AverageValue", "averageValue": "500mm" }),
        json!({ "type": "AverageValue", "averageValue": "1000m" }),
        json!({ "type": "AverageValue", "averageValue": "-1" }),
        json!({ "type": "AverageValue", "averageValue": "0" }),
        json!({ "type": "Utilization", "averageUtilization": 0 }),
        json!({ "type": "Utilization" }),
        json!({ "type": "Sideways" }),
    ];
    let scaler = |target: &Value| {
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "measured" },
            "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "measured" }, "maxReplicas": 3,
                "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": target } }] },
        })
    };
    targets
        .iter()
        .map(|target| {
            post(&format!("an autoscaler that aims at {target}"), &format!("{HPAS}?dryRun=All"), scaler(target))
        })
        .collect()
}
