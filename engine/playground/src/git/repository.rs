//! Bare repositories, and commits made without a work tree.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::Error;

/// The bare repositories under one directory, as `OWNER/NAME.git`.
#[derive(Clone, Debug)]
pub struct Repositories {
    root: PathBuf,
}

/// A commit that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The branch's commit before, 40 hexadecimal digits; zeros for a new branch.
    pub before: String,
    /// The new commit, 40 hexadecimal digits.
    pub after: String,
}

/// What git calls a commit that is not there.
pub(super) const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

impl Repositories {
    /// Names the directory; nothing is made yet.
    pub fn new(root: impl Into<PathBuf>) -> Repositories {
        Repositories { root: root.into() }
    }

    /// Where the bare repository `owner/name` is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.git"))
    }

    /// Creates `owner/name` with `main` as its default branch, unless it is there.
    ///
    /// # Errors
    /// When git fails.
    pub async fn create(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        if path.join("HEAD").exists() {
            return Ok(());
        }
        tokio::fs::create_dir_all(&path).await.map_err(|e| Error::io(format!("create {}", path.display()), e))?;
        git(&path, &["init", "--quiet", "--bare", "--initial-branch=main"], &[], None).await?;
        git(&path, &["config", "http.receivepack", "true"], &[], None).await?;
        Ok(())
    }

    /// The commit of a branch; `None` for a branch that is not there.
    ///
    /// # Errors
    /// When git fails otherwise.
    pub async fn head(&self, name: &str, branch: &str) -> Result<Option<String>, Error> {
        let reference = format!("refs/heads/{branch}");
        let listed = git(&self.path(name), &["for-each-ref", "--format=%(objectname)", &reference], &[], None).await?;
        Ok(Some(listed.trim().to_owned()).filter(|id| !id.is_empty()))
    }

    /// The bytes of a file at a branch.
    ///
    /// # Errors
    /// When there is no such file.
    pub async fn file(&self, name: &str, branch: &str, path: &str) -> Result<String, Error> {
        git(&self.path(name), &["show", &format!("refs/heads/{branch}:{path}")], &[], None).await
    }

    /// The messages of a branch's commits, newest first.
    ///
    /// # Errors
    /// When there is no such branch.
    pub async fn messages(&self, name: &str, branch: &str) -> Result<Vec<String>, Error> {
        let log =
            git(&self.path(name), &["log", "-z", "--format=%B", &format!("refs/heads/{branch}")], &[], None).await?;
        Ok(log.split('\0').map(str::to_owned).collect())
    }

    /// The message of the commit `after`, and the paths that differ from the commit `before`: those of the whole tree
    /// where there is no commit before, none where there is no commit after.
    ///
    /// # Errors
    /// When one of the commits is not there.
    pub async fn difference(&self, name: &str, before: &str, after: &str) -> Result<(String, Vec<String>), Error> {
        let path = self.path(name);
        if after == NO_COMMIT {
            return Ok((String::new(), Vec::new()));
        }
        let message = git(&path, &["log", "-1", "--format=%B", after], &[], None).await?;
        let listed = match before == NO_COMMIT {
            true => git(&path, &["ls-tree", "-r", "-z", "--name-only", after], &[], None).await?,
            false => git(&path, &["diff", "-z", "--name-only", before, after], &[], None).await?,
        };
        let paths = listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
        Ok((message.trim_end().to_owned(), paths))
    }

    /// Commits files (path and content) on top of a branch, and moves the branch.
    ///
    /// # Errors
    /// When git fails, or somebody moved the branch meanwhile.
    pub async fn commit(
        &self,
        name: &str,
        branch: &str,
        files: &[(String, String)],
        message: &str,
    ) -> Result<Commit, Error> {
        let path = self.path(name);
        let parent = self.head(name, branch).await?;
        let scratch = tempfile::tempdir().map_err(|e| Error::io("make a temporary directory", e))?;
        let index = scratch.path().join("index").display().to_string();
        let index = [("GIT_INDEX_FILE", index.as_str())];
        if let Some(parent) = &parent {
            git(&path, &["read-tree", parent], &index, None).await?;
        }
        for (file, content) in files {
            let blob = git(&path, &["hash-object", "-w", "--stdin"], &[], Some(content.as_bytes())).await?;
            let entry = format!("100644,{},{file}", blob.trim());
            git(&path, &["update-index", "--add", "--cacheinfo", &entry], &index, None).await?;
        }
        let tree = git(&path, &["write-tree"], &index, None).await?;
        let mut arguments = vec!["commit-tree", tree.trim(), "-m", message];
        if let Some(parent) = &parent {
            arguments.extend(["-p", parent]);
        }
        let after = git(&path, &arguments, &AUTHOR, None).await?.trim().to_owned();
        let before = parent.unwrap_or_else(|| NO_COMMIT.to_owned());
        git(&path, &["update-ref", &format!("refs/heads/{branch}"), &after, &before], &[], None).await?;
        Ok(Commit { before, after })
    }
}

const AUTHOR: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "A Developer"),
    ("GIT_AUTHOR_EMAIL", "developer@example.com"),
    ("GIT_COMMITTER_NAME", "A Developer"),
    ("GIT_COMMITTER_EMAIL", "developer@example.com"),
];

/// Runs git in a bare repository and returns what it printed. The machine's own configuration has no say.
async fn git(
    dir: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: Option<&[u8]>,
) -> Result<String, Error> {
    let failed = |message: String| Error::Git { command: arguments.join(" "), message };
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(dir).args(arguments).envs(environment.iter().copied());
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take()
        && let Some(input) = input
    {
        stdin.write_all(input).await.map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    String::from_utf8(output.stdout).map_err(|error| failed(error.to_string()))
}
