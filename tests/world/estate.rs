//! An estate: a cluster, a registry, git remotes, the sample in them, and a server that delivers to them.

mod parts;

pub use super::remotes::HOOK_SECRET;
pub use parts::Kind;

use super::bespin::Bespin;
use super::config::Config;
use super::dashboard::Dashboard;
use super::git::Bare;
use super::kube::Kube;
use super::process::eventually;
use super::registry::Images;
use super::remotes::{Change, Remotes};
use parts::Parts;
use playground::sample::{APPLICATION, MANIFESTS, Sample, SampleOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long anything may take before it is called failed. Long, for it only ever ends what has gone wrong.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The whole of it. What is first ends first.
pub struct Estate {
    /// The server.
    pub bespin: Bespin,
    /// The cluster.
    pub kube: Kube,
    /// The registry.
    pub images: Images,
    /// The sample's repositories.
    pub sample: Sample,
    /// The same repositories, as their developers use them.
    pub remotes: Remotes,
    /// The parts, as far as they are peculiar to a kind.
    pub parts: Parts,
    config: String,
    environment: Vec<(String, String)>,
    /// Logging in is throttled, so one login serves until the server is started again.
    person: tokio::sync::OnceCell<Dashboard>,
    dir: tempfile::TempDir,
}

impl Estate {
    /// Starts everything and creates the sample and its Application. `pause` is each canary step's, in Argo's notation.
    pub async fn start(kind: Kind, pause: &str) -> Estate {
        let estate = Estate::undeclared(kind, pause).await;
        declare(&estate.kube, &estate.sample.application()).await;
        estate
    }

    /// The same without the Application: nothing is delivered yet.
    pub async fn undeclared(kind: Kind, pause: &str) -> Estate {
        Estate::configured(kind, pause, |config| config).await
    }

    /// The same with another configuration: `edit` is given the usual one.
    pub async fn configured(kind: Kind, pause: &str, edit: impl FnOnce(Config) -> Config) -> Estate {
        let dir = tempfile::tempdir().expect("a folder");
        let parts = Parts::start(kind, dir.path()).await;
        let options = SampleOptions { pause: pause.into(), hook_url: None, hook_secret: HOOK_SECRET.into() };
        let sample = Sample::create(parts.playground(), options).await.expect("the sample can be created");
        let (config, environment) = (edit(parts.config(dir.path())).text(), parts.environment());
        let bespin = Bespin::start(dir.path(), &config, &environment).await;
        let (kube, images) = (parts.kube(), parts.images());
        let person = tokio::sync::OnceCell::new();
        let remotes = Remotes::new(sample.repositories().clone(), &parts.playground().git_url);
        Estate { bespin, kube, images, sample, remotes, parts, config, environment, person, dir }
    }

    /// Where everything of it is kept.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the server again, with these environment variables beside its own.
    pub async fn restart(&mut self, more: &[(String, String)]) {
        self.bespin.process().kill();
        let environment = [self.environment.as_slice(), more].concat();
        self.bespin = Bespin::start(self.dir.path(), &self.config, &environment).await;
        self.person = tokio::sync::OnceCell::new();
    }

    /// The dashboard, with the operator logged in.
    pub async fn dashboard(&self) -> &Dashboard {
        self.person.get_or_init(|| Dashboard::login(&self.bespin.dashboard)).await
    }

    /// The manifests repository.
    pub fn manifests(&self) -> Bare {
        self.remotes.manifests()
    }

    /// The application's repository.
    pub fn application(&self) -> Bare {
        self.remotes.application()
    }

    /// Commits files to the manifests repository, as a person would.
    pub async fn commit_manifests(&self, files: &[(&str, String)], message: &str) -> Change {
        self.remotes.commit(MANIFESTS, files, message).await
    }

    /// Commits files to the application's repository and delivers the push.
    pub async fn push(&self, files: &[(&str, String)], message: &str) -> Change {
        let change = self.remotes.commit(APPLICATION, files, message).await;
        self.deliver(&change).await.unwrap_or_else(|error| panic!("{error}"));
        change
    }

    /// Commits change number `n` to the application and delivers the push.
    pub async fn push_change(&self, n: u32) -> Change {
        let change = self.change(n).await;
        self.deliver(&change).await.unwrap_or_else(|error| panic!("{error}"));
        change
    }

    /// Commits change number `n` to the application; no push is delivered.
    pub async fn change(&self, n: u32) -> Change {
        self.remotes.change(n).await
    }

    /// Delivers a change of the application, or delivers it again, and answers what the server said.
    ///
    /// # Errors
    /// The server did not accept it, or there was no whole answer.
    pub async fn deliver(&self, change: &Change) -> Result<String, playground::Error> {
        self.remotes.deliver(&self.bespin, change).await
    }

    /// Waits until the application is synced and healthy and its rollout as well.
    pub async fn settled(&self) {
        let dashboard = self.dashboard().await;
        let all = |page: Value, holds: fn(&Value) -> bool| {
            page.as_array().is_some_and(|rows| !rows.is_empty() && rows.iter().all(holds))
        };
        let settled = || async {
            let apps = dashboard.get("apps").await;
            let rollouts = dashboard.get("rollouts").await;
            let synced = all(apps, |app| app["sync"] == "synced" && app["health"] == "Healthy");
            (synced && all(rollouts, |rollout| rollout["phase"] == "Healthy")).then_some(())
        };
        let what = "the sample application is synced and healthy";
        self.said_if_not(what, eventually(what, PATIENCE, settled)).await;
    }

    /// Waits until the run of a commit has ended, and answers how: its row on the dashboard.
    pub async fn ended(&self, commit: &str) -> Value {
        let dashboard = self.dashboard().await;
        let ended = || async {
            let runs = dashboard.get("runs").await;
            let rows = runs["runs"].as_array().cloned().unwrap_or_default();
            let run = rows.into_iter().map(|row| row["run"].clone()).find(|run| run["sha"] == commit)?;
            (run["state"] != "open").then_some(run)
        };
        self.said_if_not("the run ended", eventually("the run ended", PATIENCE, ended)).await
    }

    /// The Rollout `was`.
    pub async fn rollout(&self) -> Value {
        self.kube.get(ROLLOUT).await.expect("the rollout is there")
    }

    /// Awaits a condition; when it does not come, the server's last words are shown with the failure.
    async fn said_if_not<T>(&self, what: &str, waiting: impl Future<Output = T>) -> T {
        let told = Told { what, estate: self };
        let done = waiting.await;
        std::mem::forget(told);
        done
    }
}

/// The sample's namespace in the API.
pub const NAMESPACE: &str = "/api/v1/namespaces/petclinic";
/// The sample's Deployments in the API.
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/petclinic/deployments";
/// The sample's ReplicaSets in the API.
pub const REPLICASETS: &str = "/apis/apps/v1/namespaces/petclinic/replicasets";
/// The sample's Ingresses in the API.
pub const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/petclinic/ingresses";
/// The sample's Rollouts in the API.
pub const ROLLOUTS: &str = "/apis/argoproj.io/v1alpha1/namespaces/petclinic/rollouts";
/// The sample's Rollout in the API.
pub const ROLLOUT: &str = "/apis/argoproj.io/v1alpha1/namespaces/petclinic/rollouts/was";

/// Speaks when it is dropped, which is when a wait has failed.
struct Told<'a> {
    what: &'a str,
    estate: &'a Estate,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        eprintln!(
            "it did not happen that {}; the server's last words:\n{}",
            self.what,
            self.estate.bespin.last_words()
        );
        for path in [ROLLOUT, "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/petclinic"] {
            let kube = self.estate.kube.clone();
            let object = std::thread::scope(|scope| {
                let asked = scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.expect("a runtime").block_on(kube.get(path))
                });
                asked.join().ok().flatten().unwrap_or_default()
            });
            eprintln!("{path}: {:#}", object["status"]);
        }
    }
}

/// Creates the Application, once its kind is served.
pub async fn declare(kube: &Kube, application: &Value) {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "argocd" } });
    let path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications";
    for (path, object) in [("/api/v1/namespaces", &namespace), (path, application)] {
        let created = || async {
            let (status, answer) = kube.send(reqwest::Method::POST, path, "application/json", Some(object)).await;
            assert!(matches!(status, 200..300 | 409 | 404), "creating at {path}: {status}: {answer}");
            (status != 404).then_some(())
        };
        eventually("the Application's kind is served", PATIENCE, created).await;
    }
}
