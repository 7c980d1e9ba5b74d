//! The sync's decision and this adapter, against the playground's Kubernetes API.

#[path = "sync/driver.rs"]
mod driver;

use decide::sync::object::{self, ObjectRef};
use driver::Driver;
use serde_json::{Value, json};
use std::time::Duration;

fn deployment(image: &str, replicas: i64) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{
                "name": "web", "image": image, "ports": [{ "containerPort": 80 }],
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "cpu": 1 } },
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] }] } } } })
}

fn service() -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 80 }] } })
}

fn config(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "v": value } })
}

fn autoscaler() -> Value {
    json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web-hpa" },
        "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": 2, "maxReplicas": 5, "metrics": [{ "type": "Resource", "resource": { "name": "cpu",
                "target": { "type": "Utilization", "averageUtilization": 60 } } }] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_once_and_then_left_in_peace() {
    let mut driver = Driver::start(&[deployment("web:1", 2), service(), config("a", "1"), autoscaler()]).await;
    driver.until("synced at c1, Healthy").await;
    let versions = driver.versions().await;
    for _look in 0..3 {
        driver.turn().await;
    }
    assert_eq!(driver.versions().await, versions, "no change, no write");
    driver.push(&[deployment("web:2", 2), service(), config("a", "1"), autoscaler()]);
    driver.until("synced at c2, Healthy").await;
    let live = driver.live("apps/v1", "Deployment", "web").await;
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    assert_eq!(
        object::annotation(&live, "argocd.argoproj.io/tracking-id"),
        Some("petclinic:apps/Deployment:petclinic/web")
    );
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_healed_and_what_left_git_is_pruned() {
    let mut driver = Driver::start(&[deployment("web:1", 2), config("a", "1"), config("b", "1")]).await;
    driver.until("synced at c1, Healthy").await;
    driver.change("v1", "ConfigMap", "a", json!({ "data": { "v": "9" } })).await;
    driver.turn().await;
    driver.until("synced at c1, Healthy").await;
    assert_eq!(driver.live("v1", "ConfigMap", "a").await["data"], json!({ "v": "1" }));
    driver.push(&[deployment("web:1", 2), config("a", "1")]);
    driver.until("synced at c2, Healthy").await;
    assert!(driver.find("v1", "ConfigMap", "b").await.is_none());
    let mut fewer = deployment("web:1", 2);
    fewer["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{ "name": "B", "value": "2" }]);
    driver.push(&[fewer, config("a", "1")]);
    driver.until("synced at c3, Healthy").await;
    let live = driver.live("apps/v1", "Deployment", "web").await;
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["env"], json!([{ "name": "B", "value": "2" }]));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscalers_replicas_stay_its_own() {
    let mut driver = Driver::start(&[deployment("web:1", 2), autoscaler()]).await;
    driver.until("synced at c1, Healthy").await;
    driver.scale("web", 4).await;
    driver.turn().await;
    driver.push(&[deployment("web:2", 2), autoscaler()]);
    driver.until("synced at c2").await;
    let live = driver.live("apps/v1", "Deployment", "web").await;
    assert_eq!(live["spec"]["replicas"], 4, "git says 2, the autoscaler 4");
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_rests_on_what_was_seen() {
    let mut driver = Driver::start(&[config("a", "1")]).await;
    driver.until("synced at c1, Healthy").await;
    let seen = driver.live("v1", "ConfigMap", "a").await;
    driver.change("v1", "ConfigMap", "a", json!({ "metadata": { "labels": { "x": "1" } } })).await;
    let cluster = &driver.cluster;
    let pruned =
        cluster.prune(("v1", "ConfigMap"), ("petclinic", "a"), object::uid(&seen), object::resource_version(&seen));
    assert_eq!(pruned.await.expect("it answers"), cluster::Written::Stale);
    let mut other = config("a", "2");
    other["metadata"] = json!({ "name": "a", "namespace": "petclinic", "uid": "another" });
    assert_eq!(cluster.apply(&other).await.expect("it answers"), cluster::Written::Stale);
    let odd = json!({ "apiVersion": "x.io/v1", "kind": "Odd", "metadata": { "name": "o" } });
    let refused = cluster.apply(&odd).await.expect_err("no such kind").to_string();
    assert!(refused.contains("does not serve Odd of x.io/v1"), "{refused}");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_refuses_ends_the_sync_by_name() {
    let mut bad = deployment("web:1", 2);
    bad["spec"]["selector"] = json!({ "matchLabels": { "app": "other" } });
    let mut driver = Driver::start(&[bad, config("a", "1")]).await;
    let said = driver.until("the sync of c1 failed").await;
    assert!(said.contains("Deployment petclinic/web"), "{said}");
    assert!(driver.find("v1", "ConfigMap", "a").await.is_none(), "the rehearsal failed: nothing was applied");
    driver.push(&[deployment("web:1", 2), config("a", "1")]);
    driver.until("synced at c2, Healthy").await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_followed() {
    let driver = Driver::start(&[]).await;
    let mut changes = driver.cluster.follow("v1", "ConfigMap").await.expect("it is served");
    driver.cluster.create_namespace("petclinic").await.expect("it is made");
    let mut object = config("seen", "1");
    object["metadata"]["namespace"] = "petclinic".into();
    driver.cluster.apply(&object).await.expect("it is applied");
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        use futures::StreamExt;
        while let Some(change) = changes.next().await {
            if object::name(change.object()) == "seen" {
                return true;
            }
        }
        false
    });
    assert!(found.await.expect("it is told in time"));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_changes_hands() {
    let mut driver = Driver::start(&[config("a", "1")]).await;
    driver.until("synced at c1, Healthy").await;
    let application = driver.application().await;
    assert_eq!(application["status"]["sync"]["status"], "Synced");
    assert_eq!(application["status"]["health"]["status"], "Healthy");
    driver.cluster.release(&ObjectRef::of(&application)).await.expect("it is released");
    driver.push(&[config("a", "2")]);
    let said = driver.until("observed only").await;
    assert!(said.contains("would sync, for ConfigMap/a"), "{said}");
    assert_eq!(driver.live("v1", "ConfigMap", "a").await["data"], json!({ "v": "1" }));
    let application = driver.application().await;
    driver.cluster.let_go(&ObjectRef::of(&application)).await.expect("it is told");
    let stale = driver.cluster.claim(&ObjectRef::of(&application)).await.expect("it answers");
    assert_eq!(stale, cluster::Written::Stale, "the Application changed since it was read");
    driver.cluster.claim(&ObjectRef::of(&driver.application().await)).await.expect("it is claimed");
    driver.until("synced at c2, Healthy").await;
    driver.stop().await;
}
