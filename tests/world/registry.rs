//! A real registry behind moto's ECR API.

use super::port::free_port;
use super::process::Process;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The account in the sample's image names.
pub const ACCOUNT: &str = "123456789012";

/// docker-registry, which admits exactly whom moto's ECR API names.
pub struct Registry {
    /// Where the registry listens.
    pub url: String,
    /// Where the ECR API listens.
    pub ecr: String,
    _parts: Vec<Process>,
}

impl Registry {
    /// Starts both under `dir`; `moto` is its program.
    pub async fn start(moto: &Path, dir: &Path) -> Registry {
        let passwords = dir.join("htpasswd");
        let made = Command::new("htpasswd").args(["-Bbn", "AWS", &password()]).output().expect("htpasswd runs");
        std::fs::write(&passwords, made.stdout).expect("a file can be written");
        let (registry, url) = start_registry(dir, Some(&passwords)).await;
        let (ecr, api) = start_moto(moto, dir).await;
        Registry { url, ecr: api, _parts: vec![registry, ecr] }
    }

    /// How to look into it.
    pub fn images(&self) -> Images {
        Images { url: self.url.clone(), login: Some(("AWS".into(), password())) }
    }
}

/// docker-registry that admits everybody, and whose storage can be tampered with.
pub struct Open {
    /// Its host and port.
    pub host: String,
    blobs: PathBuf,
    _process: Process,
}

impl Open {
    /// Starts it under `dir`.
    pub async fn start(dir: &Path) -> Open {
        let (process, url) = start_registry(dir, None).await;
        let host = url.trim_start_matches("http://").to_owned();
        Open { host, blobs: dir.join("registry/docker/registry/v2/blobs/sha256"), _process: process }
    }

    /// Overwrites a blob where it is stored, as a failing disk or an intruder would.
    pub fn damage(&self, hex: &str) {
        let file = self.blobs.join(&hex[..2]).join(hex).join("data");
        let mut bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(&file, bytes).expect("the storage can be written");
    }
}

/// A registry to look into, whoever serves it.
#[derive(Clone)]
pub struct Images {
    /// Its address.
    pub url: String,
    /// A user and a password, where it asks for them.
    pub login: Option<(String, String)>,
}

impl Images {
    /// The tags of a repository, sorted.
    pub async fn tags(&self, name: &str) -> Vec<String> {
        let tags = self.get(&format!("/v2/{name}/tags/list"), "application/json").await;
        let tags = tags["tags"].as_array().cloned().unwrap_or_default();
        let mut tags: Vec<_> = tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
        tags.sort();
        tags
    }

    /// The manifest of a tag.
    pub async fn manifest(&self, name: &str, tag: &str) -> Value {
        let kinds = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
        self.get(&format!("/v2/{name}/manifests/{tag}"), kinds).await
    }

    async fn get(&self, path: &str, accept: &str) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut request = client.get(format!("{}{path}", self.url)).header("accept", accept);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password));
        }
        let answer = request.send().await.expect("the registry answers");
        answer.json().await.unwrap_or_default()
    }
}

/// The password that moto hands out for an account.
fn password() -> String {
    format!("{ACCOUNT}-auth-token")
}

/// With a file of passwords it admits whom that names, and everybody otherwise.
async fn start_registry(dir: &Path, passwords: Option<&Path>) -> (Process, String) {
    let port = free_port();
    let mut config = serde_json::json!({
        "version": 0.1,
        "storage": { "filesystem": { "rootdirectory": dir.join("registry") } },
        "http": { "addr": format!("127.0.0.1:{port}") },
    });
    if let Some(passwords) = passwords {
        config["auth"] = serde_json::json!({ "htpasswd": { "realm": "ecr", "path": passwords } });
    }
    let file = dir.join("registry.yml");
    std::fs::write(&file, config.to_string()).expect("a file can be written");
    let mut registry = Process::start("docker-registry", dir, Command::new("docker-registry").arg("serve").arg(&file));
    let url = format!("http://127.0.0.1:{port}");
    let health = format!("{url}/v2/");
    let healthy = if passwords.is_some() { 401 } else { 200 };
    registry
        .ready(Duration::from_secs(30), || async { reqwest::get(&health).await.is_ok_and(|a| a.status() == healthy) })
        .await;
    (registry, url)
}

/// moto's server, which answers for every API of AWS that it knows; the process and its address.
pub(super) async fn start_moto(moto: &Path, dir: &Path) -> (Process, String) {
    let port = free_port();
    let mut moto = Process::start("moto", dir, Command::new(moto).args(["-H", "127.0.0.1", "-p", &port.to_string()]));
    let url = format!("http://127.0.0.1:{port}");
    let health = format!("{url}/moto-api/");
    moto.ready(Duration::from_secs(60), || async {
        reqwest::get(&health).await.is_ok_and(|a| a.status().is_success())
    })
    .await;
    (moto, url)
}
