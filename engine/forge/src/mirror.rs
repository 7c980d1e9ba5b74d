//! Bare mirrors of remotes, one directory each, fetched together.

use crate::address::Address;
use crate::error::{self, Error};
use crate::settings::{Identity, Settings};
use crate::transport::{Distrust, Transport, set_timeouts};
use decide::retry::Retry;
use git2::{AutotagOption, FetchOptions, FetchPrune, RemoteCallbacks, RemoteRedirect, Repository};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Branches and tags, as they are at the remote.
const REFSPECS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// The adapter: settings, and the mirrors that were asked for.
pub struct Forge {
    settings: Settings,
    directory: PathBuf,
    mirrors: Mutex<HashMap<String, Arc<Mirror>>>,
    statuses: crate::status::Statuses,
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
        Ok(Arc::new(Forge { settings, directory, mirrors: Mutex::default(), statuses }))
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
        let author = self.settings.author.clone();
        let fetching = tokio::sync::Mutex::new(None);
        let mirror = Mirror {
            core: Arc::new(Core { address, transport, directory, author }),
            fetching,
            fetched: AtomicU64::new(0),
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
}

/// A bare copy of one remote.
pub struct Mirror {
    pub(crate) core: Arc<Core>,
    /// Held while a fetch runs; keeps the last failure and when it began.
    fetching: tokio::sync::Mutex<Option<(u64, String, Retry)>>,
    /// When the last fetch that succeeded began, in ms since the epoch.
    fetched: AtomicU64,
    /// Held while a pull request's head is fetched, or heads are removed.
    pub(crate) heads: tokio::sync::Mutex<()>,
}

/// What the blocking side of a mirror needs.
pub(crate) struct Core {
    pub address: Address,
    pub transport: Transport,
    pub directory: PathBuf,
    pub author: Identity,
}

impl Mirror {
    /// The remote's address; it carries no password.
    pub fn address(&self) -> &Address {
        &self.core.address
    }

    /// Makes sure that the mirror knows what the remote had at `since_ms` (ms
    /// since the epoch). A fetch that began later serves every caller who
    /// waits; otherwise one is made, one at a time for each remote.
    ///
    /// # Errors
    /// [`Error::Git`] where the remote cannot be read.
    pub async fn fetch(&self, since_ms: u64) -> Result<(), Error> {
        if self.fetched.load(Ordering::Acquire) >= since_ms.max(1) {
            return Ok(());
        }
        let waiting_since = now_ms();
        let mut failed = self.fetching.lock().await;
        if self.fetched.load(Ordering::Acquire) >= since_ms.max(1) {
            return Ok(());
        }
        if let Some((began, problem, retry)) = &*failed
            && *began > waiting_since
        {
            let address = self.core.address.as_str().to_owned();
            return Err(Error::Git { tried: "fetching", address, problem: problem.clone(), retry: *retry });
        }
        let began = now_ms();
        match self.run(Core::fetch).await {
            Ok(()) => {
                *failed = None;
                self.fetched.store(began, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                if let Error::Git { problem, retry, .. } = &error {
                    *failed = Some((began, problem.clone(), *retry));
                }
                Err(error)
            }
        }
    }

    /// Runs what may block on a thread that may.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, Error>
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
    /// Opens the mirror, or makes an empty one.
    pub(crate) fn open(&self) -> Result<Repository, Error> {
        let opened = Repository::open_bare(&self.directory).or_else(|_| Repository::init_bare(&self.directory));
        opened.map_err(|error| Error::Directory {
            directory: self.directory.display().to_string(),
            problem: error.message().to_owned(),
        })
    }

    fn fetch(&self) -> Result<(), Error> {
        let failed = error::git("fetching", self.address.as_str());
        let repository = self.open()?;
        let mut remote = repository.remote_anonymous(self.address.as_str()).map_err(&failed)?;
        let distrust = Distrust::default();
        let mut options = options(self.transport.callbacks(&distrust));
        remote.fetch(&REFSPECS, Some(&mut options), None).map_err(|error| failed(distrust.explain(error)))?;
        // An empty remote has no default branch, and then HEAD stays as it is.
        if let Ok(head) = remote.default_branch()
            && let Ok(head) = std::str::from_utf8(&head)
        {
            repository.set_head(head).map_err(&failed)?;
        }
        Ok(())
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

/// The clock, in ms since the epoch.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
