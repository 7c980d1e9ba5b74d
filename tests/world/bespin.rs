//! The server, as its users start it.

use super::process::{Process, output};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
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

/// How long a server may take until it listens; a debug build compiles every plugin first.
const PATIENCE: Duration = Duration::from_secs(180);

/// The program under test, as `cargo xtask test` built it.
pub fn program() -> PathBuf {
    super::given("BESPIN_SERVER").expect("BESPIN_SERVER names the server; run the stories by `cargo xtask test`")
}

/// The folder of the built-in plugins.
pub fn plugins() -> PathBuf {
    super::given("BESPIN_PLUGINS").expect("BESPIN_PLUGINS names the plugins; run the stories by `cargo xtask test`")
}

/// The hash of a password, as `bespin hash-password` prints it. The first answer is kept: hashing is slow by design.
pub fn hash(password: &str) -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let mut command = Command::new(program());
        let child = command.arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("bespin runs");
        let mut input = child.stdin.take().expect("its input is a pipe");
        input.write_all(password.as_bytes()).expect("it reads");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        String::from_utf8(output.stdout).expect("a hash is text").trim().to_owned()
    })
}

/// Runs a command of the program to its end: its exit code and all that it printed.
pub fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(program()).args(arguments).output().expect("bespin runs");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&printed).into_owned())
}

impl Bespin {
    /// Starts `bespin serve` with a configuration and these environment variables, and waits until it listens.
    pub async fn start(dir: &Path, config: &str, environment: &[(String, String)]) -> Bespin {
        let (mut process, addresses) = Bespin::launch(dir, config, environment);
        process.ready(PATIENCE, || async { addresses.exists() }).await;
        Bespin::listening(dir, process).expect("the addresses are there")
    }

    /// The same for a server that may die before it listens: `None` when it did.
    pub async fn start_or_die(dir: &Path, config: &str, environment: &[(String, String)]) -> Option<Bespin> {
        let (mut process, addresses) = Bespin::launch(dir, config, environment);
        while !addresses.exists() {
            if process.has_ended() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Bespin::listening(dir, process)
    }

    fn launch(dir: &Path, config: &str, environment: &[(String, String)]) -> (Process, PathBuf) {
        let file = dir.join("bespin.toml");
        std::fs::write(&file, config).expect("a file can be written");
        let addresses = dir.join("data").join("addresses.json");
        let _old = std::fs::remove_file(&addresses);
        let mut command = Command::new(program());
        command.arg("serve").arg("--config").arg(&file);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        (Process::start("bespin", dir, &mut command), addresses)
    }

    fn listening(dir: &Path, process: Process) -> Option<Bespin> {
        let text = std::fs::read_to_string(dir.join("data").join("addresses.json")).ok()?;
        let text: Value = serde_json::from_str(&text).expect("the addresses are JSON");
        let address = |name: &str| text[name].as_str().expect("an address").to_owned();
        let (hooks, dashboard) = (address("hooks"), address("dashboard"));
        Some(Bespin { hooks, dashboard, config: dir.join("bespin.toml"), process })
    }

    /// The entries of the streams that start with `prefix`, as the running server tells them.
    pub fn journal(&self, prefix: &str) -> Vec<Value> {
        let lines = self.journal_lines(prefix);
        lines.lines().map(|line| serde_json::from_str(line).expect("an entry is JSON")).collect()
    }

    /// The same as text, one line each.
    pub fn journal_lines(&self, prefix: &str) -> String {
        let mut command = Command::new(program());
        // Its secrets are in the server's environment alone, and are not asked for.
        command.args(["journal", "export", "--config"]).arg(&self.config).arg(prefix);
        let output = output(&mut command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("entries are UTF-8")
    }

    /// The program, to stop or to kill it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        self.process.last_words()
    }
}
