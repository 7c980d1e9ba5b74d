//! What stages read out of repositories, over the forge.

use crate::drive::Trouble;
use crate::stages::image::Source;
use crate::stages::sync::Manifests;
use async_trait::async_trait;
use decide::sync::application;
use forge::{FileAt, Forge, Limits, Mirror};
use sandbox::{Failure, Listed};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;
use tempfile::NamedTempFile;

/// The longest context, in bytes.
const CONTEXT: usize = 1 << 30;
/// How much of the manifests is read.
const MANIFESTS: Limits = Limits { files: 5_000, file_bytes: 1 << 20, bytes: 32 << 20 };

/// Reads repositories through their mirrors.
pub struct Repositories {
    forge: Arc<Forge>,
}

impl Repositories {
    /// Reads from the mirrors of this adapter.
    pub fn new(forge: Arc<Forge>) -> Arc<Repositories> {
        Arc::new(Repositories { forge })
    }
}

#[async_trait]
impl Source for Repositories {
    async fn context(&self, repository: &str, commit: &str, directory: &str) -> Result<NamedTempFile, Trouble> {
        let mirror = self.forge.repository(repository)?;
        let tar = mirror.archive(commit, directory, CONTEXT).await.map_err(|error| match error {
            // The commit was there when the run began: its folder never comes.
            forge::Error::Missing { .. } => Trouble::permanent(error.to_string()),
            _ => error.into(),
        })?;
        let write = move || -> std::io::Result<NamedTempFile> {
            let mut file = NamedTempFile::new()?;
            file.write_all(&tar)?;
            file.flush()?;
            Ok(file)
        };
        let written = tokio::task::spawn_blocking(write).await.map_err(|error| Trouble::new("the context", error))?;
        written.map_err(|error| Trouble::new("the context", error))
    }
}

#[async_trait]
impl Manifests for Repositories {
    async fn head(&self, repo_url: &str, target_revision: &str) -> Result<String, Trouble> {
        let mirror = self.forge.mirror(repo_url)?;
        mirror.fetch(Instant::now()).await?;
        let head = mirror.resolve(target_revision).await?;
        head.ok_or_else(|| Trouble::passing(format!("{repo_url} has no {target_revision}")))
    }

    async fn files(&self, repo_url: &str, commit: &str, path: &str) -> Result<Vec<(String, String)>, Trouble> {
        let mirror = self.forge.mirror(repo_url)?;
        let path = path.trim_matches('/');
        let files = manifests(&mirror, commit, path).await?;
        let files = files.ok_or_else(|| Trouble::passing(format!("{repo_url} has no folder `{path}` at {commit}")))?;
        let text = |file: FileAt| match String::from_utf8(file.bytes) {
            Ok(text) => {
                Ok((file.path.strip_prefix(path).unwrap_or(&file.path).trim_start_matches('/').to_owned(), text))
            }
            Err(error) => Err(Trouble::passing(format!("{} is not UTF-8: {error}", file.path))),
        };
        files.into_iter().map(text).collect()
    }

    async fn file(&self, repo_url: &str, commit: &str, path: &str, at_most: usize) -> Result<Option<Vec<u8>>, Failure> {
        let mirror = self.forge.mirror(repo_url).map_err(Trouble::from)?;
        Ok(mirror.file(commit, path, at_most).await.map_err(Trouble::from)?)
    }

    async fn list(&self, repo_url: &str, commit: &str, path: &str) -> Result<Option<Vec<Listed>>, Failure> {
        let mirror = self.forge.mirror(repo_url).map_err(Trouble::from)?;
        let entries = mirror.list(commit, path).await.map_err(Trouble::from)?;
        Ok(entries.map(|entries| entries.into_iter().map(listed).collect()))
    }

    async fn contains(&self, repo_url: &str, newer: &str, older: &str) -> Result<bool, Trouble> {
        Ok(self.forge.mirror(repo_url)?.contains(newer, older).await?)
    }
}

/// What an Application's folder and the folders in it hold at a commit; `None`
/// where there is no such folder.
///
/// # Errors
/// The mirror cannot be read, or there is too much.
pub async fn manifests(mirror: &Mirror, commit: &str, path: &str) -> Result<Option<Vec<FileAt>>, forge::Error> {
    if mirror.list(commit, path).await?.is_none() {
        return Ok(None);
    }
    mirror.files(commit, path, &application::MANIFESTS, MANIFESTS).await.map(Some)
}

/// One entry of a folder, as plugins are told.
pub fn listed(entry: forge::Listed) -> Listed {
    let kind = match entry.kind {
        forge::ListedKind::File => sandbox::ListedKind::File,
        forge::ListedKind::Directory => sandbox::ListedKind::Directory,
        forge::ListedKind::Other => sandbox::ListedKind::Other,
    };
    Listed { name: entry.name, kind, size: entry.size }
}
