//! One fetch: what the remote has is downloaded, and each of its references is judged by itself.

use crate::error::{self, Error};
use crate::mirror::{Core, Mirror};
use crate::state::Unfetched;
use crate::transport::Distrust;
use decide::retry::Retry;
use git2::{
    AutotagOption, ErrorClass, FetchOptions, FetchPrune, Oid, Reference, Remote, RemoteCallbacks, RemoteHead,
    RemoteRedirect, RemoteUpdateFlags, Repository,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Branches and tags, as they are at the remote.
const REFSPECS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

impl Mirror {
    /// Why a full reference of the remote is not to be had here, as of the last fetch; `None` where nothing is known
    /// against it.
    pub fn unfetched(&self, reference: &str) -> Option<String> {
        let impossible = || (!Reference::is_valid_name(reference)).then(|| impossible(reference));
        self.core.unfetched_now(reference).or_else(impossible).map(|unfetched| unfetched.because)
    }
}

impl Core {
    /// What the last fetch said against a full reference.
    pub(crate) fn unfetched_now(&self, reference: &str) -> Option<Unfetched> {
        let all = self.upkeep.unfetched.lock().expect("nobody panics while holding what was not fetched");
        all.iter().find(|unfetched| unfetched.reference == reference).cloned()
    }

    /// Fetches into a repository, and answers which references it could not take.
    pub(crate) fn fetch_into(&self, repository: &Repository) -> Result<Vec<Unfetched>, Error> {
        let failed = error::git("fetching", self.address.as_str());
        let mut remote = repository.remote_anonymous(self.address.as_str()).map_err(&failed)?;
        let distrust = Distrust::default();
        let mut options = options(self.transport.callbacks(&distrust));
        remote.download(&REFSPECS, Some(&mut options)).map_err(|error| failed(distrust.explain(error)))?;
        remote.disconnect().ok();
        let mut unfetched = self.take(repository, &mut remote).map_err(&failed)?;
        // An empty remote has no default branch, and then HEAD stays as it is.
        if let Ok(head) = remote.default_branch()
            && let Ok(head) = std::str::from_utf8(&head)
            && let Err(error) = self.unlocked(|| repository.set_head(head))
        {
            unfetched.push(refused("HEAD", &error));
        }
        Ok(unfetched)
    }

    /// Brings the references to what the remote has. libgit2 is quick at it and stops at the first one that it
    /// cannot take, so only then each is taken by itself. What the remote lacks goes first: a branch `a` that was
    /// deleted there is in the way of `a/1`.
    fn take(&self, repository: &Repository, remote: &mut Remote<'_>) -> Result<Vec<Unfetched>, git2::Error> {
        let all = remote
            .prune(None)
            .and_then(|()| remote.update_tips(None, RemoteUpdateFlags::empty(), AutotagOption::None, None));
        match all {
            Ok(()) => Ok(Vec::new()),
            Err(_) => self.take_one_by_one(repository, remote.list()?),
        }
    }

    fn take_one_by_one(
        &self,
        repository: &Repository,
        heads: &[RemoteHead<'_>],
    ) -> Result<Vec<Unfetched>, git2::Error> {
        let names: Vec<_> = heads.iter().map(|head| (name(head), head.oid())).collect();
        let all_are_known = names.iter().all(|(name, _)| name.is_some());
        let wanted =
            |name: &str| (name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) && !name.ends_with("^{}");
        let names = names.into_iter().filter_map(|(name, id)| Some((name.filter(|name| wanted(name))?, id)));
        let names: BTreeMap<String, Oid> = names.collect();
        let mut unfetched = Vec::new();
        for reference in repository.references()? {
            let mut reference = reference?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            // A name that is no text is compared with nothing, and stays while the remote has one of that kind.
            let is_text = std::str::from_utf8(reference.name_bytes()).is_ok();
            if wanted(&name)
                && !names.contains_key(&name)
                && (is_text || all_are_known)
                && let Err(error) = self.unlocked(|| reference.delete())
            {
                unfetched.push(refused(&name, &error));
            }
        }
        for (name, id) in names {
            if !Reference::is_valid_name(&name) {
                unfetched.push(impossible(&name));
            } else if repository.refname_to_id(&name).ok() != Some(id)
                && let Err(error) = self.unlocked(|| repository.reference(&name, id, true, "fetch").map(drop))
            {
                unfetched.push(refused(&name, &error));
            }
        }
        Ok(unfetched)
    }

    /// Does it, and once more where a lock is in the way: whoever calls this is the only one that takes locks here,
    /// so nobody alive holds it.
    fn unlocked(&self, mut work: impl FnMut() -> Result<(), git2::Error>) -> Result<(), git2::Error> {
        work().or_else(|error| match error.code() {
            git2::ErrorCode::Locked => {
                self.remove_locks();
                work()
            }
            _ => Err(error),
        })
    }
}

/// How a remote is fetched from.
pub(crate) fn options(callbacks: RemoteCallbacks<'_>) -> FetchOptions<'_> {
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .download_tags(AutotagOption::None)
        .prune(FetchPrune::On)
        .update_fetchhead(false)
        // A redirect could lead the credentials to another host.
        .follow_redirects(RemoteRedirect::None);
    options
}

fn refused(reference: &str, error: &git2::Error) -> Unfetched {
    let retry = if error.class() == ErrorClass::Os { Retry::PASSING } else { Retry::NeedsPerson };
    Unfetched { reference: reference.to_owned(), because: error.message().trim().to_owned(), retry }
}

fn impossible(reference: &str) -> Unfetched {
    let because = "git does not allow this name; rename it at the remote".to_owned();
    Unfetched { reference: reference.to_owned(), because, retry: Retry::NeedsPerson }
}

/// The name of a remote's reference, where it is text: git2 panics where it is not.
fn name(head: &RemoteHead<'_>) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| head.name().to_owned())).ok()
}
