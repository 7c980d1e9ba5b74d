//! Which paths a push changed, where its payload does not say.

use crate::error::{self, Error};
use crate::look::MESSAGE_LIMIT;
use crate::mirror::{Core, Mirror};
use crate::walk::{self, Budget, WalkBounds};
use git2::{Commit, Oid, Repository};

/// How much of what differs is told apart; above it, everything counts as changed.
const COMPARED: WalkBounds = WalkBounds { entries: 50_000, bytes: 64 << 20 };

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
            let repository = core.open_with_heads()?;
            let (base, head) = (core.need(&repository, &base)?, core.need(&repository, &head)?);
            core.since_merge_base(&repository, &base, &head, "it has no history in common with its base")
        })
        .await
    }
}

impl Mirror {
    /// The messages of the commits that are in the history of `after` and not in that of `before`, newest first; where
    /// `before` is not there, those that the default branch has not. `None` where there are more than `limit`, or where
    /// it cannot be told.
    ///
    /// # Errors
    /// [`Error::Missing`] where `after` is not in the mirror.
    pub async fn brought(&self, before: &str, after: &str, limit: usize) -> Result<Option<Vec<String>>, Error> {
        let (before, after) = (before.to_owned(), after.to_owned());
        self.run(move |core| core.brought(&before, &after, limit)).await
    }
}

impl Core {
    fn brought(&self, before: &str, after: &str, limit: usize) -> Result<Option<Vec<String>>, Error> {
        let failed = error::git("reading the history of", self.address.as_str());
        let repository = self.open()?;
        let tip = self.need(&repository, after)?.id();
        let known = match self.peel(&repository, before)? {
            Some(before) => Some(before),
            None => match self.default_branch(&repository) {
                Some(default) => self.resolve(&repository, &default)?.and_then(|id| Oid::from_str(&id).ok()),
                None => None,
            },
        };
        let Some(known) = known else { return Ok(None) };
        let mut walk = repository.revwalk().map_err(&failed)?;
        walk.push(tip).and_then(|()| walk.hide(known)).map_err(&failed)?;
        let mut messages = Vec::new();
        for id in walk {
            if messages.len() == limit {
                return Ok(None);
            }
            let commit = repository.find_commit(id.map_err(&failed)?).map_err(&failed)?;
            let message = commit.message_bytes();
            messages.push(String::from_utf8_lossy(&message[..message.len().min(MESSAGE_LIMIT)]).into_owned());
        }
        Ok(Some(messages))
    }

    fn changed(&self, reference: &str, before: &str, after: &str) -> Result<Changed, Error> {
        let failed = error::git("comparing commits of", self.address.as_str());
        let everything = |because: &str| Ok(Changed::Everything { because: because.into() });
        let repository = self.open()?;
        let tip = self.need(&repository, after)?;
        if let Some(oid) = self.peel(&repository, before)? {
            let base = repository.find_commit(oid).map_err(&failed)?;
            return paths(&repository, base.tree_id(), tip.tree_id());
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
        let base = repository.find_commit(base).map_err(&failed)?;
        paths(repository, base.tree_id(), tip.tree_id())
    }
}

fn paths(repository: &Repository, old: Oid, new: Oid) -> Result<Changed, Error> {
    let mut budget = Budget::new("what changed", COMPARED);
    match walk::differing(&mut budget, repository, old, new) {
        Ok(paths) => Ok(Changed::Paths(paths.into_iter().collect())),
        Err(error @ Error::TooLarge { .. }) => Ok(Changed::Everything { because: error.to_string() }),
        Err(error) => Err(error),
    }
}
