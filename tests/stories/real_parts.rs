//! Each real part starts, answers and stops on this machine.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use world::alb::{Alb, Serves, Throttling};
use world::estate::{Kind, PATIENCE};
use world::kube::{ControlPlane, Kube};
use world::process::eventually;
use world::{docker::Docker, given, has, missing, registry::Registry};

#[tokio::test]
async fn the_control_plane_serves_and_collects() {
    let Some(bin) = given("BESPIN_KUBERNETES") else {
        assert!(missing("the Kubernetes control plane", false));
        return;
    };
    if missing("etcd", has("etcd")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let plane = ControlPlane::start(&bin, dir.path()).await;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m" }, "data": { "a": "b" } });
    let made = plane.kube.create("/api/v1/namespaces/default/configmaps", &map).await;
    assert_eq!(made["data"]["a"], "b");
    let merged = plane.kube.merge("/api/v1/namespaces/default/configmaps/m", &json!({ "data": { "a": "c" } })).await;
    assert_eq!(merged["data"]["a"], "c");
}

#[tokio::test]
async fn the_docker_engine_answers() {
    if missing("Docker Engine", has("dockerd") && has("docker")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let docker = Docker::start(dir.path()).await;
    let info =
        std::process::Command::new("docker").args(["--host", &docker.host, "info"]).output().expect("docker runs");
    assert!(String::from_utf8_lossy(&info.stdout).contains("Storage Driver: overlay2"));
}

#[tokio::test]
async fn the_registry_admits_whom_the_ecr_api_names() {
    let Some(moto) = given("BESPIN_MOTO") else {
        assert!(missing("moto", false));
        return;
    };
    if missing("docker-registry", has("docker-registry") && has("htpasswd")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::start(&moto, dir.path()).await;
    assert!(registry.images().tags("petclinic-was").await.is_empty());
    let anonymous = reqwest::get(format!("{}/v2/_catalog", registry.url)).await.expect("it answers");
    assert_eq!(anonymous.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_balancers_follow_an_ingress_and_say_what_is_lost() {
    if Kind::Balanced.is_missing() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let plane = ControlPlane::start(&given("BESPIN_KUBERNETES").expect("it is there"), dir.path()).await;
    let alb = Alb::start(&given("BESPIN_MOTO").expect("it is there"), dir.path(), &plane.kube).await;
    behind(&plane.kube, "blue", "10.244.1.1").await;
    behind(&plane.kube, "green", "10.244.1.2").await;
    let ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    plane.kube.create(ingresses, &shared(30)).await;
    serves(&alb, 30, Some("10.244.1.1")).await;
    let path = format!("{ingresses}/shop");
    let hostname = eventually("the Ingress has an address", PATIENCE, || async {
        let ingress = plane.kube.get(&path).await?;
        ingress["status"]["loadBalancer"]["ingress"][0]["hostname"].as_str().map(str::to_owned)
    })
    .await;
    alb.throttle(Throttling::InBursts);
    asked(&alb, 400, "<Code>Throttling</Code>").await;
    asked(&alb, 200, &format!("<DNSName>{hostname}</DNSName>")).await;
    plane.kube.merge(&path, &shared(60)).await;
    serves(&alb, 60, Some("10.244.1.1")).await;
    assert!(alb.faults().is_empty(), "{:#?}", alb.faults());

    alb.fail(["10.244.1.1".to_owned()]);
    serves(&alb, 60, None).await;
    eventually("it is said what is lost", PATIENCE, || async {
        let faults = alb.faults();
        (faults.len() == 1 && faults[0].contains("blue gets 60 and has no healthy target")).then_some(())
    })
    .await;
}

/// A ready pod behind a Service of the same name.
async fn behind(kube: &Kube, name: &str, address: &str) {
    let labels = json!({ "app": name, "rollouts-pod-template-hash": name });
    let container = json!({ "name": "shop", "image": "shop" });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels },
        "spec": { "containers": [container] },
    });
    kube.create("/api/v1/namespaces/default/pods", &pod).await;
    let status = json!({
        "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    });
    kube.merge(&format!("/api/v1/namespaces/default/pods/{name}/status"), &json!({ "status": status })).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 8080 }] },
    });
    kube.create("/api/v1/namespaces/default/services", &service).await;
}

/// An Ingress that gives `blue` so many percent, and `green` the others.
fn shared(blue: u32) -> Value {
    let group = |name: &str, weight: u32| json!({ "ServiceName": name, "ServicePort": "8080", "Weight": weight });
    let groups = [group("blue", blue), group("green", 100 - blue)];
    let action = json!({ "Type": "forward", "ForwardConfig": { "TargetGroups": groups } });
    let backend = json!({ "service": { "name": "green", "port": { "name": "use-annotation" } } });
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": "shop", "annotations": { "alb.ingress.kubernetes.io/actions.green": action.to_string() },
        },
        "spec": { "rules": [{ "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] } }] },
    })
}

/// Waits until `blue` gets so many percent, and this address is its only healthy target.
async fn serves(alb: &Alb, blue: u32, address: Option<&str>) {
    let healthy: BTreeSet<String> = address.into_iter().map(str::to_owned).collect();
    let green = BTreeSet::from(["10.244.1.2".to_owned()]);
    let expected = Serves {
        weights: BTreeMap::from([("blue".to_owned(), blue), ("green".to_owned(), 100 - blue)]),
        targets: BTreeMap::from([("blue".to_owned(), healthy), ("green".to_owned(), green)]),
    };
    eventually(&format!("it serves {expected:?}"), PATIENCE, || async { (alb.serves() == expected).then_some(()) })
        .await;
}

/// Waits until the API that the server asks answers with a status and these words.
async fn asked(alb: &Alb, status: u16, words: &str) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let scope = "20260101/eu-central-1/elasticloadbalancing/aws4_request";
    let authorization = format!("AWS4-HMAC-SHA256 Credential=stories/{scope}, SignedHeaders=host, Signature=0");
    let form = [("Action", "DescribeLoadBalancers"), ("Version", "2015-12-01")];
    eventually(&format!("it answers {status} with {words}"), PATIENCE, || async {
        let request = client.post(format!("{}/", alb.endpoint())).header("authorization", &authorization);
        let answer = request.form(&form).send().await.ok()?;
        let got = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        (got == status && text.contains(words)).then_some(())
    })
    .await;
}
