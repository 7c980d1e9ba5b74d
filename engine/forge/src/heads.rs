//! Heads of pull requests, each in a store of its own beside the mirror's.
//!
//! Anybody can make a pull request, so what it brings stays apart. Its store is
//! removed as a whole, which is the only way: libgit2 prunes nothing out of a
//! store. The mirror never comes to rest on it, and its fetch holds up no other.

use crate::error::{self, Error};
use crate::fetch::options;
use crate::look::Commit;
use crate::mirror::{Core, Mirror, OpenMirror};
use crate::settings::HeadLimits;
use crate::transport::Distrust;
use git2::{Oid, Repository};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::MutexGuard;

/// How many heads a mirror keeps. With [`HeadLimits`] this bounds what strangers can
/// fill: 16 times 256 MiB for each repository, and the packs' indices.
pub const MOST_HEADS: usize = 16;

/// How long a head that nobody needs is kept after it was fetched: a failed
/// check is most often tried again on the day of its failure.
pub const HEAD_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A head of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// The pull request's number.
    pub number: u64,
    /// The commit, by its full id.
    pub sha: String,
}

/// A head that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The head itself, as it is kept apart from the branches.
    pub commit: Commit,
    /// Where the pull request's reference was when one of its heads was fetched: at
    /// the commit, or at a newer one whose history has it.
    pub tip: String,
}

/// One caller's turn with a mirror's heads. What is needed is found out during
/// the turn, so that nothing is removed that somebody has just come to need.
pub struct Heads<'m> {
    mirror: &'m Mirror,
    _turn: MutexGuard<'m, ()>,
}

impl Mirror {
    /// Waits for a turn with the heads. It holds up no fetch of branches.
    pub async fn heads(&self) -> Heads<'_> {
        Heads { mirror: self, _turn: self.heads.lock().await }
    }
}

impl Heads<'_> {
    /// Fetches a head from the remote that its pull request was made to, which
    /// keeps it also where it is a fork's, unless it is here already; `None` where the
    /// pull request's reference does not lead to it. `base` is a commit of the mirror,
    /// and with its history need not be sent. The oldest heads that are not `needed`
    /// make room.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above `limits.bytes`, [`Error::Full`] where there is no
    /// room, [`Error::Git`] where the head cannot be read (in time).
    pub async fn fetch(
        &self,
        head: &Head,
        base: &str,
        needed: BTreeSet<Head>,
        limits: HeadLimits,
    ) -> Result<Option<Fetched>, Error> {
        let (head, base) = (head.clone(), base.to_owned());
        self.mirror.run(move |core| core.fetch_head(&head, &base, &needed, limits)).await
    }

    /// Where a pull request's reference is now; `None` where there is none. A head that is here already may be an older
    /// one.
    ///
    /// # Errors
    /// As [`Heads::fetch`].
    pub async fn tip(&self, number: u64, base: &str, limits: HeadLimits) -> Result<Option<String>, Error> {
        let head = Head { number, sha: "tip".to_owned() };
        let base = base.to_owned();
        self.mirror.run(move |core| core.tip(&head, &base, limits)).await
    }

    /// Removes the heads that are not `needed` and were fetched `age` ago or earlier.
    ///
    /// # Errors
    /// [`Error::Directory`] where one cannot be removed.
    pub async fn tidy(&self, needed: BTreeSet<Head>, age: Duration) -> Result<(), Error> {
        self.mirror.run(move |core| core.tidy_heads(&needed, age, MOST_HEADS).map(|_| ())).await
    }
}

impl Core {
    /// Opens the mirror with the objects of every head that is here, for reading alone.
    /// Whatever writes takes [`Core::open`]: with these objects at hand libgit2 would
    /// leave them out of the mirror, and they are removed one day.
    pub(crate) fn open_with_heads(&self) -> Result<OpenMirror, Error> {
        let repository = self.open()?;
        let stores = self.head_stores()?;
        if !stores.is_empty() {
            let failed = error::git("reading", self.address.as_str());
            let objects = repository.odb().map_err(&failed)?;
            for (_, store) in stores {
                let directory = store.join("objects");
                let problem = || self.head_trouble("its path is not UTF-8");
                objects.add_disk_alternate(directory.to_str().ok_or_else(problem)?).map_err(&failed)?;
            }
        }
        Ok(repository)
    }

