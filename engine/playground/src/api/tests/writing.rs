use super::*;

#[tokio::test]
async fn no_token_no_answer() {
    let api = api();
    let request = Request::builder().uri("/api/v1/namespaces").body(Full::new(Bytes::new())).unwrap();
    let response = api.clone().call(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
}

#[tokio::test]
async fn what_is_created_has_its_defaults_its_identity_and_its_manager() {
    let api = api();
    let (code, made) = post(&api, DEPLOYMENTS, &deployment()).await;
    assert_eq!(code, 201);
    assert_eq!(made["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
    assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"], "TCP");
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["metadata"]["namespace"], "n");
    assert_eq!(made["metadata"]["uid"].as_str().unwrap().len(), 36);
    let manager = &made["metadata"]["managedFields"][0];
    assert_eq!((&manager["manager"], &manager["operation"]), (&json!("tester"), &json!("Update")));
    assert!(manager["fieldsV1"]["f:spec"]["f:replicas"].is_object());
}

#[tokio::test]
async fn refusals_are_worded_as_the_real_server_words_them() {
    let api = api();
    post(&api, DEPLOYMENTS, &deployment()).await;
    let again = post(&api, DEPLOYMENTS, &deployment()).await;
    assert_eq!(again.0, 409);
    assert_eq!(again.1["message"], "deployments.apps \"web\" already exists");
    assert_eq!(again.1["details"], json!({"name": "web", "group": "apps", "kind": "deployments"}));
    let (code, missing) = get(&api, "/apis/apps/v1/namespaces/n/deployments/none").await;
    assert_eq!((code, missing["reason"].as_str()), (404, Some("NotFound")));
    assert_eq!(missing["message"], "deployments.apps \"none\" not found");
    let (code, nowhere) = post(&api, "/api/v1/namespaces/other/configmaps", &config_map("a")).await;
    assert_eq!((code, nowhere["message"].as_str()), (404, Some("namespaces \"other\" not found")));
    let mut wrong = deployment();
    wrong["metadata"]["name"] = "other".into();
    wrong["spec"]["template"]["metadata"]["labels"]["app"] = "x".into();
    let (code, invalid) = post(&api, DEPLOYMENTS, &wrong).await;
    assert_eq!((code, invalid["reason"].as_str()), (422, Some("Invalid")));
    assert_eq!(invalid["details"]["causes"][0]["field"], "spec.template.metadata.labels");
    assert_eq!(get(&api, "/apis/none.example.com/v1/things").await.0, 404);
}

#[tokio::test]
async fn a_write_on_an_old_read_is_a_conflict() {
    let api = api();
    let (_, made) = post(&api, DEPLOYMENTS, &deployment()).await;
    let mut first = made.clone();
    first["spec"]["replicas"] = 3.into();
    assert_eq!(put(&api, WEB, &first).await.0, 200);
    first["spec"]["replicas"] = 4.into();
    let (code, refusal) = put(&api, WEB, &first).await;
    assert_eq!((code, refusal["reason"].as_str()), (409, Some("Conflict")));
    assert_eq!(
        refusal["message"],
        "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please apply your \
         changes to the latest version and try again"
    );
    let version = made["metadata"]["resourceVersion"].clone();
    let stale = json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": 9}});
    assert_eq!(merge(&api, WEB, &stale).await.0, 409);
    let stranger = json!({"metadata": {"uid": "other"}, "spec": {"replicas": 9}});
    assert_eq!(merge(&api, WEB, &stranger).await.0, 422);
    let mut stranger = get(&api, WEB).await.1;
    stranger["metadata"]["uid"] = "other".into();
    let (code, refusal) = put(&api, WEB, &stranger).await;
    assert_eq!(code, 409);
    assert!(refusal["message"].as_str().unwrap().contains("Precondition failed: UID in precondition: other"));
}

#[tokio::test]
async fn the_generation_follows_the_spec_and_the_status_is_apart() {
    let api = api();
    post(&api, DEPLOYMENTS, &deployment()).await;
    let (_, relabelled) =
        merge(&api, WEB, &json!({"metadata": {"labels": {"b": "2"}}, "status": {"replicas": 7}})).await;
    assert_eq!(relabelled["metadata"]["generation"], 1);
    assert_eq!(relabelled["status"]["replicas"], Value::Null);
    let (_, scaled) = merge(&api, WEB, &json!({"spec": {"replicas": 5}})).await;
    assert_eq!(scaled["metadata"]["generation"], 2);
    let status = json!({"status": {"replicas": 7}, "spec": {"replicas": 1}});
    let (_, reported) = merge(&api, &format!("{WEB}/status"), &status).await;
    assert_eq!((&reported["status"]["replicas"], &reported["spec"]["replicas"]), (&json!(7), &json!(5)));
    assert_eq!(reported["metadata"]["generation"], 2);
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_no_write() {
    let api = api();
    let (_, made) = post(&api, DEPLOYMENTS, &deployment()).await;
    let (_, same) = merge(&api, WEB, &json!({"spec": {"replicas": 2}})).await;
    assert_eq!(made["metadata"]["resourceVersion"], same["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn the_scale_is_one_number_of_the_object() {
    let api = api();
    post(&api, DEPLOYMENTS, &deployment()).await;
    let path = format!("{WEB}/scale");
    let (_, scale) = get(&api, &path).await;
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["selector"]), (&json!(2), &json!("app=web")));
    let (code, scaled) = merge(&api, &path, &json!({"spec": {"replicas": 6}})).await;
    assert_eq!((code, &scaled["spec"]["replicas"]), (200, &json!(6)));
    let (_, live) = get(&api, WEB).await;
    let managers = live["metadata"]["managedFields"].as_array().unwrap();
    let scaler = managers.iter().find(|m| m["subresource"] == "scale").unwrap();
    let creator = managers.iter().find(|m| m["subresource"].is_null()).unwrap();
    assert_eq!(scaler["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    assert!(creator["fieldsV1"]["f:spec"]["f:replicas"].is_null(), "the creator owns it no longer");
}

#[tokio::test]
async fn strategic_patches_find_list_items_by_key() {
    let api = api();
    post(&api, DEPLOYMENTS, &deployment()).await;
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "web", "image": "web:2", "env": [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}]},
        {"name": "side", "image": "side:1"},
    ]}}}});
    let (code, live) = send(&api, "PATCH", WEB, "application/strategic-merge-patch+json", &patch).await;
    assert_eq!(code, 200, "{live}");
    let containers = &live["spec"]["template"]["spec"]["containers"];
    assert_eq!((&containers[0]["image"], &containers[1]["name"]), (&json!("web:2"), &json!("side")));
    let env: Vec<&str> = containers[0]["env"].as_array().unwrap().iter().filter_map(|e| e["name"].as_str()).collect();
    assert_eq!(env, ["C", "B"], "what is new comes first, as with the real server");
}

