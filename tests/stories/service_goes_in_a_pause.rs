//! The canary's Service is deleted in a pause: nothing rises, the pause does not count, and it is said until it is back.

use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use world::estate::{NAMESPACE, PATIENCE};
use world::process::eventually;
use world::rollouts::ByHand;

/// How long each pause is.
const PAUSE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn and_the_pause_waits_for_it() {
    let Some(by_hand) = ByHand::start(&format!("{}s", PAUSE.as_secs())).await else { return };
    let kube = &by_hand.estate.kube;
    let path = format!("{NAMESPACE}/services/was-canary");
    let service = kube.get(&path).await.expect("the Service is there");
    by_hand.at_ten("v56").await;
    let (status, answer) = kube.send(Method::DELETE, &path, "application/json", None).await;
    assert_eq!(status, 200, "{answer}");
    by_hand.condition("InvalidSpec", "Service was-canary is not there").await;
    eventually("no traffic goes to where no Service is", PATIENCE, || async {
        (by_hand.weight().await == Some(0)).then_some(())
    })
    .await;
    let listed = by_hand.argo.run(&["get", "rollout", "was", "--no-color"]);
    assert!(listed.contains("was-canary is not there"), "{listed}");

    // Longer than the pause: it stays at its step.
    let gone = Instant::now();
    while gone.elapsed() < PAUSE + PAUSE / 2 {
        let status = by_hand.estate.rollout().await["status"].clone();
        assert_eq!((&status["currentStepIndex"], by_hand.weight().await), (&json!(0), Some(0)), "{status:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let anew = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "was-canary", "annotations": service["metadata"]["annotations"] },
        "spec": { "selector": service["spec"]["selector"], "ports": [{ "port": 8080 }] },
    });
    kube.create(&format!("{NAMESPACE}/services"), &anew).await;
    eventually("it goes on to its second weight", PATIENCE, || async {
        (by_hand.weight().await == Some(25)).then_some(())
    })
    .await;
    by_hand.argo.run(&["promote", "was", "--full"]);
    let rollout = by_hand.is("Healthy").await;
    by_hand.serves("v56", 2).await;
    assert!(!rollout["status"]["conditions"].to_string().contains("InvalidSpec"), "{rollout:#}");
    let paused = paused_ms(&by_hand.estate.bespin.journal("rollout/"));
    assert!(paused >= PAUSE.as_millis() as u64, "the first step paused {paused} ms while its weight was served");
}

/// How long the first step paused, by the journal: what was not served is no part of it.
fn paused_ms(entries: &[Value]) -> u64 {
    let at = |entry: &Value| entry["at_ms"].as_u64().expect("an entry has a time");
    let (mut since, mut paused) = (None, 0);
    for entry in entries.iter().filter(|entry| entry["body"]["index"] == 0) {
        match entry["kind"].as_str() {
            Some("pause-began") => since = Some(at(entry)),
            Some("pause-broken" | "step-done") => paused += since.take().map_or(0, |since| at(entry) - since),
            _ => {}
        }
    }
    paused
}
