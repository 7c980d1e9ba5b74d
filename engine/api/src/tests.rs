//! The API as a browser meets it: through the router, with its headers.

use crate::board::Board;
use crate::commands::{Commands, NotTaken, StartRun};
use crate::login::{Login, Role, User, hash_password};
use crate::reading::{LogCursor, LogPlace, LogReader};
use crate::views::{ActionView, AppView, Line, ResourceView, RolloutView, StartableView};
use crate::{ApiState, router};
use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Request, Response, StatusCode, header};
use decide::by::By;
use decide::run::Answer;
use decide::stream::Stream;
use http_body_util::BodyExt as _;
use journal::NewEntry;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;

mod attacks;
mod starts;

const RUN: &str = "user/petclinic/petclinic-was/56";

/// Of every user's password.
static HASH: LazyLock<String> = LazyLock::new(|| hash_password("a long password").unwrap());

/// Remembers what it was told to do.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

#[async_trait]
impl Commands for Told {
    async fn startable(&self, repository: Option<&str>, reference: Option<&str>) -> Result<StartableView, NotTaken> {
        match (repository, reference) {
            (Some("user/other"), _) => Err(NotTaken::NotStarted(vec![starts::refusal("repository")])),
            _ => Ok(StartableView::default()),
        }
    }
    async fn start_run(&self, asked: StartRun, by: By) -> Result<String, NotTaken> {
        match asked.file.as_str() {
            "wrong.yaml" => Err(NotTaken::NotStarted(["ref", "inputs.a"].map(starts::refusal).into())),
            "away.yaml" => Err(NotTaken::Unavailable("git cannot be reached".into())),
            _ => {
                self.0.lock().unwrap().push(format!("start {} by {by}", json!(asked)));
                Ok("user/petclinic/release/1".into())
            }
        }
    }
    async fn retry_run(&self, run: &str, by: By) -> Result<String, NotTaken> {
        self.0.lock().unwrap().push(format!("retry {run} by {by}"));
        Ok("user/petclinic/petclinic-was/57".into())
    }
    async fn cancel_run(&self, _: &str, _: By) -> Result<(), NotTaken> {
        Err(NotTaken::Refused("the run has ended".into()))
    }
    async fn answer(&self, _: &str, _: &str, _: Answer, _: By) -> Result<(), NotTaken> {
        Err(NotTaken::NoRun)
    }
    async fn rollout_action(&self, stream: &str, action: &str, by: By) -> Result<(), NotTaken> {
        self.0.lock().unwrap().push(format!("{action} {stream} by {by}"));
        Ok(())
    }
    async fn sync_app(&self, _: &str, _: By) -> Result<(), NotTaken> {
        Ok(())
    }
    async fn app_named(&self, name: &str) -> Result<Stream, NotTaken> {
        Stream::parse(&format!("app/{name}")).map_err(|error| NotTaken::NoObject(error.to_string()))
    }
    async fn take_app(&self, stream: &Stream, by: By) -> Result<(), NotTaken> {
        self.0.lock().unwrap().push(format!("take {stream} by {by}"));
        Ok(())
    }
    async fn give_app(&self, stream: &Stream, _: By) -> Result<(), NotTaken> {
        Err(NotTaken::NoObject(format!("there is no application `{stream}`")))
    }
}

/// The same log for every attempt: three lines, and then its end.
struct Three;

impl LogReader for Three {
    fn follow(&self, _: &LogPlace, from: u64) -> std::io::Result<Box<dyn LogCursor>> {
        Ok(Box::new(Rest(from.max(1)..4)))
    }
}

/// The numbers of the lines that are still to be read.
struct Rest(std::ops::Range<u64>);

#[async_trait]
impl LogCursor for Rest {
    async fn next(&mut self, limit: usize) -> std::io::Result<Option<Vec<Line>>> {
        Ok(Some(self.ready(limit)?).filter(|lines| !lines.is_empty()))
    }
    fn ready(&mut self, limit: usize) -> std::io::Result<Vec<Line>> {
        let line = |n: u64| Line { n, at: 1000, level: "info".into(), text: format!("line {n}") };
        Ok(self.0.by_ref().take(limit).map(line).collect())
    }
}

