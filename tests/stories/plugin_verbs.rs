//! People go on typing `kubectl argo rollouts`: each verb of the peer's own client does what it does there.

use serde_json::{Value, json};
use world::estate::{Estate, INGRESSES, Kind, NAMESPACE, PATIENCE, ROLLOUT, declare};
use world::process::eventually;
use world::rollouts::Client;
use world::watch::weight;

const OLD: &str = "petclinic-was:v55-f31bdcc";
const NEW: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was:v56-by-hand";

/// The sample on the real control plane, which leaves alone what people change by hand.
async fn by_hand() -> Option<(Estate, Client)> {
    if Kind::Kubernetes.is_missing() {
        return None;
    }
    let estate = Estate::undeclared(Kind::Kubernetes, "1h").await;
    let argo = Client::new(estate.parts.kubeconfig(), "petclinic")?;
    let mut application = estate.sample.application();
    application["spec"]["syncPolicy"]["automated"]["selfHeal"] = json!(false);
    declare(&estate.kube, &application).await;
    estate.settled().await;
    Some((estate, argo))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_walked_by_hand() {
    let Some((estate, argo)) = by_hand().await else { return };
    let listed = argo.run(&["list", "rollouts"]);
    let row = listed.lines().find(|line| line.starts_with("was ")).expect("the Rollout is listed");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["was", "Canary", "Healthy", "4/4", "100", "2/2", "2", "2", "2"], "{listed}");
    assert_eq!(argo.run(&["status", "was", "--timeout", "60s"]).trim(), "Healthy");

    argo.run(&["set", "image", "was", &format!("was={NEW}")]);
    paused_at(&estate, 10).await;
    assert!(argo.run(&["status", "was", "--watch=false"]).starts_with("Paused - CanaryPauseStep"));
    shows(&argo, &["Status:          ॥ Paused", "Step:          0/4", "SetWeight:     10", "ActualWeight:  10"]);

    argo.run(&["promote", "was"]);
    paused_at(&estate, 25).await;
    argo.run(&["pause", "was"]);
    assert_eq!(estate.rollout().await["spec"]["paused"], true);
    argo.run(&["promote", "was"]);
    assert_ne!(estate.rollout().await["spec"]["paused"], true);
    argo.run(&["abort", "was"]);
    went_back(&estate).await;
    let (success, said) = argo.try_run(&["status", "was", "--timeout", "60s"]);
    assert!(!success && said.contains("Degraded - RolloutAborted"), "{said}");

    argo.run(&["retry", "rollout", "was"]);
    paused_at(&estate, 10).await;
    argo.run(&["promote", "was", "--full"]);
    assert_eq!(argo.run(&["status", "was", "--timeout", "120s"]).lines().last(), Some("Healthy"));
    serves(&estate, NEW).await;

    argo.run(&["undo", "was"]);
    paused_at(&estate, 10).await;
    assert_eq!(sets(&estate).await, 2, "the version before has its set still");
    argo.run(&["promote", "was", "--full"]);
    serves(&estate, OLD).await;
    assert!(argo.run(&["list", "experiments"]).contains("No resources found"));
    let (success, said) = argo.try_run(&["terminate", "analysisrun", "none"]);
    assert!(!success && said.contains("not found"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_restarted_one_by_one() {
    let Some((estate, argo)) = by_hand().await else { return };
    let before = pods(&estate).await;
    argo.run(&["restart", "was"]);
    let asked = estate.rollout().await["spec"]["restartAt"].clone();
    eventually("every pod is a new one", PATIENCE, || async {
        let available = estate.rollout().await["status"]["availableReplicas"].as_u64().unwrap_or_default();
        assert!(available >= 1, "a pod is there all the time");
        let now = pods(&estate).await;
        (now.len() == before.len() && now.iter().all(|name| !before.contains(name))).then_some(())
    })
    .await;
    let restarted = || async { (estate.rollout().await["status"]["restartedAt"] == asked).then_some(()) };
    eventually("the restart is said to be done", PATIENCE, restarted).await;
    assert_eq!(argo.run(&["status", "was", "--timeout", "60s"]).lines().last(), Some("Healthy"));
    assert_eq!(sets(&estate).await, 1, "it is no new version");
}

fn shows(argo: &Client, lines: &[&str]) {
    let text = argo.run(&["get", "rollout", "was", "--no-color"]);
    for line in lines {
        assert!(text.contains(line), "{line} in {text}");
    }
}

async fn paused_at(estate: &Estate, percent: u64) {
    eventually(&format!("it pauses at {percent} %"), PATIENCE, || async {
        let status = estate.rollout().await["status"].clone();
        let ingress = estate.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await?;
        (status["phase"] == "Paused" && weight(&ingress) == Some(percent)).then_some(())
    })
    .await;
}

async fn went_back(estate: &Estate) {
    eventually("the old version has all traffic", PATIENCE, || async {
        let status = estate.rollout().await["status"].clone();
        let ingress = estate.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await?;
        (status["phase"] == "Degraded" && weight(&ingress) == Some(0)).then_some(())
    })
    .await;
}

async fn serves(estate: &Estate, image: &str) {
    eventually(&format!("all pods run {image}"), PATIENCE, || async {
        let pods = estate.kube.list(&format!("{NAMESPACE}/pods?labelSelector=app%3Dwas")).await;
        let runs = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().is_some_and(|it| it.ends_with(image));
        (pods.len() == 2 && pods.iter().all(runs)).then_some(())
    })
    .await;
}

async fn pods(estate: &Estate) -> Vec<String> {
    let pods = estate.kube.list(&format!("{NAMESPACE}/pods?labelSelector=app%3Dwas")).await;
    pods.iter().filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned())).collect()
}

async fn sets(estate: &Estate) -> usize {
    assert!(estate.kube.get(ROLLOUT).await.is_some());
    estate.kube.list("/apis/apps/v1/namespaces/petclinic/replicasets?labelSelector=app%3Dwas").await.len()
}