    fn fetch_head(
        &self,
        head: &Head,
        base: &str,
        needed: &BTreeSet<Head>,
        limits: HeadLimits,
    ) -> Result<Option<Fetched>, Error> {
        let store = self.head_store(head);
        // The reference is written last, so a fetch that was cut short has none.
        if let Ok(whole) = self.open_beside(&store) {
            match self.fetched(&whole, head) {
                Ok(Some(fetched)) => {
                    return Ok(Some(Fetched { tip: self.newer_tip(head)?.unwrap_or(fetched.tip), ..fetched }));
                }
                // What is damaged is fetched again.
                Ok(None) | Err(Error::Mirror { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.remove_head(&store)?;
        let others = self.tidy_heads(needed, HEAD_KEPT, MOST_HEADS - 1)?;
        if others >= MOST_HEADS {
            return Err(Error::Full {
                what: format!("{others} heads of pull requests are being checked"),
                address: self.address.as_str().to_owned(),
            });
        }
        let fetched = self.fetch_into_store(&store, head, base, limits);
        if !matches!(fetched, Ok(Some(_))) {
            self.remove_head(&store)?;
        }
        fetched
    }

    fn tip(&self, head: &Head, base: &str, limits: HeadLimits) -> Result<Option<String>, Error> {
        let store = self.head_store(head);
        self.remove_head(&store)?;
        let fetched = self.fetch_reference(&store, head, base, limits);
        let tip = fetched.and_then(|repository| self.resolve(&repository, &reference(head)));
        self.remove_head(&store)?;
        tip
    }

    fn fetch_into_store(
        &self,
        store: &Path,
        head: &Head,
        base: &str,
        limits: HeadLimits,
    ) -> Result<Option<Fetched>, Error> {
        let repository = self.fetch_reference(store, head, base, limits)?;
        self.fetched(&repository, head)
    }

    fn fetch_reference(&self, store: &Path, head: &Head, base: &str, limits: HeadLimits) -> Result<OpenMirror, Error> {
        let failed = error::git("fetching a pull request of", self.address.as_str());
        drop(Repository::init_bare(store).map_err(&failed)?);
        // Relative, so that the data folder can be moved.
        std::fs::write(store.join("objects/info/alternates"), "../../../objects\n")
            .map_err(|error| self.head_trouble(&error.to_string()))?;
        let repository = self.open_beside(store).map_err(&failed)?;
        let base = Oid::from_str(base).map_err(&failed)?;
        // libgit2 tells the remote what it has by its references.
        repository.reference("refs/base", base, true, "the pull request's base").map_err(&failed)?;
        let mut remote = repository.remote_anonymous(self.address.as_str()).map_err(&failed)?;
        let reference = reference(head);
        let distrust = Distrust::default();
        let mut options = options(self.transport.callbacks_within(limits, &distrust));
        let fetched = remote.fetch(&[format!("+{reference}:{reference}")], Some(&mut options), None);
        if fetched.is_err() && remote.stats().received_bytes() > limits.bytes {
            let what = format!("pull request #{} of {}", head.number, self.address.as_str());
            return Err(Error::TooLarge { what, limit: format!("{} bytes", limits.bytes) });
        }
        fetched.map_err(|error| failed(distrust.explain(error)))?;
        drop(options);
        drop(remote);
        Ok(repository)
    }

    /// The head in its store, where the reference there leads to it.
    fn fetched(&self, store: &Repository, head: &Head) -> Result<Option<Fetched>, Error> {
        let failed = error::git("reading a pull request of", self.address.as_str());
        let Some(tip) = self.resolve(store, &reference(head))? else { return Ok(None) };
        let Some(commit) = self.commit(store, &head.sha)? else { return Ok(None) };
        let oid = |id: &str| Oid::from_str(id).map_err(&failed);
        let leads_there =
            tip == commit.sha || store.graph_descendant_of(oid(&tip)?, oid(&commit.sha)?).map_err(&failed)?;
        Ok(leads_there.then_some(Fetched { commit, tip }))
    }

    /// Where the reference was when a newer head of the pull request was fetched.
    fn newer_tip(&self, head: &Head) -> Result<Option<String>, Error> {
        let mine = self.head_store(head);
        for (_, store) in self.head_stores()?.into_iter().rev().filter(|(_, store)| *store != mine) {
            let Ok(store) = self.open_beside(&store) else { continue };
            // Another pull request's store has no such reference, and one that cannot be read tells nothing.
            if let Ok(Some(Fetched { tip, .. })) = self.fetched(&store, head)
                && tip != head.sha
            {
                return Ok(Some(tip));
            }
        }
        Ok(None)
    }

    /// Removes heads that are not needed: those of that age, and then the oldest while
    /// there are more than `most`. Answers how many are left.
    fn tidy_heads(&self, needed: &BTreeSet<Head>, age: Duration, most: usize) -> Result<usize, Error> {
        let needed: BTreeSet<PathBuf> = needed.iter().map(|head| self.head_store(head)).collect();
        let stores = self.head_stores()?;
        let mut left = stores.len();
        for (made, store) in stores.into_iter().filter(|(_, store)| !needed.contains(store)) {
            // A clock that was set back makes nothing old.
            let old = made.elapsed().unwrap_or_default() >= age;
            if old || left > most {
                self.remove_head(&store)?;
                left -= 1;
            }
        }
        Ok(left)
    }

    /// The stores that are here, with the moments of their making, the oldest first.
    fn head_stores(&self) -> Result<Vec<(SystemTime, PathBuf)>, Error> {
        let trouble = |error: std::io::Error| self.head_trouble(&error.to_string());
        let entries = match std::fs::read_dir(self.heads_directory()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(trouble(error)),
        };
        let mut stores = Vec::new();
        for entry in entries {
            let store = entry.map_err(trouble)?.path();
            // `config` is written once, when the store is made; what lacks it was cut short then.
            let made = std::fs::metadata(store.join("config")).and_then(|metadata| metadata.modified());
            stores.push((made.unwrap_or(SystemTime::UNIX_EPOCH), store));
        }
        stores.sort();
        Ok(stores)
    }

    fn remove_head(&self, store: &Path) -> Result<(), Error> {
        match std::fs::remove_dir_all(store) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.head_trouble(&error.to_string())),
            _ => Ok(()),
        }
    }

    fn head_store(&self, head: &Head) -> PathBuf {
        self.heads_directory().join(format!("{}-{}", head.number, head.sha))
    }

    /// In the mirror's own directory; git has no name like it there.
    fn heads_directory(&self) -> PathBuf {
        self.directory.join("heads-of-pull-requests")
    }

    fn head_trouble(&self, problem: &str) -> Error {
        Error::Directory { directory: self.heads_directory().display().to_string(), problem: problem.to_owned() }
    }
}

fn reference(head: &Head) -> String {
    format!("refs/pull/{}/head", head.number)
}
