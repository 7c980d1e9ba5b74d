//! The API server refuses a version's ReplicaSet in mid-walk: all that is safer goes on, and a condition names it.

use reqwest::Method;
use serde_json::{Value, json};
use world::estate::{NAMESPACE, PATIENCE, REPLICASETS, ROLLOUT};
use world::process::eventually;
use world::rollouts::ByHand;

const OLD: &str = "v55-f31bdcc";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

#[tokio::test(flavor = "multi_thread")]
async fn by_a_quota_and_by_a_policy() {
    let Some(by_hand) = ByHand::start("1h").await else { return };
    by_a_quota(&by_hand).await;
    by_a_policy(&by_hand, "v57-refused").await;
}

async fn by_a_quota(by_hand: &ByHand) {
    in_mid_walk(by_hand, "v56").await;
    let kube = &by_hand.estate.kube;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" },
        "spec": { "hard": { "count/replicasets.apps": "1" } },
    });
    kube.create(&format!("{NAMESPACE}/resourcequotas"), &quota).await;
    refuses(by_hand, "exceeded quota").await;

    by_hand.set_image("v57-refused");
    by_hand.condition("ReplicaFailure", "exceeded quota").await;
    all_goes_back(by_hand, OLD, 3).await;
    by_hand.argo.run(&["abort", "was"]);
    by_hand.went_back().await;
    by_hand.serves(OLD, 3).await;

    // The quota is raised, and a person tries again.
    let (status, answer) =
        kube.send(Method::DELETE, &format!("{NAMESPACE}/resourcequotas/few"), "application/json", None).await;
    assert_eq!(status, 200, "{answer}");
    eventually("the quota is over", PATIENCE, || async { denial(by_hand).await.is_none().then_some(()) }).await;
    by_hand.argo.run(&["retry", "rollout", "was"]);
    by_hand.paused_at(10).await;
    by_hand.argo.run(&["promote", "was", "--full"]);
    by_hand.serves("v57-refused", 3).await;
    by_hand.is("Healthy").await;
    assert!(!by_hand.status("conditions").await.to_string().contains("exceeded quota"), "it is said no more");
}

/// `serving` is the version from before.
async fn by_a_policy(by_hand: &ByHand, serving: &str) {
    in_mid_walk(by_hand, "v58").await;
    let kube = &by_hand.estate.kube;
    let rule =
        json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["replicasets"] });
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": "no-refused" },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [rule] },
            "validations": [{
                "expression": "object.spec.template.spec.containers.all(c, !c.image.contains('refused'))",
                "message": "this image is not for production",
            }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": "no-refused" },
        "spec": { "policyName": "no-refused", "validationActions": ["Deny"] },
    });
    kube.create(POLICIES, &policy).await;
    kube.create(BINDINGS, &binding).await;
    refuses(by_hand, "not for production").await;

    by_hand.set_image("v59-refused");
    by_hand.condition("ReplicaFailure", "not for production").await;
    all_goes_back(by_hand, serving, 4).await;

    // Another version needs no abort, and nobody's hand.
    by_hand.at_ten("v60-allowed").await;
    by_hand.argo.run(&["abort", "was"]);
    by_hand.went_back().await;
    by_hand.serves(serving, 4).await;
}

/// A second version at its second weight.
async fn in_mid_walk(by_hand: &ByHand, tag: &str) {
    by_hand.at_ten(tag).await;
    by_hand.argo.run(&["promote", "was"]);
    by_hand.paused_at(25).await;
}

/// Traffic goes back, the stable version follows the wanted number, and the status is of now.
async fn all_goes_back(by_hand: &ByHand, serving: &str, number: u32) {
    eventually("no traffic goes to the version before", PATIENCE, || async {
        (by_hand.weight().await == Some(0)).then_some(())
    })
    .await;
    by_hand.estate.kube.scale(ROLLOUT, number).await;
    by_hand.serves(serving, number as usize).await;
    eventually("the status counts them", PATIENCE, || async {
        let status = by_hand.estate.rollout().await["status"].clone();
        (status["HPAReplicas"].as_u64() >= Some(number.into())
            && status["availableReplicas"].as_u64() >= Some(number.into()))
        .then_some(())
    })
    .await;
}

/// Waits until the API server refuses such a ReplicaSet with these words.
async fn refuses(by_hand: &ByHand, words: &str) {
    eventually(&format!("a ReplicaSet is refused: {words}"), PATIENCE, || async {
        denial(by_hand).await.filter(|denial| denial.contains(words))
    })
    .await;
}

/// Why no such ReplicaSet is taken now. It is only asked, and none is made.
async fn denial(by_hand: &ByHand) -> Option<String> {
    let mut template: Value = by_hand.sets().await[0]["spec"]["template"].clone();
    template["metadata"]["labels"] = json!({ "app": "asked" });
    template["spec"]["containers"][0]["image"] = json!("refused");
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "asked" },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "asked" } }, "template": template },
    });
    let path = format!("{REPLICASETS}?dryRun=All");
    let (status, answer) = by_hand.estate.kube.send(Method::POST, &path, "application/json", Some(&set)).await;
    (status >= 400).then(|| answer.to_string())
}