#[tokio::test]
async fn a_rehearsal_leaves_no_trace() {
    let api = api();
    let (code, would) = post(&api, &format!("{DEPLOYMENTS}?dryRun=All"), &deployment()).await;
    assert_eq!((code, &would["spec"]["revisionHistoryLimit"]), (201, &json!(10)));
    assert_eq!(get(&api, WEB).await.0, 404);
}

#[tokio::test]
async fn a_definition_is_served_at_once() {
    let api = api();
    let crd = json!({
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 4}}}}}}}],
        },
    });
    let (code, made) = post(&api, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd).await;
    assert_eq!(code, 201, "{made}");
    assert!(made["status"]["conditions"].as_array().unwrap().iter().any(|c| c["type"] == "Established"));
    let path = "/apis/example.com/v1/namespaces/n/things";
    let thing = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"},
        "spec": {"replicas": 3}, "status": {"replicas": 9}});
    let (code, made) = post(&api, path, &thing).await;
    assert_eq!((code, &made["spec"]["size"]), (201, &json!(4)));
    assert!(made["status"].is_null(), "the status has its own subresource");
    let (_, scale) = get(&api, &format!("{path}/a/scale")).await;
    assert_eq!(scale["spec"]["replicas"], 3);
    let (_, resources) = get(&api, "/apis/example.com/v1").await;
    let names: Vec<&str> =
        resources["resources"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(names, ["things", "things/status", "things/scale"]);
    assert_eq!(
        send(&api, "PATCH", &format!("{path}/a"), "application/strategic-merge-patch+json", &json!({})).await.0,
        415
    );
}

#[tokio::test]
async fn faults_come_as_often_as_asked() {
    use crate::faults::{Fault, Target};
    let faults = Faults::default();
    let api = Api::new(Store::new(0, Vec::new()), TOKEN.into(), faults.clone());
    let path = "/api/v1/namespaces";
    faults.inject(Target::Kube, Some("POST"), "/namespaces", Fault::Status(500), 2);
    faults.inject(Target::Git, None, "", Fault::Drop, 1);
    let namespace = json!({"metadata": {"name": "n"}});
    let (code, refusal) = post(&api, path, &namespace).await;
    assert_eq!((code, refusal["reason"].as_str()), (500, Some("InternalError")));
    assert_eq!(get(&api, path).await.0, 200, "reads are not meant");
    assert_eq!(post(&api, path, &namespace).await.0, 500);
    assert_eq!(post(&api, path, &namespace).await.0, 201);
    assert_eq!(faults.left(), 1, "the other part's fault is still to come");
    faults.inject(Target::Kube, Some("DELETE"), "/namespaces/n", Fault::DropAfter, 1);
    let request = Request::builder().method("DELETE").uri("/api/v1/namespaces/n");
    let request = request.header("authorization", format!("Bearer {TOKEN}")).body(Full::new(Bytes::new())).unwrap();
    assert!(api.clone().call(request).await.is_err(), "no answer comes");
    let live = get(&api, "/api/v1/namespaces/n").await.1;
    assert_eq!(live["status"]["phase"], "Terminating", "but it was carried out");
}
