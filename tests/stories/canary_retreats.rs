//! A canary that fails, or that a person does not want, goes back; and git is never changed in silence.

use serde_json::Value;
use world::estate::{Estate, INGRESSES, Kind, NAMESPACE, PATIENCE, ROLLOUT};
use world::process::eventually;
use world::watch::weight;

const PIPELINE: &str = ".bespin/petclinic-was.yaml";
const PAGE: &str = "rollouts/production/petclinic/was";

#[tokio::test(flavor = "multi_thread")]
async fn when_its_pods_crash() {
    let estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    let before = estate.manifests().head();

    // The kubelet stand-in lets every pod crash whose image says so.
    let application = estate.application();
    let pipeline = application.file(&application.head(), PIPELINE);
    let crashing = pipeline.replace("}}-${{ commit.short }}", "}}-crash-${{ commit.short }}");
    assert_ne!(crashing, pipeline);
    let files = [(PIPELINE, crashing), ("was/static/server", "#!/bin/sh\nexit 1\n".to_owned())];
    let pushed = estate.push(&files, "Crash").await;
    let bad = format!("petclinic-was:v56-crash-{}", &pushed.after[..7]);

    let run = estate.ended(&pushed.after).await;
    assert_eq!(run["state"], "failed", "{run:#}");
    let rollout = back_at_stable(&estate).await;
    assert!(rollout["status"]["message"].as_str().unwrap_or_default().contains("crash") || names(&rollout, &bad));
    assert!(names(&rollout, &bad), "a condition names the bad image: {:#}", rollout["status"]["conditions"]);
    git_is_not_changed_in_silence(&estate, &before, &bad);

    // The bad version is refused for good: a restart does not walk it again.
    let mut estate = estate;
    estate.restart(&[]).await;
    let rollout = back_at_stable(&estate).await;
    assert!(names(&rollout, &bad));
    assert!(offers(&estate).await.contains(&"retry".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_person_asks() {
    let estate = Estate::start(Kind::Embedded, "1h").await;
    estate.settled().await;
    let before = estate.manifests().head();
    let pushed = estate.push_change(1).await;
    eventually("the canary pauses at 10 %", PATIENCE, || async {
        let rollout = estate.dashboard().await.get(PAGE).await;
        (rollout["rollout"]["asked"] == 10 && rollout["rollout"]["phase"] == "Paused").then_some(())
    })
    .await;
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/retreat")).await;
    assert_eq!(status, 202, "{answer}");
    let run = estate.ended(&pushed.after).await;
    assert_eq!(run["state"], "failed", "{run:#}");
    back_at_stable(&estate).await;
    git_is_not_changed_in_silence(&estate, &before, &format!("petclinic-was:v56-{}", &pushed.after[..7]));
    let entries = estate.bespin.journal("rollout/");
    let asked = entries.iter().find(|entry| entry["kind"] == "asked").expect("who asked is recorded");
    assert!(asked["by"].to_string().contains("ann"), "{asked}");

    // What is not offered is refused with a sentence.
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/retreat")).await;
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/retry")).await;
    assert_eq!(status, 202, "{answer}");
    eventually("the canary walks again", PATIENCE, || async {
        let rollout = estate.dashboard().await.get(PAGE).await;
        (rollout["rollout"]["asked"] == 10 && rollout["rollout"]["phase"] == "Paused").then_some(())
    })
    .await;
}

/// All traffic and all pods are the stable version's again; answers the Rollout then.
async fn back_at_stable(estate: &Estate) -> Value {
    let rollout = eventually("the rollout has retreated", PATIENCE, || async {
        let rollout = estate.kube.get(ROLLOUT).await?;
        let status = &rollout["status"];
        (status["phase"] == "Degraded" && status["abort"] == true).then_some(rollout)
    })
    .await;
    let stable = rollout["status"]["stableRS"].as_str().expect("there is a stable version").to_owned();
    assert_ne!(rollout["status"]["currentPodHash"], stable.as_str());
    eventually("no traffic goes to the canary", PATIENCE, || async {
        let ingress = estate.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await?;
        (weight(&ingress) == Some(0)).then_some(())
    })
    .await;
    let service = estate.kube.get(&format!("{NAMESPACE}/services/was-stable")).await.expect("the Service is there");
    assert_eq!(service["spec"]["selector"]["rollouts-pod-template-hash"], stable.as_str());
    eventually("the stable version has all its pods", PATIENCE, || async {
        let sets = estate.kube.list("/apis/apps/v1/namespaces/petclinic/replicasets").await;
        let set = sets.iter().find(|set| set["metadata"]["labels"]["rollouts-pod-template-hash"] == stable.as_str())?;
        (set["status"]["availableReplicas"] == 2).then_some(())
    })
    .await;
    rollout
}

fn names(rollout: &Value, image: &str) -> bool {
    rollout["status"]["conditions"].to_string().contains(image)
}

/// Nothing but the run's own bump was committed: whether git goes back is a person's decision.
fn git_is_not_changed_in_silence(estate: &Estate, before: &str, image: &str) {
    let manifests = estate.manifests();
    let commits = manifests.since(before);
    assert_eq!(commits.len(), 1, "{commits:?}");
    assert!(commits[0].1.contains("Bespin-Run: user/petclinic/petclinic-was/56"), "{commits:?}");
    assert!(manifests.file(&manifests.head(), "petclinic/was-rollout.yaml").contains(image));
}

async fn offers(estate: &Estate) -> Vec<String> {
    let page = eventually("the rollout is on the board", PATIENCE, || async {
        let page = estate.dashboard().await.get(PAGE).await;
        page["rollout"]["actions"].as_array().cloned()
    })
    .await;
    page.iter().filter_map(|offer| offer["action"].as_str().map(str::to_owned)).collect()
}
