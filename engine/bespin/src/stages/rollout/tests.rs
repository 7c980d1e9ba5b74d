//! The stage with its real parts: the embedded journal, the drivers, and the
//! playground's Kubernetes API.

use super::routers::tests::{Api, Mode};
use super::{RolloutStage, Routers, gave_up};
use crate::drive::{Drivers, Stage, Then, Trouble};
use crate::requests::request;
use crate::sources::Repositories;
use crate::stages::git_server::{GitServer, PASSWORD, USER};
use crate::stages::revert::RevertStage;
use crate::stages::sync::SyncStage;
use api::board::Board;
use api::commands::NotTaken;
use api::views::RolloutView;
use cluster::{Cluster, Reach, Settings};
use decide::bump::Swap;
use decide::by::By;
use decide::next::Phase;
use decide::request::Key;
use decide::revert::{self, How, Outcome};
use decide::rollout::{Act, Cause, Entry, Guard, Intent, OnTimeout, Start, State};
use decide::stream::Stream;
use decide::sync::application::Depth;
use playground::{Options, Playground};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const STREAM: &str = "rollout/test/petclinic/was";
const V55: &str = "petclinic-was:v55-f31bdcc";
const V56: &str = "petclinic-was:v56-0a1b2c3";

fn stream() -> Stream {
    Stream::parse(STREAM).expect("it is a rollout's")
}

/// A server's part of the world: everything of it ends with the process.
struct Server {
    drivers: Arc<Drivers>,
    stage: Arc<RolloutStage>,
    watching: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(dir: &Path, playground: &Playground) -> Server {
        Server::routed_by(dir, playground, Routers::default()).await
    }

    async fn routed_by(dir: &Path, playground: &Playground, routers: Routers) -> Server {
        Server::reaching(dir, playground, routers, forge::Settings::default()).await
    }

    async fn reaching(dir: &Path, playground: &Playground, routers: Routers, git: forge::Settings) -> Server {
        let journal = journal::open(&dir.join("journal")).expect("the journal opens");
        let drivers = Drivers::new(journal, Arc::new(Board::default()));
        let reach = Reach::Kubeconfig { path: playground.kubeconfig.clone(), context: None };
        let cluster =
            Cluster::connect(Settings { name: "test".into(), reach, elb: None }).await.expect("the playground answers");
        let cluster = Arc::new(cluster);
        cluster.install_crds().await.expect("the kinds are installed");
        let forge = forge::Forge::new(git, dir.join("mirrors")).expect("the mirrors open");
        let sync = SyncStage::new([cluster.clone()], Repositories::new(forge.clone()));
        let revert = RevertStage::new(&forge, forge::pulls::Pulls::new(None), &sync);
        let stage = Arc::new(RolloutStage::new([cluster.clone()]).routed_by(routers));
        drivers.register(&revert);
        drivers.register(&stage);
        let watch = stage.clone().watch(drivers.clone(), cluster);
        let watching = tokio::spawn(async move { watch.await.expect("the watch goes on") });
        Server { drivers, stage, watching }
    }

    async fn stop(self) {
        self.drivers.stop().await;
        self.watching.await.expect("the watch ends in order");
    }

    /// Follows the board until the view is so.
    async fn shows(&self, what: &str, so: impl Fn(&RolloutView) -> bool) -> RolloutView {
        let mut changed = self.drivers.board().changed();
        let wait = async {
            loop {
                changed.mark_unchanged();
                if let Some(view) = self.drivers.board().rollouts().remove(STREAM).filter(|view| so(view)) {
                    return view;
                }
                changed.changed().await.expect("the board outlives the test");
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), wait).await {
            Ok(view) => view,
            Err(_) => {
                panic!("never {what}: {:?} {:#?}", self.drivers.board().status(STREAM), self.drivers.board().rollouts())
            }
        }
    }
}

/// What a person or a sync does, over HTTP.
async fn send(playground: &Playground, method: reqwest::Method, path: &str, body: &Value) {
    let kind = if method == reqwest::Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = reqwest::Client::new()
        .request(method, format!("{}{path}", playground.kube_url))
        .bearer_auth(&playground.kube_token)
        .header("content-type", kind)
        .body(body.to_string());
    let answer = request.send().await.expect("the playground answers");
    assert!(answer.status().is_success(), "{path}: {} {}", answer.status(), answer.text().await.unwrap_or_default());
}

const ROLLOUTS: &str = "/apis/argoproj.io/v1alpha1/namespaces/petclinic/rollouts";

