//! Walks of trees that end, whoever made the trees.
//!
//! A tree may name one other tree ten times over, and that one the next: a few
//! hundred bytes are then more paths than any memory holds. libgit2's own walks
//! and comparisons follow them all, so nothing of this crate uses those.

use crate::error::{self, Error};
use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::iter::Peekable;

/// The longest path, in bytes: Linux opens no longer one.
const LONGEST_PATH: usize = 4096;

/// How far a walk goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkBounds {
    /// The most files and directories.
    pub entries: usize,
    /// The most bytes of trees that are read and of paths that are made.
    pub bytes: usize,
}

/// How much is looked at to read files.
pub(crate) const READ: WalkBounds = WalkBounds { entries: 500_000, bytes: 128 << 20 };

/// What is left of a walk's bounds.
pub(crate) struct Budget {
    what: String,
    most: WalkBounds,
    left: WalkBounds,
}

impl Budget {
    /// A whole budget; `what` is walked, as the subject of a refusal.
    pub(crate) fn new(what: impl Into<String>, most: WalkBounds) -> Budget {
        Budget { what: what.into(), most, left: most }
    }

    fn spent(&self, limit: String) -> Error {
        Error::TooLarge { what: self.what.clone(), limit }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        let left = self.left.bytes.checked_sub(bytes);
        self.left.bytes = left.ok_or_else(|| self.spent(format!("{} bytes of directories", self.most.bytes)))?;
        Ok(())
    }

    /// Reads a tree.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where it is larger than what is left.
    pub(crate) fn tree<'r>(&mut self, repository: &'r Repository, id: Oid) -> Result<Tree<'r>, Error> {
        let failed = error::git("reading", "a tree");
        // The header tells the size before the bytes are unpacked.
        let (size, _) = repository.odb().and_then(|odb| odb.read_header(id)).map_err(&failed)?;
        self.spend(size)?;
        repository.find_tree(id).map_err(&failed)
    }

    /// Goes to a name in a directory, and answers its path.
    fn visit(&mut self, prefix: &str, name: &[u8]) -> Result<String, Error> {
        let left = self.left.entries.checked_sub(1);
        self.left.entries = left.ok_or_else(|| self.spent(format!("{} files and directories", self.most.entries)))?;
        let length = prefix.len() + name.len();
        if length > LONGEST_PATH {
            return Err(self.spent(format!("{LONGEST_PATH} bytes in one path")));
        }
        self.spend(length)?;
        Ok(format!("{prefix}{}", String::from_utf8_lossy(name)))
    }
}

/// What stands at a path.
pub(crate) enum TreePlace<'r> {
    /// A directory, opened as its tree.
    Directory(Tree<'r>),
    /// A file, a link or a submodule.
    Leaf {
        /// The id of what stands there; of a submodule, a commit of another repository.
        id: Oid,
        /// What it is, in git's way.
        mode: i32,
    },
}

/// Goes down from a root along the parts of a path; `None` where there is nothing.
///
/// # Errors
/// [`Error::TooLarge`] beyond the budget.
pub(crate) fn find<'r, 'p>(
    budget: &mut Budget,
    repository: &'r Repository,
    root: Oid,
    parts: impl Iterator<Item = &'p str>,
) -> Result<Option<TreePlace<'r>>, Error> {
    let mut parts = parts.peekable();
    let mut tree = budget.tree(repository, root)?;
    while let Some(part) = parts.next() {
        // libgit2 takes no name with a zero in it, and no entry has one.
        let found = if part.contains('\0') { None } else { tree.get_name(part) };
        let found = found.map(|entry| (entry.id(), entry.kind(), entry.filemode()));
        tree = match found {
            Some((id, Some(ObjectType::Tree), _)) => budget.tree(repository, id)?,
            Some((id, _, mode)) => return Ok(parts.peek().is_none().then_some(TreePlace::Leaf { id, mode })),
            None => return Ok(None),
        };
    }
    Ok(Some(TreePlace::Directory(tree)))
}

