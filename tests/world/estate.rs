//! An estate: a cluster, a registry, git remotes, the sample in them, and a server that delivers to them.

mod parts;

pub use parts::Kind;
pub(crate) use parts::{Place, config};

use super::bespin::Bespin;
use super::dashboard::Dashboard;
use super::git::Bare;
use super::kube::Kube;
use super::process::eventually;
use super::registry::Images;
use parts::Parts;
use playground::git::{Commit, Push, deliver};
use playground::sample::{APPLICATION, MANIFESTS, Sample, SampleOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long anything may take before it is called failed. Long, for it only ever ends what has gone wrong.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// What signs the webhooks of every estate.
pub const HOOK_SECRET: &str = "It's a Secret to Everybody";

/// Where the sample's own change is.
const CHANGED: &str = "was/static/server";

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
    pub async fn configured(kind: Kind, pause: &str, edit: impl FnOnce(String) -> String) -> Estate {
        let dir = tempfile::tempdir().expect("a folder");
        let parts = Parts::start(kind, dir.path()).await;
        let options = SampleOptions { pause: pause.into(), hook_url: None, hook_secret: HOOK_SECRET.into() };
        let sample = Sample::create(parts.playground(), options).await.expect("the sample can be created");
        let (config, environment) = (edit(parts.config(dir.path())), parts.environment());
        let bespin = Bespin::start(dir.path(), &config, &environment).await;
        let (kube, images) = (parts.kube(), parts.images());
        let person = tokio::sync::OnceCell::new();
        Estate { bespin, kube, images, sample, parts, config, environment, person, dir }
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
        Bare(self.sample.repositories().path(MANIFESTS))
    }

    /// The application's repository.
    pub fn application(&self) -> Bare {
        Bare(self.sample.repositories().path(APPLICATION))
    }

    /// Commits files to the manifests repository, as a person would.
    pub async fn commit_manifests(&self, files: &[(&str, String)], message: &str) -> Commit {
        self.commit(MANIFESTS, files, message).await
    }

    /// Commits files to the application's repository and delivers the push.
    pub async fn push(&self, files: &[(&str, String)], message: &str) -> Commit {
        let commit = self.commit(APPLICATION, files, message).await;
        let paths: Vec<_> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        self.deliver(&commit, &paths, message).await.unwrap_or_else(|error| panic!("{error}"));
        commit
    }

    /// Commits change number `n` to the application and delivers the push.
    pub async fn push_change(&self, n: u32) -> Commit {
        let (commit, paths, message) = self.change(n).await;
        self.deliver(&commit, &paths, &message).await.unwrap_or_else(|error| panic!("{error}"));
        commit
    }

    /// Commits change number `n` to the application; answers what a delivery of it says.
    pub async fn change(&self, n: u32) -> (Commit, Vec<String>, String) {
        let message = format!("Greet in way {n}");
        let file = format!("#!/bin/sh\necho greeting {n}\n");
        let commit = self.commit(APPLICATION, &[(CHANGED, file)], &message).await;
        (commit, vec![CHANGED.to_owned()], message)
    }

    async fn commit(&self, repository: &str, files: &[(&str, String)], message: &str) -> Commit {
        let files: Vec<_> = files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
        let committed = self.sample.repositories().commit(repository, "main", &files, message).await;
        committed.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Delivers a push, or delivers it again: the delivery's id follows from the commit.
    pub async fn deliver(&self, commit: &Commit, paths: &[String], message: &str) -> Result<String, playground::Error> {
        let push = Push {
            repository: APPLICATION,
            clone_url: &self.sample.application_repository,
            branch: "main",
            before: &commit.before,
            after: &commit.after,
            message,
            modified: paths,
        };
        let hook = format!("{}/hooks/github/default", self.bespin.hooks);
        deliver(&hook, HOOK_SECRET, "push", &commit.after[..32], &push.payload()).await
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