async fn furnish(playground: &Playground) {
    let post = async |path: &str, object: Value| send(playground, reqwest::Method::POST, path, &object).await;
    post("/api/v1/namespaces", json!({"metadata": {"name": "petclinic"}})).await;
    for name in ["was-stable", "was-canary"] {
        let spec = json!({"selector": {"app": "was"}, "ports": [{"port": 8080}]});
        post("/api/v1/namespaces/petclinic/services", json!({"metadata": {"name": name}, "spec": spec})).await;
    }
    let backend = json!({"service": {"name": "was-stable", "port": {"name": "use-annotation"}}});
    let rules = json!([{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]);
    let ingress = json!({"metadata": {"name": "petclinic-ingress"}, "spec": {"rules": rules}});
    post("/apis/networking.k8s.io/v1/namespaces/petclinic/ingresses", ingress).await;
}

/// The seed's Rollout, its pauses one second long.
async fn rollout(playground: &Playground, annotations: Value) {
    let routing = json!({"alb": {"ingress": "petclinic-ingress", "servicePort": 8080}});
    rollout_by(playground, annotations, routing).await;
}

async fn rollout_by(playground: &Playground, annotations: Value, routing: Value) {
    let step = |weight: u32| json!({"setWeight": weight, "pause": {"duration": "1s"}});
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "was", "annotations": annotations},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "was"}},
            "strategy": {"canary": {
                "canaryService": "was-canary", "stableService": "was-stable",
                "trafficRouting": routing,
                "scaleDownDelaySeconds": 1, "abortScaleDownDelaySeconds": 1,
                "steps": [step(10), step(25), step(50), step(75)],
            }},
            "template": {
                "metadata": {"labels": {"app": "was"}},
                "spec": {"containers": [{"name": "was", "image": V55}]},
            },
        },
    });
    send(playground, reqwest::Method::POST, ROLLOUTS, &rollout).await;
}

async fn deploy(playground: &Playground, image: &str) {
    let template = json!({"spec": {"containers": [{"name": "was", "image": image}]}});
    let patch = json!({"spec": {"template": template}});
    send(playground, reqwest::Method::PATCH, &format!("{ROLLOUTS}/was"), &patch).await;
}

fn key(run: &str) -> Key {
    Key { run: run.to_owned(), step: "canary".to_owned() }
}

fn wants(image: &str, on_timeout: OnTimeout) -> Intent {
    Intent { image: Some(image.to_owned()), on_timeout }
}

fn serves(view: &RolloutView, image: &str) -> bool {
    let wanted: Vec<_> = view.revisions.iter().filter(|set| set.wanted > 0).map(|set| set.image.as_str()).collect();
    wanted == [image] && view.stable_image == image
}

