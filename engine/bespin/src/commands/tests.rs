//! What people say by the API's own routes, over a real journal and real logs.

use super::*;
use crate::index::JournalIndex;
use crate::logs::Logs;
use crate::plugins::Plugins;
use crate::sources::Repositories;
use crate::stages::delivery::RunNumberFloor;
use api::board::Board;
use api::login::{Login, Role, User, hash_password};
use api::{ApiState, router};
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use journal::NewEntry;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;

const RUN: &str = "user/petclinic/petclinic-was/56";
const STREAM: &str = "run/user/petclinic/petclinic-was/56";

struct World {
    drivers: Arc<Drivers>,
    logs: Arc<Logs>,
    api: ApiState,
    _dir: tempfile::TempDir,
}

/// The last number that a registry tells of.
struct Tagged(u64);

#[async_trait]
impl RunNumberFloor for Tagged {
    async fn last(&self, _: &Opened) -> Result<u64, Trouble> {
        Ok(self.0)
    }
}

impl World {
    fn new() -> World {
        World::restored(0, 0)
    }

    /// Over a journal whose entries up to a sequence came with a backup, beside a registry with a number.
    fn restored(up_to: u64, tagged: u64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let hash = hash_password("a long password").unwrap();
        let user = |name: &str, role| User { name: name.into(), role, hash: hash.clone() };
        let users = vec![user("ann", Role::Operator), user("val", Role::Viewer)];
        let login = Arc::new(Login::new(users, &Url::parse("http://127.0.0.1:8080/").unwrap()).unwrap());
        let journal = journal::open(&dir.path().join("journal")).unwrap();
        let drivers = Drivers::new(journal.clone(), Arc::new(Board::default()));
        let logs = Arc::new(Logs::open(dir.path().join("logs")));
        let forge = forge::Forge::new(forge::Settings::default(), dir.path().join("git")).unwrap();
        let index = Arc::new(JournalIndex::restored(journal.clone(), up_to));
        let plugins = Arc::new(Plugins::of(&dir.path().join("plugins")));
        let delivery = DeliveryStage::new(&forge, index, BTreeMap::new(), (Arc::new(Tagged(tagged)), plugins));
        let manual = ManualRuns::new(delivery.clone(), []);
        let sync = SyncStage::new([], Repositories::new(forge));
        let rollout = Arc::new(RolloutStage::new([]));
        let buttons = Buttons { drivers: drivers.clone(), delivery, sync, rollout, manual };
        let (board, stop) = (drivers.board().clone(), CancellationToken::new());
        let api = ApiState::new(journal, board, logs.clone(), login, Arc::new(buttons), stop);
        World { drivers, logs, api, _dir: dir }
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        router(self.api.clone()).oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, cookie: &str) -> Response<Body> {
        self.send(ask("GET", path, cookie).body(Body::empty()).unwrap()).await
    }

    async fn view(&self, path: &str, cookie: &str) -> Value {
        let response = self.get(path, cookie).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        body(response).await
    }

    /// Logs in and returns the cookie and the CSRF token.
    async fn login(&self, name: &str) -> (String, String) {
        let text = json!({ "name": name, "password": "a long password" }).to_string();
        let request = ask("POST", "/api/v1/login", "").header("content-type", "application/json");
        let response = self.send(request.body(Body::from(text)).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        let csrf = body(response).await["csrf"].as_str().unwrap().to_owned();
        (cookie.split(';').next().unwrap().to_owned(), csrf)
    }

    /// Appends to the run's stream.
    async fn append(&self, at_ms: u64, by: By, entries: &[Value]) {
        let journal = self.drivers.journal();
        let len = journal.read(STREAM).await.unwrap().len() as u64;
        let new = |entry: &Value| NewEntry {
            at_ms,
            by: by.clone(),
            kind: entry["kind"].as_str().unwrap().into(),
            body: entry["body"].clone(),
        };
        journal.append(STREAM, len, entries.iter().map(new).collect()).await.unwrap();
    }

    /// Appends what the server itself decided.
    async fn decided(&self, entries: &[Value]) {
        self.append(crate::drive::now(), By::Server, entries).await;
    }

    /// Runs up to the question.
    async fn asks(&self, by: &[&str]) {
        let done = ended("bump", 1, json!({ "is": "succeeded", "outputs": { "commit": "c0ffee" } }));
        let asked = json!({ "kind": "approval-asked", "body": { "step": "sync", "ask": "Sync c0ffee?" } });
        self.decided(&[asking(by), started("bump", 1), done, asked]).await;
    }

    async fn answer(&self, step: &str, verb: &str, (cookie, csrf): &(String, String)) -> (StatusCode, Value) {
        let path = format!("/api/v1/runs/{RUN}/steps/{step}/{verb}");
        let request = ask("POST", &path, cookie).header("x-bespin-csrf", csrf).body(Body::empty()).unwrap();
        let response = self.send(request).await;
        (response.status(), body(response).await)
    }

    async fn written(&self) -> Vec<String> {
        let entries = self.drivers.journal().read(STREAM).await.unwrap();
        let answers = entries.into_iter().filter(|entry| entry.kind == "approval-answered");
        answers.map(|entry| format!("{} by {}", entry.body["answer"].as_str().unwrap(), entry.by)).collect()
    }
}

fn ask(method: &str, path: &str, cookie: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "127.0.0.1:8080").header("cookie", cookie)
}

