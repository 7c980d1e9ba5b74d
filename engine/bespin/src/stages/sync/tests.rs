//! The stage with its real parts: the embedded journal, the drivers, git over
//! HTTP, and the playground's Kubernetes API.

use super::SyncStage;
use crate::drive::{Drivers, Stage, Trouble, Turn, Written, now};
use crate::requests::request;
use crate::sources::Repositories;
use api::board::Board;
use api::views::AppView;
use cluster::{Cluster, Reach, Settings};
use decide::by::By;
use decide::next::{Next, Phase, Timestamp, Wake};
use decide::object::ObjectRef;
use decide::outcome::Outcomes;
use decide::request::Key;
use decide::stream::{Family, Stream};
use decide::sync::Intent;
use forge::{Credentials, Forge, PlainHttp, Remote};
use playground::sample::{MANIFESTS, Sample, SampleOptions};
use playground::{Options, Playground};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const STREAM: &str = "app/test/argocd/petclinic";

fn stream() -> Stream {
    Stream::parse(STREAM).expect("it is an application's")
}

/// A server's part of the world: everything of it ends with the process.
struct Server {
    drivers: Arc<Drivers>,
    stage: Arc<SyncStage>,
    cluster: Arc<Cluster>,
    forge: Arc<Forge>,
    watching: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(dir: &Path, playground: &Playground) -> Server {
        let journal = journal::open(&dir.join("journal")).expect("the journal opens");
        let drivers = Drivers::new(journal, Arc::new(Board::default()));
        let reach = Reach::Kubeconfig { path: playground.kubeconfig.clone(), context: None };
        let cluster =
            Cluster::connect(Settings { name: "test".into(), reach, elb: None }).await.expect("the playground answers");
        let cluster = Arc::new(cluster);
        cluster.install_crds().await.expect("the kinds are installed");
        let remote =
            Remote { url: playground.git_url.clone(), credentials: Credentials::None, plain_http: PlainHttp::Loopback };
        let base = Some(playground.git_url.clone());
        let settings = forge::Settings { base, remotes: vec![remote], ..forge::Settings::default() };
        let forge = Forge::new(settings, dir.join("mirrors")).expect("the mirrors open");
        let stage = SyncStage::new([cluster.clone()], Repositories::new(forge.clone()));
        drivers.register(&stage);
        let watching = tokio::spawn(stage.clone().supervise(drivers.clone(), cluster.clone()));
        Server { drivers, stage, cluster, forge, watching }
    }

    async fn stop(self) {
        self.drivers.stop().await;
        self.watching.await.expect("the watch ends in order");
    }

    /// Follows the board until the view is so.
    async fn shows(&self, what: &str, so: impl Fn(&AppView) -> bool) -> AppView {
        let mut changed = self.drivers.board().changed();
        let wait = async {
            loop {
                changed.mark_unchanged();
                if let Some(view) = self.drivers.board().apps().remove(STREAM).filter(|view| so(view)) {
                    return view;
                }
                changed.changed().await.expect("the board outlives the test");
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), wait).await {
            Ok(view) => view,
            Err(_) => {
                panic!("never {what}: {:?} {:#?}", self.drivers.board().status(STREAM), self.drivers.board().apps())
            }
        }
    }

    /// Follows the board until the stream says so: a look is shown before the decision that follows it is spoken.
    async fn says(&self, so: impl Fn(&decide::next::Status) -> bool) {
        let mut changed = self.drivers.board().changed();
        let wait = async {
            loop {
                changed.mark_unchanged();
                if self.drivers.board().status(STREAM).is_some_and(|said| so(&said.status)) {
                    return;
                }
                changed.changed().await.expect("the board outlives the test");
            }
        };
        let said = tokio::time::timeout(Duration::from_secs(60), wait).await;
        said.unwrap_or_else(|_| panic!("it never said so: {:?}", self.drivers.board().status(STREAM)));
    }

    async fn want(&self, step: &str, revision: &str) -> Result<Value, String> {
        let key = Key { run: "user/petclinic/petclinic-was/56".into(), step: step.into() };
        let stream = stream();
        let wanted =
            request::<super::Entry>(&self.drivers, &stream, &key, Intent { revision: revision.into() }, |_| {});
        let answer = tokio::time::timeout(Duration::from_secs(60), wanted).await;
        let said = self.drivers.board().status(STREAM);
        answer.unwrap_or_else(|_| panic!("no answer: {said:?}")).map_err(|failure| format!("{failure:?}"))
    }

