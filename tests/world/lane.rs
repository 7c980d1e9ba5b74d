//! An estate whose playground is a process of its own, and which can be set back to its beginning.
//!
//! The addresses stay the same from one beginning to the next, for they stand in the sample's repositories.

use super::bespin::{Bespin, program};
use super::config::{Config, Endpoint};
use super::estate::declare;
use super::git::Bare;
use super::kube::Kube;
use super::port::free_port;
use super::process::Process;
use super::registry::Images;
use super::remotes::{Change, HOOK_SECRET, Remotes};
use playground::git::Repositories;
use playground::sample::{Sample, SampleOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

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
    /// The sample's repositories, which are there once it is furnished.
    pub remotes: Remotes,
    config: String,
    playground: Process,
    lane: (u16, PathBuf),
}

impl Lane {
    /// Takes addresses that nobody else has.
    pub fn new() -> Lane {
        let dir = tempfile::tempdir().expect("a folder");
        Lane { kube: free_port(), registry: free_port(), git: free_port(), dir }
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
        let at = |port: u16| Endpoint { url: format!("http://127.0.0.1:{port}"), auth: None };
        let config = Config::new(&dir, "context", at(self.git), at(self.registry), &play.join("kubeconfig")).text();
        let images = Images { url: format!("http://127.0.0.1:{}", self.registry), login: None };
        let remotes = Remotes::new(Repositories::new(play.join("git")), &format!("http://127.0.0.1:{}", self.git));
        let kube = Kube::new(&url, &secret(), None);
        World { kube, images, dir, remotes, config, playground, lane: (self.git, play) }
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
        let environment = [&[("STORIES_HOOK".to_owned(), HOOK_SECRET.to_owned())], more].concat();
        Bespin::start_or_die(&self.dir, &self.config, &environment).await
    }

    /// Creates the sample, with each canary step pausing for `pause`, and declares its Application.
    pub async fn furnish(&self, pause: &str) {
        let options = SampleOptions { pause: pause.into(), hook_url: None, hook_secret: HOOK_SECRET.into() };
        let git = format!("http://127.0.0.1:{}", self.lane.0);
        let sample = Sample::create_in(&self.lane.1, &git, &self.kube.url, options).await;
        declare(&self.kube, &sample.expect("the sample can be created").application()).await;
    }

    /// The manifests repository.
    pub fn manifests(&self) -> Bare {
        self.remotes.manifests()
    }

    /// Commits change number `n` to the application; no push is delivered.
    pub async fn change(&self, n: u32) -> Change {
        self.remotes.change(n).await
    }

    /// Delivers a change of the application, or delivers it again, and answers what the server said.
    ///
    /// # Errors
    /// The server did not accept it, or there was no whole answer.
    pub async fn deliver(&self, server: &Bespin, change: &Change) -> Result<String, playground::Error> {
        self.remotes.deliver(server, change).await
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