async fn playground(dir: &Path) -> Playground {
    Playground::start(&dir.join("playground"), Options::default()).await.expect("the playground starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_waits_for_its_image_to_be_promoted() {
    let dir = tempfile::tempdir().expect("a folder");
    let playground = playground(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    // The want is there before the Rollout is, and before the Rollout names its image.
    let drivers = server.drivers.clone();
    let waiting = tokio::spawn(async move {
        request::<Entry>(&drivers, &stream(), &key("user/petclinic/was/56"), wants(V56, OnTimeout::Hold), |_| {}).await
    });
    furnish(&playground).await;
    rollout(&playground, json!({"bespin.dev/owner": "test"})).await;
    server.shows("Healthy", |view| view.phase == "Healthy" && serves(view, V55)).await;
    deploy(&playground, V56).await;
    let half = server.shows("50 %", |view| view.served == Some(50)).await;
    assert_eq!((half.steps.len(), half.ownership.as_str()), (4, "owned"));
    assert_eq!((half.stable_image.as_str(), half.canary_image.as_str()), (V55, V56));
    assert!(half.actions.iter().any(|action| action.action == "abort" && action.effect.contains(V55)), "{half:?}");
    let outputs = waiting.await.expect("the step ends").expect("it is met");
    assert_eq!(outputs, json!({"outcome": "promoted"}));
    let end = server.shows("v56 alone", |view| view.phase == "Healthy" && serves(view, V56)).await;
    let asked: Vec<u32> = end.weights.iter().map(|point| point.asked).collect();
    assert_eq!(asked, [10, 25, 50, 75, 100, 0]);
    assert!(end.weights[..5].iter().all(|point| point.served == Some(point.asked)), "{:?}", end.weights);
    assert_eq!(end.at, 4);
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_ask_and_are_told_what_means_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let playground = playground(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    let mina = || By::Person("mina".into());
    furnish(&playground).await;
    rollout(&playground, json!({"bespin.dev/owner": "test"})).await;
    server.shows("Healthy", |view| view.phase == "Healthy" && serves(view, V55)).await;
    assert!(
        server
            .stage
            .ask(&server.drivers, &stream(), "abort", mina())
            .await
            .unwrap_err()
            .to_string()
            .contains("no canary")
    );
    assert!(
        server
            .stage
            .ask(&server.drivers, &stream(), "explode", mina())
            .await
            .unwrap_err()
            .to_string()
            .contains("not one of")
    );
    let other = Stream::rollout("test", "petclinic", "nobody");
    let absent = server.stage.ask(&server.drivers, &other, "abort", mina()).await.unwrap_err();
    assert!(matches!(&absent, NotTaken::NoObject(what) if what.contains("test/petclinic/nobody")), "{absent}");
    assert!(server.drivers.journal().read(other.as_str()).await.expect("it is read").is_empty());
    deploy(&playground, V56).await;
    server.shows("25 %", |view| view.served == Some(25)).await;
    let restarted = Drivers::new(server.drivers.journal().clone(), Arc::new(Board::default()));
    assert!(restarted.board().rollouts().is_empty(), "nobody has looked yet");
    server.stage.ask(&restarted, &stream(), "abort", mina()).await.expect("a canary walks");
    server.drivers.poke(&stream());
    let back = server.shows("Degraded", |view| view.phase == "Degraded" && serves(view, V55)).await;
    assert!(back.message.contains("asked for by mina"), "{}", back.message);
    assert_eq!(back.served, Some(0));
    server.stage.ask(&server.drivers, &stream(), "retry", mina()).await.expect("it was aborted");
    server.shows("10 %", |view| view.served == Some(10)).await;
    server.stage.ask(&server.drivers, &stream(), "promote-full", mina()).await.expect("steps are left");
    server.shows("v56 alone", |view| view.phase == "Healthy" && serves(view, V56)).await;
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_in_mid_walk_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let playground = playground(dir.path()).await;
    // The first server installs the kinds.
    Server::start(dir.path(), &playground).await.stop().await;
    furnish(&playground).await;
    rollout(&playground, json!({"bespin.dev/owner": "test"})).await;
    for (image, until) in [(V55, 0), (V56, 10), (V56, 50), (V56, 75)] {
        let server = Server::start(dir.path(), &playground).await;
        deploy(&playground, image).await;
        server.shows("its weight", |view| view.served == Some(until) && (until > 0 || view.phase == "Healthy")).await;
        server.stop().await;
    }
    let server = Server::start(dir.path(), &playground).await;
    let end = server.shows("v56 alone", |view| view.phase == "Healthy" && serves(view, V56)).await;
    let weights: Vec<u32> = end.weights.iter().map(|point| point.asked).collect();
    assert_eq!(weights, [10, 25, 50, 75, 100, 0], "nothing is walked twice");
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_out_of_time_takes_its_canary_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let playground = playground(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    furnish(&playground).await;
    rollout(&playground, json!({"bespin.dev/owner": "test"})).await;
    server.shows("Healthy", |view| view.phase == "Healthy" && serves(view, V55)).await;
    deploy(&playground, "petclinic-was:v56-never-ready").await;
    let drivers = server.drivers.clone();
    let waiting = tokio::spawn(async move {
        let intent = wants("petclinic-was:v56-never-ready", OnTimeout::Abort);
        request::<Entry>(&drivers, &stream(), &key("run/56"), intent, |_| {}).await
    });
    server
        .shows("a canary's pods", |view| view.revisions.iter().any(|set| set.role == "canary" && set.wanted == 1))
        .await;
    gave_up(&server.drivers, &key("run/56")).await.expect("the journal is there");
    let failed = waiting.await.expect("the step ends").expect_err("it has failed");
    assert!(format!("{failed:?}").contains("ran out of time"), "{failed:?}");
    server.shows("v55 alone", |view| view.phase == "Degraded" && serves(view, V55)).await;
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_looked_at_and_never_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let playground = playground(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    furnish(&playground).await;
    rollout(&playground, json!({})).await;
    let view = server.shows("it at all", |_| true).await;
    assert_eq!((view.ownership.as_str(), view.actions.len()), ("observed", 0));
    let mut changed = server.drivers.board().changed();
    let said = loop {
        changed.mark_unchanged();
        if let Some(said) = server.drivers.board().status(STREAM) {
            break said;
        }
        changed.changed().await.expect("the board outlives the test");
    };
    assert_eq!(said.status.phase, Phase::Done);
    // No Application brought it, so that there is none to take.
    assert!(said.status.message.contains("put the annotation bespin.dev/owner on it"), "{}", said.status.message);
    assert_eq!(server.drivers.journal().streams("rollout/").await.expect("the journal is there").len(), 0);
    server.stop().await;
    playground.stop().await;
}

/// A Rollout whose traffic the API shares, and whose new version has got so much of it.
async fn routed_to(dir: &Path, percent: u32) -> (Playground, Api, Server) {
    let (playground, api) = (playground(dir).await, Api::start(dir).await);
    let routers = api.routers(dir, &api.grant()).await;
    let server = Server::routed_by(dir, &playground, routers).await;
    furnish(&playground).await;
    let routing = json!({"plugins": {"example/http": {"address": api.address}}});
    rollout_by(&playground, json!({"bespin.dev/owner": "test"}), routing).await;
    server.shows("Healthy", |view| view.phase == "Healthy" && serves(view, V55)).await;
    assert_eq!(api.weight().as_deref(), Some("0"));
    deploy(&playground, V56).await;
    server.shows("its weight", |view| view.served == Some(percent)).await;
    (playground, api, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_shares_the_traffic_and_is_believed_only_when_it_verifies() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, api, server) = routed_to(dir.path(), 25).await;
    assert_eq!(api.weight().as_deref(), Some("25"));

    let mina = || By::Person("mina".into());
    // While nobody can tell what is served, a retreat is recorded, and takes nothing away.
    api.set(Mode::Busy);
    server.stage.ask(&server.drivers, &stream(), "abort", mina()).await.expect("a canary walks");
    let tried = api.asked(&reqwest::Method::PUT);
    let back = server.shows("Degraded", |view| view.phase == "Degraded" && view.asked == 0).await;
    assert_eq!(back.served, None);
    let again = async {
        while api.asked(&reqwest::Method::PUT) < tried + 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("it is told again");
    let held = server.shows("the canary's pods", |_| true).await;
    let canary = held.revisions.iter().find(|set| set.role == "canary").expect("it is there");
    assert!(canary.wanted > 0, "no pod that may get requests goes: {held:#?}");
    let because = server.drivers.board().status(STREAM).expect("it says why").status.message;
    assert!(because.contains("example/http fails: the router answered 503"), "{because}");

    api.set(Mode::Works);
    let back = server.shows("v55 alone", |view| serves(view, V55)).await;
    assert_eq!((back.served, api.weight().as_deref()), (Some(0), Some("0")));
    server.stage.ask(&server.drivers, &stream(), "retry", mina()).await.expect("it was aborted");
    server.shows("v56 alone", |view| view.phase == "Healthy" && serves(view, V56)).await;

    // While it is another's, that one may tell the router something else: it is told anew.
    let given_to = async |owner: Value| {
        let patch = json!({"metadata": {"annotations": {"bespin.dev/owner": owner}}});
        send(&playground, reqwest::Method::PATCH, &format!("{ROLLOUTS}/was"), &patch).await;
    };
    given_to(Value::Null).await;
    server.shows("given back", |view| view.ownership == "observed").await;
    api.store("90");
    given_to(json!("test")).await;
    server.shows("taken again", |view| view.ownership == "owned" && view.served == Some(0)).await;
    assert_eq!(api.weight().as_deref(), Some("0"), "what it serves is looked at");

    // It goes, and the router takes back what it has made.
    send(&playground, reqwest::Method::DELETE, &format!("{ROLLOUTS}/was"), &json!({})).await;
    let gone = async {
        while api.weight().is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("what was made is taken back");
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_hangs_holds_its_own_rollout_and_a_restart_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, api, server) = routed_to(dir.path(), 50).await;
    api.set(Mode::Hangs);
    server.shows("nothing known", |view| view.served.is_none()).await;
    server.stop().await;
    api.set(Mode::Works);
    let routers = api.routers(dir.path(), &api.grant()).await;
    let server = Server::routed_by(dir.path(), &playground, routers).await;
    let end = server.shows("v56 alone", |view| view.phase == "Healthy" && serves(view, V56)).await;
    let weights: Vec<u32> = end.weights.iter().map(|point| point.asked).collect();
    assert_eq!(weights, [10, 25, 50, 75, 100, 0], "nothing is walked twice");
    server.stop().await;
    playground.stop().await;
}

/// What an abort of v56 promises about git.
fn put_back_in(repo: &str) -> revert::Intent {
    revert::Intent {
        how: How::Revert,
        rollout: "test/petclinic/was".into(),
        repo: repo.into(),
        branch: None,
        path: "petclinic".into(),
        depth: Depth::Flat,
        images: vec![Swap { from: V56.into(), to: V55.into() }],
        because: "it crashes".into(),
    }
}

/// What a server leaves that stops after a retreat, before git was put back.
fn promise() -> Vec<Entry> {
    let images = vec![V56.to_owned()];
    // Nobody is there: the promise stays open until somebody drops it.
    let intent = put_back_in("https://127.0.0.1:9/user/k8s-manifests.git");
    vec![
        Entry::Began {
            hash: "h56".into(),
            images,
            steps_hash: "s".into(),
            steps: 1,
            start: Start::Steps,
            uid: None,
            generation: None,
        },
        Entry::Aborted { because: "it crashes".into(), cause: Cause::Failed },
        Entry::PuttingBack { intent: Box::new(intent) },
    ]
}

/// Whether anybody is at a revert.
async fn driven(server: &Server) -> bool {
    let reverts = server.drivers.streams(decide::stream::Family::Revert).await.expect("the journal is there");
    reverts.iter().any(|revert| server.drivers.is_driven(revert))
}

/// The moment of the promise in the journal.
async fn promised_at(server: &Server) -> u64 {
    let written = crate::drive::read::<Entry>(server.drivers.journal(), STREAM).await.expect("it is there");
    super::fold(&written).promised().expect("it is promised").since
}

/// The promise's end, once it has one and nobody is at it any more.
async fn dropped(server: &Server) -> String {
    let mut newest = server.drivers.journal().newest();
    let answered = async {
        loop {
            newest.mark_unchanged();
            let written = crate::drive::read::<Entry>(server.drivers.journal(), STREAM).await.expect("it is there");
            let recorded = State::fold(written.iter().map(|one| (one.at_ms, &one.by, &one.entry)));
            match recorded.undo.and_then(|undo| undo.outcome) {
                Some(Outcome::Dropped { because }) => return because,
                Some(other) => panic!("{other:?}"),
                None => newest.changed().await.expect("the journal outlives the test"),
            }
        }
    };
    let because = tokio::time::timeout(Duration::from_secs(60), answered).await.expect("it is answered");
    let left = async {
        while driven(server).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), left).await.expect("its driver leaves");
    because
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_about_git_ends_with_the_care_for_its_rollout() {
    for (annotations, wanted) in [(None, "no such Rollout"), (Some(json!({})), "not Bespin's")] {
        let dir = tempfile::tempdir().expect("a folder");
        let playground = playground(dir.path()).await;
        // The first server installs the kinds, and stops in the middle.
        let server = Server::start(dir.path(), &playground).await;
        furnish(&playground).await;
        if let Some(annotations) = annotations {
            rollout(&playground, annotations).await;
        }
        server.drivers.append(&stream(), By::Server, |_| Some(promise())).await.expect("the journal is there");
        server.stop().await;
        let server = Server::start(dir.path(), &playground).await;
        let because = dropped(&server).await;
        assert!(because.contains(wanted), "{because}");
        server.stop().await;
        playground.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_keeps_a_promise_stops_when_it_is_dropped() {
    let dir = tempfile::tempdir().expect("a folder");
    let playground = playground(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    furnish(&playground).await;
    server.drivers.append(&stream(), By::Server, |_| Some(promise())).await.expect("the journal is there");
    let revert = Stream::revert_of(&stream(), promised_at(&server).await);
    let Some(Entry::PuttingBack { intent }) = promise().pop() else { panic!("it is the last") };
    crate::stages::revert::ask(&server.drivers, &revert, &intent).await.expect("the journal is there");
    assert!(server.drivers.is_driven(&revert));
    server.drivers.ensure(&stream());
    assert!(dropped(&server).await.contains("no such Rollout"));
    let entries = server.drivers.journal().read(revert.as_str()).await.expect("the journal is there");
    assert_eq!(entries.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), ["asked", "withdrawn", "answered"]);
    server.stop().await;
    playground.stop().await;
}

/// What stands in the journal about the promise: the kinds of the revert's entries, and how the rollout says it ended.
async fn put_back(server: &Server) -> (Vec<String>, Option<Outcome>) {
    let journal = server.drivers.journal();
    let written = crate::drive::read::<Entry>(journal, STREAM).await.expect("it is there");
    let undo = super::fold(&written).undo.expect("it was promised");
    let entries = journal.read(Stream::revert_of(&stream(), undo.since).as_str()).await.expect("the journal is there");
    (entries.into_iter().map(|entry| entry.kind).collect(), undo.outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_from_before_reverts_had_streams_is_kept() {
    const MANIFESTS: (&str, &str) = ("user/k8s-manifests", "petclinic/was.yaml");
    let dir = tempfile::tempdir().expect("a folder");
    let playground = playground(dir.path()).await;
    let git = GitServer::start().await;
    let manifest = |image: &str| {
        format!("kind: Rollout\nspec:\n  template:\n    spec:\n      containers:\n      - image: {image}\n")
    };
    let repo = git.create(MANIFESTS.0, &[(MANIFESTS.1, &manifest(V56))]);
    let credentials = forge::Credentials::Basic { username: USER.into(), password: PASSWORD.into() };
    let remotes = vec![forge::Remote { url: git.url.clone(), credentials, plain_http: Default::default() }];
    let reaching = || forge::Settings { remotes: remotes.clone(), ..forge::Settings::default() };
    let start = async || Server::reaching(dir.path(), &playground, Routers::default(), reaching()).await;

    let server = start().await;
    furnish(&playground).await;
    rollout(&playground, json!({"bespin.dev/owner": "test"})).await;
    server.shows("Healthy", |view| view.phase == "Healthy" && serves(view, V55)).await;
    deploy(&playground, V56).await;
    server.shows("25 %", |view| view.served == Some(25)).await;
    server.stage.ask(&server.drivers, &stream(), "abort", By::Person("mina".into())).await.expect("a canary walks");
    server.shows("Degraded", |view| view.phase == "Degraded" && serves(view, V55)).await;
    server.stop().await;

    // An earlier release wrote the promise into the rollout's stream, and nothing anywhere else.
    let before = journal::open(&dir.path().join("journal")).expect("the journal opens");
    let before = Drivers::new(before, Arc::new(Board::default()));
    let promise = Entry::PuttingBack { intent: Box::new(put_back_in(&repo)) };
    before.append(&stream(), By::Server, |_| Some(vec![promise.clone()])).await.expect("the journal is there");
    before.stop().await;
    drop(before);

    for _ in 0..2 {
        let server = start().await;
        let mut newest = server.drivers.journal().newest();
        let ended = async {
            loop {
                newest.mark_unchanged();
                if let (kinds, Some(outcome)) = put_back(&server).await {
                    return (kinds, outcome);
                }
                newest.changed().await.expect("the journal outlives the test");
            }
        };
        let (kinds, outcome) = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it is kept");
        assert_eq!(kinds, ["asked", "answered"]);
        assert!(matches!(outcome, Outcome::Clean { .. }), "{outcome:?}");
        assert_eq!(git.git(MANIFESTS.0, &["show", &format!("main:{}", MANIFESTS.1)]), manifest(V55).trim_end());
        assert_eq!(git.git(MANIFESTS.0, &["rev-list", "--count", "main"]), "2", "one commit, and no second one");
        server.shows("it is still aborted", |view| view.phase == "Degraded").await;
        server.stop().await;
    }
    playground.stop().await;
}

#[test]
fn a_write_that_the_cluster_refuses_fails_no_turn() {
    let stage = RolloutStage::new([]);
    let refused = || Err(Trouble::passing("it is refused"));
    let guard = Guard { name: "was".into(), uid: "uid".into(), resource_version: "1".into() };
    let writes = [
        Act::Forget { set: guard.clone() },
        Act::Select { service: guard.clone(), hash: "abc".into(), rollout: "was".into() },
        Act::Route { ingress: guard.clone(), annotations: BTreeMap::new() },
        Act::Scale { set: guard.clone(), pods: 1, min_ready_seconds: 0, annotations: BTreeMap::new() },
        Act::Stamp { rollout: guard.clone(), revision: 1 },
        Act::Status { rollout: guard, patch: json!({}) },
    ];
    for act in &writes {
        assert_eq!(stage.then(act, &refused()), Then::GoOn, "{act:?}");
    }
}
