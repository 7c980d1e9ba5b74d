//! A Rollout is deleted and applied anew, as `kubectl delete` and a prune do it: with all that it owned, and without.

use reqwest::Method;
use serde_json::{Value, json};
use world::estate::{PATIENCE, ROLLOUT, ROLLOUTS};
use world::process::eventually;
use world::rollouts::{ByHand, HASH, image, is_ready};

const OLD: &str = "v55-f31bdcc";
const PODS: usize = 4;

/// The sample with as many pods as were seen to be lost.
async fn of_four() -> Option<ByHand> {
    let by_hand = ByHand::start("1h").await?;
    by_hand.estate.kube.scale(ROLLOUT, PODS as u32).await;
    by_hand.serves(OLD, PODS).await;
    by_hand.is("Healthy").await;
    Some(by_hand)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_what_it_owned_and_with_it() {
    let Some(by_hand) = of_four().await else { return };
    without_what_it_owned(&by_hand).await;
    with_all_that_it_owned(&by_hand).await;
}

async fn with_all_that_it_owned(by_hand: &ByHand) {
    // `kubectl delete` leaves what it owned to the garbage collector, which may be late.
    let whole = recreate(by_hand, "Background", "v56-background").await;
    served(by_hand, "v56-background").await;
    assert_eq!(by_hand.status("stableRS").await, by_hand.status("currentPodHash").await);
    goes_back(by_hand, "v57", "v56-background").await;

    // In mid-walk, and by a prune, which waits for what it owned: the canary and its share are gone with it.
    by_hand.argo.run(&["retry", "rollout", "was"]);
    by_hand.paused_at(10).await;
    for weight in [25, 50, 75] {
        by_hand.argo.run(&["promote", "was"]);
        by_hand.paused_at(weight).await;
    }
    let anew = recreate(by_hand, "Foreground", "v58-foreground").await;
    assert_ne!(anew["metadata"]["uid"], whole["metadata"]["uid"]);
    served(by_hand, "v58-foreground").await;
    goes_back(by_hand, "v59", "v58-foreground").await;
}

async fn without_what_it_owned(by_hand: &ByHand) {
    let before = by_hand.pods().await;

    // The same version: its pods go on, and none is made.
    recreate(by_hand, "Orphan", OLD).await;
    served(by_hand, OLD).await;
    assert_eq!(uids(&by_hand.pods().await), uids(&before), "no pod was made anew");
    assert_eq!(by_hand.sets().await.len(), 1);

    // Another version: what serves is what it is compared with, and what an abort goes back to.
    recreate(by_hand, "Orphan", "v56-orphan").await;
    by_hand.paused_at(10).await;
    by_hand.serves(OLD, PODS).await;
    by_hand.argo.run(&["abort", "was"]);
    by_hand.went_back().await;
    by_hand.serves(OLD, PODS).await;
    let kept = uids(&by_hand.behind("was-stable").await);
    assert_eq!(kept, uids(&before), "the pods that served all the time");
}

/// Deletes the Rollout, and applies it anew with this version once it is gone; answers the new one.
async fn recreate(by_hand: &ByHand, propagation: &str, tag: &str) -> Value {
    let kube = &by_hand.estate.kube;
    let old = by_hand.estate.rollout().await;
    let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation });
    let (status, answer) = kube.send(Method::DELETE, ROLLOUT, "application/json", Some(&options)).await;
    assert_eq!(status, 200, "{answer}");
    eventually("the Rollout is gone", PATIENCE, || async { kube.get(ROLLOUT).await.is_none().then_some(()) }).await;
    let mut spec = old["spec"].clone();
    spec["template"]["spec"]["containers"][0]["image"] = json!(image(tag));
    let anew = json!({
        "apiVersion": old["apiVersion"], "kind": old["kind"], "spec": spec,
        "metadata": { "name": "was", "annotations": { "bespin.dev/owner": "bespin" } },
    });
    kube.create(&format!("{ROLLOUTS}?fieldManager=kubectl-create"), &anew).await
}

/// Waits until every pod that is wanted serves, and meanwhile sees no share on a Service without pods once there are any.
async fn served(by_hand: &ByHand, tag: &str) {
    eventually(&format!("{tag} has all its pods and all traffic"), PATIENCE, || async {
        let stable = by_hand.behind("was-stable").await;
        let ready = stable.iter().filter(|pod| is_ready(pod)).count();
        let phase = by_hand.status("phase").await;
        (phase == "Healthy" && ready == PODS && by_hand.weight().await == Some(0)).then_some(())
    })
    .await;
    by_hand.serves(tag, PODS).await;
    let newest = by_hand.status("currentPodHash").await;
    for pod in by_hand.behind("was-canary").await {
        assert_eq!(pod["metadata"]["labels"][HASH], newest, "the canary's Service has its pods");
    }
    assert!(by_hand.behind("was-canary").await.iter().any(is_ready), "and they are ready");
}

/// Another version begins, is aborted, and leaves the pods that served.
async fn goes_back(by_hand: &ByHand, next: &str, to: &str) {
    by_hand.at_ten(next).await;
    by_hand.argo.run(&["abort", "was"]);
    by_hand.went_back().await;
    by_hand.serves(to, PODS).await;
}

fn uids(pods: &[Value]) -> Vec<String> {
    let mut uids: Vec<String> = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
    uids.sort();
    uids
}
