//! One directory at a commit, one level deep.

use crate::error::{self, Error};
use crate::mirror::{Core, Mirror};
use crate::walk::{self, Budget, TreePlace};
use git2::ObjectType;

/// The most entries of one directory.
const MOST_ENTRIES: usize = 20_000;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The last part of its path, without slashes.
    pub name: String,
    /// Whether the name is a file, a directory or something else.
    pub kind: ListedKind,
    /// In bytes; 0 for what is not a file.
    pub size: u64,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedKind {
    /// A regular file, executable or not.
    File,
    /// A directory, whose names are listed by another call.
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
        let repository = self.open_with_heads()?;
        let failed = error::git("reading", self.address.as_str());
        let root = self.need(&repository, commit)?.tree_id();
        let mut budget = Budget::new(format!("the way to `{directory}`"), walk::READ);
        let parts = directory.split('/').filter(|part| !matches!(*part, "" | "."));
        let Some(TreePlace::Directory(tree)) = walk::find(&mut budget, &repository, root, parts)? else {
            return Ok(None);
        };
        if tree.len() > MOST_ENTRIES {
            let what = format!("the directory `{directory}`");
            return Err(Error::TooLarge { what, limit: format!("{MOST_ENTRIES} entries") });
        }
        let odb = repository.odb().map_err(&failed)?;
        let listed = |entry: git2::TreeEntry<'_>| {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let (kind, size) = match (entry.kind(), entry.filemode()) {
                (Some(ObjectType::Tree), _) => (ListedKind::Directory, 0),
                // The header tells the size; the bytes are not unpacked.
                (Some(ObjectType::Blob), 0o100_644 | 0o100_755 | 0o100_664) => {
                    (ListedKind::File, odb.read_header(entry.id()).map_err(&failed)?.0 as u64)
                }
                _ => (ListedKind::Other, 0),
            };
            Ok(Listed { name, kind, size })
        };
        tree.iter().map(listed).collect::<Result<_, Error>>().map(Some)
    }
}
