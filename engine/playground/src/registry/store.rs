//! What the registry keeps: blobs by digest, and for each repository its links, manifests and tags.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::fs;

/// The files of a registry. Cloning gives another handle.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    root: Arc<PathBuf>,
    counters: Arc<Counters>,
}

/// What was done to a registry since it started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Blobs that were uploaded whole; a blob that was there already is not uploaded.
    pub blobs: AtomicU64,
    /// Manifests that were put.
    pub manifests: AtomicU64,
}

/// A digest that was checked to be `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest(String);

impl Digest {
    /// A digest from its text; `None` for all but `sha256:` and 64 lower-case hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Digest> {
        let hex = text.strip_prefix("sha256:")?;
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (hex.len() == 64 && hex.bytes().all(lower)).then(|| Digest(text.to_owned()))
    }

    /// The digest of bytes.
    pub(super) fn of(bytes: &[u8]) -> Digest {
        Digest(format!("sha256:{}", hex::encode(Sha256::digest(bytes))))
    }

    /// The digest as manifests write it, `sha256:` and 64 hexadecimal digits.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn hex(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }
}

impl Storage {
    /// Opens the directory, making it if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(root: &Path) -> std::io::Result<Storage> {
        for part in ["blobs", "uploads", "repositories"] {
            std::fs::create_dir_all(root.join(part))?;
        }
        Ok(Storage { root: Arc::new(root.to_owned()), counters: Arc::default() })
    }

    /// What was done since the start.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Where an upload is gathered.
    pub(super) fn upload(&self, id: &str) -> PathBuf {
        self.root.join("uploads").join(id)
    }

    /// Where a blob is, whoever holds it.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.hex())
    }

    /// Whether a repository holds a blob.
    pub(super) async fn holds(&self, name: &str, digest: &Digest) -> bool {
        fs::try_exists(self.repository(name).join("blobs").join(digest.hex())).await.unwrap_or(false)
    }

    /// Lets a repository hold a blob that is there.
    pub(super) async fn link(&self, name: &str, digest: &Digest) -> std::io::Result<()> {
        write(&self.repository(name).join("blobs").join(digest.hex()), b"").await
    }

    /// Moves a finished upload to where its digest says, for a repository to hold.
    pub(super) async fn finish(&self, name: &str, upload: &Path, digest: &Digest) -> std::io::Result<()> {
        fs::rename(upload, self.blob(digest)).await?;
        self.counters.blobs.fetch_add(1, Ordering::Relaxed);
        self.link(name, digest).await
    }

    /// Keeps a manifest, and moves a tag to it if it was put by tag.
    pub(super) async fn put_manifest(
        &self,
        name: &str,
        tag: Option<&str>,
        kind: &str,
        bytes: &[u8],
    ) -> std::io::Result<Digest> {
        let digest = Digest::of(bytes);
        write(&self.blob(&digest), bytes).await?;
        write(&self.repository(name).join("manifests").join(digest.hex()), kind.as_bytes()).await?;
        if let Some(tag) = tag {
            write(&self.repository(name).join("tags").join(tag), digest.as_str().as_bytes()).await?;
        }
        self.counters.manifests.fetch_add(1, Ordering::Relaxed);
        Ok(digest)
    }

    /// Remembers that a manifest refers to another, which need not be there.
    pub(super) async fn refer(&self, name: &str, subject: &Digest, digest: &Digest) -> std::io::Result<()> {
        write(&self.repository(name).join("referrers").join(subject.hex()).join(digest.hex()), b"").await
    }

    /// The digests of the manifests that refer to one, sorted; some may have been removed since.
    pub(super) async fn referrers(&self, name: &str, subject: &Digest) -> Vec<Digest> {
        let names = names(&self.repository(name).join("referrers").join(subject.hex())).await;
        names.iter().filter_map(|hex| Digest::parse(&format!("sha256:{hex}"))).collect()
    }

    /// A manifest by tag or digest, with its media type.
    pub(super) async fn manifest(&self, name: &str, reference: &str) -> Option<(Digest, String, Vec<u8>)> {
        let digest = match Digest::parse(reference) {
            Some(digest) => digest,
            None => {
                let tag = fs::read_to_string(self.repository(name).join("tags").join(reference)).await.ok()?;
                Digest::parse(&tag)?
            }
        };
        let kind = fs::read_to_string(self.repository(name).join("manifests").join(digest.hex())).await.ok()?;
        let bytes = fs::read(self.blob(&digest)).await.ok()?;
        Some((digest, kind, bytes))
    }

    /// Removes a tag, or a manifest with every tag that points to it; whether it was there.
    pub(super) async fn remove(&self, name: &str, reference: &str) -> std::io::Result<bool> {
        let repository = self.repository(name);
        let Some(digest) = Digest::parse(reference) else {
            return Ok(fs::remove_file(repository.join("tags").join(reference)).await.is_ok());
        };
        for tag in self.tags(name).await {
            let path = repository.join("tags").join(tag);
            if fs::read_to_string(&path).await.is_ok_and(|points_to| points_to == digest.as_str()) {
                fs::remove_file(&path).await?;
            }
        }
        Ok(fs::remove_file(repository.join("manifests").join(digest.hex())).await.is_ok())
    }

    /// The tags of a repository, sorted.
    pub(super) async fn tags(&self, name: &str) -> Vec<String> {
        names(&self.repository(name).join("tags")).await
    }

    fn repository(&self, name: &str) -> PathBuf {
        // A name may be the beginning of another; `_` cannot begin a part of a name, so nothing collides.
        self.root.join("repositories").join(name).join("_")
    }
}

/// What a folder holds, sorted; nothing where there is none.
async fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(mut entries) = fs::read_dir(folder).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name().into_string();
            names.extend(name.into_iter().filter(|name| !name.starts_with('.')));
        }
    }
    names.sort();
    names
}

/// Writes a file so that no reader ever sees half of it.
async fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).await?;
    }
    let partial = path.with_file_name(format!(".{:032x}", rand::random::<u128>()));
    fs::write(&partial, bytes).await?;
    fs::rename(&partial, path).await
}
