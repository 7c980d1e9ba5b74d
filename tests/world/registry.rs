//! A real registry behind moto's ECR API.

use super::process::{Process, free_port};
use serde_json::Value;
use std::path::Path;
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
        let (registry, url) = start_registry(dir).await;
        let (ecr, api) = start_moto(moto, dir).await;
        Registry { url, ecr: api, _parts: vec![registry, ecr] }
    }

    /// How to look into it.
    pub fn images(&self) -> Images {
        Images { url: self.url.clone(), login: Some(("AWS".into(), password())) }
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

async fn start_registry(dir: &Path) -> (Process, String) {
    let port = free_port();
    let passwords = dir.join("htpasswd");
    let made = Command::new("htpasswd").args(["-Bbn", "AWS", &password()]).output().expect("htpasswd runs");
    std::fs::write(&passwords, made.stdout).expect("a file can be written");
    let config = serde_json::json!({
        "version": 0.1,
        "storage": { "filesystem": { "rootdirectory": dir.join("registry") } },
        "http": { "addr": format!("127.0.0.1:{port}") },
        "auth": { "htpasswd": { "realm": "ecr", "path": passwords } },
    });
    let file = dir.join("registry.yml");
    std::fs::write(&file, config.to_string()).expect("a file can be written");
    let mut registry = Process::start("docker-registry", dir, Command::new("docker-registry").arg("serve").arg(&file));
    let url = format!("http://127.0.0.1:{port}");
    let health = format!("{url}/v2/");
    registry
        .ready(Duration::from_secs(30), || async { reqwest::get(&health).await.is_ok_and(|a| a.status() == 401) })
        .await;
    (registry, url)
}

async fn start_moto(moto: &Path, dir: &Path) -> (Process, String) {
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
