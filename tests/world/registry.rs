//! A real registry behind moto's ECR API.

use super::process::{Process, free_port};
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

    /// The tags of a repository.
    pub async fn tags(&self, name: &str) -> Vec<String> {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.get(format!("{}/v2/{name}/tags/list", self.url));
        let answer = request.basic_auth("AWS", Some(password())).send().await.expect("the registry answers");
        let tags: serde_json::Value = answer.json().await.unwrap_or_default();
        let tags = tags["tags"].as_array().cloned().unwrap_or_default();
        tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
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
