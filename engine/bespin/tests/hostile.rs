//! The attacks of `plugins/hostile/attacks.toml` that go through the server's own connector: nothing leaves loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::get;
use bespin::host::{Connector, Network};
use bytes::Bytes;
use pipeline::limits::Limits;
use pipeline::permission::{Permissions, Whose};
use sandbox::{Abilities, Failure, HttpRequest, HttpResponse, Level, Sandbox, Settings, Verdict};
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The columns of the table that matter here.
#[derive(Deserialize)]
struct Row {
    name: String,
    verdict: String,
    #[serde(default)]
    says: String,
    #[serde(default)]
    by: String,
    attack: Option<String>,
    #[serde(default)]
    with: BTreeMap<String, String>,
    #[serde(default)]
    grants: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    answers: VecDeque<Vec<IpAddr>>,
    #[serde(default)]
    dials: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Table {
    attack: Vec<Row>,
}

/// A resolver that gives its answers in turn, the last one for ever, and a network whose every address is the server of
/// this test.
struct Loopback {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    dialled: Mutex<Vec<IpAddr>>,
    server: SocketAddr,
}

#[async_trait]
impl Network for Loopback {
    async fn resolve(&self, _name: &str) -> std::io::Result<Vec<IpAddr>> {
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.ok_or_else(|| std::io::Error::other("the name has no address"))
    }

    fn dial(&self, address: IpAddr) -> SocketAddr {
        self.dialled.lock().unwrap().push(address);
        self.server
    }
}

/// A host with a network and one secret.
struct World(Connector);

#[async_trait]
impl Abilities for World {
    fn log(&self, _: Level, _: &str) {}

    async fn http(&self, asked: HttpRequest) -> Result<HttpResponse, Failure> {
        self.0.send(asked).await
    }

    async fn secret(&self, _name: String) -> Result<SecretString, Failure> {
        Ok("hunter2".into())
    }
}

/// Ends each connection after one answer, so that the next request asks the resolver again.
async fn server() -> SocketAddr {
    let echo = |headers: HeaderMap| async move {
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        format!("x-secret: {}", value("x-secret"))
    };
    let endless = || async {
        let piece = Bytes::from_static(&[b'a'; 64 << 10]);
        Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone())))
    };
    let redirect = || async {
        let location = "http://169.254.169.254/latest/meta-data/";
        (axum::http::StatusCode::FOUND, [("location", location)]).into_response()
    };
    let router = axum::Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/echo", get(echo))
        .route("/endless", get(endless))
        .route("/to-metadata", get(redirect))
        .layer(axum::middleware::map_response(|mut response: axum::response::Response| async move {
            response.headers_mut().insert("connection", axum::http::HeaderValue::from_static("close"));
            response
        }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn component() -> PathBuf {
    let folder =
        std::env::var_os("BESPIN_COMPONENTS").map_or_else(|| top("target/wasm32-wasip2/plugin"), PathBuf::from);
    let path = folder.join("plugin_hostile.wasm");
    assert!(path.exists(), "{} is not there; build the plugins first: cargo xtask plugins", path.display());
    path
}

fn told(verdict: Verdict) -> (String, String) {
    match verdict {
        Verdict::Succeeded { outputs } if outputs.contains_key("stolen") => ("STOLEN".to_owned(), String::new()),
        Verdict::Succeeded { .. } => ("harmless".to_owned(), String::new()),
        Verdict::Rejected { because } => ("rejected".to_owned(), because),
        Verdict::Denied(denied) => (format!("denied: {}", denied.grant), denied.to_string()),
        other => ("something else".to_owned(), format!("{other:?}")),
    }
}

#[tokio::test]
async fn no_request_leaves_its_grant() {
    let _provider = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cache = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(cache.path(), Settings::default()).unwrap();
    let plugin = sandbox.load_file("hostile", &component()).await.unwrap();
    let text = std::fs::read_to_string(top("plugins/hostile/attacks.toml")).unwrap();
    let table: Table = toml::from_str(&text).unwrap();
    let rows: Vec<_> = table.attack.into_iter().filter(|row| row.by == "egress").collect();
    assert!(rows.len() >= 10, "{} rows", rows.len());
    let server = server().await;
    let mut wrong = Vec::new();
    for row in rows {
        let network =
            Arc::new(Loopback { answers: Mutex::new(row.answers.clone()), dialled: Mutex::default(), server });
        let world = Arc::new(World(Connector::over(network.clone()).unwrap()));
        let mut settings = serde_json::json!(row.with);
        settings["attack"] = row.attack.as_ref().unwrap_or(&row.name).as_str().into();
        let granted = Permissions::parse(Whose::Step, &row.grants).unwrap();
        let verdict = sandbox.run(&plugin, &settings.to_string(), &granted, &Limits::default(), world).await;
        let (verdict, text) = told(verdict);
        let dialled = network.dialled.lock().unwrap().clone();
        let ended_so = verdict == row.verdict && text.contains(&row.says) && !text.contains("hunter2");
        if !ended_so || dialled != row.dials {
            wrong.push(format!("{}: {verdict}: {text}; dialled {dialled:?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
