//! Who owns which field: the rules of server-side apply, one small story each.

use super::*;

fn owned(object: &Value, manager: &str) -> Value {
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    managers.iter().find(|m| m["manager"] == manager).map(|m| m["fieldsV1"].clone()).unwrap_or(Value::Null)
}

fn config(edit: impl FnOnce(&mut Value)) -> Value {
    let mut config = deployment();
    edit(&mut config);
    config
}

fn drop_field(object: &mut Value, pointer: &str, field: &str) {
    object.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(field);
}

#[tokio::test]
async fn an_applier_owns_what_it_names_and_nothing_of_the_defaults() {
    let api = api();
    let (code, made) = apply(&api, WEB, "bespin", &deployment()).await;
    assert_eq!(code, 201);
    let expected = json!({
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                    ".": {}, "f:env": {
                        "k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}},
                        "k:{\"name\":\"B\"}": {".": {}, "f:name": {}, "f:value": {}},
                    },
                    "f:image": {}, "f:name": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                }}},
            },
        },
    });
    assert_eq!(owned(&made, "bespin"), expected);
    let (code, again) = apply(&api, WEB, "bespin", &deployment()).await;
    assert_eq!(code, 200);
    assert_eq!(again["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"], "nothing changed");
}

#[tokio::test]
async fn another_manager_is_a_conflict_unless_it_wants_the_same() {
    let api = api();
    apply(&api, WEB, "bespin", &deployment()).await;
    merge(&api, &format!("{WEB}/scale?fieldManager=hpa"), &json!({"spec": {"replicas": 5}})).await;
    let (code, refusal) = apply(&api, WEB, "bespin", &deployment()).await;
    assert_eq!((code, refusal["reason"].as_str()), (409, Some("Conflict")));
    assert_eq!(
        refusal["message"],
        "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using apps/v1: .spec.replicas"
    );
    assert_eq!(
        refusal["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "field": ".spec.replicas",
            "message": "conflict with \"hpa\" with subresource \"scale\" using apps/v1"}])
    );
    let same = config(|c| c["spec"]["replicas"] = 5.into());
    let (code, shared) = apply(&api, WEB, "bespin", &same).await;
    assert_eq!(code, 200);
    assert!(owned(&shared, "bespin")["f:spec"]["f:replicas"].is_object());
    assert!(owned(&shared, "hpa")["f:spec"]["f:replicas"].is_object(), "both own it now");
}

#[tokio::test]
async fn force_takes_the_field_over() {
    let api = api();
    apply(&api, WEB, "bespin", &deployment()).await;
    merge(&api, &format!("{WEB}/scale?fieldManager=hpa"), &json!({"spec": {"replicas": 5}})).await;
    let path = format!("{WEB}?fieldManager=bespin&force=true");
    let (code, live) = send(&api, "PATCH", &path, "application/apply-patch+yaml", &deployment()).await;
    assert_eq!((code, &live["spec"]["replicas"]), (200, &json!(2)));
    assert_eq!(owned(&live, "hpa"), Value::Null, "who owns nothing is forgotten");
}

#[tokio::test]
async fn a_field_that_nobody_names_any_more_is_reset_to_its_default() {
    let api = api();
    let without = config(|c| drop_field(c, "/spec", "replicas"));
    apply(&api, WEB, "bespin", &config(|c| c["spec"]["replicas"] = 4.into())).await;
    let (_, reset) = apply(&api, WEB, "bespin", &without).await;
    assert_eq!(reset["spec"]["replicas"], 1, "dropping it blindly scales the Deployment to one");
}

#[tokio::test]
async fn a_field_that_was_handed_over_first_stays() {
    let api = api();
    let without = config(|c| drop_field(c, "/spec", "replicas"));
    apply(&api, WEB, "bespin", &config(|c| c["spec"]["replicas"] = 4.into())).await;
    let hand_over = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 4}});
    assert_eq!(apply(&api, WEB, "hpa-takes-over", &hand_over).await.0, 200);
    let (_, kept) = apply(&api, WEB, "bespin", &without).await;
    assert_eq!(kept["spec"]["replicas"], 4);
    assert!(owned(&kept, "bespin")["f:spec"]["f:replicas"].is_null());
}

