//! Notifications as Alertmanager posts them, into a real journal.

use super::*;
use crate::config::SecretSource;
use crate::drive::full_disk::FullDisk;
use crate::drive::read;
use crate::epoch::StreamEpochs;
use api::board::Board;
use api::hooks::{HookLimits, HookState, alerts};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use base64::Engine;
use decide::by::By;
use decide::delivery::Received;
use decide::rollout::{Entry, Start, Version};
use decide::stream::Stream;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tower::ServiceExt;

struct World {
    alerts: Arc<AlertHooks>,
    disk: Arc<FullDisk>,
    drivers: Arc<Drivers>,
    directory: tempfile::TempDir,
}

/// Takes no delivery: these hooks are Alertmanager's.
struct NoDeliveries;

#[async_trait]
impl api::hooks::Deliveries for NoDeliveries {
    fn repositories(&self, _: &str) -> Option<&[String]> {
        None
    }
    fn is_signed(&self, _: &str, _: &[u8], _: &[u8]) -> bool {
        false
    }
    async fn record(&self, _: Received) -> Result<api::hooks::Recorded, String> {
        Err("there is no hook".into())
    }
}

impl World {
    /// `was` is in progress since the moment 1000, and the journal came with a backup up to this sequence.
    async fn new(restored: u64) -> World {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(&directory.path().join("journal")).unwrap();
        let disk = Arc::new(FullDisk { journal, full: false.into() });
        let drivers = Drivers::new(disk.clone(), Arc::new(Board::default()));
        std::fs::write(directory.path().join("token"), "old\nnew\n").unwrap();
        let secrets = vec![KeptSecret::read(SecretSource::File(directory.path().join("token"))).unwrap()];
        let rules = json!([{ "match": { "severity": "critical" }, "do": "abort" }, { "do": "pause" }]);
        let rules = serde_json::from_value(rules).unwrap();
        let hook = AlertHook { name: "default".into(), secrets, rules };
        let rollout = Arc::new(RolloutStage::new([]).restored(StreamEpochs::up_to(restored)));
        let alerts = AlertHooks::new(vec![hook], vec!["production".into()], rollout, &drivers);
        let version = |hash: &str| Version { hash: hash.into(), image: format!("was:{hash}") };
        let began = Entry::Began {
            hash: "new".into(),
            images: vec!["was:new".into()],
            steps_hash: "steps".into(),
            steps: 4,
            start: Start::Steps,
            uid: None,
            generation: None,
        };
        let entries = [began, Entry::Corrected { stable: Some(version("old")) }];
        let append = |_: &[crate::drive::Written<Entry>]| Some(entries.to_vec());
        drivers.append(&was(), By::Server, append).await.unwrap();
        World { alerts: Arc::new(alerts), disk, drivers, directory }
    }