async fn body(response: Response<Body>) -> Value {
    let bytes: Bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into()))
}

fn opened() -> Value {
    let step = |id: &str, needs: &[&str]| {
        json!({ "id": id, "uses": id, "with": { "to": "x" }, "needs": needs, "condition": null,
                "timeout_ms": 60000, "retry": 1, "grants": { "git": ["github.com/user/k8s-manifests"] } })
    };
    let mut pipeline = serde_json::to_value(pipeline::Pipeline {
        name: "petclinic-was".into(),
        on: Default::default(),
        concurrency: None,
        env: Default::default(),
        steps: Vec::new(),
        finally: Vec::new(),
    })
    .unwrap();
    pipeline["steps"] = json!([step("bump", &[]), step("sync", &["bump"])]);
    json!({ "kind": "opened", "body": { "run": {
        "id": RUN, "number": 56, "repository": "user/petclinic", "pipeline_file": ".bespin/was.yaml", "pipeline": pipeline,
        "event": { "kind": "push", "reference": "refs/heads/main", "before": "", "after": "f31bdcc", "delivery": "d-1", "forced": false },
        "commit": { "sha": "f31bdcc0", "short": "f31bdcc", "message": "Fix the vet list", "author": "Ann" },
        "title": "Fix the vet list" } } })
}

fn started(step: &str, attempt: u32) -> Value {
    json!({ "kind": "started", "body": { "step": step, "attempt": attempt } })
}

fn ended(step: &str, attempt: u32, outcome: Value) -> Value {
    json!({ "kind": "ended", "body": { "step": step, "attempt": attempt, "outcome": outcome } })
}

/// A run whose `sync` asks before it starts; `by` as in the pipeline.
fn asking(by: &[&str]) -> Value {
    let mut opened = opened();
    let step = &mut opened["body"]["run"]["pipeline"]["steps"][1];
    step["approval"] = json!({ "ask": "Sync ${{ steps.bump.commit }}?", "by": by, "timeout_ms": 86_400_000 });
    opened
}

