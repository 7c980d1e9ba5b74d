//! Reads commits and files out of a mirror.

use crate::error::{self, Error};
use crate::mirror::{Core, Mirror};
use crate::state::Unfetched;
use crate::walk::{self, Budget, TreePlace};
use git2::{ErrorCode, ObjectType, Oid, Repository};
use std::collections::BTreeMap;

/// A commit, as far as others need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commit's id, 40 hexadecimal digits.
    pub sha: String,
    /// Its first seven digits.
    pub short: String,
    /// The whole message, at most [`MESSAGE_LIMIT`] bytes of it.
    pub message: String,
    /// The author's name, as the commit has it; it proves nothing.
    pub author: String,
    /// When it was committed, in seconds since the epoch.
    pub at_s: i64,
}

/// How much of a commit's message is kept, in bytes.
pub(crate) const MESSAGE_LIMIT: usize = 16 * 1024;

/// A file at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAt {
    /// Its path from the repository's root.
    pub path: String,
    /// The whole content, in no particular encoding.
    pub bytes: Vec<u8>,
}

/// How much is read at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many files are read at most; one more is an error.
    pub files: usize,
    /// The most bytes of one file.
    pub file_bytes: usize,
    /// The most bytes together.
    pub bytes: usize,
}

/// A commit that carries Bespin's trailers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailered {
    /// The commit's id, 40 hexadecimal digits.
    pub sha: String,
    /// The trailers, in the message's order.
    pub trailers: Vec<(String, String)>,
}

impl Mirror {
    /// Reads a commit by its full id; an annotated tag's id leads to its commit.
    /// A pull request's head is none of the mirror's commits, nor in its histories;
    /// what reads files at a commit reads them at a head as well.
    ///
    /// # Errors
    /// [`Error::Git`] where the mirror cannot be read.
    pub async fn commit(&self, id: &str) -> Result<Option<Commit>, Error> {
        let id = id.to_owned();
        self.run(move |core| core.commit(&*core.open()?, &id)).await
    }

    /// Finds the commit that a revision names now: `HEAD`, a branch, a tag, a
    /// full reference or a full commit id; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Unfetched`] where the remote has it and the mirror could not take
    /// it, [`Error::Mirror`] where the mirror cannot be read.
    pub async fn resolve(&self, revision: &str) -> Result<Option<String>, Error> {
        let revision = revision.to_owned();
        self.run(move |core| core.resolve(&*core.open()?, &revision)).await
    }

    /// Every branch and tag by its full reference, with the id that it stands at; an annotated tag's is the tag's own.
    /// As of the last fetch.
    ///
    /// # Errors
    /// [`Error::Git`] where the mirror cannot be read.
    pub async fn references(&self) -> Result<BTreeMap<String, String>, Error> {
        self.run(|core| core.references(&*core.open()?)).await
    }

    /// The short name of the remote's default branch, as of the last fetch.
    ///
    /// # Errors
    /// [`Error::Git`] where the mirror cannot be read.
    pub async fn default_branch(&self) -> Result<Option<String>, Error> {
        self.run(|core| Ok(core.default_branch(&*core.open()?))).await
    }

    /// Reads one file at a commit; `None` where there is none, also where a directory is.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above `limit` bytes.
    pub async fn file(&self, commit: &str, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let (commit, path) = (commit.to_owned(), path.to_owned());
        self.run(move |core| core.file(&commit, &path, limit)).await
    }

    /// Reads the files below a directory (or the one file) at a commit whose
    /// names end in one of `endings` (empty: all), in git's order. Links and
    /// submodules are left out. A path that does not exist has no files.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the limits, and where more than 500 000 files
    /// and directories would have to be looked at, wanted or not.
    pub async fn files(
        &self,
        commit: &str,
        path: &str,
        endings: &[&str],
        limits: Limits,
    ) -> Result<Vec<FileAt>, Error> {
        let (commit, path) = (commit.to_owned(), path.trim_matches('/').to_owned());
        let endings: Vec<String> = endings.iter().map(|e| (*e).to_owned()).collect();
        self.run(move |core| core.files(&commit, &path, &endings, limits)).await
    }

    /// Whether `older` is in the history of `newer`, or the same. Commits that
    /// the mirror does not have are in nobody's history.
    ///
    /// # Errors
    /// [`Error::Git`] where the mirror cannot be read.
    pub async fn contains(&self, newer: &str, older: &str) -> Result<bool, Error> {
        let (newer, older) = (newer.to_owned(), older.to_owned());
        self.run(move |core| {
            let repository = core.open()?;
            let ids = (core.peel(&repository, &newer)?, core.peel(&repository, &older)?);
            let (Some(newer), Some(older)) = ids else { return Ok(false) };
            let failed = error::git("reading the history of", core.address.as_str());
            Ok(newer == older || repository.graph_descendant_of(newer, older).map_err(failed)?)
        })
        .await
    }

