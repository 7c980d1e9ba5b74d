//! People go on typing `kubectl argo rollouts`: each verb of the peer's own client does what it does there.

use world::estate::PATIENCE;
use world::process::eventually;
use world::rollouts::{ByHand, Client, names};

const OLD: &str = "v55-f31bdcc";
const NEW: &str = "v56-by-hand";

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_walked_by_hand() {
    let Some(by_hand) = ByHand::start("1h").await else { return };
    let argo = &by_hand.argo;
    let listed = argo.run(&["list", "rollouts"]);
    let row = listed.lines().find(|line| line.starts_with("was ")).expect("the Rollout is listed");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["was", "Canary", "Healthy", "4/4", "100", "2/2", "2", "2", "2"], "{listed}");
    assert_eq!(argo.run(&["status", "was", "--timeout", "60s"]).trim(), "Healthy");

    by_hand.at_ten(NEW).await;
    assert!(argo.run(&["status", "was", "--watch=false"]).starts_with("Paused - CanaryPauseStep"));
    shows(argo, &["Status:          ॥ Paused", "Step:          0/4", "SetWeight:     10", "ActualWeight:  10"]);

    argo.run(&["promote", "was"]);
    by_hand.paused_at(25).await;
    argo.run(&["pause", "was"]);
    assert_eq!(by_hand.estate.rollout().await["spec"]["paused"], true);
    argo.run(&["promote", "was"]);
    assert_ne!(by_hand.estate.rollout().await["spec"]["paused"], true);
    argo.run(&["abort", "was"]);
    by_hand.went_back().await;
    let (success, said) = argo.try_run(&["status", "was", "--timeout", "60s"]);
    assert!(!success && said.contains("Degraded - RolloutAborted"), "{said}");

    argo.run(&["retry", "rollout", "was"]);
    by_hand.paused_at(10).await;
    argo.run(&["promote", "was", "--full"]);
    assert_eq!(argo.run(&["status", "was", "--timeout", "120s"]).lines().last(), Some("Healthy"));
    by_hand.serves(NEW, 2).await;

    argo.run(&["undo", "was"]);
    by_hand.paused_at(10).await;
    assert_eq!(by_hand.sets().await.len(), 2, "the version before has its set still");
    argo.run(&["promote", "was", "--full"]);
    by_hand.serves(OLD, 2).await;
    assert!(argo.run(&["list", "experiments"]).contains("No resources found"));
    let (success, said) = argo.try_run(&["terminate", "analysisrun", "none"]);
    assert!(!success && said.contains("not found"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_restarted_one_by_one() {
    let Some(by_hand) = ByHand::start("1h").await else { return };
    let before = names(&by_hand.pods().await);
    by_hand.argo.run(&["restart", "was"]);
    let asked = by_hand.estate.rollout().await["spec"]["restartAt"].clone();
    eventually("every pod is a new one", PATIENCE, || async {
        let available = by_hand.status("availableReplicas").await.as_u64().unwrap_or_default();
        assert!(available >= 1, "a pod is there all the time");
        let now = names(&by_hand.pods().await);
        (now.len() == before.len() && now.iter().all(|name| !before.contains(name))).then_some(())
    })
    .await;
    let restarted = || async { (by_hand.status("restartedAt").await == asked).then_some(()) };
    eventually("the restart is said to be done", PATIENCE, restarted).await;
    assert_eq!(by_hand.argo.run(&["status", "was", "--timeout", "60s"]).lines().last(), Some("Healthy"));
    assert_eq!(by_hand.sets().await.len(), 1, "it is no new version");
}

fn shows(argo: &Client, lines: &[&str]) {
    let text = argo.run(&["get", "rollout", "was", "--no-color"]);
    for line in lines {
        assert!(text.contains(line), "{line} in {text}");
    }
}
