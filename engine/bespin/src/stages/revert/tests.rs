//! The stage against a real git server, and a forge that keeps pull requests as GitHub does.

use super::*;
use crate::sources::Repositories;
use crate::stages::git_server::{GitServer, PASSWORD, USER};
use api::board::Board;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use decide::bump::Swap;
use decide::next::Phase;
use decide::revert::{How, Outcome};
use decide::sync::application::Depth;
use forge::{Credentials, Remote, Settings};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const BAD: &str = "registry.example/petclinic-was:v56";
const GOOD: &str = "registry.example/petclinic-was:v55";
const REPOSITORY: &str = "user/k8s-manifests";
const FILE: &str = "petclinic/was-rollout.yaml";

fn revert_stream() -> Stream {
    Stream::revert_of(&Stream::rollout("production", "petclinic", "was"), 7)
}

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
    /// So many of the next pull requests are not this token's to open.
    forbids: Arc<AtomicUsize>,
    /// So many of the next lists leave out what is there.
    lags: Arc<AtomicUsize>,
    /// So many of the next requests are too many.
    limits: Arc<AtomicUsize>,
}

/// Whether one was left.
fn one_of(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn too_many() -> Response {
    let exhausted = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000000")];
    (StatusCode::FORBIDDEN, exhausted, "API rate limit exceeded").into_response()
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

async fn list(Shared(api): Shared<Api>, Query(asked): Query<HashMap<String, String>>) -> Response {
    if one_of(&api.limits) {
        return too_many();
    }
    if one_of(&api.lags) {
        return Json(Vec::<Value>::new()).into_response();
    }
    let pulls = api.pulls.lock().unwrap();
    let is_asked = |pull: &&Value| format!("user:{}", pull["head"].as_str().unwrap()) == asked["head"];
    Json(pulls.iter().filter(is_asked).cloned().collect::<Vec<_>>()).into_response()
}

async fn create(Shared(api): Shared<Api>, headers: HeaderMap, Json(mut pull): Json<Value>) -> Response {
    if one_of(&api.limits) {
        return too_many();
    }
    if api.refuses {
        return (StatusCode::UNPROCESSABLE_ENTITY, "No commits between the branches").into_response();
    }
    if one_of(&api.forbids) || headers["authorization"] != "Bearer hush" {
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
            depth: Depth::Flat,
            images: vec![Swap { from: BAD.into(), to: GOOD.into() }],
            because: "pod was-1: CrashLoopBackOff".into(),
        };
        let api = match api {
            Some(api) => Some(api.start().await),
            None => None,
        };
        World { git, intent, api, directory: tempfile::tempdir().unwrap() }
    }

    /// A server of its own, with the stream of the promise, which nobody has begun yet.
    async fn server(&self, journal: &str) -> (Arc<Drivers>, Arc<RevertStage>) {
        let credentials = Credentials::Basic { username: USER.into(), password: PASSWORD.into() };
        let remotes = vec![Remote { url: self.git.url.clone(), credentials, plain_http: Default::default() }];
        let directory = self.directory.path().join(journal);
        let forge = Forge::new(Settings { remotes, ..Settings::default() }, directory.join("git")).unwrap();
        let drivers = Drivers::new(journal::open(&directory.join("journal")).unwrap(), Arc::new(Board::default()));
        let sync = SyncStage::new([], Repositories::new(forge.clone()));
        let api = self.api.clone().map(|api_url| forge::status::Settings { api_url, token: "hush".into() });
        let stage = RevertStage::new(&forge, Pulls::new(api), &sync);
        drivers.register(&stage);
        (drivers, stage)
    }

    /// How the promise ends on a server of its own.
    async fn kept(&self, journal: &str) -> Outcome {
        let (drivers, _) = self.server(journal).await;
        self.asked(&drivers).await
    }

    /// How the promise ends on this server, which stops then.
    async fn asked(&self, drivers: &Arc<Drivers>) -> Outcome {
        let mut newest = drivers.journal().newest();
        ask(drivers, &revert_stream(), &self.intent).await.unwrap();
        let answered = async {
            loop {
                newest.mark_unchanged();
                if let Some(outcome) = recorded(drivers.journal(), &revert_stream()).await.unwrap().outcome {
                    return outcome;
                }
                newest.changed().await.unwrap();
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(60), answered).await;
        let outcome = outcome.unwrap_or_else(|_| panic!("no outcome: {:?}", drivers.board().statuses()));
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
    assert!(because.contains("422") && because.contains("No commits"), "{because}");
    assert!(!because.contains("hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_right_comes_back_opens_the_pull_request_after_all() {
    let api = Api::default();
    api.forbids.store(1, Ordering::SeqCst);
    let world = World::new(How::PullRequest, Some(api.clone())).await;
    assert_eq!(world.kept("a").await, Outcome::Requested { url: "https://forge.example/pull/1".into() });
    assert_eq!(api.forbids.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_is_asked_too_often_is_asked_again() {
    let api = Api::default();
    api.limits.store(3, Ordering::SeqCst);
    let world = World::new(How::PullRequest, Some(api.clone())).await;
    assert_eq!(world.kept("a").await, Outcome::Requested { url: "https://forge.example/pull/1".into() });
    assert_eq!(api.limits.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_there_after_all_counts_more_than_the_refusal_of_a_second_one() {
    let api = Api::default();
    let world = World::new(How::PullRequest, Some(api.clone())).await;
    let url = "https://forge.example/pull/7";
    api.pulls.lock().unwrap().push(json!({ "head": world.intent.aside(), "html_url": url }));
    api.lags.store(1, Ordering::SeqCst);
    assert_eq!(world.kept("a").await, Outcome::Requested { url: url.into() });
    assert_eq!((api.lags.load(Ordering::SeqCst), api.pulls.lock().unwrap().len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_keeps_the_promise_open_until_the_remote_takes_it() {
    let world = World::new(How::PullRequest, None).await;
    // Merged, and never deleted.
    world.git.git(REPOSITORY, &["branch", &world.intent.aside(), "main~1"]);
    world.git.refuse(REPOSITORY);
    let (drivers, _) = world.server("a").await;
    let status = async {
        let mut changed = drivers.board().changed();
        loop {
            changed.mark_unchanged();
            let statuses = drivers.board().statuses();
            let refused = |message: &str| message.contains("refuses the push to `bespin/retreat-was-");
            if let Some(refused) = statuses.values().find(|one| refused(&one.status.message)) {
                // A person gives the right that was missing.
                std::fs::remove_file(world.git.bare(REPOSITORY).join("hooks/update")).unwrap();
                return refused.status.clone();
            }
            changed.changed().await.unwrap();
        }
    };
    let (outcome, status) = tokio::join!(world.asked(&drivers), status);
    assert_eq!((status.phase, status.message.contains("hook")), (Phase::Blocked, true), "{}", status.message);
    assert!(matches!(outcome, Outcome::Pushed { .. }), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_another_application_is_left_alone() {
    let world = World::new(How::Revert, None).await;
    let staging = "petclinic/staging/was-rollout.yaml";
    world.git.commit(REPOSITORY, "main", &[(staging, &manifest(BAD))], "staging tries it first");
    let outcome = world.kept("a").await;
    assert!(matches!(outcome, Outcome::Clean { .. }), "{outcome:?}");
    assert_eq!(world.git.git(REPOSITORY, &["show", "--name-only", "--format=", "main"]), FILE);
    assert_eq!(world.git.git(REPOSITORY, &["show", &format!("main:{staging}")]), manifest(BAD).trim_end());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_read_is_not_called_clean() {
    let mut world = World::new(How::Revert, None).await;
    let spec = json!({ "template": { "spec": { "containers": [{ "image": BAD }] } } });
    let tier = json!({ "kind": "Rollout", "spec": spec }).to_string();
    world.git.commit(REPOSITORY, "main", &[(FILE, "# moved\n"), ("petclinic/was.json", &tier)], "JSON");
    let outcome = world.kept("a").await;
    let Outcome::Failed { because } = &outcome else { panic!("{outcome:?}") };
    assert!(because.starts_with("petclinic/was.json") && because.contains("by hand"), "{because}");
    world.intent.path = "petclinic-gone".into();
    let outcome = world.kept("b").await;
    let Outcome::Failed { because } = &outcome else { panic!("{outcome:?}") };
    assert!(because.contains("has no folder `petclinic-gone`") && because.contains("by hand"), "{because}");
    assert_eq!(world.commits("main"), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_was_dropped_is_neither_looked_at_nor_kept() {
    let world = World::new(How::Revert, None).await;
    let (drivers, stage) = world.server("a").await;
    let ours = revert_stream();
    let turn = Turn::new(&drivers, &ours);
    let asked = State { intent: Some(world.intent.clone()), ..State::default() };
    let seen = stage.observe(&turn, &asked, &Outcomes::default()).await.unwrap();
    let next = stage.decide(&asked, &seen, 0);
    let [act @ Act::Commit { .. }] = next.acts.as_slice() else { panic!("{next:?}") };
    let cause = Withdrawal::Dropped { because: "the Rollout is not Bespin's any more".into() };
    let dropped = State { withdrawn: Some(cause.clone()), ..asked.clone() };
    stage.act(&turn, &dropped, act).await.unwrap();
    assert_eq!(world.commits("main"), "2");
    // Nor is it looked at any more, and the driver answers that it was dropped.
    assert_eq!(stage.observe(&turn, &dropped, &Outcomes::default()).await.unwrap(), Observed::Nothing);
    let mut newest = drivers.journal().newest();
    withdraw(&drivers, &ours, &world.intent, &cause).await.unwrap();
    let outcome = Outcome::Dropped { because: "the Rollout is not Bespin's any more".into() };
    let ended = async {
        loop {
            newest.mark_unchanged();
            let ended = recorded(drivers.journal(), &ours).await.unwrap();
            if ended.outcome.is_some() {
                return ended;
            }
            newest.changed().await.unwrap();
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it is answered");
    assert_eq!(ended.outcome, Some(outcome));
    // What is answered is not answered again, nor is it asked for or taken back.
    stage.act(&turn, &ended, act).await.unwrap();
    ask(&drivers, &ours, &world.intent).await.unwrap();
    withdraw(&drivers, &ours, &world.intent, &Withdrawal::Overtaken).await.unwrap();
    let seen = stage.observe(&turn, &ended, &Outcomes::default()).await.unwrap();
    assert_eq!((seen.clone(), stage.decide(&ended, &seen, 0).wake), (Observed::Nothing, decide::next::Wake::Never));
    let left = async {
        while drivers.is_driven(&ours) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), left).await.expect("its driver leaves");
    assert_eq!(drivers.journal().read(ours.as_str()).await.unwrap().len(), 3, "asked, withdrawn, answered");
    assert_eq!(world.commits("main"), "2");
    drivers.stop().await;
}

/// The stage, whose promise is dropped while it looks at git.
struct Dropped {
    stage: Arc<RevertStage>,
    intent: Intent,
    cause: Withdrawal,
}

#[async_trait]
impl Stage for Dropped {
    const NAME: &'static str = RevertStage::NAME;
    const FAMILY: Family = RevertStage::FAMILY;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = Act;
    type Reply = Reply;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        self.stage.replay(entries)
    }

    fn is_current(&self, state: &State, act: &Act) -> bool {
        self.stage.is_current(state, act)
    }

    async fn observe(&self, turn: &Turn<'_>, state: &State, known: &Outcomes<Act, Reply>) -> Result<Observed, Trouble> {
        let seen = self.stage.observe(turn, state, known).await;
        withdraw(turn.drivers(), turn.stream, &self.intent, &self.cause).await?;
        seen
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        self.stage.decide(state, observed, now)
    }

    async fn act(&self, turn: &Turn<'_>, state: &State, act: &Act) -> Result<Reply, Trouble> {
        self.stage.act(turn, state, act).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_before_the_promise_was_dropped_is_not_done() {
    let world = World::new(How::Revert, None).await;
    let (drivers, stage) = world.server("a").await;
    let cause = Withdrawal::Dropped { because: "the Rollout is not Bespin's any more".into() };
    drivers.register(&Arc::new(Dropped { stage, intent: world.intent.clone(), cause }));
    let outcome = world.asked(&drivers).await;
    assert_eq!(outcome, Outcome::Dropped { because: "the Rollout is not Bespin's any more".into() });
    assert_eq!(world.commits("main"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_that_a_server_left_open_goes_on_when_it_is_asked_once_more() {
    let world = World::new(How::Revert, None).await;
    let (drivers, _) = world.server("a").await;
    let asked = Entry::Asked { intent: Box::new(world.intent.clone()) };
    drivers.append(&revert_stream(), By::Server, |_| Some(vec![asked.clone()])).await.unwrap();
    assert!(!drivers.is_driven(&revert_stream()), "a rollout may be another's by now: it has to ask");
    drivers.stop().await;
    drop(drivers);
    let outcome = world.kept("a").await;
    assert!(matches!(outcome, Outcome::Clean { .. }), "{outcome:?}");
    assert_eq!(world.commits("main"), "3");
}
