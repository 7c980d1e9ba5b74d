//! `kubectl argo rollouts restart` in mid-walk: the pods of both versions are replaced, and the walk goes on.

use serde_json::Value;
use world::estate::{PATIENCE, REPLICASETS, ROLLOUT};
use world::process::eventually;
use world::rollouts::{ByHand, names};
use world::watch::Watch;

#[tokio::test(flavor = "multi_thread")]
async fn replaces_the_pods_and_stops_nothing() {
    let Some(by_hand) = ByHand::start("1h").await else { return };
    let kube = &by_hand.estate.kube;
    kube.scale(ROLLOUT, 4).await;
    by_hand.serves("v55-f31bdcc", 4).await;
    by_hand.at_ten("v56").await;
    for weight in [25, 50] {
        by_hand.argo.run(&["promote", "was"]);
        by_hand.paused_at(weight).await;
    }
    // Four pods of the stable version, and two of the canary.
    let before = names(&by_hand.pods().await);
    assert_eq!(before.len(), 6, "{before:?}");
    let index = by_hand.status("currentStepIndex").await;
    let watch = Watch::start(kube, REPLICASETS).await;

    // A pod of the very second of the restart is none from before it.
    by_hand.argo.run(&["restart", "was", "--in", "2s"]);
    let asked = by_hand.estate.rollout().await["spec"]["restartAt"].clone();
    eventually("every pod is a new one", PATIENCE, || async {
        let now = names(&by_hand.pods().await);
        (now.len() == before.len() && now.iter().all(|name| !before.contains(name))).then_some(())
    })
    .await;
    eventually("the restart is said to be done", PATIENCE, || async {
        (by_hand.status("restartedAt").await == asked).then_some(())
    })
    .await;
    by_hand.paused_at(50).await;
    assert_eq!(by_hand.status("currentStepIndex").await, index, "the walk stands where it stood");
    assert_eq!(by_hand.sets().await.len(), 2, "it is no new version");
    for (name, least) in [(named(&by_hand, "stableRS").await, 3), (named(&by_hand, "currentPodHash").await, 1)] {
        let ready: Vec<_> = watch.states(&name).iter().map(|set| set["status"]["readyReplicas"].as_u64()).collect();
        assert!(ready.iter().all(|ready| *ready >= Some(least)), "{name}: {ready:?}");
    }

    by_hand.argo.run(&["promote", "was", "--full"]);
    by_hand.serves("v56", 4).await;
    by_hand.is("Healthy").await;
    // What a restart leaves behind for ever stops nothing that comes after it.
    assert!(by_hand.estate.rollout().await["spec"]["restartAt"].is_string());
    by_hand.at_ten("v57").await;
    by_hand.argo.run(&["abort", "was"]);
    by_hand.went_back().await;
    by_hand.serves("v56", 4).await;
}

/// The name of the ReplicaSet that a field of the status means.
async fn named(by_hand: &ByHand, field: &str) -> String {
    match by_hand.status(field).await {
        Value::String(hash) => format!("was-{hash}"),
        other => panic!("{field} is {other}"),
    }
}
