//! Webhooks as they come, into a real journal.

use super::*;
use crate::config::SecretSource;
use crate::drive::full_disk::FullDisk;
use api::board::Board;
use api::hooks::{HookLimits, HookState, router};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";

struct World {
    state: HookState,
    disk: Arc<FullDisk>,
    directory: tempfile::TempDir,
}

impl World {
    fn new(limits: HookLimits) -> World {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(&directory.path().join("journal")).unwrap();
        let disk = Arc::new(FullDisk { journal, full: false.into() });
        let drivers = Drivers::new(disk.clone(), Arc::new(Board::default()));
        let secret = |secret: &&str| {
            let file = directory.path().join(secret);
            std::fs::write(&file, secret).unwrap();
            KeptSecret::read(SecretSource::File(file)).unwrap()
        };
        let hook = |name: &str, secrets: &[&str]| SignedHook {
            name: name.into(),
            secrets: secrets.iter().map(secret).collect(),
            repositories: vec!["user/petclinic".into()],
        };
        let hooks = vec![hook("default", &["old", "new"]), hook("other", &["other"])];
        World { state: HookState::new(Arc::new(Hooks::new(hooks, &drivers)), limits), disk, directory }
    }

    async fn ask(&self, request: Request) -> (StatusCode, Value) {
        let response = router(self.state.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 100_000).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn journaled(&self) -> usize {
        self.disk.journal.streams("").await.unwrap().len()
    }
}

fn push(repository: &str) -> Vec<u8> {
    let payload = json!({
        "ref": "refs/heads/main", "before": A, "after": B, "deleted": false, "created": false, "forced": false,
        "repository": {"full_name": repository}, "pusher": {"name": "kim"},
        "commits": [{"id": B, "added": ["a"], "removed": [], "modified": []}],
    });
    payload.to_string().into_bytes()
}

fn sign(secret: &str, body: &[u8]) -> String {
    signature::sign(&secret.into(), body)
}

/// A request as GitHub sends it, before `change` spoils it.
fn request(body: Vec<u8>, change: impl FnOnce(&mut HeaderMap)) -> Request {
    let mut request = Request::post("/hooks/github").body(Body::empty()).unwrap();
    let headers = request.headers_mut();
    headers.insert("x-hub-signature-256", sign("new", &body).parse().unwrap());
    headers.insert("x-github-event", "push".parse().unwrap());
    headers.insert("x-github-delivery", "d-1".parse().unwrap());
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("content-length", body.len().into());
    change(headers);
    *request.body_mut() = Body::from(body);
    request
}

#[tokio::test]
async fn a_push_is_durable_before_it_is_accepted_and_a_repeat_is_harmless() {
    let world = World::new(HookLimits::default());
    for (secret, expected) in [("new", "accepted"), ("old", "duplicate")] {
        let body = push("user/petclinic");
        let signature = sign(secret, &body);
        let asked = request(body, |h| drop(h.insert("x-hub-signature-256", signature.parse().unwrap())));
        let (status, told) = world.ask(asked).await;
        assert_eq!((status, &told["answer"]), (StatusCode::ACCEPTED, &json!(expected)), "{told}");
        let entries = world.disk.journal.read("delivery/default/d-1").await.unwrap();
        assert_eq!(
            (entries.len(), entries[0].kind.as_str(), entries[0].by.to_string().as_str()),
            (1, "received", "delivery:d-1")
        );
    }
}

#[tokio::test]
async fn everything_else_is_answered_with_its_reason_and_leaves_no_trace() {
    let world = World::new(HookLimits { body_bytes: 10_000, ..HookLimits::default() });
    let ok = || push("user/petclinic");
    let event = |name: &'static str| move |h: &mut HeaderMap| drop(h.insert("x-github-event", name.parse().unwrap()));
    let cases: Vec<(&str, Request, u16, &str)> = vec![
        ("no signature", request(ok(), |h| drop(h.remove("x-hub-signature-256"))), 401, "is missing"),
        (
            "wrong signature",
            request(ok(), |h| drop(h.insert("x-hub-signature-256", sign("other", b"").parse().unwrap()))),
            401,
            "not by a secret",
        ),
        (
            "the old algorithm",
            request(ok(), |h| drop(h.insert("x-hub-signature-256", "sha1=00".parse().unwrap()))),
            401,
            "not by a secret",
        ),
        ("malformed", request(b"{\"ref\": 1".to_vec(), |_| {}), 400, "the payload"),
        ("no event", request(ok(), |h| drop(h.remove("x-github-event"))), 400, "X-GitHub-Event"),
        ("foreign", request(push("user/other"), |_| {}), 403, "`user/other` is not a repository of the hook"),
        ("ping", request(b"{}".to_vec(), event("ping")), 202, "a ping"),
        ("unknown", request(b"{}".to_vec(), event("sponsorship")), 202, "`sponsorship` opens no runs"),
        ("too large", request(vec![b' '; 10_001], |_| {}), 413, "10000 bytes"),
        (
            "too large, undeclared",
            request(vec![b' '; 10_001], |h| drop(h.remove("content-length"))),
            413,
            "10000 bytes",
        ),
        ("a lie", request(ok(), |h| drop(h.insert("content-length", "x".parse().unwrap()))), 400, "Content-Length"),
    ];
    for (name, request, status, because) in cases {
        let (answered, told) = world.ask(request).await;
        assert_eq!(answered.as_u16(), status, "{name}: {told}");
        assert!(told["because"].as_str().unwrap().contains(because), "{name}: {told}");
    }
    let mut elsewhere = request(ok(), |_| {});
    *elsewhere.uri_mut() = "/hooks/github/nobody".parse().unwrap();
    assert_eq!(world.ask(elsewhere).await.0, StatusCode::NOT_FOUND);
    let mut theirs = request(ok(), |_| {});
    *theirs.uri_mut() = "/hooks/github/other".parse().unwrap();
    assert_eq!(world.ask(theirs).await.0, StatusCode::UNAUTHORIZED, "each hook has its own secrets");
    assert_eq!(world.journaled().await, 0);
}

#[tokio::test]
async fn a_pull_request_is_recorded_without_the_forks_address() {
    let world = World::new(HookLimits::default());
    let side = |name: &str, reference: &str, sha: &str| json!({ "ref": reference, "sha": sha, "repo": { "full_name": name, "clone_url": "https://evil.example/x.git" } });
    let payload = |base: &str| {
        let (base, head) = (side(base, "main", A), side("mallory/petclinic", "fix", B));
        let name = base["repo"]["full_name"].clone();
        let asked = json!({ "number": 7, "base": base, "head": head });
        json!({ "action": "opened", "number": 7, "pull_request": asked, "repository": { "full_name": name } })
            .to_string()
            .into_bytes()
    };
    let event = |h: &mut HeaderMap| drop(h.insert("x-github-event", "pull_request".parse().unwrap()));
    let (status, told) = world.ask(request(payload("mallory/petclinic"), event)).await;
    assert_eq!((status, world.journaled().await), (StatusCode::FORBIDDEN, 0), "{told}");
    for expected in ["accepted", "duplicate"] {
        let (status, told) = world.ask(request(payload("user/petclinic"), event)).await;
        assert_eq!((status, &told["answer"]), (StatusCode::ACCEPTED, &json!(expected)), "{told}");
    }
    let entries = world.disk.journal.read("delivery/default/d-1").await.unwrap();
    assert_eq!((entries.len(), entries[0].kind.as_str()), (1, "proposed"));
    assert_eq!((&entries[0].body["origin"], &entries[0].body["head_sha"]), (&json!("fork"), &json!(B)));
    assert!(!entries[0].body.to_string().contains("evil.example"));
}

#[tokio::test]
async fn a_full_disk_is_never_a_202() {
    let world = World::new(HookLimits::default());
    world.disk.full.store(true, std::sync::atomic::Ordering::SeqCst);
    let response = router(world.state.clone()).oneshot(request(push("user/petclinic"), |_| {})).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    world.disk.full.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(world.ask(request(push("user/petclinic"), |_| {})).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_secret_is_exchanged_while_the_server_runs() {
    let world = World::new(HookLimits::default());
    let signed = async |secret: &str, delivery: &str| {
        let body = push("user/petclinic");
        let (status, _) = world
            .ask(request(body.clone(), |headers| {
                headers.insert("x-hub-signature-256", sign(secret, &body).parse().unwrap());
                headers.insert("x-github-delivery", delivery.parse().unwrap());
            }))
            .await;
        status
    };
    let write = |text: &str| std::fs::write(world.directory.path().join("new"), text).unwrap();
    assert_eq!(signed("newest", "d-1").await, StatusCode::UNAUTHORIZED);
    write("new\nnewest\n");
    assert_eq!(signed("newest", "d-1").await, StatusCode::ACCEPTED);
    assert_eq!(signed("new", "d-2").await, StatusCode::ACCEPTED);
    write("");
    assert_eq!(signed("newest", "d-3").await, StatusCode::ACCEPTED, "it is being written");
    write("newest\n");
    assert_eq!(signed("newest", "d-4").await, StatusCode::ACCEPTED);
    assert_eq!(signed("new", "d-5").await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.journaled().await, 4);
}
