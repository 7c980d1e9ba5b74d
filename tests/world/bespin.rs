//! The server, as its users start it.

use super::process::{Process, eventually};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A running server.
pub struct Bespin {
    /// Where webhooks go.
    pub hooks: String,
    /// Where the dashboard is.
    pub dashboard: String,
    /// Its configuration.
    pub config: PathBuf,
    process: Process,
}

/// The program under test, as `cargo xtask test` built it.
pub fn program() -> PathBuf {
    super::given("BESPIN_SERVER").expect("BESPIN_SERVER names the server; run the stories by `cargo xtask test`")
}

/// The folder of the built-in plugins.
pub fn plugins() -> PathBuf {
    super::given("BESPIN_PLUGINS").expect("BESPIN_PLUGINS names the plugins; run the stories by `cargo xtask test`")
}

impl Bespin {
    /// Starts `bespin serve` with a configuration and these environment variables, and waits until it listens.
    pub async fn start(dir: &Path, config: &str, environment: &[(String, String)]) -> Bespin {
        let file = dir.join("bespin.toml");
        std::fs::write(&file, config).expect("a file can be written");
        let addresses = dir.join("data").join("addresses.json");
        let _old = std::fs::remove_file(&addresses);
        let mut command = Command::new(program());
        command.arg("serve").arg("--config").arg(&file);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start("bespin", dir, &mut command);
        process.ready(Duration::from_secs(60), || async { addresses.exists() }).await;
        let text = std::fs::read_to_string(&addresses).expect("the addresses are there");
        let text: Value = serde_json::from_str(&text).expect("the addresses are JSON");
        let address = |name: &str| text[name].as_str().expect("an address").to_owned();
        Bespin { hooks: address("hooks"), dashboard: address("dashboard"), config: file, process }
    }

    /// The entries of the streams that start with `prefix`, as the running server tells them.
    pub fn journal(&self, prefix: &str) -> Vec<Value> {
        let mut command = Command::new(program());
        command.args(["journal", "export", "--config"]).arg(&self.config).arg(prefix);
        let output = command.output().expect("bespin runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("entries are UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("an entry is JSON")).collect()
    }

    /// Waits until every run of the journal has ended, and returns how the newest did.
    pub async fn ran(&mut self, within: Duration) -> String {
        eventually("the run ended", within, || async {
            let entries = self.journal("run/");
            let ended = |entry: &&Value| entry["kind"] == "closed";
            let last = entries.iter().filter(ended).max_by_key(|entry| entry["seq"].as_u64())?;
            last["body"]["outcome"].as_str().map(str::to_owned)
        })
        .await
    }

    /// The program, to stop or to kill it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
