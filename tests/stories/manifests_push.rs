//! A push to a manifests repository is followed at once, not at the next resync.

use playground::git::{Push, deliver};
use playground::sample::MANIFESTS;
use std::time::Duration;
use world::estate::{Estate, HOOK_SECRET, Kind};
use world::process::eventually;

/// Shorter than the pause between two resyncs, which is two minutes and more: only the delivery can be what wakes.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn is_followed_at_once() {
    let listed = |config: String| {
        let (before, after) = config.split_once("repositories = [").expect("the hook has repositories");
        let url = config.split('"').find(|part| part.ends_with("/user/petclinic.git")).expect("it has an address");
        let manifests = url.replace("user/petclinic", MANIFESTS);
        format!("{before}repositories = [{{ name = \"{MANIFESTS}\", url = \"{manifests}\" }}, {after}")
    };
    let estate = Estate::configured(Kind::Embedded, "1s", listed).await;
    world::estate::declare(&estate.kube, &estate.sample.application()).await;
    estate.settled().await;

    let file = "petclinic/web.yaml";
    let text = estate.manifests().file("refs/heads/main", file);
    let commit = estate.commit_manifests(&[(file, format!("{text}# a remark\n"))], "A remark").await;
    let push = Push {
        repository: MANIFESTS,
        clone_url: &estate.sample.manifests_repository,
        branch: "main",
        before: &commit.before,
        after: &commit.after,
        message: "A remark",
        modified: &[file.to_owned()],
    };
    let hook = format!("{}/hooks/github/default", estate.bespin.hooks);
    deliver(&hook, HOOK_SECRET, "push", &commit.after[..32], &push.payload()).await.expect("it is taken");
    eventually("the application is at the pushed commit", SOON, || async {
        let page = estate.dashboard().await.get("apps/production/argocd/petclinic").await;
        (page["app"]["revision"] == commit.after.as_str() && page["app"]["sync"] == "synced").then_some(())
    })
    .await;
}
