//! A push to a manifests repository is followed at once, not at the next resync.

use playground::sample::MANIFESTS;
use std::time::Duration;
use world::estate::{Estate, Kind};
use world::process::eventually;

/// Shorter than the pause between two resyncs, which is two minutes and more: only the delivery can be what wakes.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn is_followed_at_once() {
    let estate = Estate::configured(Kind::Embedded, "1s", |config| config.repository(MANIFESTS)).await;
    world::estate::declare(&estate.kube, &estate.sample.application()).await;
    estate.settled().await;

    let file = "petclinic/web.yaml";
    let text = estate.manifests().file("refs/heads/main", file);
    let commit = estate.commit_manifests(&[(file, format!("{text}# a remark\n"))], "A remark").await;
    estate.deliver(&commit).await.expect("it is taken");
    eventually("the application is at the pushed commit", SOON, || async {
        let page = estate.dashboard().await.get("apps/production/argocd/petclinic").await;
        (page["app"]["revision"] == commit.after.as_str() && page["app"]["sync"] == "synced").then_some(())
    })
    .await;
}
