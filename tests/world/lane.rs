//! An estate whose playground is a process of its own, and which can be set back to its beginning.
//!
//! The addresses stay the same from one beginning to the next, for they stand in the sample's repositories.

use super::bespin::{Bespin, program};
use super::estate::{Place, config, declare};
use super::git::Bare;
use super::kube::Kube;
use super::process::Process;
use super::registry::Images;
use playground::git::{Commit, Push, Repositories, deliver};
use playground::sample::{APPLICATION, MANIFESTS, Sample, SampleOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// What signs the webhooks here.
const SECRET: &str = "It's a Secret to Everybody";

/// The addresses, and the folder with the beginning.
pub struct Lane {
    kube: u16,
    registry: u16,
    git: u16,
    dir: tempfile::TempDir,
}

/// A world in a lane: the playground, and whatever server runs beside it.
pub struct World {
    /// The cluster.
    pub kube: Kube,
    /// The registry.
    pub images: Images,
    /// Where the server keeps everything.
    pub dir: PathBuf,
    config: String,
    playground: Process,
    lane: (u16, PathBuf),
}

impl Lane {
    /// Takes addresses that nobody else has.
    pub fn new() -> Lane {
        let dir = tempfile::tempdir().expect("a folder");
        Lane { kube: port(), registry: port(), git: port(), dir }
    }

    /// Where the beginning is kept.
    pub fn beginning(&self) -> PathBuf {
        self.dir.path().join("beginning")
    }

    /// Where the world now running is kept.
    fn now(&self) -> PathBuf {
        self.dir.path().join("now")
    }

    /// Starts the playground on what is in the lane now; on nothing, the first time.
    pub async fn open(&self) -> World {
        let dir = self.now();
        let play = dir.join("playground");
        std::fs::create_dir_all(&play).expect("a folder can be made");
        let mut command = Command::new(program());
        command.arg("playground").arg("--dir").arg(&play);
        for (flag, port) in [("--kube", self.kube), ("--registry", self.registry), ("--git", self.git)] {
            command.arg(flag).arg(format!("127.0.0.1:{port}"));
        }
        let mut playground = Process::start("playground", &dir, &mut command);
        let (url, token) = (format!("http://127.0.0.1:{}", self.kube), play.join("token"));
        let secret = || std::fs::read_to_string(&token).unwrap_or_default().trim().to_owned();
        let answers = || async { Kube::new(&url, &secret(), None).get("/api/v1/nodes/node-3").await.is_some() };
        playground.ready(Duration::from_secs(60), answers).await;
        let place = |port: u16| Place { endpoint: format!("http://127.0.0.1:{port}"), auth: None };
        let config = config(&dir, "context", &place(self.git), &place(self.registry), &play.join("kubeconfig"));
        let images = Images { url: format!("http://127.0.0.1:{}", self.registry), login: None };
        World { kube: Kube::new(&url, &secret(), None), images, dir, config, playground, lane: (self.git, play) }
    }

    /// Keeps what is in the lane now as its beginning. Nothing may run.
    pub fn keep(&self) {
        copy(&self.now(), &self.beginning());
    }

    /// Sets the lane back to its beginning. Nothing may run.
    pub fn reset(&self) {
        let _nothing_yet = std::fs::remove_dir_all(self.now());
        copy(&self.beginning(), &self.now());
    }
}

impl Default for Lane {
    fn default() -> Lane {
        Lane::new()
    }
}

impl World {
    /// Starts the server; `None` when it died before it listened.
    pub async fn serve(&self, more: &[(String, String)]) -> Option<Bespin> {
        let environment = [&[("STORIES_HOOK".to_owned(), SECRET.to_owned())], more].concat();
        Bespin::start_or_die(&self.dir, &self.config, &environment).await
    }

    /// Creates the sample, with each canary step pausing for `pause`, and declares its Application.
    pub async fn furnish(&self, pause: &str) {
        let options = SampleOptions { pause: pause.into(), hook_url: None, hook_secret: SECRET.into() };
        let git = format!("http://127.0.0.1:{}", self.lane.0);
        let sample = Sample::create_in(&self.lane.1, &git, &self.kube.url, options).await;
        declare(&self.kube, &sample.expect("the sample can be created").application()).await;
    }

    /// The manifests repository.
    pub fn manifests(&self) -> Bare {
        Bare(self.repositories().path(MANIFESTS))
    }

    fn repositories(&self) -> Repositories {
        Repositories::new(self.lane.1.join("git"))
    }

    /// Commits a change to the application.
    pub async fn commit(&self) -> Commit {
        let files = [("was/static/server".to_owned(), "#!/bin/sh\necho another greeting\n".to_owned())];
        let committed = self.repositories().commit(APPLICATION, "main", &files, "Greet otherwise").await;
        committed.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Delivers a push, or delivers it again.
    pub async fn deliver(&self, server: &Bespin, commit: &Commit) -> Result<String, playground::Error> {
        let push = Push {
            repository: APPLICATION,
            clone_url: "https://example.com/never-used.git",
            branch: "main",
            before: &commit.before,
            after: &commit.after,
            message: "Greet otherwise",
            modified: &["was/static/server".to_owned()],
        };
        let hook = format!("{}/hooks/github/default", server.hooks);
        deliver(&hook, SECRET, "push", &commit.after[..32], &push.payload()).await
    }

    /// Every object of a kind in the sample's namespace.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        self.kube.list(path).await
    }

    /// Ends the playground, which writes down what it holds.
    pub async fn close(mut self) {
        self.playground.stop(Duration::from_secs(60)).await;
    }

    /// The playground's process, to measure it or to see its log.
    pub fn playground(&self) -> &Process {
        &self.playground
    }
}

/// A port below those that the system hands out by itself, so that it stays free between two starts.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 900) as u16 * 20;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::SeqCst);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Copies a folder, but for its sockets.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let (kind, target) = (entry.file_type().expect("a kind of file"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}
