use super::*;
use serde_json::json;

#[track_caller]
fn same(group: &str, desired: Value, live: Value) {
    assert_eq!(compare(group, &desired, &live), []);
}

#[track_caller]
fn differs(group: &str, desired: Value, live: Value, paths: &[&str]) {
    let found: Vec<_> = compare(group, &desired, &live).into_iter().map(|d| d.path).collect();
    assert_eq!(found, paths);
}

#[test]
fn what_the_server_adds_is_no_difference() {
    same("apps", json!({ "spec": { "paused": false } }), json!({ "spec": { "replicas": 1 }, "status": {} }));
    same("apps", json!({ "spec": { "x": null, "y": {}, "z": [] } }), json!({ "spec": {} }));
    same("apps", json!({ "metadata": { "labels": {}, "annotations": null } }), json!({ "metadata": {} }));
    same(
        "apps",
        json!({ "spec": { "volumes": [{ "name": "a", "emptyDir": {} }] } }),
        json!({ "spec": { "volumes": [{ "name": "token", "projected": {} }, { "name": "a", "emptyDir": {} }] } }),
    );
}

#[test]
fn quantities_have_many_spellings() {
    let with = |cpu: Value| json!({ "spec": { "containers": [{ "name": "a", "resources": { "requests": { "cpu": cpu } } }] } });
    same("apps", with(json!("1000m")), with(json!("1")));
    same("apps", with(json!(1)), with(json!("1")));
    same("argoproj.io", with(json!("0.1")), with(json!("100m")));
    differs("apps", with(json!("2")), with(json!("1")), &[".spec.containers[name=a].resources.requests.cpu"]);
    differs("apps", json!({ "data": { "a": "1000m" } }), json!({ "data": { "a": "1" } }), &[".data.a"]);
}

#[test]
fn lists_of_kubernetes_merge_by_key_and_have_no_order() {
    let env = |names: &[&str]| {
        let env: Vec<_> = names.iter().map(|name| json!({ "name": name, "value": "1" })).collect();
        json!({ "spec": { "containers": [{ "name": "a", "env": env }] } })
    };
    same("apps", env(&["A", "B"]), env(&["B", "A"]));
    differs("apps", env(&["A", "C"]), env(&["B", "A"]), &[".spec.containers[name=a].env[name=C]"]);
    same(
        "",
        json!({ "spec": { "ports": [{ "port": 80, "targetPort": 8080 }] } }),
        json!({ "spec": { "ports": [{ "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 31000 }] } }),
    );
    same(
        "apps",
        json!({ "ports": [{ "containerPort": 80 }] }),
        json!({ "ports": [{ "containerPort": 80, "protocol": "TCP" }] }),
    );
}

#[test]
fn a_list_that_is_one_value_is_compared_whole() {
    let rules = |peers: Value| json!({ "spec": { "ingress": [{ "from": peers, "ports": [{ "protocol": "TCP", "port": 8080 }] }] } });
    let web = json!([{ "podSelector": { "matchLabels": { "app": "web" } } }]);
    let both = json!([{ "podSelector": { "matchLabels": { "app": "web", "tier": "x" } } }]);
    same("networking.k8s.io", rules(web.clone()), rules(web.clone()));
    differs("networking.k8s.io", rules(web.clone()), rules(both), &[".spec.ingress"]);
    differs(
        "argoproj.io",
        json!({ "spec": { "containers": [{ "name": "a" }] } }),
        json!({ "spec": { "containers": [{ "name": "a" }, { "name": "b" }] } }),
        &[".spec.containers"],
    );
    same(
        "autoscaling",
        json!({ "spec": { "metrics": [{ "type": "A" }, { "type": "B" }] } }),
        json!({ "spec": { "metrics": [{ "type": "B" }, { "type": "A" }] } }),
    );
    same(
        "networking.k8s.io",
        json!({ "spec": { "egress": [{ "ports": [{ "port": 53 }] }] } }),
        json!({ "spec": { "egress": [{ "ports": [{ "port": 53, "protocol": "TCP" }] }] } }),
    );
}

#[test]
fn what_is_missing_or_other_is_a_difference() {
    differs("", json!({ "data": { "a": "1", "b": "2" } }), json!({ "data": { "a": "0" } }), &[".data.a", ".data.b"]);
    differs("apps", json!({ "spec": { "paused": true } }), json!({ "spec": {} }), &[".spec.paused"]);
    differs("argoproj.io", json!({ "spec": { "x": false } }), json!({ "spec": {} }), &[".spec.x"]);
    differs("apps", json!({ "spec": { "x": {} } }), json!({ "spec": { "x": 1 } }), &[".spec.x"]);
    same("apps", json!({ "spec": { "n": 1.0 } }), json!({ "spec": { "n": 1 } }));
}