    /// Finds commits with Bespin's trailers among the newest `limit` commits
    /// that `tip` leads to, newest first.
    ///
    /// # Errors
    /// [`Error::Git`] where the mirror cannot be read.
    pub async fn trailered(&self, tip: &str, limit: usize) -> Result<Vec<Trailered>, Error> {
        let tip = tip.to_owned();
        self.run(move |core| core.trailered(&tip, limit)).await
    }
}

impl Core {
    /// The commit that an object's id stands for.
    pub(crate) fn peel(&self, repository: &Repository, id: &str) -> Result<Option<Oid>, Error> {
        let Ok(oid) = Oid::from_str(id) else { return Ok(None) };
        match repository.find_object(oid, None).and_then(|object| object.peel(ObjectType::Commit)) {
            Ok(object) => Ok(Some(object.id())),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::Peel) => {
                Ok(None)
            }
            Err(error) => Err(error::git("reading", self.address.as_str())(error)),
        }
    }

    /// The commit by its id, which must be there.
    pub(crate) fn need<'r>(&self, repository: &'r Repository, id: &str) -> Result<git2::Commit<'r>, Error> {
        let missing = || Error::Missing { what: format!("the commit {id}"), address: self.address.as_str().into() };
        let oid = self.peel(repository, id)?.ok_or_else(missing)?;
        repository.find_commit(oid).map_err(error::git("reading", self.address.as_str()))
    }

    /// Reads a commit out of an opened repository.
    pub(crate) fn commit(&self, repository: &Repository, id: &str) -> Result<Option<Commit>, Error> {
        let Some(oid) = self.peel(repository, id)? else { return Ok(None) };
        let commit = repository.find_commit(oid).map_err(error::git("reading", self.address.as_str()))?;
        let sha = oid.to_string();
        let message = commit.message_bytes();
        let message = String::from_utf8_lossy(&message[..message.len().min(MESSAGE_LIMIT)]).into_owned();
        let author = String::from_utf8_lossy(commit.author().name_bytes()).into_owned();
        Ok(Some(Commit { short: sha[..7].to_owned(), sha, message, author, at_s: commit.time().seconds() }))
    }

    pub(crate) fn resolve(&self, repository: &Repository, revision: &str) -> Result<Option<String>, Error> {
        if matches!(revision.len(), 40 | 64) && revision.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(self.peel(repository, revision)?.map(|oid| oid.to_string()));
        }
        let names = match revision {
            "HEAD" | "" => vec!["HEAD".to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            short => vec![format!("refs/heads/{short}"), format!("refs/tags/{short}")],
        };
        for name in names {
            self.need_fetched(repository, &name)?;
            let failed = error::git("reading", self.address.as_str());
            let target = match repository.find_reference(&name).and_then(|reference| reference.resolve()) {
                Ok(reference) => reference.target(),
                Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => continue,
                Err(error) => return Err(failed(error)),
            };
            let Some(target) = target else { continue };
            match repository.find_object(target, None).and_then(|object| object.peel(ObjectType::Commit)) {
                Ok(commit) => return Ok(Some(commit.id().to_string())),
                // It is of something else. What a reference names and is not there is another matter.
                Err(error) if matches!(error.code(), ErrorCode::InvalidSpec | ErrorCode::Peel) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(None)
    }

    fn references(&self, repository: &Repository) -> Result<BTreeMap<String, String>, Error> {
        let failed = error::git("reading the references of", self.address.as_str());
        let mut all = BTreeMap::new();
        for reference in repository.references().map_err(&failed)? {
            let reference = reference.map_err(&failed)?;
            let (Ok(name), Some(id)) = (reference.name(), reference.target()) else { continue };
            if name.starts_with("refs/heads/") || name.starts_with("refs/tags/") {
                all.insert(name.to_owned(), id.to_string());
            }
        }
        Ok(all)
    }

    /// What is under a name that could not be fetched is old, and must not be taken for what the remote has.
    fn need_fetched(&self, repository: &Repository, name: &str) -> Result<(), Error> {
        let default = (name == "HEAD").then(|| self.default_branch(repository)).flatten();
        let branch = default.map(|default| format!("refs/heads/{default}"));
        match branch.iter().map(String::as_str).chain([name]).find_map(|name| self.unfetched_now(name)) {
            None => Ok(()),
            Some(Unfetched { reference, because, retry }) => {
                Err(Error::Unfetched { reference, because, retry, address: self.address.as_str().to_owned() })
            }
        }
    }

    pub(crate) fn default_branch(&self, repository: &Repository) -> Option<String> {
        let head = repository.find_reference("HEAD").ok()?;
        let target = head.symbolic_target().ok()??;
        target.strip_prefix("refs/heads/").map(str::to_owned)
    }

    fn file(&self, commit: &str, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let repository = self.open_with_heads()?;
        let root = self.need(&repository, commit)?.tree_id();
        let mut budget = Budget::new(format!("the way to `{path}`"), walk::READ);
        let Some(TreePlace::Leaf { id, mode }) = walk::find(&mut budget, &repository, root, path.split('/'))? else {
            return Ok(None);
        };
        if !is_file(mode) {
            return Ok(None);
        }
        let limits = Limits { files: 1, file_bytes: limit, bytes: limit };
        let mut taken = Taken { files: Vec::new(), bytes: 0, endings: &[], limits };
        taken.take(&repository, id, path)?;
        Ok(taken.files.pop().map(|file| file.bytes))
    }

    fn files(&self, commit: &str, path: &str, endings: &[String], limits: Limits) -> Result<Vec<FileAt>, Error> {
        let repository = self.open_with_heads()?;
        let commit = self.need(&repository, commit)?;
        let mut taken = Taken { files: Vec::new(), bytes: 0, endings, limits };
        let mut budget = Budget::new(format!("what is below `{path}`"), walk::READ);
        let parts = path.split('/').filter(|_| !path.is_empty());
        match walk::find(&mut budget, &repository, commit.tree_id(), parts)? {
            Some(TreePlace::Leaf { id, mode }) if is_file(mode) => taken.take(&repository, id, path)?,
            Some(TreePlace::Directory(tree)) => {
                let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
                walk::each(&mut budget, &repository, tree, &prefix, |path, entry| {
                    if taken.wants(path, entry) { taken.take(&repository, entry.id(), path) } else { Ok(()) }
                })?;
            }
            Some(TreePlace::Leaf { .. }) | None => {}
        }
        Ok(taken.files)
    }

    fn trailered(&self, tip: &str, limit: usize) -> Result<Vec<Trailered>, Error> {
        let repository = self.open()?;
        let failed = error::git("reading the history of", self.address.as_str());
        let tip = self.need(&repository, tip)?.id();
        let mut walk = repository.revwalk().map_err(&failed)?;
        walk.push(tip).map_err(&failed)?;
        let mut found = Vec::new();
        for oid in walk.take(limit) {
            let commit = repository.find_commit(oid.map_err(&failed)?).map_err(&failed)?;
            let Ok(message) = std::str::from_utf8(commit.message_bytes()) else { continue };
            if !message.contains("Bespin-Run:") {
                continue;
            }
            let trailers = git2::message_trailers_strs(message).map_err(&failed)?;
            let trailers = trailers.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            found.push(Trailered { sha: commit.id().to_string(), trailers });
        }
        Ok(found)
    }
}

/// Whether a tree's entry is a plain file; a link's bytes are a path, not text.
fn is_file(mode: i32) -> bool {
    matches!(mode, 0o100_644 | 0o100_755 | 0o100_664)
}

/// Files taken so far, within limits.
struct Taken<'a> {
    files: Vec<FileAt>,
    bytes: usize,
    endings: &'a [String],
    limits: Limits,
}

