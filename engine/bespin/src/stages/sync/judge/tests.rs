use super::*;
use crate::extensions::tests::extensions;
use serde_json::json;

const STREAM: &str = "app/test/argocd/petclinic";

async fn judges(dir: &std::path::Path, rows: &[(&str, &str)]) -> Judges {
    let row = |(kind, plugin): &(&str, &str)| HealthPlugin {
        kind: (*kind).to_owned(),
        plugin: (*plugin).to_owned(),
        limits: BTreeMap::new(),
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    Judges::load(&rows, &extensions(dir)).await.unwrap()
}

fn certificate(version: &str, ready: Value) -> Value {
    json!({ "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": { "name": "shop", "namespace": "shop", "uid": "u1", "resourceVersion": version },
        "status": { "conditions": [{ "type": "Ready", "status": ready, "message": "as it is" }] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_says_how_its_kind_is_and_is_asked_once_for_each_version() {
    let dir = tempfile::tempdir().unwrap();
    let judges = judges(dir.path(), &[("cert-manager.io/Certificate", "health")]).await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "uid": "u2" } });
    let (judged, came) = judges.ask(STREAM, "test", &[certificate("1", json!("True")), pod]).await;
    assert_eq!(came, Coverage::ToAll);
    let healthy = Health::new(Status::Healthy, "as it is");
    assert_eq!(judged.answers, BTreeMap::from([("u1".to_owned(), healthy.clone())]));

    // Without time for a call there is what is remembered, and nothing else.
    let extension = &judges.by_kind[&"cert-manager.io/Certificate".parse().unwrap()];
    let late =
        async |cluster: &str, live: Value| judges.health(STREAM, cluster, extension, &live, Instant::now()).await;
    assert_eq!(late("test", certificate("1", json!("False"))).await, Some(healthy));
    assert_eq!(late("test", certificate("2", json!("False"))).await, None);
    assert_eq!(late("other", certificate("1", json!("True"))).await, None);
}

fn widget(uid: &str, wants: &str) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Widget", "spec": { "wants": wants },
        "metadata": { "name": uid, "uid": uid, "resourceVersion": "1" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_hangs_takes_the_time_of_one_look_and_asks_for_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let judges = judges(dir.path(), &[("example.com/Widget", "misjudges")]).await;
    let live = [widget("spins", "spin"), widget("works", "nothing"), widget("next", "nothing")];
    // A spinning call ends after a second of the processor.
    let ask = async || judges.ask_until(STREAM, "test", &live, Instant::now() + Duration::from_millis(500)).await;
    let (judged, came) = ask().await;
    assert_eq!(came, Coverage::ToAll, "a look that is asked for at once would come no further");
    for uid in ["works", "next"] {
        let health = &judged.answers[uid];
        assert_eq!(health.status, Status::Unknown, "{uid}");
        let because = "its plugin is left alone for a while: at Widget/spins, the plugin came up against its limit";
        assert!(health.message.starts_with(because), "{health:?}");
    }
    assert_eq!(ask().await, (judged, Coverage::ToAll), "it is not asked again");

    // A while later the failures stand no longer, and what it hung over comes last.
    judges.hung.lock().unwrap().clear();
    judges.said.lock().unwrap().values_mut().for_each(|said| said.until = Some(Instant::now()));
    let (judged, _) = ask().await;
    for (uid, status) in [("spins", Status::Unknown), ("works", Status::Healthy), ("next", Status::Healthy)] {
        assert_eq!(judged.answers[uid].status, status, "{uid}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_is_unknown_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [("cert-manager.io/Certificate", "health"), ("example.com/Widget", "misjudges"), ("Pod", "broken")];
    let judges = judges(dir.path(), &rows).await;
    let live = [
        certificate("1", json!(1)),
        widget("crashes", "crash"),
        widget("spins", "spin"),
        widget("floods", "flood"),
        widget("works", "nothing"),
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "uid": "pod", "resourceVersion": "1" } }),
    ];
    let (judged, _) = judges.ask(STREAM, "test", &live).await;
    for (uid, because) in [
        ("u1", "object: status.conditions[0].status: invalid type"),
        ("crashes", "the plugin crashed: "),
        ("spins", "the plugin came up against its limit of cpu"),
        ("floods", "the plugin came up against its limit of log"),
        ("pod", "the plugin `broken` is not ready"),
    ] {
        let health = &judged.answers[uid];
        assert_eq!(health.status, Status::Unknown, "{uid}: {health:?}");
        assert!(health.message.contains(because), "{uid}: {health:?}");
    }
    assert_eq!(judged.answers["works"].status, Status::Healthy);
}

#[test]
fn what_a_secret_keeps_is_not_told() {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "s", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"password\":\"aHVudGVyMg==\"}}",
            "keep": "this" } },
        "data": { "password": "aHVudGVyMg==" }, "stringData": { "password": "hunter2" } });
    let told: Value = serde_json::from_str(&super::told(&secret)).unwrap();
    let expected = json!({ "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "s", "annotations": { "keep": "this" } } });
    assert_eq!(told, expected);
    let own = json!({ "apiVersion": "example.com/v1", "kind": "Secret", "data": { "a": 1 } });
    assert_eq!(super::told(&own), own.to_string(), "another group's kind of that name keeps what it likes");
}

#[test]
fn what_is_remembered_is_bounded() {
    let judges = Judges::default();
    for n in 0..=REMEMBERED {
        let health = Health::new(Status::Healthy, "");
        let said = Response { plugin: "p".into(), version: "1".into(), health, until: None, used: Instant::now() };
        judges.remember(("c".into(), n.to_string()), said);
    }
    assert!(judges.said.lock().unwrap().len() <= REMEMBERED);
    let newest = ("c".to_owned(), REMEMBERED.to_string());
    assert!(judges.remembered(&newest, "p", "1").is_some());
    assert!(judges.remembered(&newest, "p", "2").is_none(), "the object has changed");
    assert!(judges.remembered(&newest, "q", "1").is_none(), "another plugin judges");
}

#[test]
fn a_failure_stands_for_a_while_only() {
    let judges = Judges::default();
    let said = |until| Response {
        plugin: "p".into(),
        version: "1".into(),
        health: unknown("it crashed"),
        until: Some(until),
        used: Instant::now(),
    };
    let key = || ("c".to_owned(), "u".to_owned());
    judges.remember(key(), said(Instant::now() + AGAIN));
    assert_eq!(judges.remembered(&key(), "p", "1"), Some(unknown("it crashed")));
    judges.remember(key(), said(Instant::now()));
    assert_eq!(judges.remembered(&key(), "p", "1"), None);
}
