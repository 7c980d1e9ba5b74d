//! Which paths a push changed, where its payload does not say.

use crate::error::{self, Error};
use crate::mirror::{Core, Mirror};
use git2::{Commit, DiffOptions, Repository, Tree};
use std::collections::BTreeSet;

/// The most paths that are told apart; above it, everything counts as changed.
const MOST_PATHS: usize = 50_000;

/// Which paths a push changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// These, sorted; a renamed file is in it under both names.
    Paths(Vec<String>),
    /// It cannot be told, so everything counts.
    Everything {
        /// Why, as a fragment.
        because: String,
    },
}

impl Mirror {
    /// Compares the trees of two commits of one reference, as GitHub does. Where
    /// `before` is not there (the reference is new, or its history was rewritten
    /// and thrown away), the comparison begins where `after` left the default
    /// branch.
    ///
    /// # Errors
    /// [`Error::Missing`] where `after` is not in the mirror.
    pub async fn changed(&self, reference: &str, before: &str, after: &str) -> Result<Changed, Error> {
        let (reference, before, after) = (reference.to_owned(), before.to_owned(), after.to_owned());
        self.run(move |core| core.changed(&reference, &before, &after)).await
    }

    /// Compares a commit with the place where it left the history of `base`: what a pull request changes.
    ///
    /// # Errors
    /// [`Error::Missing`] where one of them is not in the mirror.
    pub async fn changed_since(&self, base: &str, head: &str) -> Result<Changed, Error> {
        let (base, head) = (base.to_owned(), head.to_owned());
        self.run(move |core| {
            let repository = core.open()?;
            let (base, head) = (core.need(&repository, &base)?, core.need(&repository, &head)?);
            core.since_merge_base(&repository, &base, &head, "it has no history in common with its base")
        })
        .await
    }
}

impl Core {
    fn changed(&self, reference: &str, before: &str, after: &str) -> Result<Changed, Error> {
        let failed = error::git("comparing commits of", self.address.as_str());
        let everything = |because: &str| Ok(Changed::Everything { because: because.into() });
        let repository = self.open()?;
        let tip = self.need(&repository, after)?;
        let tree = tip.tree().map_err(&failed)?;
        if let Some(oid) = self.peel(&repository, before)? {
            let base = repository.find_commit(oid).and_then(|commit| commit.tree()).map_err(&failed)?;
            return paths(&repository, &base, &tree).map_err(&failed);
        }
        let Some(default) = self.default_branch(&repository) else {
            return everything("the repository has no default branch to compare with");
        };
        if reference.strip_prefix("refs/heads/") == Some(default.as_str()) {
            return everything("the default branch is new");
        }
        let Some(default) = self.resolve(&repository, &default)? else {
            return everything("the default branch has no commits to compare with");
        };
        let default = self.need(&repository, &default)?;
        self.since_merge_base(&repository, &default, &tip, "it has no history in common with the default branch")
    }

    fn since_merge_base(
        &self,
        repository: &Repository,
        base: &Commit<'_>,
        tip: &Commit<'_>,
        unrelated: &str,
    ) -> Result<Changed, Error> {
        let failed = error::git("comparing commits of", self.address.as_str());
        let Ok(base) = repository.merge_base(base.id(), tip.id()) else {
            return Ok(Changed::Everything { because: unrelated.into() });
        };
        let base = repository.find_commit(base).and_then(|commit| commit.tree()).map_err(&failed)?;
        let tree = tip.tree().map_err(&failed)?;
        paths(repository, &base, &tree).map_err(&failed)
    }
}

fn paths(repository: &Repository, old: &Tree<'_>, new: &Tree<'_>) -> Result<Changed, git2::Error> {
    let mut options = DiffOptions::new();
    options.skip_binary_check(true).include_typechange(true).ignore_submodules(false);
    let diff = repository.diff_tree_to_tree(Some(old), Some(new), Some(&mut options))?;
    if diff.deltas().len() > MOST_PATHS {
        return Ok(Changed::Everything { because: format!("more than {MOST_PATHS} files changed") });
    }
    let mut paths = BTreeSet::new();
    for delta in diff.deltas() {
        for path in [delta.old_file().path_bytes(), delta.new_file().path_bytes()].into_iter().flatten() {
            paths.insert(String::from_utf8_lossy(path).into_owned());
        }
    }
    Ok(Changed::Paths(paths.into_iter().collect()))
}
