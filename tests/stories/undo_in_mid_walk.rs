//! `kubectl argo rollouts undo` to the stable version, in mid-walk: the way back, and no third version.

use std::collections::BTreeSet;
use world::estate::{PATIENCE, REPLICASETS};
use world::process::eventually;
use world::rollouts::{ByHand, is_of};
use world::watch::Watch;

#[tokio::test(flavor = "multi_thread")]
async fn goes_back_and_makes_no_third_set() {
    let Some(by_hand) = ByHand::start("1h").await else { return };
    let watch = Watch::start(&by_hand.estate.kube, REPLICASETS).await;
    by_hand.at_ten("v56").await;
    by_hand.argo.run(&["promote", "was"]);
    by_hand.paused_at(25).await;
    let stable = by_hand.status("stableRS").await;

    by_hand.argo.run(&["undo", "was"]);
    let rollout = by_hand.is("Healthy").await;
    assert!(is_of(&rollout, "v55-f31bdcc"), "{rollout:#}");
    assert_eq!((&rollout["status"]["stableRS"], &rollout["status"]["currentPodHash"]), (&stable, &stable));
    assert_eq!(by_hand.weight().await, Some(0));
    by_hand.serves("v55-f31bdcc", 2).await;
    eventually("the canary has given its pods back", PATIENCE, || async {
        (by_hand.pods().await.len() == 2).then_some(())
    })
    .await;
    let all = watch.all();
    let of_was = all.iter().filter(|set| set["metadata"]["labels"]["app"] == "was");
    let sets: BTreeSet<String> = of_was.map(|set| set["metadata"]["uid"].to_string()).collect();
    assert_eq!(sets.len(), 2, "no third one was there, not even for a moment: {sets:?}");
    assert_eq!(by_hand.argo.run(&["status", "was", "--timeout", "60s"]).lines().last(), Some("Healthy"));

    // The version that was left is a new attempt: it begins at its first step.
    by_hand.argo.run(&["undo", "was"]);
    by_hand.paused_at(10).await;
    assert_eq!(by_hand.sets().await.len(), 2);
}
