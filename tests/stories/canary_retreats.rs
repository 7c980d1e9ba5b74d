//! A canary that fails, or that a person does not want, goes back; and git does not go on naming it in silence.

use serde_json::{Value, json};
use world::estate::{Estate, INGRESSES, Kind, NAMESPACE, PATIENCE, ROLLOUT, declare};
use world::process::eventually;
use world::watch::weight;

const PIPELINE: &str = ".bespin/petclinic-was.yaml";
const PAGE: &str = "rollouts/production/petclinic/was";
/// The file of the manifests repository that names the image.
const MANIFEST: &str = "petclinic/was-rollout.yaml";

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

    let good = estate.manifests().file(&before, MANIFEST);
    let run = estate.ended(&pushed.after).await;
    assert_eq!(run["state"], "failed", "{run:#}");
    let rollout = back_at_stable(&estate).await;
    let message = rollout["status"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("RolloutAborted: ") && message.contains("CrashLoopBackOff"), "{message}");
    assert!(names(&rollout, &bad), "a condition names the bad image: {:#}", rollout["status"]["conditions"]);
    git_is_not_changed_in_silence(&estate, &before, &bad);
    let branch = told(&estate, "BranchPushed").await;
    a_branch_puts_it_back(&estate, &branch, &good);

    // The bad version is refused for good: a restart does not walk it again, nor is anything pushed again.
    let mut estate = estate;
    estate.restart(&[]).await;
    let rollout = back_at_stable(&estate).await;
    assert!(names(&rollout, &bad));
    assert!(offers(&estate).await.contains(&"retry".to_owned()));
    assert_eq!(told(&estate, "BranchPushed").await, branch);
    a_branch_puts_it_back(&estate, &branch, &good);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_git_shall_follow() {
    let estate = Estate::undeclared(Kind::Embedded, "1h").await;
    let mut application = estate.sample.application();
    application["metadata"]["annotations"]["bespin.dev/on-abort"] = json!("revert");
    declare(&estate.kube, &application).await;
    estate.settled().await;
    let before = estate.manifests().head();
    let pushed = estate.push_change(1).await;
    pauses_at_ten(&estate).await;
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/abort")).await;
    assert_eq!(status, 202, "{answer}");
    let run = estate.ended(&pushed.after).await;
    assert_eq!(run["state"], "failed", "{run:#}");

    // The sync brings what git names by then, and everything is as it was.
    let commits = eventually("git was put back", PATIENCE, || async {
        let commits = estate.manifests().since(&before);
        (commits.len() == 2).then_some(commits)
    })
    .await;
    let message = &commits[0].1;
    assert!(message.contains("Bespin-Run: user/petclinic/petclinic-was/56"), "{message}");
    assert!(message.contains("asked for by ann"), "{message}");
    assert_eq!(estate.manifests().changed(&before, "refs/heads/main"), Vec::<String>::new(), "byte for byte");
    assert_eq!(estate.manifests().branches(), ["main"]);
    estate.settled().await;
    let rollout = estate.rollout().await;
    assert_eq!(rollout["status"]["stableRS"], rollout["status"]["currentPodHash"]);
    let conditions = rollout["status"]["conditions"].as_array().expect("it has conditions");
    assert!(conditions.iter().any(|one| one["type"] == "Refused"), "the template stays refused: {conditions:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_person_asks() {
    let estate = Estate::start(Kind::Embedded, "1h").await;
    estate.settled().await;
    let before = estate.manifests().head();
    let pushed = estate.push_change(1).await;
    pauses_at_ten(&estate).await;
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/abort")).await;
    assert_eq!(status, 202, "{answer}");
    let run = estate.ended(&pushed.after).await;
    assert_eq!(run["state"], "failed", "{run:#}");
    back_at_stable(&estate).await;
    git_is_not_changed_in_silence(&estate, &before, &format!("petclinic-was:v56-{}", &pushed.after[..7]));
    let entries = estate.bespin.journal("rollout/");
    let asked = entries.iter().find(|entry| entry["kind"] == "asked").expect("who asked is recorded");
    assert!(asked["by"].to_string().contains("ann"), "{asked}");

    // What is not offered is refused with a sentence.
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/abort")).await;
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/retry")).await;
    assert_eq!(status, 202, "{answer}");
    pauses_at_ten(&estate).await;
}

async fn pauses_at_ten(estate: &Estate) {
    eventually("the canary pauses at 10 %", PATIENCE, || async {
        let rollout = estate.dashboard().await.get(PAGE).await;
        (rollout["rollout"]["asked"] == 10 && rollout["rollout"]["phase"] == "Paused").then_some(())
    })
    .await;
}

/// All traffic and all pods are the stable version's again; answers the Rollout then.
async fn back_at_stable(estate: &Estate) -> Value {
    let rollout = eventually("the rollout was aborted", PATIENCE, || async {
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

/// Nothing but the run's own bump was committed to the branch that is deployed: what follows is a person's decision.
fn git_is_not_changed_in_silence(estate: &Estate, before: &str, image: &str) {
    let manifests = estate.manifests();
    let commits = manifests.since(before);
    assert_eq!(commits.len(), 1, "{commits:?}");
    assert!(commits[0].1.contains("Bespin-Run: user/petclinic/petclinic-was/56"), "{commits:?}");
    assert!(manifests.file(&manifests.head(), MANIFEST).contains(image));
}

/// The branch that the Rollout's condition names; the same sentence is on the dashboard.
async fn told(estate: &Estate, reason: &str) -> String {
    let message = eventually("a condition says what becomes of git", PATIENCE, || async {
        let rollout = estate.rollout().await;
        let conditions = rollout["status"]["conditions"].as_array()?;
        let told = conditions.iter().find(|one| one["type"] == "OnAbort" && one["reason"] == reason)?;
        told["message"].as_str().map(str::to_owned)
    })
    .await;
    assert!(message.contains("open a pull request from it into `main`"), "{message}");
    eventually("the dashboard says so, too", PATIENCE, || async {
        let page = estate.dashboard().await.get(PAGE).await;
        page["status"]["message"].as_str()?.contains(&message).then_some(())
    })
    .await;
    let named = message.split('`').find(|part| part.starts_with("bespin/retreat-"));
    named.unwrap_or_else(|| panic!("no branch is named: {message}")).to_owned()
}

/// One commit on top of the branch that is deployed, and the file as it was before the bump, byte for byte.
fn a_branch_puts_it_back(estate: &Estate, branch: &str, good: &str) {
    let manifests = estate.manifests();
    assert_eq!(manifests.branches(), [branch, "main"]);
    let commits = manifests.beyond_main(branch);
    assert_eq!(commits.len(), 1, "{commits:?}");
    assert!(commits[0].contains("Bespin-Run: user/petclinic/petclinic-was/56"), "{commits:?}");
    assert_eq!(manifests.file(branch, MANIFEST), good);
}

async fn offers(estate: &Estate) -> Vec<String> {
    let page = eventually("the rollout is on the board", PATIENCE, || async {
        let page = estate.dashboard().await.get(PAGE).await;
        page["rollout"]["actions"].as_array().cloned()
    })
    .await;
    page.iter().filter_map(|offer| offer["action"].as_str().map(str::to_owned)).collect()
}
