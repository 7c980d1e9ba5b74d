//! The real Alertmanager, with one receiver: the server's webhook.

use super::port::free_port;
use super::process::{Process, eventually};
use super::{has, missing};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long it may take until it listens, or has sent what it shall.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running Alertmanager.
pub struct Alertmanager {
    url: String,
    /// The file of the token that it sends; it reads it at each notification.
    pub token: PathBuf,
    _process: Process,
}

impl Alertmanager {
    /// Whether it is missing on this machine; said loudly.
    pub fn is_missing() -> bool {
        missing("Alertmanager", has("prometheus-alertmanager"))
    }

    /// Starts it under `dir`. It sends what fires to `hook` with this token, and again every second.
    pub async fn start(dir: &Path, hook: &str, token: &str) -> Alertmanager {
        let dir = dir.join("alertmanager");
        std::fs::create_dir_all(&dir).expect("a folder can be made");
        let (file, credentials) = (dir.join("alertmanager.yml"), dir.join("token"));
        std::fs::write(&credentials, token).expect("a file can be written");
        let config = format!(
            "route:\n  receiver: bespin\n  group_by: [namespace, rollout]\n  group_wait: 1s\n  group_interval: 1s\n  \
             repeat_interval: 1s\nreceivers:\n  - name: bespin\n    webhook_configs:\n      - url: {hook}\n        \
             http_config:\n          authorization:\n            credentials_file: {}\n",
            credentials.display()
        );
        std::fs::write(&file, config).expect("a file can be written");
        let port = free_port();
        let mut command = Command::new("prometheus-alertmanager");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.path={}", dir.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--cluster.listen-address=");
        let mut process = Process::start("alertmanager", &dir, &mut command);
        let url = format!("http://127.0.0.1:{port}");
        process.ready(PATIENCE, || async { get(&format!("{url}/-/ready")).await.is_some() }).await;
        Alertmanager { url, token: credentials, _process: process }
    }

    /// An alert with these labels fires, as Prometheus posts it; it is over at `ends`, where that is said.
    pub async fn alert(&self, labels: &Value, ends: Option<&str>) {
        let mut alert = json!({ "labels": labels, "annotations": { "summary": "5xx above 5 %" } });
        if let Some(ends) = ends {
            alert["endsAt"] = ends.into();
        }
        let posted = client().post(format!("{}/api/v2/alerts", self.url)).json(&json!([alert])).send().await;
        let posted = posted.expect("Alertmanager answers");
        assert!(posted.status().is_success(), "{}", posted.text().await.unwrap_or_default());
    }

    /// Waits until it has tried so many more notifications than by now, that is until what is told is told again.
    pub async fn tells_again(&self, times: u64) {
        let end = self.count("notifications_total").await + times;
        let told = || async { (self.count("notifications_total").await >= end).then_some(()) };
        eventually("Alertmanager tells of it again", PATIENCE, told).await;
    }

    /// Waits until it was refused so often.
    pub async fn is_refused(&self, times: u64) {
        let refused = || async { (self.count("notification_requests_failed_total").await >= times).then_some(()) };
        eventually("Alertmanager is refused", PATIENCE, refused).await;
    }

    /// One of its own counters for webhooks.
    async fn count(&self, name: &str) -> u64 {
        let text = get(&format!("{}/metrics", self.url)).await.unwrap_or_default();
        let line = text.lines().find_map(|line| {
            let rest = line.strip_prefix("alertmanager_")?.strip_prefix(name)?.strip_prefix('{')?;
            rest.contains("integration=\"webhook\"").then(|| rest.rsplit(' ').next())?
        });
        line.and_then(|count| count.parse().ok()).unwrap_or_default()
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn get(url: &str) -> Option<String> {
    let answer = client().get(url).send().await.ok()?;
    if answer.status().is_success() { answer.text().await.ok() } else { None }
}
