//! Makes a commit in a bare mirror and pushes it, without a work tree.

use crate::error::{self, Error};
use crate::mirror::{Core, Mirror};
use crate::transport::Distrust;
use decide::retry::Retry;
use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, PushOptions, RemoteRedirect, Signature};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A commit to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommit {
    /// The branch's short name.
    pub branch: String,
    /// The commit that the branch must still be at.
    pub parent: String,
    /// The files that change, with their whole new contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// The message, trailers included.
    pub message: String,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The branch is at this commit.
    Landed {
        /// The id of the new commit, 40 hexadecimal digits.
        sha: String,
    },
    /// Somebody else was faster: fetch, and look again.
    Stale,
    /// The remote does not take it: a protected branch, a hook, a missing right.
    Refused {
        /// Why, as the remote worded it.
        because: String,
        /// Whether the remote may take the same later.
        retry: Retry,
    },
}

/// Words of a remote that has trouble of its own. Sources: git's receive-pack, GitHub's and GitLab's hooks.
const PASSING: [&str; 8] = [
    "internal error",
    "internal server error",
    "cannot lock ref",
    "failed to lock",
    "failed to update ref",
    "timed out",
    "try again",
    "unavailable",
];

/// What a refusal says about trying again. A hook's end, a protected branch and a missing right look alike, and a
/// person can mend each of them; only a name that no branch can have stays refused.
fn class(because: &str) -> Retry {
    let text = because.to_ascii_lowercase();
    if text.contains("funny refname") {
        return Retry::Permanent;
    }
    if PASSING.iter().any(|words| text.contains(words)) { Retry::PASSING } else { Retry::NeedsPerson }
}

impl Mirror {
    /// Commits and pushes. A refused non-fast-forward is the compare-and-swap:
    /// of two pushes at once one lands, and the other is [`Pushed::Stale`].
    ///
    /// # Errors
    /// [`Error::Git`] where the remote cannot be reached.
    pub async fn push(&self, new: NewCommit) -> Result<Pushed, Error> {
        let branch = format!("refs/heads/{}", new.branch);
        let parent = new.parent.clone();
        let before = self.resolve(&branch).await?;
        let pushed = self.run(move |core| core.push(&new)).await?;
        let Pushed::Refused { because, retry } = pushed else { return Ok(pushed) };
        // A lost race within the server reads like any refusal; the branch tells:
        // it has moved, or it was not where the commit could have gone on top.
        self.fetch(Instant::now()).await?;
        let now = self.resolve(&branch).await?;
        let follows = match &now {
            Some(now) => self.contains(&parent, now).await?,
            None => true,
        };
        Ok(if now == before && follows { Pushed::Refused { because, retry } } else { Pushed::Stale })
    }
}

impl Core {
    fn push(&self, new: &NewCommit) -> Result<Pushed, Error> {
        let repository = self.open()?;
        let sha = self.make(&repository, new)?;
        let failed = error::git("pushing to", self.address.as_str());
        let mut remote = repository.remote_anonymous(self.address.as_str()).map_err(&failed)?;
        let refusal: Arc<Mutex<Option<String>>> = Arc::default();
        let told = refusal.clone();
        let distrust = Distrust::default();
        let mut callbacks = self.transport.callbacks(&distrust);
        callbacks.push_update_reference(move |_, status| {
            let mut told = told.lock().expect("nobody panics while holding the refusal");
            *told = status.map(str::to_owned);
            Ok(())
        });
        let mut options = PushOptions::new();
        options.remote_callbacks(callbacks).follow_redirects(RemoteRedirect::None);
        let refspec = format!("{sha}:refs/heads/{}", new.branch);
        let pushed = remote.push(&[refspec], Some(&mut options));
        drop(options);
        let refusal = refusal.lock().expect("nobody panics while holding the refusal").take();
        match (pushed, refusal) {
            (_, Some(because)) => Ok(Pushed::Refused { retry: class(&because), because }),
            (Ok(()), None) => Ok(Pushed::Landed { sha }),
            (Err(error), None) if error.code() == ErrorCode::NotFastForward => Ok(Pushed::Stale),
            (Err(error), None) => Err(failed(distrust.explain(error))),
        }
    }

    fn make(&self, repository: &git2::Repository, new: &NewCommit) -> Result<String, Error> {
        let failed = error::git("committing for", self.address.as_str());
        let parent = self.need(repository, &new.parent)?;
        let tree = parent.tree().map_err(&failed)?;
        let mut update = TreeUpdateBuilder::new();
        for (path, bytes) in &new.files {
            let blob = repository.blob(bytes).map_err(&failed)?;
            let mode = match tree.get_path(Path::new(path)).map(|entry| entry.filemode()) {
                Ok(0o100_755) => FileMode::BlobExecutable,
                _ => FileMode::Blob,
            };
            update.upsert(path.as_str(), blob, mode);
        }
        let tree = update.create_updated(repository, &tree).map_err(&failed)?;
        let tree = repository.find_tree(tree).map_err(&failed)?;
        let who = Signature::now(&self.author.name, &self.author.email).map_err(&failed)?;
        let commit = repository.commit(None, &who, &who, &new.message, &tree, &[&parent]).map_err(&failed)?;
        Ok(commit.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_remote_takes_is_refused_for_good() {
        for (because, retry) in [
            ("protected branch hook declined", Retry::NeedsPerson),
            ("pre-receive hook declined", Retry::NeedsPerson),
            ("You are not allowed to push code to this project.", Retry::NeedsPerson),
            ("Internal Server Error", Retry::PASSING),
            ("cannot lock ref 'refs/heads/main': Unable to create '/x.lock': File exists", Retry::PASSING),
            ("failed to update ref", Retry::PASSING),
            ("funny refname", Retry::Permanent),
        ] {
            assert_eq!(class(because), retry, "{because}");
        }
    }
}
