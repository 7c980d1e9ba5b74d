use super::*;
use serde_json::json;

fn live() -> Value {
    json!({ "metadata": { "managedFields": [
        { "manager": "bespin", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {
            "f:spec": { "f:replicas": {}, "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"a\"}": { ".": {}, "f:name": {}, "f:env": { "k:{\"name\":\"X\"}": { ".": {}, "f:name": {} } } }
            } } } } } },
        { "manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
          "fieldsV1": { "f:spec": { "f:replicas": {} } } },
        { "manager": "argocd-controller", "operation": "Apply", "apiVersion": "apps/v1",
          "fieldsV1": { "f:spec": { "f:paused": {} } } },
    ] } })
}

#[test]
fn owners_are_found_by_path() {
    let live = live();
    let names: Vec<_> = owners(&live, &["spec", "replicas"]).iter().map(|s| (s.manager, s.operation)).collect();
    assert_eq!(names, [("bespin", Operation::Apply), ("kube-controller-manager", Operation::Update)]);
    assert!(owners(&live, &["spec", "selector"]).is_empty());
}

#[test]
fn a_field_that_left_git_is_found_in_what_we_own() {
    let live = live();
    let ours = applied_by(&live, "bespin").expect("it applied").fields;
    let desired =
        json!({ "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": "a", "env": [] }] } } } });
    assert_eq!(dropped(ours, &desired), [".spec.template.spec.containers[name=a].env[name=X]"]);
    let same = json!({ "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": "a", "env": [{ "name": "X" }] }] } } } });
    assert!(dropped(ours, &same).is_empty());
}

#[test]
fn another_managers_fields_are_taken_out() {
    let live = live();
    let mut object = json!({ "spec": { "replicas": 4, "paused": true } });
    let scaled = shares(&live)[1].fields;
    assert_eq!(take_out(&mut object, scaled), 1);
    assert_eq!(object, json!({ "spec": { "paused": true } }));
}

#[test]
fn argo_is_succeeded_in_what_it_applied() {
    let adopted = adopted(&live(), "bespin").expect("argo applied");
    let entries = adopted.as_array().expect("a list");
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["manager"], "bespin");
    assert_eq!(entries[0]["fieldsV1"]["f:spec"]["f:paused"], json!({}));
    assert_eq!(entries[0]["fieldsV1"]["f:spec"]["f:replicas"], json!({}));
    assert!(super::adopted(&json!({ "metadata": { "managedFields": adopted } }), "bespin").is_none());
}