#[tokio::test]
async fn an_operator_answers_once_and_the_page_says_so() {
    let world = World::new();
    let ann = world.login("ann").await;
    world.asks(&[]).await;
    let view = world.view(&format!("/api/v1/runs/{RUN}"), &ann.0).await;
    assert_eq!(view["steps"][1]["summary"]["state"], "asking");
    let approval = &view["steps"][1]["approval"];
    assert_eq!((&approval["ask"], &approval["answered"]), (&json!("Sync c0ffee?"), &Value::Null));
    assert!(approval["asked_ms"].is_u64());
    let home = world.view("/api/v1/home", &ann.0).await;
    assert_eq!(home["open"][0]["steps"][2]["state"], "asking");
    for _ in 0..2 {
        assert_eq!(world.answer("sync", "approve", &ann).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(world.written().await, ["approved by person:ann"], "written once, however often it is said");
    let (status, problem) = world.answer("sync", "refuse", &ann).await;
    assert_eq!((status, &problem["got"]), (StatusCode::CONFLICT, &json!("`sync`: ann approved it")));
    let view = world.view(&format!("/api/v1/runs/{RUN}"), &ann.0).await;
    let answered = &view["steps"][1]["approval"]["answered"];
    assert_eq!((&answered["answer"], &answered["by"]), (&json!("approved"), &json!("person:ann")));
    assert_eq!(view["steps"][1]["summary"]["state"], "waiting");
}

#[tokio::test]
async fn a_refusal_fails_the_step() {
    let world = World::new();
    let ann = world.login("ann").await;
    world.asks(&["ann"]).await;
    assert_eq!(world.answer("sync", "refuse", &ann).await.0, StatusCode::NO_CONTENT);
    world.decided(&[json!({ "kind": "closed", "body": { "outcome": "failed" } })]).await;
    let view = world.view(&format!("/api/v1/runs/{RUN}"), &ann.0).await;
    assert_eq!(view["steps"][1]["summary"]["state"], "failed");
    assert_eq!(view["run"]["status"]["message"], "sync: ann refused it");
    let (status, problem) = world.answer("sync", "approve", &ann).await;
    assert_eq!((status, &problem["got"]), (StatusCode::CONFLICT, &json!("`sync`: ann refused it")));
    assert_eq!(world.answer("sync", "refuse", &ann).await.0, StatusCode::NO_CONTENT, "it is what she said");
    assert_eq!(world.written().await, ["refused by person:ann"]);
}

#[tokio::test]
async fn who_may_not_changes_nothing() {
    let world = World::new();
    let (ann, val) = (world.login("ann").await, world.login("val").await);
    world.asks(&["bob"]).await;
    let (status, problem) = world.answer("sync", "approve", &ann).await;
    assert_eq!((status, &problem["got"]), (StatusCode::FORBIDDEN, &json!("`sync` takes the answer of bob")));
    for (who, proof) in [(&val.0, &val.1), (&ann.0, &val.1), (&ann.0, &String::new())] {
        let (status, _) = world.answer("sync", "approve", &(who.clone(), proof.clone())).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let (status, _) = world.answer("sync", "approve", &(String::new(), ann.1.clone())).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(world.written().await.is_empty());
}

#[tokio::test]
async fn what_does_not_ask_takes_no_answer() {
    let world = World::new();
    let ann = world.login("ann").await;
    assert_eq!(world.answer("sync", "approve", &ann).await.0, StatusCode::NOT_FOUND, "there is no such run");
    world.decided(&[asking(&[]), started("bump", 1)]).await;
    for (step, status, got) in [
        ("nobody", StatusCode::NOT_FOUND, "the run has no step `nobody`"),
        ("bump", StatusCode::NOT_FOUND, "the step `bump` needs no approval"),
        ("sync", StatusCode::CONFLICT, "`sync` has not asked yet: what comes before it has not ended"),
    ] {
        let (answered, problem) = world.answer(step, "approve", &ann).await;
        assert_eq!((answered, &problem["got"]), (status, &json!(got)));
    }
    let skipped = json!({ "kind": "skipped", "body": { "step": "sync", "because": "bump did not succeed" } });
    world.decided(&[skipped]).await;
    assert_eq!(world.answer("sync", "approve", &ann).await.0, StatusCode::CONFLICT);
    assert!(world.written().await.is_empty());
}

#[tokio::test]
async fn what_is_done_to_a_run_fails_by_its_kind() {
    let world = World::new();
    let (cookie, csrf) = world.login("ann").await;
    let post = async |verb: &str| {
        let request = ask("POST", &format!("/api/v1/runs/{RUN}/{verb}"), &cookie).header("x-bespin-csrf", &csrf);
        world.send(request.body(Body::empty()).unwrap()).await.status()
    };
    for verb in ["cancel", "retry"] {
        assert_eq!(post(verb).await, StatusCode::NOT_FOUND, "{verb}: there is no such run");
    }
    world.decided(&[opened(), json!({ "kind": "closed", "body": { "outcome": "failed" } })]).await;
    assert_eq!(post("cancel").await, StatusCode::CONFLICT, "it has ended");
    // An entry of no kind that the code knows: the run cannot be read.
    world.decided(&[json!({ "kind": "no-such-kind", "body": {} })]).await;
    for verb in ["cancel", "retry"] {
        assert_eq!(post(verb).await, StatusCode::INTERNAL_SERVER_ERROR, "{verb}: the journal cannot be read");
    }
}

#[tokio::test]
async fn a_run_that_is_opened_once_more_has_a_number_that_nothing_had() {
    for (up_to, number, why) in [(0, 57, "the journal knows all runs"), (1, 61, "it came with a backup")] {
        let world = World::restored(up_to, 60);
        let (cookie, csrf) = world.login("ann").await;
        world.decided(&[opened(), json!({ "kind": "closed", "body": { "outcome": "failed" } })]).await;
        for number in [number, number + 1] {
            let request = ask("POST", &format!("/api/v1/runs/{RUN}/retry"), &cookie).header("x-bespin-csrf", &csrf);
            let answer = body(world.send(request.body(Body::empty()).unwrap()).await).await;
            assert_eq!(answer["run"], format!("user/petclinic/petclinic-was/{number}"), "{why}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_log_is_followed_to_its_end() {
    let world = World::new();
    let (cookie, _) = world.login("val").await;
    world.append(1000, By::Server, &[opened(), started("bump", 1)]).await;
    world.logs.line(RUN, "bump", 1, "info", "one\ntwo\nthree");
    let path = format!("/api/v1/runs/{RUN}/steps/bump/attempts/1/log");
    let early = world.get(&path, &cookie).await;
    world.logs.line(RUN, "bump", 1, "info", "four");
    world.logs.end(RUN, "bump", 1);
    let text = body(early).await.as_str().unwrap().to_owned();
    assert!(text.contains("\"four\"") && text.contains("event: end"), "{text}");

    // After a restart nobody ends the log but the journal.
    world.append(1100, By::Server, &[ended("bump", 1, json!({ "is": "lost" }))]).await;
    let request = ask("GET", &path, &cookie).header("last-event-id", "2").body(Body::empty()).unwrap();
    let text = body(world.send(request).await).await.as_str().unwrap().to_owned();
    assert!(text.contains("\"three\"") && !text.contains("\"two\"") && text.contains("event: end"), "{text}");
    let text = body(world.get(&format!("{path}.txt"), &cookie).await).await;
    assert_eq!(text, "one\ntwo\nthree\nfour\n");
}