    async fn ask(&self, path: &str, authorization: Option<String>, body: Vec<u8>) -> (StatusCode, Value) {
        let hooks = HookState::new(Arc::new(NoDeliveries), HookLimits::default());
        let mut request = Request::post(path).header("content-type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = alerts::router(hooks, self.alerts.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn tell(&self, alerts: &[Value]) -> (StatusCode, Value) {
        self.ask("/hooks/alertmanager", bearer("new"), notification(alerts)).await
    }

    async fn alerted(&self) -> Vec<(By, Entry)> {
        let written = read::<Entry>(self.drivers.journal(), was()).await.unwrap();
        let alerted = written.into_iter().filter(|one| matches!(one.entry, Entry::Alerted { .. }));
        alerted.map(|one| (one.by, one.entry)).collect()
    }
}

fn was() -> Stream {
    Stream::rollout("production", "petclinic", "was")
}

fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

fn basic(pair: &str) -> Option<String> {
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn notification(alerts: &[Value]) -> Vec<u8> {
    json!({ "version": "4", "status": "firing", "alerts": alerts }).to_string().into_bytes()
}

fn fires(severity: &str, rollout: &str, fingerprint: &str) -> Value {
    json!({
        "status": "firing", "startsAt": "2999-01-01T00:00:00Z", "fingerprint": fingerprint,
        "labels": { "alertname": "Errors", "severity": severity, "namespace": "petclinic", "rollout": rollout },
        "annotations": { "summary": "5xx above 5 %" },
    })
}

#[tokio::test]
async fn whoever_has_no_secret_is_told_so_and_nothing_happens() {
    let world = World::new(0).await;
    let body = || notification(&[fires("critical", "was", "aa")]);
    for (what, path, authorization, status, because) in [
        ("an unknown hook", "/hooks/alertmanager/nobody", bearer("new"), 404, "[[alerts]]"),
        ("nothing", "/hooks/alertmanager", None, 401, "credentials_file"),
        ("another scheme", "/hooks/alertmanager", Some("Digest new".into()), 401, "credentials_file"),
        ("an empty token", "/hooks/alertmanager", bearer(" "), 401, "credentials_file"),
        ("no base64", "/hooks/alertmanager", Some("Basic ?".into()), 401, "credentials_file"),
        ("a wrong token", "/hooks/alertmanager/default", bearer("guessed"), 401, "a secret of this hook"),
        ("both lines as one", "/hooks/alertmanager", bearer("old\tnew"), 401, "a secret of this hook"),
        ("the name is no secret", "/hooks/alertmanager", basic("new:guessed"), 401, "a secret of this hook"),
    ] {
        let (got, answer) = world.ask(path, authorization, body()).await;
        assert_eq!(got.as_u16(), status, "{what}: {answer}");
        assert!(answer["because"].as_str().unwrap().contains(because), "{what}: {answer}");
        assert!(!answer.to_string().contains("guessed"), "{what}: {answer}");
    }
    assert_eq!(world.alerted().await, []);
}

#[tokio::test]
async fn both_secrets_admit_until_their_file_changes() {
    let world = World::new(0).await;
    let ask = |authorization| world.ask("/hooks/alertmanager/default", authorization, notification(&[]));
    for authorization in [bearer("old"), bearer("new"), Some("bearer new".into()), basic("bespin:new"), basic(":old")] {
        assert_eq!(ask(authorization.clone()).await.0, StatusCode::OK, "{authorization:?}");
    }
    std::fs::write(world.directory.path().join("token"), "newest\n").unwrap();
    assert_eq!(ask(bearer("new")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(bearer("newest")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_notification_is_refused_with_the_help() {
    let world = World::new(0).await;
    for (body, status, because) in [
        (b"{".to_vec(), 400, "webhook_configs"),
        (b"{\"version\":\"3\"}".to_vec(), 400, "reads \"4\""),
        (vec![b' '; 1024 * 1024 + 1], 413, "larger than"),
    ] {
        let (got, answer) = world.ask("/hooks/alertmanager", bearer("new"), body).await;
        assert_eq!(got.as_u16(), status, "{answer}");
        assert!(answer["because"].as_str().unwrap().contains(because), "{answer}");
    }
}

#[tokio::test]
async fn what_an_alert_does_is_recorded_once_with_who_it_is() {
    let world = World::new(0).await;
    let told = [fires("critical", "was", "aa"), fires("critical", "nobody", "bb"), fires("warning", "was", "cc")];
    let (status, answer) = world.tell(&told).await;
    assert_eq!((status, &answer["answer"]), (StatusCode::OK, &json!("recorded")), "{answer}");
    let alerts = answer["alerts"].as_array().unwrap();
    assert_eq!((&alerts[0]["did"], &alerts[0]["rollout"]), (&json!("abort"), &json!("production/petclinic/was")));
    assert!(alerts[1]["because"].as_str().unwrap().contains("nothing has been rolled out yet"), "{answer}");
    assert!(alerts[2]["because"].as_str().unwrap().contains("no canary is on its way"), "{answer}");
    let (status, again) = world.tell(&told).await;
    assert_eq!((status, &again["answer"]), (StatusCode::OK, &json!("nothing")), "{again}");
    let alerted = world.alerted().await;
    let [(by, Entry::Alerted { alert, action })] = alerted.as_slice() else { panic!("{alerted:?}") };
    assert_eq!((by.to_string().as_str(), alert.fingerprint.as_str()), ("alert:Errors#aa", "aa"));
    assert_eq!(*action, AlertAction::Abort);
    assert_eq!(world.disk.journal.streams("").await.unwrap().len(), 1, "no alert makes a rollout");
}

#[tokio::test]
async fn what_is_not_recorded_is_not_answered_with_success() {
    let world = World::new(0).await;
    world.disk.full.store(true, Ordering::SeqCst);
    let (status, answer) = world.tell(&[fires("warning", "was", "aa")]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    world.disk.full.store(false, Ordering::SeqCst);
    let (status, answer) = world.tell(&[fires("warning", "was", "aa")]).await;
    assert_eq!((status, &answer["alerts"][0]["did"]), (StatusCode::OK, &json!("pause")), "{answer}");
    assert_eq!(world.alerted().await.len(), 1);
}

#[tokio::test]
async fn a_restored_journal_that_may_not_know_what_is_in_progress_is_asked_again() {
    let world = World::new(u64::MAX).await;
    let (status, answer) = world.tell(&[fires("critical", "was", "aa")]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(answer["because"].as_str().unwrap().contains("since the journal was restored"), "{answer}");
    assert_eq!(world.alerted().await, []);
}
