//! The stage against a real git server, and a forge that keeps pull requests as GitHub does.

use super::*;
use crate::board::Board;
use crate::sources::Repositories;
use crate::stages::git_server::{GitServer, PASSWORD, USER};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use decide::bump::Swap;
use decide::canary::{Cause, Start};
use decide::revert::Outcome;
use forge::{Credentials, Remote, Settings};
use serde_json::{Value, json};
use std::time::Duration;

const BAD: &str = "registry.example/petclinic-was:v56";
const GOOD: &str = "registry.example/petclinic-was:v55";
const REPOSITORY: &str = "user/k8s-manifests";
const FILE: &str = "petclinic/was-rollout.yaml";
const STREAM: &str = "rollout/production/petclinic/was";

fn manifest(image: &str) -> String {
    format!(
        "# The tier.\nkind: Rollout\nspec:\n  template:\n    spec:\n      containers:\n      - image: '{image}' # ours\n"
    )
}

/// A forge's API: what it was sent, by the branch.
#[derive(Clone, Default)]
struct Api {
    pulls: Arc<Mutex<Vec<Value>>>,
    refuses: bool,
}

impl Api {
    async fn start(self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/repos/user/k8s-manifests/pulls", get(list).post(create)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

async fn list(State(api): State<Api>, Query(asked): Query<HashMap<String, String>>) -> Json<Vec<Value>> {
    let pulls = api.pulls.lock().unwrap();
    let is_asked = |pull: &&Value| format!("user:{}", pull["head"].as_str().unwrap()) == asked["head"];
    Json(pulls.iter().filter(is_asked).cloned().collect())
}

async fn create(State(api): State<Api>, headers: HeaderMap, Json(mut pull): Json<Value>) -> Response {
    if api.refuses || headers["authorization"] != "Bearer hush" {
        return (StatusCode::FORBIDDEN, "Resource not accessible by this token").into_response();
    }
    let mut pulls = api.pulls.lock().unwrap();
    if pulls.iter().any(|known| known["head"] == pull["head"]) {
        return (StatusCode::UNPROCESSABLE_ENTITY, "A pull request already exists").into_response();
    }
    pull["html_url"] = format!("https://forge.example/pull/{}", pulls.len() + 1).into();
    pulls.push(pull.clone());
    (StatusCode::CREATED, Json(pull)).into_response()
}

struct World {
    git: GitServer,
    intent: Intent,
    api: Option<String>,
    directory: tempfile::TempDir,
}

impl World {
    async fn new(how: How, api: Option<Api>) -> World {
        let git = GitServer::start().await;
        let repo = git.create(REPOSITORY, &[(FILE, &manifest(GOOD))]);
        let bump = format!("Bump\n\nBespin-Run: user/petclinic/was/56\nBespin-Image: {BAD}\n");
        git.commit(REPOSITORY, "main", &[(FILE, &manifest(BAD))], &bump);
        let intent = Intent {
            how,
            rollout: "production/petclinic/was".into(),
            repo,
            branch: None,
            path: "petclinic".into(),
            images: vec![Swap { from: BAD.into(), to: GOOD.into() }],
            because: "pod was-1: CrashLoopBackOff".into(),
        };
        let api = match api {
            Some(api) => Some(api.start().await),
            None => None,
        };
        World { git, intent, api, directory: tempfile::tempdir().unwrap() }
    }

    /// A server of its own keeps the promise that its journal holds; how it ended.
    async fn kept(&self, journal: &str) -> Outcome {
        let credentials = Credentials::Basic { username: USER.into(), password: PASSWORD.into() };
        let remotes = vec![Remote { url: self.git.url.clone(), credentials, plain_http: Default::default() }];
        let directory = self.directory.path().join(journal);
        let forge = Forge::new(Settings { remotes, ..Settings::default() }, directory.join("git")).unwrap();
        let drivers = Drivers::new(journal::open(&directory.join("journal")).unwrap(), Arc::new(Board::default()));
        let sync = SyncStage::new(&drivers, [], Repositories::new(forge.clone()));
        let api = self.api.clone().map(|api_url| forge::status::Settings { api_url, token: "hush".into() });
        let stage = RevertStage::new(&drivers, &forge, Pulls::new(api), &sync);
        let (images, intent) = (vec![BAD.to_owned()], Box::new(self.intent.clone()));
        let began =
            canary::Entry::Began { hash: "h56".into(), images, steps_hash: "s".into(), steps: 1, start: Start::Steps };
        let retreated = canary::Entry::Retreated { because: "it crashes".into(), cause: Cause::Failed };
        let entries = vec![began, retreated, canary::Entry::PuttingBack { intent }];
        drivers.append(STREAM, By::Server, |_| Some(entries.clone())).await.unwrap();
        let mut newest = drivers.journal().newest();
        stage.keep(STREAM);
        let answered = async {
            loop {
                newest.mark_unchanged();
                let recorded = stage.recorded("revert/production/petclinic/was").await.unwrap();
                if let Some(outcome) = recorded.undo.and_then(|undo| undo.outcome) {
                    return outcome;
                }
                newest.changed().await.unwrap();
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(60), answered).await;
        let outcome = outcome.unwrap_or_else(|_| panic!("no outcome: {:?}", drivers.board().all_said()));
        drivers.stop().await;
        outcome
    }

    fn text(&self, branch: &str) -> String {
        self.git.git(REPOSITORY, &["show", &format!("{branch}:{FILE}")])
    }

    fn commits(&self, range: &str) -> String {
        self.git.git(REPOSITORY, &["rev-list", "--count", range])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_is_one_commit_that_changes_one_name() {
    let world = World::new(How::Revert, None).await;
    let outcome = world.kept("a").await;
    assert!(matches!(outcome, Outcome::Clean { .. }), "{outcome:?}");
    assert_eq!(world.text("main"), manifest(GOOD).trim_end());
    assert_eq!(world.commits("main"), "3");
    let message = world.git.git(REPOSITORY, &["log", "-1", "--format=%(trailers:only)", "main"]);
    assert!(message.contains("Bespin-Run: user/petclinic/was/56"), "{message}");
    // The same promise after a crash that lost the answer.
    assert_eq!(world.kept("b").await, outcome);
    assert_eq!(world.commits("main"), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_there_is_a_branch_and_a_sentence() {
    let world = World::new(How::PullRequest, None).await;
    let outcome = world.kept("a").await;
    let Outcome::Pushed { branch, because } = &outcome else { panic!("{outcome:?}") };
    assert_eq!((branch.clone(), because.contains("into `main`")), (world.intent.aside(), true));
    assert_eq!(world.text("main"), manifest(BAD).trim_end());
    assert_eq!(world.text(branch), manifest(GOOD).trim_end());
    assert_eq!(world.kept("b").await, outcome);
    assert_eq!(world.commits(&format!("main..{branch}")), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_api_one_pull_request_is_opened() {
    let api = Api::default();
    let world = World::new(How::PullRequest, Some(api.clone())).await;
    let outcome = world.kept("a").await;
    assert_eq!(outcome, Outcome::Requested { url: "https://forge.example/pull/1".into() });
    assert_eq!(world.kept("b").await, outcome);
    let pulls = api.pulls.lock().unwrap().clone();
    let [pull] = pulls.as_slice() else { panic!("{pulls:?}") };
    assert_eq!(pull["head"], json!(world.intent.aside()));
    assert_eq!((pull["base"].as_str(), pull["title"].as_str()), (Some("main"), Some("Put petclinic-was back to v55")));
    assert!(pull["body"].as_str().unwrap().contains("CrashLoopBackOff"), "{pull}");
    assert_eq!(world.commits(&format!("main..{}", world.intent.aside())), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_refuses_is_quoted() {
    let api = Api { refuses: true, ..Api::default() };
    let world = World::new(How::PullRequest, Some(api)).await;
    let outcome = world.kept("a").await;
    let Outcome::Pushed { because, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(because.contains("403") && because.contains("not accessible"), "{because}");
    assert!(!because.contains("hush"));
}
