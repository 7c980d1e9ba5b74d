//! Routers with their real parts: the example of the world `route` in a sandbox, and a weight API on loopback.

use super::*;
use crate::config::Config;
use crate::plugins::Plugins;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use std::path::{Path, PathBuf};

/// How the API is today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It does what it is told.
    #[default]
    Works,
    /// Every request is answered with 503.
    Busy,
    /// Every request is answered with 403.
    Refuses,
    /// No request is ever answered.
    Hangs,
}

#[derive(Default)]
struct Heard {
    mode: Mode,
    weight: Option<String>,
    requests: Vec<(Method, StatusCode)>,
}

/// A data plane's API: `PUT`, `GET` and `DELETE` of one weight.
pub(crate) struct Api {
    pub address: String,
    told: Arc<Mutex<Heard>>,
    /// The secret's file, for the configuration.
    secret: PathBuf,
}

const TOKEN: &str = "the router's own token";

impl Api {
    pub(crate) async fn start(dir: &Path) -> Api {
        let told: Arc<Mutex<Heard>> = Arc::default();
        let secret = dir.join("token");
        std::fs::write(&secret, TOKEN).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(told.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Api { address, told, secret }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.told.lock().unwrap().mode = mode;
    }

    /// Somebody else stores a weight there.
    pub(crate) fn store(&self, weight: &str) {
        self.told.lock().unwrap().weight = Some(weight.to_owned());
    }

    /// What was stored there last.
    pub(crate) fn weight(&self) -> Option<String> {
        self.told.lock().unwrap().weight.clone()
    }

    pub(crate) fn asked(&self, method: &Method) -> usize {
        self.told.lock().unwrap().requests.iter().filter(|(asked, _)| asked == method).count()
    }

    /// The routers of a server whose configuration has a row for it.
    pub(crate) async fn routers(&self, dir: &Path, http: &str) -> Routers {
        let examples = std::env::var_os("BESPIN_COMPONENTS").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/wasm32-wasip2/plugin")),
            PathBuf::from,
        );
        let folder = dir.join("route-plugins");
        std::fs::create_dir_all(&folder).unwrap();
        let built = examples.join("examples/route.wasm");
        std::fs::copy(&built, folder.join("route.wasm")).expect("build the plugins first: cargo xtask plugins");
        let config = format!(
            "[server]\ndata = \"d\"\n[secret]\nrouter = {{ file = \"{}\" }}\n\
             [[route]]\nname = \"example/http\"\nplugin = \"route\"\nrollouts = [\"test/petclinic/*\"]\n\
             http = [\"{http}\"]\nsecrets = [\"router\"]\nlimits = {{ wall = \"2s\" }}\n",
            self.secret.display(),
        );
        let config = Config::parse("bespin.toml", &config).unwrap();
        let cache = dir.join("route-cache");
        let extensions = Extensions::new(Plugins::of(&folder), cache, sandbox::Settings::default());
        let connector = Arc::new(Connector::new().unwrap());
        Routers::load(&config.route, &extensions, &connector, &config.secret).await.unwrap()
    }

    /// What a row grants for it.
    pub(crate) fn grant(&self) -> String {
        format!("GET,PUT,DELETE {}", self.address)
    }
}

async fn answer(
    State(told): State<Arc<Mutex<Heard>>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let mode = told.lock().unwrap().mode;
    if mode == Mode::Hangs {
        std::future::pending::<()>().await;
    }
    let mut told = told.lock().unwrap();
    let known = headers.get("authorization").is_some_and(|value| value == &format!("Bearer {TOKEN}"));
    let answer = match (mode, known) {
        (Mode::Busy, _) => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        (Mode::Refuses, _) | (_, false) => (StatusCode::FORBIDDEN, String::new()),
        _ => match (&method, told.weight.clone()) {
            (&Method::PUT, _) => {
                told.weight = Some(String::from_utf8_lossy(&body).into_owned());
                (StatusCode::NO_CONTENT, String::new())
            }
            (&Method::DELETE, _) => {
                told.weight = None;
                (StatusCode::NO_CONTENT, String::new())
            }
            (_, None) => (StatusCode::NOT_FOUND, String::new()),
            (_, Some(weight)) => (StatusCode::OK, weight),
        },
    };
    told.requests.push((method, answer.0));
    answer
}

