//! Bare mirrors of remotes, one directory each, fetched together.

use crate::address::Address;
use crate::error::Error;
use crate::notices::Notices;
use crate::settings::{Identity, Settings};
use crate::state::{Mended, Upkeep};
use crate::transport::{Transport, set_timeouts};
use decide::retry::Retry;
use git2::Repository;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The adapter: settings, and the mirrors that were asked for.
pub struct Forge {
    settings: Settings,
    directory: PathBuf,
    mirrors: Mutex<HashMap<String, Arc<Mirror>>>,
    statuses: crate::status::Statuses,
    notices: Arc<Notices>,
}

impl Forge {
    /// Opens the adapter; mirrors live in `directory`, one sub-directory each.
    ///
    /// # Errors
    /// [`Error::Directory`] where the directory cannot be made.
    pub fn new(settings: Settings, directory: impl Into<PathBuf>) -> Result<Arc<Forge>, Error> {
        set_timeouts(&settings);
        let directory = directory.into();
        std::fs::create_dir_all(&directory)
            .map_err(|e| Error::Directory { directory: directory.display().to_string(), problem: e.to_string() })?;
        let statuses = crate::status::Statuses::new(settings.status.clone());
        let (mirrors, notices) = (Mutex::default(), Arc::default());
        Ok(Arc::new(Forge { settings, directory, mirrors, statuses, notices }))
    }

    /// Where a repository is, by its name `owner/repo`.
    ///
    /// # Errors
    /// [`Error::Unknown`] where the configuration does not say.
    pub fn address(&self, repository: &str) -> Result<String, Error> {
        self.settings.address(repository)
    }

    /// The mirror of a repository, by its name `owner/repo`.
    ///
    /// # Errors
    /// As [`Forge::address`] and [`Forge::mirror`].
    pub fn repository(&self, repository: &str) -> Result<Arc<Mirror>, Error> {
        self.mirror(&self.address(repository)?)
    }

    /// The mirror of a remote, by its address. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`Error::Address`] where the address is not one that Bespin talks to.
    pub fn mirror(&self, url: &str) -> Result<Arc<Mirror>, Error> {
        let mut mirrors = self.mirrors.lock().expect("nobody panics while holding the mirrors");
        if let Some(mirror) = mirrors.get(url) {
            return Ok(mirror.clone());
        }
        let address = Address::parse(url)?;
        let transport = Transport::new(&self.settings, &address)?;
        let name = address.name().rsplit('/').next().unwrap_or_default().to_owned();
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        let directory = self.directory.join(format!("{name}-{}", &hex::encode(Sha256::digest(url))[..16]));
        let (author, notices) = (self.settings.author.clone(), self.notices.clone());
        let mirror = Mirror {
            core: Arc::new(Core { address, transport, directory, author, notices, upkeep: Upkeep::default() }),
            fetching: Arc::default(),
            fetched: Arc::default(),
            heads: tokio::sync::Mutex::default(),
        };
        let mirror = Arc::new(mirror);
        mirrors.insert(url.to_owned(), mirror.clone());
        Ok(mirror)
    }

    /// The client that posts commit statuses for all repositories.
    pub fn statuses(&self) -> &crate::status::Statuses {
        &self.statuses
    }

    /// What people should know of the mirrors.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }
}

/// A bare copy of one remote.
pub struct Mirror {
    pub(crate) core: Arc<Core>,
    /// Held while a fetch runs, or while the mirror is made anew, by the work itself: whoever asked for it may have left
    /// since. Keeps the last failure.
    fetching: Arc<tokio::sync::Mutex<Option<FailedFetch>>>,
    /// When the last fetch that succeeded began. No clock of the wall's: that one is set back.
    fetched: Arc<Mutex<Option<Instant>>>,
    /// Held while a pull request's head is fetched, or heads are removed.
    pub(crate) heads: tokio::sync::Mutex<()>,
}

/// A fetch that failed.
struct FailedFetch {
    began: Instant,
    error: Error,
}

/// What the blocking side of a mirror needs.
pub(crate) struct Core {
    pub address: Address,
    pub transport: Transport,
    pub directory: PathBuf,
    pub author: Identity,
    pub notices: Arc<Notices>,
    pub upkeep: Upkeep,
}

