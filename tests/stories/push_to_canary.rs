//! A push becomes a finished canary: once on the embedded default, once on the real parts.

use world::balancer::{Balancer, share_is};
use world::estate::{DEPLOYMENTS, Estate, INGRESSES, Kind, NAMESPACE, PATIENCE, ROLLOUT, ROLLOUTS};
use world::process::eventually;
use world::watch::{Watch, distinct, weight};
use world::{has, missing};

const REPOSITORY: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was";
const MANIFEST: &str = "petclinic/was-rollout.yaml";
const WEIGHTS: [u64; 4] = [10, 25, 50, 75];

/// How the walk goes from weight to weight.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// By the manifest's own pauses.
    Pauses,
    /// By a person, who presses the button once the traffic of each weight has been counted.
    Buttons,
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_embedded_default() {
    let estate = Estate::start(Kind::Embedded, "1s").await;
    walk(&estate, Pace::Pauses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_real_parts() {
    if Kind::Real.is_missing() || missing("haproxy", has("haproxy")) {
        return;
    }
    let estate = Estate::start(Kind::Real, "1h").await;
    walk(&estate, Pace::Buttons).await;
}

async fn walk(estate: &Estate, pace: Pace) {
    estate.settled().await;
    let was = estate.rollout().await;
    let old = format!("{REPOSITORY}:v55-f31bdcc");
    assert_eq!(was["spec"]["template"]["spec"]["containers"][0]["image"], old.as_str());

    // The autoscalers' targets are scaled as an autoscaler does it, before anything is pushed.
    estate.kube.scale(&format!("{DEPLOYMENTS}/web"), 4).await;
    estate.kube.scale(ROLLOUT, 3).await;
    let deployments = Watch::start(&estate.kube, DEPLOYMENTS).await;
    let rollouts = Watch::start(&estate.kube, ROLLOUTS).await;
    let ingresses = Watch::start(&estate.kube, INGRESSES).await;

    drift_is_healed(estate).await;
    what_left_git_is_pruned(estate).await;

    let (before, tags) = (estate.manifests().head(), estate.images.tags("petclinic-was").await);
    let pushed = estate.push_change(1).await;
    if pace == Pace::Buttons {
        press_through(estate).await;
    }
    let run = estate.ended(&pushed.after).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    assert_eq!(run["number"], 56, "the numbers go on where the estate's own stopped");

    let tag = format!("v56-{}", &pushed.after[..7]);
    let image = format!("{REPOSITORY}:{tag}");
    one_image(estate, &tags, &tag).await;
    one_commit(estate, &before, run["id"].as_str().expect("an id"), &old, &image);
    promoted(estate, &image).await;

    let weights = ingresses.states("petclinic-ingress");
    let mut weights = distinct(weights.iter().filter_map(weight).collect::<Vec<_>>());
    weights.retain(|weight| !matches!(weight, 0 | 100));
    assert_eq!(weights, WEIGHTS, "the weights that were asked of the load balancer, in order");
    let replicas = |watch: &Watch, name: &str| {
        distinct(watch.states(name).iter().map(|object| object["spec"]["replicas"].as_u64()).collect::<Vec<_>>())
    };
    assert_eq!(replicas(&deployments, "web"), [Some(4)], "the autoscaler's choice was never touched");
    assert_eq!(replicas(&rollouts, "was"), [Some(3)], "the autoscaler's choice was never touched");
}

/// What no autoscaler owns is git's: `kubectl scale` of it is undone.
async fn drift_is_healed(estate: &Estate) {
    let redis = format!("{DEPLOYMENTS}/redis");
    estate.kube.scale(&redis, 3).await;
    eventually("redis has one replica again", PATIENCE, || async {
        let redis = estate.kube.get(&redis).await?;
        (redis["spec"]["replicas"] == 1).then_some(())
    })
    .await;
}

async fn what_left_git_is_pruned(estate: &Estate) {
    let policy = "/apis/networking.k8s.io/v1/namespaces/petclinic/networkpolicies/was-netpol";
    assert!(estate.kube.get(policy).await.is_some());
    let (manifests, file) = (estate.manifests(), "petclinic/access.yaml");
    let text = manifests.file(&manifests.head(), file);
    let (_, role) = text.split_once("---\n").expect("the file holds a policy and a role");
    estate.commit_manifests(&[(file, role.to_owned())], "The network policy goes").await;
    let (status, answer) = estate.dashboard().await.press("apps/production/argocd/petclinic/sync").await;
    assert_eq!(status, 202, "{answer}");
    eventually("the network policy is gone", PATIENCE, || async {
        estate.kube.get(policy).await.is_none().then_some(())
    })
    .await;
    let role = "/apis/rbac.authorization.k8s.io/v1/namespaces/petclinic/roles/developer";
    assert!(estate.kube.get(role).await.is_some(), "what is still in git stays");
}

/// Counts the traffic of each weight, then promotes a step.
async fn press_through(estate: &Estate) {
    let dashboard = estate.dashboard().await;
    let page = "rollouts/production/petclinic/was";
    for asked in WEIGHTS {
        eventually(&format!("the canary pauses at {asked} %"), PATIENCE, || async {
            let rollout = dashboard.get(page).await;
            let weighs = rollout["rollout"]["asked"] == asked && rollout["rollout"]["phase"] == "Paused";
            weighs.then_some(())
        })
        .await;
        let ingress = format!("{INGRESSES}/petclinic-ingress");
        let balancer = Balancer::start(estate.dir(), &estate.kube, &ingress).await;
        let rollout = estate.rollout().await;
        let image = rollout["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image");
        share_is(asked, &balancer.ask(10_000).await, image);
        let (status, answer) = dashboard.press(&format!("{page}/actions/promote")).await;
        assert_eq!(status, 202, "{answer}");
    }
}

async fn one_image(estate: &Estate, before: &[String], tag: &str) {
    let tags = estate.images.tags("petclinic-was").await;
    let new: Vec<_> = tags.iter().filter(|tag| !before.contains(tag)).collect();
    assert_eq!(new, [tag], "exactly one tag is new");
    let manifest = estate.images.manifest("petclinic-was", tag).await;
    assert!(manifest["layers"].as_array().is_some_and(|layers| !layers.is_empty()), "{manifest}");
}

fn one_commit(estate: &Estate, before: &str, run: &str, old: &str, new: &str) {
    let manifests = estate.manifests();
    let commits = manifests.since(before);
    assert_eq!(commits.len(), 1, "exactly one commit is new: {commits:?}");
    let (commit, message) = &commits[0];
    assert!(message.contains(&format!("\nBespin-Run: {run}")), "{message}");
    assert_eq!(manifests.changed(before, commit), [MANIFEST]);
    let (was, is) = (manifests.file(before, MANIFEST), manifests.file(commit, MANIFEST));
    assert_eq!(was.matches(old).count(), 1);
    assert_eq!(is, was.replace(old, new), "nothing but the image's text changed");
}

async fn promoted(estate: &Estate, image: &str) {
    eventually("the rollout says Healthy", PATIENCE, || async {
        let rollout = estate.rollout().await;
        let status = &rollout["status"];
        let done = status["phase"] == "Healthy" && status["stableRS"] == status["currentPodHash"];
        done.then_some(())
    })
    .await;
    let rollout = estate.rollout().await;
    assert_eq!(rollout["spec"]["template"]["spec"]["containers"][0]["image"], image);
    let ingress = estate.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await.expect("the Ingress is there");
    assert_eq!(weight(&ingress), Some(0), "the promoted version is the stable one, which serves everything");
    let stable = estate.kube.get(&format!("{NAMESPACE}/services/was-stable")).await.expect("the Service is there");
    assert_eq!(stable["spec"]["selector"]["rollouts-pod-template-hash"], rollout["status"]["stableRS"]);
}
