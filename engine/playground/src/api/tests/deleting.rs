use super::*;
use crate::controllers::{self, Loads};
use tokio_util::sync::CancellationToken;

const MAPS: &str = "/api/v1/namespaces/n/configmaps";

/// An API with its controllers, until the guard goes.
fn controlled() -> (Api, tokio_util::sync::DropGuard) {
    let (api, stop) = (api(), CancellationToken::new());
    tokio::spawn(controllers::run(api.clone(), Loads::default(), stop.clone()));
    (api, stop.drop_guard())
}

async fn delete(api: &Api, path: &str, options: &Value) -> (u16, Value) {
    send(api, "DELETE", path, "application/json", options).await
}

/// Waits, change by change, until something holds.
async fn until(api: &Api, what: &str, holds: impl Fn() -> bool) {
    let mut changes = api.changes();
    let wait = async {
        while !holds() {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn owned_by(name: &str, owner: &Value) -> Value {
    let mut child = config_map(name);
    child["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true}]);
    child
}

#[tokio::test]
async fn preconditions_guard_a_deletion() {
    let api = api();
    let (_, made) = post(&api, MAPS, &config_map("a")).await;
    let path = format!("{MAPS}/a");
    let (code, refusal) = delete(&api, &path, &json!({"preconditions": {"uid": "other"}})).await;
    assert_eq!(code, 409);
    let said = refusal["message"].as_str().unwrap();
    assert!(said.contains("the UID in the precondition (other) does not match the UID in record"), "{said}");
    assert_eq!(delete(&api, &path, &json!({"preconditions": {"resourceVersion": "1"}})).await.0, 409);
    let right = json!({"preconditions": {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}});
    let (code, status) = delete(&api, &path, &right).await;
    assert_eq!((code, &status["status"], &status["details"]["name"]), (200, &json!("Success"), &json!("a")));
    assert_eq!(delete(&api, &path, &Value::Null).await.0, 404);
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let api = api();
    let mut map = config_map("a");
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&api, MAPS, &map).await;
    let path = format!("{MAPS}/a");
    let (_, going) = delete(&api, &path, &Value::Null).await;
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(get(&api, &path).await.0, 200);
    merge(&api, &path, &json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(get(&api, &path).await.0, 404);
}

#[tokio::test]
async fn what_loses_its_owner_goes_after_it() {
    let (api, _stop) = controlled();
    let (_, owner) = post(&api, MAPS, &config_map("owner")).await;
    post(&api, MAPS, &owned_by("child", &owner)).await;
    delete(&api, &format!("{MAPS}/owner"), &Value::Null).await;
    let maps = api.built_in("ConfigMap");
    until(&api, "the child goes", || !api.exists(&maps, "n", "child")).await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let (api, _stop) = controlled();
    let (_, owner) = post(&api, MAPS, &config_map("owner")).await;
    let mut child = owned_by("child", &owner);
    child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&api, MAPS, &child).await;
    let (_, going) = delete(&api, &format!("{MAPS}/owner"), &json!({"propagationPolicy": "Foreground"})).await;
    assert_eq!(going["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let maps = api.built_in("ConfigMap");
    let dying = || api.get(&maps, "n", "child").is_ok_and(|c| c["metadata"]["deletionTimestamp"].is_string());
    until(&api, "the child is being deleted", dying).await;
    assert!(api.exists(&maps, "n", "owner"));
    merge(&api, &format!("{MAPS}/child"), &json!({"metadata": {"finalizers": null}})).await;
    until(&api, "the owner goes", || !api.exists(&maps, "n", "owner")).await;
}

#[tokio::test]
async fn orphans_stay() {
    let (api, _stop) = controlled();
    let (_, owner) = post(&api, MAPS, &config_map("owner")).await;
    post(&api, MAPS, &owned_by("child", &owner)).await;
    delete(&api, &format!("{MAPS}/owner"), &json!({"propagationPolicy": "Orphan"})).await;
    let maps = api.built_in("ConfigMap");
    until(&api, "the owner goes", || !api.exists(&maps, "n", "owner")).await;
    let child = api.get(&maps, "n", "child").unwrap();
    assert!(child["metadata"]["ownerReferences"].is_null());
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let (api, _stop) = controlled();
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&api, MAPS, &held).await;
    post(&api, MAPS, &config_map("free")).await;
    let (_, going) = delete(&api, "/api/v1/namespaces/n", &Value::Null).await;
    assert_eq!(going["status"]["phase"], "Terminating");
    let maps = api.built_in("ConfigMap");
    until(&api, "what is free goes", || !api.exists(&maps, "n", "free")).await;
    let (code, refusal) = post(&api, MAPS, &config_map("late")).await;
    assert_eq!(code, 403, "{refusal}");
    merge(&api, &format!("{MAPS}/held"), &json!({"metadata": {"finalizers": null}})).await;
    let namespaces = api.built_in("Namespace");
    until(&api, "the namespace goes", || !api.exists(&namespaces, "", "n")).await;
}
