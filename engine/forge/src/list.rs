//! One directory at a commit, one level deep.

use crate::error::{self, Error};
use crate::mirror::{Core, Mirror};
use git2::ObjectType;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The bare name.
    pub name: String,
    /// What bears it.
    pub kind: ListedKind,
    /// In bytes; 0 for what is not a file.
    pub size: u64,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link or a submodule.
    Other,
}

impl Mirror {
    /// Lists a directory at a commit (empty: the root) in git's order; `None`
    /// where there is no such directory.
    ///
    /// # Errors
    /// The mirror cannot be read, or has no such commit.
    pub async fn list(&self, commit: &str, directory: &str) -> Result<Option<Vec<Listed>>, Error> {
        let (commit, directory) = (commit.to_owned(), directory.trim_matches('/').to_owned());
        self.run(move |core| core.list(&commit, &directory)).await
    }
}

impl Core {
    fn list(&self, commit: &str, directory: &str) -> Result<Option<Vec<Listed>>, Error> {
        let repository = self.open()?;
        let failed = error::git("reading", self.address.as_str());
        let mut tree = self.need(&repository, commit)?.tree().map_err(&failed)?;
        if !directory.is_empty() {
            let Ok(entry) = tree.get_path(std::path::Path::new(directory)) else { return Ok(None) };
            let Ok(found) = repository.find_tree(entry.id()) else { return Ok(None) };
            tree = found;
        }
        let listed = |entry: git2::TreeEntry<'_>| {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let (kind, size) = match (entry.kind(), entry.filemode()) {
                (Some(ObjectType::Blob), 0o100_644 | 0o100_755 | 0o100_664) => {
                    let blob = repository.find_blob(entry.id()).map_err(&failed)?;
                    (ListedKind::File, blob.size() as u64)
                }
                (Some(ObjectType::Tree), _) => (ListedKind::Directory, 0),
                _ => (ListedKind::Other, 0),
            };
            Ok(Listed { name, kind, size })
        };
        tree.iter().map(listed).collect::<Result<_, Error>>().map(Some)
    }
}
