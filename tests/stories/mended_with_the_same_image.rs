//! What was refused is a template and not an image: the same image with a mended environment is a new attempt.

use serde_json::{Value, json};
use world::rollouts::{ByHand, HASH, image};

const BAD: &str = "v56";

#[tokio::test(flavor = "multi_thread")]
async fn is_a_new_attempt() {
    let Some(by_hand) = ByHand::start("1h").await else { return };
    let good = by_hand.estate.rollout().await["spec"]["template"].clone();
    by_hand.edit(&change(&good, "wrong", Some("crash"))).await;
    by_hand.went_back().await;
    let refused = by_hand.status("currentPodHash").await.as_str().expect("it has a hash").to_owned();
    by_hand.condition("Refused", &refused).await;
    by_hand.condition("Refused", "CrashLoopBackOff").await;
    by_hand.serves("v55-f31bdcc", 2).await;

    // What is no part of the template makes no attempt of it.
    by_hand
        .edit(&json!({ "metadata": { "labels": { "team": "clinic" } }, "spec": { "revisionHistoryLimit": 5 } }))
        .await;
    by_hand.is("Degraded").await;
    by_hand.condition("Refused", &refused).await;

    by_hand.edit(&change(&good, "right", None)).await;
    by_hand.paused_at(10).await;
    let mended = by_hand.status("currentPodHash").await;
    assert_ne!(mended, refused.as_str());
    by_hand.condition("Refused", &refused).await;
    for pod in by_hand.behind("was-canary").await {
        assert_eq!(pod["metadata"]["labels"][HASH], mended);
        assert_eq!(pod["spec"]["containers"][0]["env"][0], json!({ "name": "MODE", "value": "right" }));
    }
    by_hand.argo.run(&["promote", "was", "--full"]);
    by_hand.serves(BAD, 2).await;
    by_hand.is("Healthy").await;

    // The refused template again: somebody who comes back to it wants it, and it is tried anew.
    by_hand.edit(&change(&good, "wrong", Some("crash"))).await;
    by_hand.went_back().await;
    by_hand.serves(BAD, 2).await;
    let entries = by_hand.estate.bespin.journal("rollout/");
    // The name under which an abort is recorded.
    let aborts: Vec<&Value> = entries.iter().filter(|entry| entry["kind"] == "retreated").collect();
    assert_eq!(aborts.len(), 2, "each attempt failed by its own pods: {aborts:?}");
    assert!(aborts.iter().all(|abort| abort["body"]["because"].to_string().contains("CrashLoopBackOff")), "{aborts:?}");
}

/// The bad image with this environment, and how its pods fare.
fn change(good: &Value, mode: &str, fate: Option<&str>) -> Value {
    let mut template = good.clone();
    template["spec"]["containers"][0]["image"] = json!(image(BAD));
    template["spec"]["containers"][0]["env"] = json!([{ "name": "MODE", "value": mode }]);
    template["metadata"]["annotations"] = json!({ "playground.bespin.dev/fate": fate });
    json!({ "spec": { "template": template } })
}
