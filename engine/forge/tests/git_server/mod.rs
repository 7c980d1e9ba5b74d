//! A git server over HTTP, the playground's, and what is done in its
//! repositories by git itself. For tests alone.

use playground::faults::Faults;
use playground::git::GitService;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio_util::sync::CancellationToken;

/// The only user, and the password.
pub(crate) const USER: &str = "kim";
pub(crate) const PASSWORD: &str = "hush";

/// Bare repositories in a directory of their own, served on loopback.
pub(crate) struct GitServer {
    /// `http://127.0.0.1:port`.
    pub url: String,
    root: tempfile::TempDir,
}

impl GitServer {
    /// Starts a server; it ends with the runtime.
    pub(crate) async fn start() -> GitServer {
        let root = tempfile::tempdir().unwrap();
        let (user, password) = (Some(USER.to_owned()), Some(PASSWORD.to_owned()));
        let service = GitService::new(root.path().to_owned(), user, password, Faults::default());
        let (listener, address) = playground::serve::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        tokio::spawn(playground::serve::run(listener, service, CancellationToken::new()));
        let url = format!("http://{address}");
        GitServer { url, root }
    }

    /// Makes a bare repository `owner/name` and a first commit on `main`; returns its address.
    pub(crate) fn create(&self, name: &str, files: &[(&str, &str)]) -> String {
        let bare = self.bare(name);
        git(self.root.path(), &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
        git(&bare, &["config", "http.receivepack", "true"]);
        self.commit(name, "main", files, "first");
        format!("{}/{name}.git", self.url)
    }

    /// The repository's directory.
    pub(crate) fn bare(&self, name: &str) -> PathBuf {
        self.root.path().join(format!("{name}.git"))
    }

    /// Commits on a branch (made from the branch itself, or from nothing) and returns the commit.
    pub(crate) fn commit(&self, name: &str, branch: &str, files: &[(&str, &str)], message: &str) -> String {
        let bare = self.bare(name);
        let work = tempfile::tempdir().unwrap();
        let dir = work.path();
        git(dir, &["clone", "-q", bare.to_str().unwrap(), "."]);
        let known = run(dir, &["checkout", "-q", branch]).is_ok();
        if !known {
            git(dir, &["checkout", "-q", "-B", branch]);
        }
        for (path, text) in files {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(dir, &["add", "-A"]);
        git(dir, &["commit", "-q", "--allow-empty", "-m", message]);
        git(dir, &["push", "-q", "origin", branch]);
        git(dir, &["rev-parse", "HEAD"])
    }

    /// From now on the repository refuses every push, by a hook.
    pub(crate) fn refuse(&self, name: &str) {
        use std::os::unix::fs::PermissionsExt;
        let hook = self.bare(name).join("hooks/update");
        std::fs::write(&hook, "#!/bin/sh\necho no >&2\nexit 1\n").unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs git in the bare repository and returns its output.
    pub(crate) fn git(&self, name: &str, arguments: &[&str]) -> String {
        git(&self.bare(name), arguments)
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    run(directory, arguments).unwrap_or_else(|error| panic!("git {arguments:?}: {error}"))
}

fn run(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=Kim", "-c", "user.email=kim@example.com", "-c", "safe.directory=*"])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