    async fn live(&self, version: &str, kind: &str, name: &str) -> Value {
        let found = self.cluster.get(version, kind, "petclinic", name).await.expect("it is read");
        found.unwrap_or_else(|| panic!("{kind} {name} is not there"))
    }
}

async fn estate(dir: &Path) -> (Playground, Sample) {
    let playground = Playground::start(dir, Options::default()).await.expect("it starts");
    let options = SampleOptions { pause: "1s".into(), hook_url: None, hook_secret: String::new() };
    let sample = Sample::create(&playground, options).await.expect("the repositories are made");
    (playground, sample)
}

async fn edit(sample: &Sample, file: &str, from: &str, to: &str) -> String {
    let path = format!("petclinic/{file}");
    let text = sample.repositories().file(MANIFESTS, "main", &path).await.expect("it is read");
    assert!(text.contains(from), "{text}");
    let files = [(path, text.replace(from, to))];
    sample.repositories().commit(MANIFESTS, "main", &files, "Change").await.expect("it is committed").after
}

fn resource<'a>(view: &'a AppView, kind: &str, name: &str) -> &'a api::views::ResourceView {
    let found = view.resources.iter().find(|resource| resource.kind == kind && resource.name == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}: {view:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_is_synced_and_a_push_is_seen() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, sample) = estate(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    sample.apply_application().await.expect("it is made");
    let view = server.shows("synced", |view| view.sync == "synced").await;
    assert_eq!(view.ownership, "owned");
    assert_eq!(view.warnings, Vec::<String>::new());
    let rollout = server.live("argoproj.io/v1alpha1", "Rollout", "was").await;
    assert_eq!(rollout["metadata"]["annotations"]["bespin.dev/owner"], "bespin");
    assert_eq!(rollout["metadata"]["labels"]["argo-rollouts.argoproj.io/controller-instance-id"], "bespin");
    let owned = server.shows("owned", |view| !resource(view, "Rollout", "was").owned.is_empty()).await;
    assert_eq!(resource(&owned, "Rollout", "was").owned, ["replicas: 2, owned by HPA was-hpa, 2 to 10"]);

    let head = edit(&sample, "was-rollout.yaml", "v55-f31bdcc", "v56-0a1b2c3").await;
    let start = now();
    let outputs = server.want("sync", &head).await.expect("it is met");
    tracing::info!(took_ms = now() - start, "from the want to its answer");
    assert_eq!(outputs, json!({ "revision": head }));
    let rollout = server.live("argoproj.io/v1alpha1", "Rollout", "was").await;
    assert!(
        rollout["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("it").ends_with("v56-0a1b2c3")
    );
    let again = server.want("sync", &head).await.expect("it is remembered");
    assert_eq!(again, json!({ "revision": head }));
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_changes_nothing_and_a_want_outlives_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, sample) = estate(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    sample.apply_application().await.expect("it is made");
    server.shows("synced", |view| view.sync == "synced").await;
    let head = edit(&sample, "web.yaml", "petclinic-web:", "petclinic-web:next-").await;
    let key = Key { run: "user/petclinic/petclinic-was/56".into(), step: "sync".into() };
    let entry = super::Entry::Wanted { key, intent: Intent { revision: head.as_str().into() } };
    super::record(&server.drivers, &stream(), By::Server, entry).await.expect("it is recorded");
    server.stop().await;

    let server = Server::start(dir.path(), &playground).await;
    assert_eq!(server.want("sync", &head).await.expect("it is met"), json!({ "revision": head }));
    let view = server.shows("synced", |view| view.sync == "synced" && view.revision == head).await;
    assert!(!view.history.iter().any(|ended| ended.outcome.starts_with("failed")), "{:?}", view.history);
    let generation = server.live("apps/v1", "Deployment", "web").await["metadata"]["generation"].clone();
    let syncs = view.history.len();
    server.stop().await;

    let server = Server::start(dir.path(), &playground).await;
    let view = server.shows("synced", |view| view.sync == "synced" && view.revision == head).await;
    assert_eq!(view.history.len(), syncs, "nothing was synced again");
    assert_eq!(server.live("apps/v1", "Deployment", "web").await["metadata"]["generation"], generation);
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_noticed_by_itself_and_a_mistake_in_git_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, sample) = estate(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    sample.apply_application().await.expect("it is made");
    server.shows("synced", |view| view.sync == "synced").await;
    let service = server.live("v1", "Service", "web").await;
    let uid = service["metadata"]["uid"].as_str().expect("a uid");
    let version = service["metadata"]["resourceVersion"].as_str().expect("a version");
    server.cluster.prune(("v1", "Service"), ("petclinic", "web"), uid, version).await.expect("it is deleted");
    server.shows("missing", |view| resource(view, "Service", "web").sync == "missing").await;
    server.shows("healed", |view| view.sync == "synced").await;

    let head = edit(&sample, "web.yaml", "kind: Service", "kind: Service\nkind: Service").await;
    let refused = server.want("broken", &head).await.expect_err("it cannot be synced");
    assert!(refused.contains("petclinic/web.yaml:"), "{refused}");
    let view = server.shows("unknown", |view| view.sync == "unknown").await;
    assert!(view.warnings.iter().any(|warning| warning.contains("petclinic/web.yaml:")), "{:?}", view.warnings);
    server.says(|status| status.phase == Phase::Blocked).await;
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_cannot_be_fetched_is_told_and_nothing_is_pruned() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, sample) = estate(dir.path()).await;
    let away = dir.path().join("away");
    let home = sample.repositories().path(MANIFESTS);
    std::fs::rename(&home, &away).expect("the repository can be hidden");
    let server = Server::start(dir.path(), &playground).await;
    sample.apply_application().await.expect("it is made");
    // It was never compared, and is shown all the same.
    let view = server.shows("blind", |view| view.sync == "unknown").await;
    assert_eq!((view.health.as_str(), view.ownership.as_str()), ("Unknown", "owned"));
    assert_eq!(view.repo, sample.manifests_repository);
    assert!(view.warnings.iter().any(|warning| warning.starts_with("fetching ")), "{:?}", view.warnings);
    server.says(|status| status.message.starts_with("fetching ") && status.message.ends_with("trying again")).await;

    std::fs::rename(&away, &home).expect("the repository can be shown");
    server.stage.pushed(&server.drivers, &sample.manifests_repository);
    let is_up = |view: &AppView, name| resource(view, "Deployment", name).health == "Healthy";
    let settled = |view: &AppView| view.sync == "synced" && is_up(view, "web") && is_up(view, "redis");
    let synced = server.shows("settled", settled).await;
    assert_ne!(synced.health, "Unknown");
    assert_eq!(synced.warnings, Vec::<String>::new());

    // Observed before, it keeps what was seen; and what runs goes on.
    std::fs::rename(&home, &away).expect("the repository can be hidden");
    server.stage.pushed(&server.drivers, &sample.manifests_repository);
    let blind = server.shows("blind again", |view| view.sync == "unknown").await;
    assert_eq!((&blind.health, &blind.revision), (&synced.health, &synced.revision));
    assert_eq!(blind.resources.len(), synced.resources.len());
    server.live("apps/v1", "Deployment", "web").await;
    std::fs::rename(&away, &home).expect("the repository can be shown");
    server.stage.pushed(&server.drivers, &sample.manifests_repository);
    server.shows("synced again", |view| view.sync == "synced").await;
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_a_manifests_repository_wakes_what_reads_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, sample) = estate(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    server.drivers.beside(server.stage.clone().hear(server.drivers.clone(), server.forge.clone()));
    sample.apply_application().await.expect("it is made");
    server.shows("synced", |view| view.sync == "synced").await;
    let before = sample.repositories().head(MANIFESTS, "main").await.expect("it is read").expect("it has a branch");
    let head = edit(&sample, "web.yaml", "petclinic-web:", "petclinic-web:next-").await;
    let push = json!({ "hook": "default", "delivery": "1", "repository": MANIFESTS, "reference": "refs/heads/main",
        "before": before, "after": head, "change": "forward", "pusher": "kim",
        "paths": { "known": "listed", "paths": ["petclinic/web.yaml"] } });
    let entry = decide::delivery::Entry::Received(serde_json::from_value(push).expect("it is a push"));
    let by = By::Delivery("1".into());
    server
        .drivers
        .append(&Stream::delivery("default", "1"), by, |_| Some(vec![entry.clone()]))
        .await
        .expect("it is recorded");
    // Nothing else looks at git within this time: the resync comes after two minutes.
    server.shows("at the pushed commit", |view| view.revision == head && view.sync == "synced").await;
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_application_that_is_there_is_promised_anything() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, sample) = estate(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    sample.apply_application().await.expect("it is made");
    server.shows("synced", |view| view.sync == "synced").await;
    for name in ["petclinic", "argocd/petclinic", "test/argocd/petclinic"] {
        assert_eq!(server.stage.one_named(name).await.expect("it is there"), stream(), "{name}");
    }
    for (name, says) in [
        ("petclinc", "did you mean `test/argocd/petclinic`?"),
        ("other/argocd/petclinic", "has no cluster `other`; it has `test`"),
        ("a/b/c/d", "names no application"),
        ("argocd/", "names no application"),
    ] {
        let refused = server.stage.one_named(name).await.expect_err("there is none").to_string();
        assert!(refused.contains(says), "{refused}");
    }
    let (mina, other) = (|| By::Person("mina".into()), Stream::app("test", "argocd", "other"));
    for stream in [&other, &Stream::app("elsewhere", "argocd", "petclinic")] {
        assert!(server.stage.take(&server.drivers, stream, mina()).await.is_err());
        assert!(server.stage.give(&server.drivers, stream, mina()).await.is_err());
        assert!(server.drivers.journal().read(stream.as_str()).await.expect("it is read").is_empty());
    }
    server.stage.take(&server.drivers, &stream(), mina()).await.expect("it is ours already");
    // The server goes on meanwhile, and records what it does.
    let all = server.drivers.journal().read(STREAM).await.expect("it is read");
    let hers: Vec<_> = all.iter().filter(|entry| entry.kind == "take-asked" || entry.by == mina()).collect();
    assert!(hers.is_empty(), "nothing is promised that is so: {hers:?}");
    server.stop().await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_an_application_is_is_asked_of_its_cluster() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, sample) = estate(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    sample.apply_application().await.expect("it is made");
    server.shows("synced", |view| view.sync == "synced").await;
    let ask = async |stream: &Stream| server.stage.ask(&server.drivers, stream, By::Person("mina".into())).await;
    // As after a restart, before it was looked at.
    server.drivers.board().forget_app(STREAM);
    ask(&stream()).await.expect("it is ours");
    let unknown = ask(&Stream::app("test", "argocd", "other")).await.expect_err("there is none");
    assert!(unknown.message.contains("is not there"), "{unknown}");
    let application = server.stage.application(&stream()).await.expect("it is read").expect("it is there");
    server.cluster.release(&ObjectRef::of(&application)).await.expect("it is released");
    let observed = ask(&stream()).await.expect_err("it is not ours any more");
    assert!(observed.message.contains("run `bespin take` first"), "{observed}");
    server.stop().await;
    playground.stop().await;
}

