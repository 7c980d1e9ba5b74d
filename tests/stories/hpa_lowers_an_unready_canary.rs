//! The real autoscaler lowers the replicas beside a canary that is not ready: no healthy pod is taken for an unready one.

use serde_json::{Value, json};
use world::estate::{PATIENCE, REPLICASETS, ROLLOUT};
use world::process::eventually;
use world::rollouts::{ByHand, HASH};
use world::watch::Watch;

const OLD: &str = "v55-f31bdcc";
const AUTOSCALER: &str = "/apis/autoscaling/v2/namespaces/petclinic/horizontalpodautoscalers/was-hpa";

#[tokio::test(flavor = "multi_thread")]
async fn where_traffic_is_routed_and_where_the_pods_are_the_weight() {
    let Some(by_hand) = ByHand::start("1h").await else { return };
    lowered(&by_hand, 0, "v56-never-ready").await;

    // No surge and one missing: the canary's pod takes the place of a stable one.
    let canary = json!({
        "trafficRouting": null, "maxSurge": 0, "maxUnavailable": 1,
        "steps": [{ "setWeight": 50 }, { "pause": {} }],
    });
    by_hand.set_image(OLD);
    by_hand.edit(&json!({ "spec": { "strategy": { "canary": canary } } })).await;
    by_hand.is("Healthy").await;
    lowered(&by_hand, 1, "v57-never-ready").await;
}

/// Eight pods, a version that never becomes ready, and an autoscaler that wants four: so many may be missing at most.
async fn lowered(by_hand: &ByHand, missing: u64, bad: &str) {
    let kube = &by_hand.estate.kube;
    bounds(by_hand, 8, 10).await;
    by_hand.serves(OLD, 8).await;
    by_hand.is("Healthy").await;
    let watch = Watch::start(kube, REPLICASETS).await;
    by_hand.set_image(bad);
    let canary = eventually("the canary has a pod", PATIENCE, || async {
        let hash = by_hand.status("currentPodHash").await;
        let pods = by_hand.pods().await;
        (by_hand.status("stableRS").await != hash && pods.iter().any(|pod| pod["metadata"]["labels"][HASH] == hash))
            .then_some(hash)
    })
    .await;
    let stable = by_hand.status("stableRS").await;

    bounds(by_hand, 2, 4).await;
    eventually("the stable version has as few as the autoscaler wants", PATIENCE, || async {
        let of_stable = |pod: &&Value| pod["metadata"]["labels"][HASH] == stable;
        let pods = by_hand.pods().await;
        let number = pods.iter().filter(of_stable).count() as u64;
        let status = by_hand.estate.rollout().await;
        let settled = status["status"]["HPAReplicas"].as_u64() == Some(pods.len() as u64);
        (settled && (4 - missing..=4).contains(&number)).then_some(())
    })
    .await;
    assert_ne!(by_hand.status("phase").await, "Healthy");
    let name = format!("was-{}", stable.as_str().expect("it has a hash"));
    let available: Vec<u64> =
        watch.states(&name).iter().map(|set| set["status"]["availableReplicas"].as_u64().unwrap_or(0)).collect();
    assert!(available.iter().all(|available| *available >= 4 - missing), "{available:?}");
    assert_eq!(by_hand.status("currentPodHash").await, canary);

    by_hand.argo.run(&["abort", "was"]);
    by_hand.is("Degraded").await;
    by_hand.serves(OLD, 4).await;
}

/// Sets the autoscaler's bounds, and waits until it has brought the Rollout within them.
async fn bounds(by_hand: &ByHand, least: u64, most: u64) {
    let kube = &by_hand.estate.kube;
    kube.merge(AUTOSCALER, &json!({ "spec": { "minReplicas": least, "maxReplicas": most } })).await;
    eventually(&format!("the autoscaler wants {least} to {most}"), PATIENCE, || async {
        let replicas = kube.get(ROLLOUT).await?["spec"]["replicas"].as_u64()?;
        (least..=most).contains(&replicas).then_some(())
    })
    .await;
}
