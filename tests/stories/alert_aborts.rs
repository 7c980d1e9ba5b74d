//! An alert that fires while a canary is on its way sends it back, or holds it until a person resumes it: told by the
//! real Alertmanager, again and again.

use serde_json::{Value, json};
use world::alertmanager::Alertmanager;
use world::estate::{Estate, INGRESSES, Kind, PATIENCE};
use world::process::eventually;
use world::watch::weight;

const PAGE: &str = "rollouts/production/petclinic/was";
const TOKEN: &str = "a token of the stories";
const RULES: &str = r#"
[[alerts.rule]]
match = { severity = "critical" }
do = "abort"
[[alerts.rule]]
match = { severity = "warning" }
do = "pause"
"#;

/// A canary at its pause after 10 %, and an Alertmanager that has this token.
async fn given_a_paused_canary_and_alertmanager(token: &str) -> (Estate, Alertmanager) {
    let estate = Estate::configured(Kind::Embedded, "1h", |config| {
        let file = config.data().with_file_name("alert-token");
        std::fs::write(&file, TOKEN).expect("a file can be written");
        config.with(&format!("[[alerts]]\nsecrets = [{{ file = \"{}\" }}]\n{RULES}", file.display()))
    })
    .await;
    world::estate::declare(&estate.kube, &estate.sample.application()).await;
    estate.settled().await;
    estate.push_change(1).await;
    then_it_is_paused_by(&estate, "CanaryPauseStep").await;
    let hook = format!("{}/hooks/alertmanager", estate.bespin.hooks);
    let alertmanager = Alertmanager::start(estate.dir(), &hook, token).await;
    (estate, alertmanager)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_on_its_way() {
    if Alertmanager::is_missing() {
        return;
    }
    let (estate, alertmanager) = given_a_paused_canary_and_alertmanager("guessed").await;
    // Of another rollout, and of one that is not there: neither is about this canary.
    alertmanager.alert(&labels("HighErrorRate", "critical", "nobody"), None).await;

    alertmanager.alert(&labels("HighErrorRate", "critical", "was"), None).await;
    alertmanager.is_refused(6).await;
    assert_eq!(alerted(&estate), Vec::<Value>::new(), "who does not know the token asks for nothing");
    then_it_is_paused_by(&estate, "CanaryPauseStep").await;
    let (status, answer) = posted(&estate, "guessed").await;
    assert_eq!((status, &answer["answer"]), (401, &json!("refused")), "{answer}");

    std::fs::write(&alertmanager.token, TOKEN).expect("a file can be written");
    then_it_has_gone_back(&estate).await;
    let rollout = estate.rollout().await;
    let message = rollout["status"]["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("asked for by the alert HighErrorRate (5xx above 5 %)"), "{message}");

    alertmanager.tells_again(6).await;
    let entries = alerted(&estate);
    let [entry] = entries.as_slice() else { panic!("once, however often it is told: {entries:#?}") };
    assert!(entry["by"].as_str().is_some_and(|by| by.starts_with("alert:HighErrorRate#")), "{entry:#}");
    assert!(!estate.bespin.journal_lines("").contains(TOKEN) && !estate.bespin.last_words().contains(TOKEN));

    // Whoever retries while it still fires is not sent back by what fired before.
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/retry")).await;
    assert_eq!(status, 202, "{answer}");
    then_it_is_paused_by(&estate, "CanaryPauseStep").await;
    alertmanager.tells_again(6).await;
    assert_eq!(alerted(&estate).len(), 1);
    then_it_is_paused_by(&estate, "CanaryPauseStep").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_that_a_warning_only_holds() {
    if Alertmanager::is_missing() {
        return;
    }
    let (estate, alertmanager) = given_a_paused_canary_and_alertmanager(TOKEN).await;

    let slow = labels("Slow", "warning", "was");
    alertmanager.alert(&slow, None).await;
    then_it_is_paused_by(&estate, "PausedByAlert: Slow (5xx above 5 %)").await;

    // That it is over is told as well, and resumes nothing.
    alertmanager.alert(&slow, Some("2020-01-01T00:00:00Z")).await;
    let is_told = || async { estate.bespin.last_words().contains("it is over").then_some(()) };
    eventually("the server hears that it is over", PATIENCE, is_told).await;
    then_it_is_paused_by(&estate, "PausedByAlert: Slow (5xx above 5 %)").await;

    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/resume")).await;
    assert_eq!(status, 202, "{answer}");
    then_it_is_paused_by(&estate, "CanaryPauseStep").await;
    assert_eq!(alerted(&estate).len(), 1);
}

fn labels(name: &str, severity: &str, rollout: &str) -> Value {
    json!({ "alertname": name, "severity": severity, "namespace": "petclinic", "rollout": rollout })
}

/// A notification without alerts, with this token.
async fn posted(estate: &Estate, token: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/hooks/alertmanager", estate.bespin.hooks);
    let body = json!({ "version": "4", "alerts": [] });
    let answer = client.post(url).bearer_auth(token).json(&body).send().await.expect("the listener answers");
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

fn alerted(estate: &Estate) -> Vec<Value> {
    let entries = estate.bespin.journal("rollout/");
    entries.into_iter().filter(|entry| entry["kind"] == "alerted").collect()
}

async fn then_it_is_paused_by(estate: &Estate, message: &str) {
    eventually(&format!("the canary has 10 % and is paused: {message}"), PATIENCE, || async {
        let status = estate.rollout().await["status"].clone();
        let ingress = estate.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await?;
        let is_paused = status["phase"] == "Paused" && status["message"] == message;
        (is_paused && weight(&ingress) == Some(10)).then_some(())
    })
    .await;
}

async fn then_it_has_gone_back(estate: &Estate) {
    eventually("the old version has all traffic", PATIENCE, || async {
        let status = estate.rollout().await["status"].clone();
        let ingress = estate.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await?;
        (status["phase"] == "Degraded" && weight(&ingress) == Some(0)).then_some(())
    })
    .await;
}