/// Visits everything below a directory in git's order, a directory before what
/// is in it; each path begins with `prefix`.
///
/// # Errors
/// [`Error::TooLarge`] beyond the budget, and what the visitor refuses.
pub(crate) fn each<'r>(
    budget: &mut Budget,
    repository: &'r Repository,
    root: Tree<'r>,
    prefix: &str,
    mut visit: impl FnMut(&str, &TreeEntry<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    // No recursion: how deep it goes is the author's to say, and the stack is ours.
    let mut open = vec![(root, 0, prefix.to_owned())];
    while let Some((tree, next, prefix)) = open.last_mut() {
        let Some(entry) = tree.get(*next) else {
            open.pop();
            continue;
        };
        *next += 1;
        let path = budget.visit(prefix, entry.name_bytes())?;
        visit(&path, &entry)?;
        let (kind, id) = (entry.kind(), entry.id());
        drop(entry);
        if kind == Some(ObjectType::Tree) {
            open.push((budget.tree(repository, id)?, 0, path + "/"));
        }
    }
    Ok(())
}

/// The paths of the files that two trees do not have in common. Equal entries
/// are not gone into, and a directory of one tree alone is.
///
/// # Errors
/// [`Error::TooLarge`] beyond the budget, which only what differs draws on.
pub(crate) fn differing(
    budget: &mut Budget,
    repository: &Repository,
    old: Oid,
    new: Oid,
) -> Result<BTreeSet<String>, Error> {
    let mut paths = BTreeSet::new();
    let mut open = vec![(String::new(), Some(old), Some(new))];
    while let Some((prefix, old, new)) = open.pop() {
        if old == new {
            continue;
        }
        let mut read = |id: Option<Oid>| id.map(|id| budget.tree(repository, id)).transpose();
        let (old, new) = (read(old)?, read(new)?);
        let mut old = old.iter().flat_map(Tree::iter).peekable();
        let mut new = new.iter().flat_map(Tree::iter).peekable();
        while let Some((old, new)) = step(&mut old, &mut new) {
            let known = |entry: &TreeEntry<'_>| (entry.id(), entry.filemode_raw());
            let (was, is) = (old.as_ref().map(known), new.as_ref().map(known));
            let Some(entry) = new.or(old).filter(|_| was != is) else { continue };
            let path = budget.visit(&prefix, entry.name_bytes())?;
            if entry.kind() == Some(ObjectType::Tree) {
                open.push((path + "/", was.map(|(id, _)| id), is.map(|(id, _)| id)));
            } else {
                paths.insert(path);
            }
        }
    }
    Ok(paths)
}

/// One name's entry on either side, or on both; `None` at the end.
fn step<'t>(
    old: &mut Peekable<impl Iterator<Item = TreeEntry<'t>>>,
    new: &mut Peekable<impl Iterator<Item = TreeEntry<'t>>>,
) -> Option<(Option<TreeEntry<'t>>, Option<TreeEntry<'t>>)> {
    let side = match (old.peek(), new.peek()) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(old), Some(new)) => order(old, new),
    };
    let old = if side.is_le() { old.next() } else { None };
    let new = if side.is_ge() { new.next() } else { None };
    Some((old, new))
}

/// Git's order, in which a directory's name ends in a slash. A file and a
/// directory are never the same, also where a file's name has that slash; and
/// trees out of order have more that differs, never less.
fn order(one: &TreeEntry<'_>, other: &TreeEntry<'_>) -> Ordering {
    let is_tree = |entry: &TreeEntry<'_>| entry.kind() == Some(ObjectType::Tree);
    let (first, second) = (is_tree(one), is_tree(other));
    let slash = |yes: bool| yes.then_some(&b'/');
    let (left, right) = (one.name_bytes().iter().chain(slash(first)), other.name_bytes().iter().chain(slash(second)));
    left.cmp(right).then(first.cmp(&second))
}

#[cfg(test)]
mod tests;
