//! What is refused, with the reasons and the causes of kube-apiserver 1.36.2.

use serde_json::json;

use super::*;

const CORE: &str = "/api/v1/namespaces/n";

fn causes(answer: &Value) -> Vec<(&str, &str)> {
    let causes = answer["details"]["causes"].as_array().unwrap();
    causes.iter().map(|c| (c["field"].as_str().unwrap(), c["message"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn what_is_sealed_stays_and_says_so() {
    let api = api();
    let map = json!({"metadata": {"name": "m"}, "immutable": true, "data": {"a": "1"}});
    post(&api, &format!("{CORE}/configmaps"), &map).await;
    let path = format!("{CORE}/configmaps/m");
    let (code, answer) = merge(&api, &path, &json!({"immutable": false, "data": {"a": "2"}})).await;
    let why = "Forbidden: field is immutable when `immutable` is set";
    assert_eq!((code, causes(&answer)), (422, vec![("immutable", why), ("data", why)]));
    let labelled = merge(&api, &path, &json!({"metadata": {"labels": {"l": "1"}}})).await;
    assert_eq!(labelled.0, 200, "its labels are free");
}

#[tokio::test]
async fn an_address_once_given_is_kept_and_may_not_change() {
    let api = api();
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let (_, made) = post(&api, &format!("{CORE}/services"), &service).await;
    let path = format!("{CORE}/services/s");
    let (code, kept) = put(&api, &path, &service).await;
    assert_eq!((code, &kept["spec"]["clusterIP"]), (200, &made["spec"]["clusterIP"]));
    let (code, answer) = merge(&api, &path, &json!({"spec": {"clusterIP": "10.96.77.77"}})).await;
    let why = "Invalid value: [\"10.96.77.77\"]: may not change once set";
    assert_eq!((code, causes(&answer)), (422, vec![("spec.clusterIPs[0]", why)]));
}

#[tokio::test]
async fn a_quantity_that_is_none_is_refused_as_it_was_sent() {
    let api = api();
    let sized = |cpu: &str| {
        let mut deployment = deployment();
        deployment["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        deployment
    };
    let why = "unable to parse quantity's suffix";
    let (code, answer) = post(&api, DEPLOYMENTS, &sized("500mm")).await;
    let said = format!("Deployment in version \"v1\" cannot be handled as a Deployment: {why}");
    assert_eq!((code, answer["message"].as_str().unwrap()), (400, said.as_str()));
    let (code, answer) = apply(&api, WEB, "one", &sized("500mm")).await;
    assert_eq!((code, answer.get("reason")), (500, None), "an apply of it is the server's own fault");
    let (code, answer) = post(&api, DEPLOYMENTS, &sized("-1")).await;
    let field = "spec.template.spec.containers[0].resources.requests[cpu]";
    assert_eq!(
        (code, causes(&answer)),
        (422, vec![(field, "Invalid value: \"-1\": must be greater than or equal to 0")])
    );
    let (code, answer) = post(&api, DEPLOYMENTS, &sized("1000m")).await;
    let stands = &answer["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"];
    assert_eq!((code, stands), (201, &json!("1")));
}

#[tokio::test]
async fn the_same_quantity_written_otherwise_changes_nothing() {
    let api = api();
    let mut config = deployment();
    config["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "1024Mi"}});
    let (_, made) = apply(&api, WEB, "one", &config).await;
    let (_, again) = apply(&api, WEB, "one", &config).await;
    assert_eq!(made["metadata"]["resourceVersion"], again["metadata"]["resourceVersion"]);
}
