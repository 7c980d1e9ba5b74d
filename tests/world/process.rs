//! Other programs that a test starts, and stops by their own process ids.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long an answer over the network may take.
pub const ANSWER: Duration = Duration::from_secs(60);

/// A running program; it ends with this value.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it prints goes to `<dir>/<name>.log`.
    pub fn start(name: &str, dir: &Path, command: &mut Command) -> Process {
        let log = dir.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("the log can be written");
        let error = file.try_clone().expect("a file can be cloned");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(error).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Process { name: name.into(), child, log }
    }

    /// Waits until `check` holds; fails with the program's last words when it ends first or takes too long.
    pub async fn ready<F: Future<Output = bool>>(&mut self, within: Duration, mut check: impl FnMut() -> F) {
        let end = Instant::now() + within;
        while !check().await {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status}:\n{}", self.name, self.last_words());
            }
            assert!(Instant::now() < end, "{} was not ready within {within:?}:\n{}", self.name, self.last_words());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without a warning, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }

    /// Whether it has ended, by itself or otherwise.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for its own end.
    pub async fn ended(&mut self, within: Duration) -> std::process::ExitStatus {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < end, "{} did not end within {within:?}:\n{}", self.name, self.last_words());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end (SIGTERM) and waits for that.
    pub async fn stop(&mut self, within: Duration) {
        let _asked = Command::new("kill").arg(self.id().to_string()).status();
        self.ended(within).await;
    }

    /// The end of what it printed.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _asked = Command::new("kill").arg(self.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }
}

/// Runs a program to its end, and fails when it takes longer than any answer.
pub fn output(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let id = child.id().to_string();
    let (ended, ends) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = ends.recv_timeout(ANSWER) == Err(mpsc::RecvTimeoutError::Timeout);
        late && Command::new("kill").args(["-KILL", &id]).status().is_ok()
    });
    let output = child.wait_with_output().expect("a child can be waited for");
    drop(ended);
    assert!(!watch.join().expect("the watch does not panic"), "{command:?} did not end within {ANSWER:?}");
    output
}

/// Waits until `check` answers something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    within: Duration,
    mut check: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < end, "within {within:?} it did not happen that {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