/// The mirror, opened. Packs that were there then are there as long as this lives.
pub(crate) struct OpenMirror {
    repository: Repository,
    _reading: Arc<()>,
}

impl Deref for OpenMirror {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        &self.repository
    }
}

impl Mirror {
    /// The remote's address; it carries no password.
    pub fn address(&self) -> &Address {
        &self.core.address
    }

    /// Makes sure that the mirror knows what the remote had at `since`. A fetch
    /// that began then or later serves every caller who waits; otherwise one is
    /// made, one at a time for each remote. References that could not be taken
    /// keep no others from it; whoever asks for one hears why.
    ///
    /// # Errors
    /// [`Error::Git`] where the remote cannot be read.
    pub async fn fetch(&self, since: Instant) -> Result<(), Error> {
        if self.is_fresh(since) {
            return Ok(());
        }
        let asked = Instant::now();
        let mut failed = self.fetching.clone().lock_owned().await;
        if self.is_fresh(since) {
            return Ok(());
        }
        if let Some(failed) = failed.as_ref().filter(|failed| failed.began > asked) {
            return Err(failed.error.clone());
        }
        let (began, moment) = (Instant::now(), self.fetched.clone());
        self.block(move |core| {
            let fetched = core.fetch();
            *failed = fetched.as_ref().err().map(|error| FailedFetch { began, error: error.clone() });
            if fetched.is_ok() {
                *moment.lock().expect("nobody panics while holding the moment") = Some(began);
            }
            fetched
        })
        .await?;
        let core = self.core.clone();
        tokio::task::spawn_blocking(move || core.keep_in_shape());
        Ok(())
    }

    fn is_fresh(&self, since: Instant) -> bool {
        self.fetched.lock().expect("nobody panics while holding the moment").is_some_and(|began| began >= since)
    }

    /// Runs what may block on a thread that may. Where what the mirror keeps cannot be read, its files are looked
    /// at, and if they are damaged the work is done once more on the mirror that takes their place.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Core) -> Result<T, Error> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let again = work.clone();
        let generation = self.core.upkeep.generation();
        let error = match self.block(move |core| work(core)).await {
            Err(error @ Error::Mirror { .. }) => error,
            done => return done,
        };
        let mended = {
            let alone = self.fetching.clone().lock_owned().await;
            let mend = move |core: &Core| {
                let _alone = alone;
                core.mend(generation)
            };
            self.block(mend).await?
        };
        match mended {
            Mended::Anew => self.block(move |core| again(core)).await,
            Mended::Sound => Err(error),
        }
    }

    async fn block<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Core) -> Result<T, Error> + Send + 'static,
    {
        let core = self.core.clone();
        tokio::task::spawn_blocking(move || work(&core)).await.unwrap_or_else(|error| {
            let address = self.core.address.as_str().to_owned();
            let (tried, problem) = ("working on the mirror of", error.to_string());
            Err(Error::Git { tried, address, problem, retry: Retry::PASSING })
        })
    }
}

impl Core {
    /// Opens the mirror, or makes an empty one where there is none.
    pub(crate) fn open(&self) -> Result<OpenMirror, Error> {
        self.upkeep.begun.get_or_init(|| self.remove_leftovers());
        let _stays = self.upkeep.place.read().expect("nobody panics while moving a mirror");
        let reading = self.upkeep.reading();
        let opened = Repository::open_bare(&self.directory).or_else(|error| match self.is_empty() {
            true => Repository::init_bare(&self.directory),
            false => Err(error),
        });
        let repository = opened.map_err(crate::error::git("opening the mirror of", self.address.as_str()))?;
        Ok(OpenMirror { repository, _reading: reading })
    }

    /// Opens a repository that borrows objects from the mirror.
    pub(crate) fn open_beside(&self, directory: &std::path::Path) -> Result<OpenMirror, git2::Error> {
        let reading = self.upkeep.reading();
        Ok(OpenMirror { repository: Repository::open_bare(directory)?, _reading: reading })
    }

    fn is_empty(&self) -> bool {
        match std::fs::read_dir(&self.directory) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }
}
