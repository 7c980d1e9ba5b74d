//! What stands in a bare repository, read by git itself.

use std::path::PathBuf;
use std::process::Command;

/// A bare repository.
pub struct Bare(pub PathBuf);

impl Bare {
    /// The commit of `main`.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "refs/heads/main"]).trim().to_owned()
    }

    /// The commits after `since`, newest first, each with its whole message.
    pub fn since(&self, since: &str) -> Vec<(String, String)> {
        let log = self.git(&["log", "-z", "--format=%H%n%B", &format!("{since}..refs/heads/main")]);
        let entries = log.split('\0').filter(|entry| !entry.trim().is_empty());
        let parted = entries.filter_map(|entry| entry.trim_start().split_once('\n'));
        parted.map(|(id, message)| (id.to_owned(), message.to_owned())).collect()
    }

    /// The branches, by their short names.
    pub fn branches(&self) -> Vec<String> {
        let names = self.git(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"]);
        names.lines().map(str::to_owned).collect()
    }

    /// The messages of the commits that a branch has beyond `main`, newest first.
    pub fn beyond_main(&self, branch: &str) -> Vec<String> {
        let log = self.git(&["log", "-z", "--format=%B", &format!("refs/heads/main..refs/heads/{branch}")]);
        log.split('\0').filter(|message| !message.trim().is_empty()).map(str::to_owned).collect()
    }

    /// The files that differ between two commits.
    pub fn changed(&self, before: &str, after: &str) -> Vec<String> {
        self.git(&["diff", "--name-only", before, after]).lines().map(str::to_owned).collect()
    }

    /// A file at a commit, byte for byte.
    pub fn file(&self, commit: &str, path: &str) -> String {
        self.git(&["show", &format!("{commit}:{path}")])
    }

    /// Commits a symbolic link to `main`, which the playground's own commits cannot have.
    pub fn link(&self, path: &str, target: &str) {
        let index = tempfile::tempdir().expect("a folder");
        let input = index.path().join("input");
        std::fs::write(&input, target).expect("a file can be written");
        let git = |arguments: &[&str]| {
            let mut command = self.command(arguments);
            command.env("GIT_INDEX_FILE", index.path().join("index"));
            for who in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.com");
            }
            command.stdin(std::fs::File::open(&input).expect("it is there"));
            text(arguments, &mut command).trim().to_owned()
        };
        let blob = git(&["hash-object", "-w", "--stdin"]);
        git(&["read-tree", "refs/heads/main"]);
        git(&["update-index", "--add", "--cacheinfo", &format!("120000,{blob},{path}")]);
        let tree = git(&["write-tree"]);
        let commit = git(&["commit-tree", &tree, "-p", "refs/heads/main", "-m", "A link"]);
        git(&["update-ref", "refs/heads/main", &commit]);
    }

    fn git(&self, arguments: &[&str]) -> String {
        text(arguments, &mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&self.0).args(arguments);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    }
}

fn text(arguments: &[&str], command: &mut Command) -> String {
    let output = command.output().expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the sample's files are text")
}