impl Taken<'_> {
    fn wants(&self, path: &str, entry: &git2::TreeEntry<'_>) -> bool {
        entry.kind() == Some(ObjectType::Blob)
            && is_file(entry.filemode())
            && (self.endings.is_empty() || self.endings.iter().any(|ending| path.ends_with(ending.as_str())))
    }

    fn take(&mut self, repository: &Repository, id: Oid, path: &str) -> Result<(), Error> {
        let too_large = |what: &str, limit: String| Error::TooLarge { what: what.into(), limit };
        let failed = error::git("reading", path);
        // The header tells the size before the bytes are unpacked.
        let (size, _) = repository.odb().and_then(|odb| odb.read_header(id)).map_err(&failed)?;
        if size > self.limits.file_bytes {
            return Err(too_large(&format!("`{path}`"), format!("{} bytes", self.limits.file_bytes)));
        }
        self.bytes += size;
        if self.files.len() >= self.limits.files {
            return Err(too_large("the number of files", self.limits.files.to_string()));
        }
        if self.bytes > self.limits.bytes {
            return Err(too_large("all files together", format!("{} bytes", self.limits.bytes)));
        }
        let blob = repository.find_blob(id).map_err(&failed)?;
        self.files.push(FileAt { path: path.to_owned(), bytes: blob.content().to_vec() });
        Ok(())
    }
}
