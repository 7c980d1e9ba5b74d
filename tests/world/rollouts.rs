//! `kubectl argo rollouts`: the peer's own client, as people type it.

use super::process::output;
use super::{given, missing};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The client of Argo Rollouts for one namespace.
pub struct Client {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: &'static str,
}

impl Client {
    /// The client that `cargo xtask test` has built; `None`, said loudly, where there is none.
    pub fn new(kubeconfig: &Path, namespace: &'static str) -> Option<Client> {
        let program = given("BESPIN_ROLLOUTS");
        if missing("the client of Argo Rollouts", program.is_some()) {
            return None;
        }
        Some(Client { program: program?, kubeconfig: kubeconfig.into(), namespace })
    }

    /// What a command prints; it must succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let (success, text) = self.try_run(arguments);
        assert!(success, "kubectl argo rollouts {}: {text}", arguments.join(" "));
        text
    }

    /// Whether a command succeeds, and what it prints.
    pub fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--namespace", self.namespace]).args(arguments);
        let done = output(&mut command);
        let text = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}
