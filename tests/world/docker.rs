//! A Docker Engine of the tests' own, beside any other on the machine.

use super::process::Process;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A running dockerd.
pub struct Docker {
    /// Its socket, as `DOCKER_HOST` wants it.
    pub host: String,
    _part: Process,
}

impl Docker {
    /// Starts it with everything that it keeps under `dir`. It touches no network of the machine.
    pub async fn start(dir: &Path) -> Docker {
        let socket: PathBuf = dir.join("docker.sock");
        let mut command = Command::new("dockerd");
        command.arg("--host").arg(format!("unix://{}", socket.display()));
        command.arg("--data-root").arg(dir.join("docker")).arg("--exec-root").arg(dir.join("docker-exec"));
        command.arg("--pidfile").arg(dir.join("docker.pid"));
        command.args(["--bridge=none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"]);
        let mut part = Process::start("dockerd", dir, &mut command);
        let host = format!("unix://{}", socket.display());
        part.ready(Duration::from_secs(90), || async {
            let version = Command::new("docker").args(["--host", &host, "version"]).output();
            version.is_ok_and(|version| version.status.success())
        })
        .await;
        Docker { host, _part: part }
    }
}