#[tokio::test]
async fn a_list_item_goes_when_its_only_owner_leaves_it_out() {
    let api = api();
    apply(&api, WEB, "bespin", &deployment()).await;
    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": [
        {"name": "web", "env": [{"name": "Z", "value": "26"}]}]}}}});
    assert_eq!(apply(&api, WEB, "other", &other).await.0, 200);
    let fewer = config(|c| {
        c["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "B", "value": "2"}]);
        drop_field(c, "/metadata", "labels");
    });
    let (code, live) = apply(&api, WEB, "bespin", &fewer).await;
    assert_eq!(code, 200, "{live}");
    let container = &live["spec"]["template"]["spec"]["containers"][0];
    let names: Vec<&str> = container["env"].as_array().unwrap().iter().filter_map(|e| e["name"].as_str()).collect();
    assert_eq!(names, ["B", "Z"]);
    assert!(live["metadata"]["labels"].is_null());
    assert_eq!(container["image"], "web:1");
}

#[tokio::test]
async fn a_field_that_somebody_else_changed_is_theirs() {
    let api = api();
    apply(&api, WEB, "bespin", &deployment()).await;
    let patch = json!({"metadata": {"labels": {"a": "theirs"}}});
    let (_, live) = merge(&api, &format!("{WEB}?fieldManager=editor"), &patch).await;
    assert!(owned(&live, "bespin")["f:metadata"].is_null());
    assert_eq!(owned(&live, "editor"), json!({"f:metadata": {"f:labels": {"f:a": {}}}}));
    let (code, refusal) = apply(&api, WEB, "bespin", &deployment()).await;
    assert_eq!((code, &refusal["details"]["causes"][0]["field"]), (409, &json!(".metadata.labels.a")));
}

#[tokio::test]
async fn several_conflicts_are_listed_by_manager() {
    let api = api();
    apply(&api, WEB, "bespin", &deployment()).await;
    let path = format!("{WEB}?fieldManager=kubectl-set");
    let patch =
        json!({"spec": {"replicas": 7, "template": {"spec": {"containers": [{"name": "web", "image": "web:9"}]}}}});
    send(&api, "PATCH", &path, "application/strategic-merge-patch+json", &patch).await;
    let (_, refusal) = apply(&api, WEB, "bespin", &deployment()).await;
    assert_eq!(
        refusal["message"],
        "Apply failed with 2 conflicts: conflicts with \"kubectl-set\" using apps/v1:\n- .spec.replicas\n- \
         .spec.template.spec.containers[name=\"web\"].image"
    );
}

#[tokio::test]
async fn the_status_has_its_own_owners() {
    let api = api();
    apply(&api, WEB, "bespin", &deployment()).await;
    let status =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {"replicas": 3}, "spec": {"replicas": 9}});
    let (code, live) = apply(&api, &format!("{WEB}/status"), "reporter", &status).await;
    assert_eq!((code, &live["spec"]["replicas"], &live["status"]["replicas"]), (200, &json!(2), &json!(3)));
    let managers = live["metadata"]["managedFields"].as_array().unwrap();
    let reporter = managers.iter().find(|m| m["manager"] == "reporter").unwrap();
    assert_eq!(
        (&reporter["subresource"], &reporter["fieldsV1"]),
        (&json!("status"), &json!({"f:status": {"f:replicas": {}}}))
    );
}

#[tokio::test]
async fn an_apply_must_say_who_it_is() {
    let api = api();
    let (code, refusal) = send(&api, "PATCH", WEB, "application/apply-patch+yaml", &deployment()).await;
    assert_eq!((code, refusal["reason"].as_str()), (422, Some("Invalid")));
}