struct World {
    state: ApiState,
    told: Arc<Told>,
    dir: tempfile::TempDir,
    peer: &'static str,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let user = |name: &str, role| User { name: name.into(), role, hash: HASH.clone() };
        let users = vec![user("ann", Role::Operator), user("val", Role::Viewer)];
        let login = Login::new(users, &Url::parse("http://127.0.0.1:8080/").unwrap()).unwrap();
        let login = login.behind(vec!["10.9.0.0/16".parse().unwrap()]);
        let journal = journal::open(&dir.path().join("journal")).unwrap();
        let told = Arc::new(Told::default());
        let (board, stop) = (Arc::new(Board::default()), CancellationToken::new());
        let state = ApiState::new(journal, board, Arc::new(Three), Arc::new(login), told.clone(), stop);
        World { state, told, dir, peer: "127.0.0.1:5000" }
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        let peer: SocketAddr = self.peer.parse().unwrap();
        router(self.state.clone()).layer(MockConnectInfo(peer)).oneshot(request).await.unwrap()
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
        let response = self.try_login(name, "a long password").await;
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"),
            "{cookie}"
        );
        let csrf = body(response).await["csrf"].as_str().unwrap().to_owned();
        (cookie.split(';').next().unwrap().to_owned(), csrf)
    }

    async fn try_login(&self, name: &str, password: &str) -> Response<Body> {
        self.try_login_for(None, name, password).await
    }

    /// The same through a proxy that names its client.
    async fn try_login_for(&self, client: Option<&str>, name: &str, password: &str) -> Response<Body> {
        let text = json!({ "name": name, "password": password }).to_string();
        let mut request = ask("POST", "/api/v1/login", "").header("content-type", "application/json");
        if let Some(client) = client {
            request = request.header("x-forwarded-for", client);
        }
        self.send(request.body(Body::from(text)).unwrap()).await
    }

    async fn append(&self, stream: &str, at_ms: u64, entries: &[Value]) {
        let journal = &self.state.journal;
        let len = journal.read(stream).await.unwrap().len() as u64;
        let new = |entry: &Value| NewEntry {
            at_ms,
            by: By::Delivery("d-1".into()),
            kind: entry["kind"].as_str().unwrap().into(),
            body: entry["body"].clone(),
        };
        journal.append(stream, len, entries.iter().map(new).collect()).await.unwrap();
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

#[tokio::test]
async fn nothing_is_shown_before_the_login() {
    let world = World::new();
    for path in
        ["home", "runs", "apps", "rollouts", "events", "runs/a/b/c/1", "runs/a/b/c/1/steps/x/attempts/1/log.txt"]
    {
        let response = world.get(&format!("/api/v1/{path}"), "").await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        let problem = body(response).await;
        assert_eq!(problem["help"], "log in");
    }
    assert_eq!(world.view("/api/v1/session", "").await["user"], Value::Null);
    assert_eq!(world.get("/api/v1/nonsense", "").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let world = World::new();
    for path in ["/", "/api/v1/session", "/api/v1/home", "/assets/none.js"] {
        let response = world.get(path, "").await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
    }
}

#[tokio::test]
async fn other_names_and_other_sites_are_refused() {
    let world = World::new();
    let rebound = Request::get("/api/v1/session").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(world.send(rebound).await.status(), StatusCode::MISDIRECTED_REQUEST);
    let (cookie, csrf) = world.login("ann").await;
    let retry = format!("/api/v1/runs/{RUN}/retry");
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:9999"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let request = ask("POST", &retry, &cookie).header("x-bespin-csrf", &csrf).header(name, value);
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let ours = ask("POST", &retry, &cookie).header("x-bespin-csrf", &csrf).header("origin", "http://127.0.0.1:8080");
    assert_eq!(world.send(ours.body(Body::empty()).unwrap()).await.status(), StatusCode::OK);
    assert_eq!(*world.told.0.lock().unwrap(), [format!("retry {RUN} by person:ann")]);
}

#[tokio::test]
async fn a_change_needs_the_proof_and_the_role() {
    let world = World::new();
    let (cookie, csrf) = world.login("ann").await;
    let (viewer, viewer_csrf) = world.login("val").await;
    let retry = format!("/api/v1/runs/{RUN}/retry");
    for (cookie, proof) in [(&cookie, "wrong"), (&cookie, ""), (&cookie, &viewer_csrf), (&viewer, &viewer_csrf)] {
        let request = ask("POST", &retry, cookie).header("x-bespin-csrf", proof);
        assert_eq!(world.send(request.body(Body::empty()).unwrap()).await.status(), StatusCode::FORBIDDEN);
    }
    assert!(world.told.0.lock().unwrap().is_empty());
    let cancel = ask("POST", &format!("/api/v1/runs/{RUN}/cancel"), &cookie).header("x-bespin-csrf", &csrf);
    let refused = world.send(cancel.body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    assert_eq!(body(refused).await["got"], "the run has ended");
    let logout = ask("POST", "/api/v1/logout", &cookie).header("x-bespin-csrf", &csrf);
    assert_eq!(world.send(logout.body(Body::empty()).unwrap()).await.status(), StatusCode::OK);
    assert_eq!(world.get("/api/v1/home", &cookie).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_passwords_are_slowed_down() {
    let world = World::new();
    for _ in 0..10 {
        assert_eq!(world.try_login("ann", "guess").await.status(), StatusCode::UNAUTHORIZED);
    }
    let response = world.try_login("ann", "a long password").await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn behind_a_proxy_each_client_is_slowed_down_for_itself() {
    let mut world = World::new();
    let (guesser, ann) = (Some("198.51.100.7"), Some("198.51.100.8"));
    world.peer = "10.9.0.1:5000";
    for _ in 0..10 {
        assert_eq!(world.try_login_for(guesser, "ann", "guess").await.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.try_login_for(guesser, "ann", "guess").await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.try_login_for(ann, "ann", "a long password").await.status(), StatusCode::OK);
    // Who is no proxy of ours may write there what they like.
    world.peer = "198.51.100.7:5000";
    assert_eq!(world.try_login_for(ann, "ann", "a long password").await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_one_time_link_opens_once_and_only_from_here() {
    let mut world = World::new();
    let link = format!("/login/once?token={}", world.state.login.one_time_link());
    world.peer = "192.168.7.9:5000";
    assert_eq!(world.get(&link, "").await.status(), StatusCode::FORBIDDEN);
    world.peer = "127.0.0.1:5000";
    let proxied = ask("GET", &link, "").header("x-forwarded-for", "10.0.0.1").body(Body::empty()).unwrap();
    assert_eq!(world.send(proxied).await.status(), StatusCode::FORBIDDEN);
    let response = world.get(&link, "").await;
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(world.view("/api/v1/session", &cookie).await["user"]["role"], "operator");
    assert_eq!(world.get(&link, "").await.status(), StatusCode::GONE);
}

#[tokio::test]
async fn a_run_is_what_its_journal_says() {
    let world = World::new();
    let (cookie, _) = world.login("val").await;
    let stream = format!("run/{RUN}");
    world.append(&stream, 1000, &[opened()]).await;
    world.append(&stream, 1100, &[started("bump", 1)]).await;
    world
        .append(&stream, 1200, &[ended("bump", 1, json!({ "is": "transient", "because": "the remote hung up" }))])
        .await;
    let path = format!("/api/v1/runs/{RUN}");
    let run = world.view(&path, &cookie).await;
    assert_eq!(run["steps"][0]["summary"]["state"], "retrying");
    assert_eq!(run["steps"][0]["attempts"][0]["because"], "the remote hung up");
    assert_eq!(run["steps"][1]["summary"]["state"], "waiting");

    world.append(&stream, 1300, &[started("bump", 2)]).await;
    let key = json!({ "run": RUN, "step": "bump" });
    let wanted = json!({ "kind": "wanted", "body": { "key": key, "intent": {} } });
    world.append(&format!("bump/{RUN}/bump"), 1310, &[wanted]).await;
    let said = decide::next::Status { phase: decide::next::Phase::Progressing, message: "pushing the commit".into() };
    world.state.board.publish(&format!("bump/{RUN}/bump"), "bump", said, 1320);
    let home = world.view("/api/v1/home", &cookie).await;
    let step = &home["open"][0]["steps"][1];
    assert_eq!((&step["state"], &step["status"]["message"]), (&json!("running"), &json!("pushing the commit")));

    let outputs = json!({ "is": "succeeded", "outputs": { "commit": "abc" } });
    world.append(&stream, 1400, &[ended("bump", 2, outputs), started("sync", 1)]).await;
    let rejected = json!({ "is": "rejected", "because": "no such application" });
    world
        .append(
            &stream,
            1500,
            &[ended("sync", 1, rejected), json!({ "kind": "closed", "body": { "outcome": "failed" } })],
        )
        .await;
    let run = world.view(&path, &cookie).await;
    assert_eq!(run["steps"][0]["outputs"]["commit"], "abc");
    assert_eq!(run["run"]["state"], "failed");
    assert_eq!(run["run"]["status"]["message"], "sync ended as rejected: no such application");
    assert_eq!(run["journal"].as_array().unwrap().len(), 9);
    let home = world.view("/api/v1/home", &cookie).await;
    assert_eq!((home["open"].as_array().unwrap().len(), home["ended"].as_array().unwrap().len()), (0, 1));
    assert_eq!(world.view("/api/v1/runs?search=VET+main", &cookie).await["total"], 1);
    assert_eq!(world.view("/api/v1/runs?search=nothing", &cookie).await["total"], 0);
    assert_eq!(world.get("/api/v1/runs/a/b/c/1", &cookie).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_told_beside_the_streams_is_on_home_until_it_is_over() {
    let world = World::new();
    let (cookie, _) = world.login("val").await;
    let tell = |names: &[&str], reason: &str, at| {
        let told = names.iter().map(|name| ((*name).to_owned(), reason.to_owned()));
        world.state.board.warn("git", told.collect(), at);
    };
    let shown = async || world.view("/api/v1/home", &cookie).await["troubles"].clone();
    assert_eq!(shown().await, json!([]));
    let (one, two) = ("git/github.com/user/one", "git/github.com/user/two");
    tell(&[one, two], "it was damaged", 1_000);
    world.state.board.warn("other", [("other/x".to_owned(), "another kind".to_owned())].into(), 1_500);
    tell(&[one], "it was damaged", 2_000);
    let warning = |stream: &str, reason: &str, since: u64| json!({ "stream": stream, "class": "warning", "what": "warning", "reason": reason, "since_ms": since });
    let other = warning("other/x", "another kind", 1_500);
    assert_eq!(shown().await, json!([warning(one, "it was damaged", 1_000), other]), "since it was told first");
    tell(&[], "", 3_000);
    assert_eq!(shown().await, json!([other]));
}

#[tokio::test]
async fn a_log_is_followed_from_where_the_browser_was_and_downloaded_whole() {
    let world = World::new();
    let (cookie, _) = world.login("val").await;
    let path = format!("/api/v1/runs/{RUN}/steps/bump/attempts/1/log");
    let text = body(world.get(&path, &cookie).await).await.as_str().unwrap().to_owned();
    assert!(text.contains("\"line 1\"") && text.contains("id: 3") && text.contains("event: end"), "{text}");
    let request = ask("GET", &path, &cookie).header("last-event-id", "2").body(Body::empty()).unwrap();
    let text = body(world.send(request).await).await.as_str().unwrap().to_owned();
    assert!(text.contains("\"line 3\"") && !text.contains("\"line 2\"") && text.contains("event: end"), "{text}");
    let text = body(world.get(&format!("{path}.txt"), &cookie).await).await;
    assert_eq!(text, "line 1\nline 2\nline 3\n");
}

#[tokio::test]
async fn the_event_stream_resumes_where_it_was() {
    let world = World::new();
    let (cookie, _) = world.login("val").await;
    world.append(&format!("run/{RUN}"), 1000, &[opened(), started("bump", 1)]).await;
    let request = ask("GET", "/api/v1/events", &cookie).header("last-event-id", "1").body(Body::empty()).unwrap();
    let mut stream = world.send(request).await.into_body();
    let mut text = String::new();
    while !text.contains("event: journal") {
        let frame = stream.frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    assert!(text.starts_with("event: hello"), "{text}");
    assert!(text.contains(&format!("\"seq\":2,\"streams\":[\"run/{RUN}\"]")), "{text}");
    world.state.stop.cancel();
    while stream.frame().await.is_some() {}
}

#[tokio::test]
async fn the_control_socket_tells_until_an_application_has_changed_hands() {
    let world = World::new();
    let data = world.dir.path();
    crate::control::listen(data, world.state.clone()).unwrap();
    let asking = |verb: &'static str| async move {
        let mut told = Vec::new();
        let asked = crate::control::ask(data, &format!("/apps/{verb}/production/argocd/petclinic"), &mut told).await;
        asked.map(|()| String::from_utf8(told).unwrap())
    };
    let stream = "app/production/argocd/petclinic";
    assert_eq!(asking("give").await, Err(format!("there is no application `{stream}`")));
    assert_eq!(asking("lend").await, Err("`lend` is neither take nor give".into()));
    let waiting = decide::next::Status { phase: decide::next::Phase::Waiting, message: "waiting for Argo CD".into() };
    world.state.board.publish(stream, "sync", waiting, 1);
    let owned = app();
    let publish = async {
        while world.told.0.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        world.state.board.show_app(stream, owned);
    };
    let (told, ()) = tokio::join!(asking("take"), publish);
    let told = told.unwrap();
    assert!(told.starts_with("production/argocd/petclinic is to be owned\n"), "{told}");
    assert!(told.ends_with(&format!("{stream} is owned now\n")), "{told}");
    assert_eq!(*world.told.0.lock().unwrap(), [format!("take {stream} by person:control-socket")]);
}

/// An application without trouble.
fn app() -> AppView {
    AppView {
        name: "argocd/petclinic".into(),
        cluster: "production".into(),
        repo: String::new(),
        path: String::new(),
        revision: String::new(),
        sync: "synced".into(),
        health: "Healthy".into(),
        ownership: "owned".into(),
        resources: Vec::new(),
        history: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A rollout without trouble.
fn canary() -> RolloutView {
    RolloutView {
        name: "petclinic/was".into(),
        cluster: "production".into(),
        phase: "Healthy".into(),
        message: String::new(),
        lacking: None,
        ownership: "owned".into(),
        steps: Vec::new(),
        at: 0,
        asked: 0,
        served: None,
        stable_image: "was:1".into(),
        canary_image: "was:1".into(),
        revisions: Vec::new(),
        weights: Vec::new(),
        actions: Vec::new(),
        paused_until_ms: None,
    }
}

/// Runs of two branches, of which one has failed and the other succeeded at last.
async fn ended_runs(world: &World) {
    let run = |number: u64, reference: &str, outcome: &str| {
        let mut first = opened();
        let id = format!("user/petclinic/petclinic-was/{number}");
        first["body"]["run"]["id"] = id.clone().into();
        first["body"]["run"]["number"] = number.into();
        first["body"]["run"]["event"]["reference"] = reference.into();
        let failed = ended("bump", 1, json!({ "is": "rejected", "because": "the registry refuses the push" }));
        (
            format!("run/{id}"),
            [first, started("bump", 1), failed, json!({ "kind": "closed", "body": { "outcome": outcome } })],
        )
    };
    for (number, reference, outcome) in [
        (1, "refs/heads/main", "failed"),
        (2, "refs/heads/main", "failed"),
        (3, "refs/heads/main", "superseded"),
        (4, "refs/heads/mended", "failed"),
        (5, "refs/heads/mended", "succeeded"),
    ] {
        let (stream, entries) = run(number, reference, outcome);
        world.append(&stream, 1000 * number, &entries).await;
    }
}

/// One of each thing that a person should know of.
fn show_troubles(board: &Board) {
    let unfetched = ("git/github.com/user/one".to_owned(), "`refs/heads/a` cannot be fetched".to_owned());
    board.warn("git", [unfetched].into(), 1_000);
    let say = |stream: &str, phase, message: &str| {
        board.publish(stream, "", decide::next::Status { phase, message: message.into() }, 3100);
    };
    say("delivery/default/d-3", decide::next::Phase::Waiting, "the commit cannot be fetched");
    say("image/user/petclinic/petclinic-was/7/image", decide::next::Phase::Blocked, "the registry refuses the login");
    let retry = ActionView { action: "retry".into(), label: "Retry".into(), effect: "Tries again".into() };
    let message = "RolloutAborted: asked for by mina".to_owned();
    let aborted = RolloutView { phase: "Degraded".into(), message, actions: vec![retry], ..canary() };
    board.show_rollout("rollout/production/petclinic/was", aborted);
    let lacking = "no pod of web:1 is ready, and it gets 100 % of the traffic".to_owned();
    let message = format!("{lacking}; ProgressDeadlineExceeded");
    let web = RolloutView { phase: "Progressing".into(), message, lacking: Some(lacking), ..canary() };
    board.show_rollout("rollout/production/petclinic/web", web);
    // What is said of its pods comes before that it is blocked.
    say("rollout/production/petclinic/web", decide::next::Phase::Blocked, "an Ingress is missing");
    let stale = ResourceView {
        group: String::new(),
        version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: "petclinic".into(),
        name: "settings".into(),
        sync: "out-of-sync".into(),
        health: String::new(),
        message: String::new(),
        parent: String::new(),
        owned: Vec::new(),
        desired: String::new(),
        live: String::new(),
    };
    let blind = AppView {
        sync: "unknown".into(),
        warnings: vec!["the manifests cannot be fetched: no route to host".into()],
        resources: vec![stale.clone()],
        ..app()
    };
    board.show_app("app/production/argocd/blind", blind);
    board.show_app("app/production/argocd/ill", AppView { health: "Degraded".into(), ..app() });
    let differs = AppView { sync: "out-of-sync".into(), resources: vec![stale], ..app() };
    board.show_app("app/production/argocd/differs", differs);
}

#[tokio::test]
async fn home_leaves_no_kind_of_failure_out() {
    let world = World::new();
    let (cookie, _) = world.login("val").await;
    assert_eq!(world.view("/api/v1/home", &cookie).await["troubles"], json!([]));
    ended_runs(&world).await;
    world.append("delivery/default/d-3", 3000, &[received("d-3", "ccc")]).await;
    world.append("delivery/default/d-4", 3000, &[received("d-4", "ddd")]).await;
    show_troubles(&world.state.board);

    let path = |number: u64| format!("/api/v1/runs/user/petclinic/petclinic-was/{number}");
    let newer = world.view(&path(4), &cookie).await["newer"].clone();
    assert_eq!((&newer["number"], &newer["state"]), (&json!(5), &json!("succeeded")), "a retry of 4 goes back from 5");
    assert_eq!(world.view(&path(1), &cookie).await["newer"], Value::Null, "no newer one succeeded");

    let home = world.view("/api/v1/home", &cookie).await;
    let told: Vec<String> = home["troubles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trouble| {
            let text = |key: &str| trouble[key].as_str().unwrap().to_owned();
            format!("{} {}: {}", text("class"), text("stream"), text("reason"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "unserved rollout/production/petclinic/web: no pod of web:1 is ready, and it gets 100 % of the traffic; ProgressDeadlineExceeded",
            "aborted rollout/production/petclinic/was: RolloutAborted: asked for by mina",
            "blocked image/user/petclinic/petclinic-was/7/image: the registry refuses the login",
            "failed-run run/user/petclinic/petclinic-was/2: bump ended as rejected: the registry refuses the push",
            "degraded app/production/argocd/ill: no reason is known",
            "unreadable app/production/argocd/blind: the manifests cannot be fetched: no route to host",
            "delivery-waits delivery/default/d-3: push of user/petclinic: the commit cannot be fetched",
            "differs app/production/argocd/differs: not as git says: ConfigMap/settings (out-of-sync)",
            "warning git/github.com/user/one: `refs/heads/a` cannot be fetched",
        ]
    );
    assert_eq!(
        home["counts"],
        json!({
            "unserved": 1, "failed_runs": 1, "aborted": 1, "blocked": 1, "degraded": 1, "unreadable": 1, "plugins_refused": 0,
            "deliveries_waiting": 2, "approvals": 0, "differing": 1, "warnings": 1,
        })
    );
}

/// The first entry of a delivery's stream.
fn received(delivery: &str, sha: &str) -> Value {
    json!({ "kind": "received", "body": {
        "hook": "default", "delivery": delivery, "repository": "user/petclinic", "reference": "refs/heads/main",
        "before": "", "after": sha, "change": "forward", "pusher": "kim", "paths": { "known": "listed", "paths": ["a"] } } })
}

#[tokio::test]
async fn each_delivery_says_what_became_of_it() {
    let world = World::new();
    let (cookie, _) = world.login("val").await;
    let stream = |delivery: &str| format!("delivery/default/{delivery}");
    let ignored =
        json!({ "kind": "ignored", "body": { "because": "no pipeline is for this: was.yaml: no path matches" } });
    world.append(&stream("d-1"), 1000, &[received("d-1", "aaa"), ignored]).await;
    let skipped = json!([{ "file": ".bespin/web.yaml", "because": "the branch is not listed" }]);
    let opened = json!({ "kind": "opened", "body": { "runs": [RUN], "skipped": skipped } });
    world.append(&stream("d-2"), 2000, &[received("d-2", "bbb"), opened]).await;
    let missed = json!({ "kind": "missed", "body": { "because": "the commit ccc cannot be fetched yet" } });
    world.append(&stream("d-3"), 3000, &[received("d-3", "ccc"), missed]).await;
    let newer = json!({ "kind": "of-a-newer-server", "body": {} });
    world.append(&stream("d-4"), 4000, &[newer]).await;
    let said = decide::next::Status { phase: decide::next::Phase::Waiting, message: "waiting for GitHub".into() };
    world.state.board.publish(&stream("d-3"), "delivery", said, 3100);

    let page = world.view("/api/v1/deliveries", &cookie).await;
    let told = |at: usize, what: &str| page["deliveries"][at][what].clone();
    assert_eq!((&page["total"], &page["waiting"]), (&json!(4), &json!(2)));
    assert_eq!((told(0, "event"), told(0, "state")), (json!("of-a-newer-server"), json!("waiting")));
    assert_eq!((told(1, "message"), told(1, "sha")), (json!("the commit ccc cannot be fetched yet"), json!("ccc")));
    assert_eq!(told(1, "status")["message"], "waiting for GitHub");
    assert_eq!((told(2, "state"), told(2, "runs"), told(2, "ended_ms")), (json!("opened"), json!([RUN]), json!(2000)));
    assert_eq!(told(2, "skipped"), skipped);
    assert_eq!((told(3, "state"), told(3, "sender")), (json!("ignored"), json!("kim")));
    assert!(told(3, "message").as_str().unwrap().contains("no path matches"));

    for (query, total, first) in [
        ("skip=2&limit=1", 4, json!("d-2")),
        ("only=waiting", 2, json!("d-4")),
        ("search=MAIN+bbb", 1, json!("d-2")),
        ("search=nothing", 0, Value::Null),
    ] {
        let page = world.view(&format!("/api/v1/deliveries?{query}"), &cookie).await;
        assert_eq!((&page["total"], &page["deliveries"][0]["delivery"]), (&json!(total), &first), "{query}");
    }
    assert_eq!(world.get("/api/v1/deliveries", "").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn runs_are_paged_to_the_oldest() {
    let world = World::new();
    let (cookie, _) = world.login("val").await;
    // More than the server gives at once.
    let count = crate::runs::MAX_PAGE + 70;
    for number in 1..=count {
        let id = format!("user/petclinic/petclinic-was/{number}");
        let mut first = opened();
        first["body"]["run"]["id"] = id.clone().into();
        first["body"]["run"]["number"] = number.into();
        world.append(&format!("run/{id}"), 1000 + number as u64, &[first]).await;
    }
    let mut shown = Vec::new();
    loop {
        let page = world.view(&format!("/api/v1/runs?limit=50&skip={}", shown.len()), &cookie).await;
        assert_eq!(page["total"], count);
        let numbers = page["runs"].as_array().unwrap().iter().map(|row| row["run"]["number"].as_u64().unwrap());
        let before = shown.len();
        shown.extend(numbers);
        if shown.len() == before {
            break;
        }
    }
    assert_eq!(shown, (1..=count as u64).rev().collect::<Vec<_>>(), "each once, the newest first");
}