const STREAM: &str = "rollout/test/petclinic/was";

fn split(api: &Api, weight: u32) -> Split {
    let plugins = json!({ "example/http": { "address": api.address } });
    let rollout = json!({
        "metadata": { "name": "was", "namespace": "petclinic" },
        "spec": { "strategy": { "canary": { "trafficRouting": { "plugins": plugins } } } },
        "status": { "currentPodHash": "new", "stableRS": "old" },
    });
    Split { router: "example/http".to_owned(), weight, rollout }
}

#[tokio::test]
async fn a_router_is_told_and_says_what_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let routers = api.routers(dir.path(), &api.grant()).await;
    for (stream, serves) in [(STREAM, Serves::This), ("rollout/test/other/was", Serves::Others)] {
        assert_eq!(routers.names(stream), BTreeMap::from([("example/http".to_owned(), serves)]), "{stream}");
    }
    let (quarter, half) = (split(&api, 25), split(&api, 50));
    assert!(!matches!(routers.ask(STREAM, &quarter).await, Ok(Reply::Verified)), "nobody has told it anything");
    assert_eq!(routers.tell(STREAM, &quarter).await, Ok(Reply::Done));
    assert_eq!(api.weight().as_deref(), Some("25"));
    assert_eq!(routers.ask(STREAM, &quarter).await, Ok(Reply::Verified));
    let fresh = api.routers(dir.path(), &api.grant()).await;
    assert_eq!(fresh.ask(STREAM, &quarter).await, Ok(Reply::Verified), "it is looked at, and not remembered");
    assert_eq!(fresh.ask(STREAM, &half).await, Ok(Reply::NotVerified));
    assert_eq!(fresh.take_back(STREAM, "example/http", &half.rollout).await, Ok(Reply::Done));
    assert_eq!((api.weight(), api.asked(&Method::DELETE)), (None, 1));
}

#[tokio::test]
async fn failures_say_what_mends_them_and_show_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    for (mode, part, retry) in [
        (Mode::Busy, "the router answered 503", Retry::PASSING),
        (Mode::Refuses, "the router answered 403", Retry::NeedsPerson),
        (Mode::Hangs, "it took longer than 2s", Retry::PASSING),
    ] {
        api.set(mode);
        let (routers, quarter) = (api.routers(dir.path(), &api.grant()).await, split(&api, 25));
        for failed in [
            routers.ask(STREAM, &quarter).await.unwrap_err(),
            routers.tell(STREAM, &quarter).await.unwrap_err(),
            routers.take_back(STREAM, "example/http", &quarter.rollout).await.unwrap_err(),
        ] {
            let Trouble { message, retry: class } = failed;
            assert!(message.contains(part) && class == retry && !message.contains(TOKEN), "{mode:?}: {message}");
        }
    }
    api.set(Mode::Works);
    let routers = api.routers(dir.path(), "GET elsewhere.example").await;
    let denied = routers.ask(STREAM, &split(&api, 25)).await.unwrap_err();
    assert!(denied.message.contains("to [[route]] `example/http`") && denied.retry == Retry::NeedsPerson, "{denied}");
    let gone = Routers::default().take_back(STREAM, "example/http", &json!({})).await.unwrap_err();
    assert!(gone.message.contains("add [[route]] with name = \"example/http\""), "{gone}");
}

#[tokio::test]
async fn a_plugin_of_another_world_refuses_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let extensions = crate::extensions::tests::extensions(dir.path());
    let rows = [RoutePlugin {
        name: "a/b".to_owned(),
        plugin: "health".to_owned(),
        rollouts: None,
        http: Vec::new(),
        secrets: Vec::new(),
        limits: BTreeMap::new(),
    }];
    let connector = Arc::new(Connector::new().unwrap());
    let refused = Routers::load(&rows, &extensions, &connector, &BTreeMap::new()).await.err().unwrap();
    assert!(refused.contains("route `a/b`") && refused.contains("of the world `health`"), "{refused}");
}