/// Takes the place of the stage: looks whether a kind is served, whenever it is woken.
struct Waits {
    cluster: Arc<Cluster>,
    served: tokio::sync::watch::Sender<bool>,
}

#[async_trait::async_trait]
impl Stage for Waits {
    const NAME: &'static str = "waits";
    const FAMILY: Family = Family::App;
    type Entry = super::Entry;
    type State = ();
    type Observed = ();
    type Act = ();
    type ActKey = ();
    type Reply = ();

    fn replay(&self, _: &[Written<super::Entry>]) {}

    fn is_current(&self, (): &(), (): &()) -> bool {
        false
    }

    async fn observe(&self, _: &Turn<'_>, (): &(), _: &Outcomes<(), ()>) -> Result<(), Trouble> {
        self.served.send_replace(self.cluster.kind("example.com/v1", "Widget").await.is_ok());
        Ok(())
    }

    fn decide(&self, (): &(), (): &(), _: Timestamp) -> Next<super::Entry, ()> {
        Next::waiting(Wake::OnChange, "waiting for the kind")
    }

    async fn act(&self, _: &Turn<'_>, (): &(), (): &()) -> Result<(), Trouble> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_served_at_last_wakes_who_may_wait_for_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (playground, _) = estate(dir.path()).await;
    let server = Server::start(dir.path(), &playground).await;
    let waits = Arc::new(Waits { cluster: server.cluster.clone(), served: tokio::sync::watch::Sender::new(true) });
    let mut served = waits.served.subscribe();
    server.drivers.register(&waits);
    server.drivers.ensure(&stream());
    served.wait_for(|served| !served).await.expect("it looks");
    let widget = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "kind": "Widget", "plural": "widgets" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            } } }],
        },
    });
    server.cluster.apply(&widget).await.expect("the kind is defined");
    // Long before the resync, which comes after two minutes.
    let woken = tokio::time::timeout(Duration::from_secs(30), served.wait_for(|served| *served)).await;
    woken.expect("it is woken").expect("it looks");
    server.stop().await;
    playground.stop().await;
}
