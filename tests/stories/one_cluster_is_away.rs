//! A second cluster does not answer when the server starts. The server starts, says so, and delivers to the first.

use serde_json::Value;
use world::estate::{Estate, Kind, declare};

/// A cluster at a port that nobody listens on.
const AWAY: &str = r#"
[[cluster]]
name = "away"
reach = { url = { url = "http://127.0.0.1:1" } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn one_cluster_is_away() {
    let estate = Estate::configured(Kind::Embedded, "1s", |config| config.with(AWAY)).await;
    declare(&estate.kube, &estate.sample.application()).await;
    estate.settled().await;
    let home = estate.dashboard().await.get("home").await;
    let of_away = |trouble: &&Value| trouble["stream"] == "cluster/away";
    let trouble = home["troubles"].as_array().and_then(|all| all.iter().find(of_away)).expect("home says it");
    let reason = trouble["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("cluster `away`") && reason.contains("does not answer"), "{reason}");

    let commit = estate.push_change(1).await;
    let run = estate.ended(&commit.after).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    estate.settled().await;
}
