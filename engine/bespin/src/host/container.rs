//! Containers as steps: the pushed commit's files as their workspace, and the repository's own cache beside it.

use super::disk::{self, Disk};
use super::lines::StepLog;
use crate::config;
use crate::drive::Trouble;
use crate::logs::Logs;
use crate::steps::Asked;
use forge::Forge;
use images::containers::{Access, Bound, Bounds, Containers, Ended, Mounted, Spec, WORKSPACE};
use images::{Error, Images};
use pipeline::limits::Limit;
use pipeline::{Digest, ImageRef};
use sandbox::{Container, Exit, Failure, Mount, Process};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::sync::OnceCell;

/// The most bytes that a workspace is unpacked from.
const LONGEST: usize = 1 << 30;
/// Where the cache is mounted.
const CACHE: &str = "/cache";

/// What runs containers for steps.
pub struct ContainerSteps {
    settings: config::Containers,
    images: Arc<Images>,
    forge: Arc<Forge>,
    logs: Arc<Logs>,
    data: PathBuf,
    containers: OnceCell<Arc<Containers>>,
    /// Disks are made one at a time, so that two steps do not make the same one.
    making: tokio::sync::Mutex<()>,
    /// How many containers use which cache.
    used: Mutex<HashMap<PathBuf, usize>>,
}

impl ContainerSteps {
    /// Binds what they need; everything on disk is below `data`.
    pub fn new(
        settings: config::Containers,
        images: Arc<Images>,
        forge: Arc<Forge>,
        logs: Arc<Logs>,
        data: PathBuf,
    ) -> ContainerSteps {
        // The engine is told whole paths only.
        let data = std::path::absolute(&data).unwrap_or(data);
        let (containers, making, used) = Default::default();
        ContainerSteps { settings, images, forge, logs, data, containers, making, used }
    }

    /// Removes what an earlier process of this server left running, where an engine answers. The first
    /// container of this process waits for the same, so that none is taken for a leftover.
    pub async fn sweep(&self) {
        if let Err(error) = self.containers().await {
            tracing::debug!(%error, "no containers can be run, and none were looked for");
        }
    }

    async fn containers(&self) -> Result<&Arc<Containers>, Error> {
        let open = || async {
            let engine = self.images.engine().await?.clone();
            let owner = std::fs::canonicalize(&self.data).unwrap_or_else(|_| self.data.clone());
            let opened = Containers::open(engine, owner.display().to_string(), self.settings.at_once).await?;
            Ok(Arc::new(opened))
        };
        self.containers.get_or_try_init(open).await
    }

    /// Runs a container to its end; dropping the future stops and removes it.
    ///
    /// # Errors
    /// As [`sandbox::Abilities::container`].
    pub async fn run(self: &Arc<Self>, asked: &Asked, container: Container) -> Result<Exit, Failure> {
        container.image.parse::<ImageRef>().map_err(|error| Failure::Rejected(error.to_string()))?;
        let attempt = format!("{}#{}#{}", asked.run.id, asked.step, asked.attempt);
        let containers = self.containers().await.map_err(Trouble::from)?.clone();
        let (entrypoint, args) = match container.process {
            Process::Image => (None, None),
            Process::Args(args) => (None, Some(args)),
            Process::Command(mut command) => {
                let args = command.split_off(command.len().min(1));
                (Some(command), Some(args))
            }
        };
        let (workspace, cache, in_use) = self.disks(asked, container.workspace).await?;
        let mount =
            |disk: &Disk, target: &str, access| Mounted { source: disk.files.clone(), target: target.into(), access };
        let access = if container.workspace == Mount::ReadOnly { Access::Read } else { Access::Write };
        let mounts = workspace.iter().map(|disk| mount(disk, WORKSPACE, access));
        let mounts = mounts.chain([mount(&cache, CACHE, Access::Write)]).collect();
        let floors = workspace.into_iter().chain([cache]).flat_map(|disk| disk.floors).collect();
        let env = container.env.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect();
        let user = disk::user(&self.data).map_err(|error| transient(&error))?;
        let spec = Spec {
            attempt: attempt.clone(),
            image: container.image,
            entrypoint,
            args,
            env,
            workdir: container.workdir,
            user,
            mounts,
            floors,
            bounds: self.bounds(),
        };
        let left = Left { containers: Some(containers.clone()), attempt };
        let ended = containers.run(&spec, &StepLog::of(&self.logs, asked)).await.map_err(Trouble::from)?;
        left.gone();
        drop(in_use);
        match ended {
            Ended::Exited(code) => Ok(Exit { code: i32::try_from(code).unwrap_or(i32::MAX) }),
            Ended::Exceeded(bound, because) => Err(Failure::Limit { which: limit(bound), because }),
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            memory_bytes: self.settings.memory_mib << 20,
            nano_cpus: (self.settings.cpus * 1e9) as u64,
            processes: self.settings.processes,
            file_bytes: self.settings.disk_mib << 20,
            log_bytes: self.settings.log_mib << 20,
        }
    }

    /// The workspace, where one is asked for, and the cache.
    async fn disks(self: &Arc<Self>, asked: &Asked, mount: Mount) -> Result<(Option<Disk>, Disk, InUse), Failure> {
        let _alone = self.making.lock().await;
        let workspace = match mount {
            Mount::None => None,
            Mount::ReadOnly | Mount::ReadWrite => Some(self.workspace(asked).await?),
        };
        let place = cache_of(&self.data, &asked.run.repository, &asked.run.event.reference);
        let in_use = InUse::of(self, &place);
        let cache = self.cache(place).await?;
        Ok((workspace, cache, in_use))
    }

    /// The run's workspace: made once, and shared by the steps of the run that follow.
    async fn workspace(&self, asked: &Asked) -> Result<Disk, Failure> {
        let place = self.data.join("workspaces").join(&asked.run.id);
        let mirror = self.forge.repository(&asked.run.repository).map_err(Trouble::from)?;
        let (sha, runtime) = (asked.run.commit.sha.clone(), tokio::runtime::Handle::current());
        let unpack = move |to: &Path| {
            let tar = runtime.block_on(mirror.archive(&sha, "", LONGEST)).map_err(std::io::Error::other)?;
            tar::Archive::new(tar.as_slice()).unpack(to)
        };
        self.disk(place, unpack).await
    }

    /// The repository's cache for a branch or tag. No other branch writes to it: whoever can push one must not
    /// thereby decide what the next delivery is built from.
    async fn cache(&self, place: PathBuf) -> Result<Disk, Failure> {
        let disk = self.disk(place.clone(), |_| Ok(())).await?;
        // Which was used when is all that is kept of it.
        let touched = std::fs::File::create(place.join("used")).and_then(|file| file.set_modified(SystemTime::now()));
        touched.map_err(|error| transient(&error))?;
        let old = self.unused().map_err(|error| transient(&error))?;
        let remove = move || {
            for cache in &old {
                if let Err(error) = disk::remove(cache) {
                    tracing::warn!(cache = %cache.display(), %error, "an old cache stays for now");
                }
            }
            Ok(())
        };
        blocking(remove).await?;
        Ok(disk)
    }

    async fn disk(
        &self,
        place: PathBuf,
        fill: impl FnOnce(&Path) -> std::io::Result<()> + Send + 'static,
    ) -> Result<Disk, Failure> {
        let (bytes, data) = (self.settings.disk_mib << 20, self.data.clone());
        blocking(move || disk::open(&place, bytes, disk::user(&data)?, fill)).await
    }

    /// The caches that are too many, the least recently used first, but for those in use.
    fn unused(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut caches = Vec::new();
        for entry in std::fs::read_dir(self.data.join("caches"))? {
            let cache = entry?.path();
            let used = std::fs::metadata(cache.join("used")).and_then(|seen| seen.modified());
            caches.push((used.unwrap_or(SystemTime::UNIX_EPOCH), cache));
        }
        caches.sort();
        let too_many = caches.len().saturating_sub(self.settings.caches);
        let used = self.used.lock().expect("nobody panics while holding the caches");
        Ok(caches
            .into_iter()
            .take(too_many)
            .map(|(_, cache)| cache)
            .filter(|cache| !used.contains_key(cache))
            .collect())
    }
}

/// Where the cache of a repository's branch or tag is. A digest, for a name may be any text.
fn cache_of(data: &Path, repository: &str, reference: &str) -> PathBuf {
    data.join("caches").join(Digest::of(format!("{repository}\n{reference}").as_bytes()).hex())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| transient(&error))?.map_err(unmade)
}

/// Why there is no disk: what git said of the files that were to be on it keeps its class.
fn unmade(error: std::io::Error) -> Failure {
    match error.downcast::<forge::Error>() {
        Ok(error) => Trouble::from(error).into(),
        Err(error) => transient(&error),
    }
}

fn transient(error: &dyn std::fmt::Display) -> Failure {
    Failure::Transient(format!("the container's disk: {error}"))
}

/// Keeps a cache from being thrown away.
struct InUse {
    steps: Arc<ContainerSteps>,
    cache: PathBuf,
}

impl InUse {
    fn of(steps: &Arc<ContainerSteps>, cache: &Path) -> InUse {
        let mut used = steps.used.lock().expect("nobody panics while holding the caches");
        *used.entry(cache.to_owned()).or_default() += 1;
        InUse { steps: steps.clone(), cache: cache.to_owned() }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut used = self.steps.used.lock().expect("nobody panics while holding the caches");
        if let Some(count) = used.get_mut(&self.cache) {
            *count -= 1;
        }
        used.retain(|_, count| *count > 0);
    }
}

/// Removes the container of an attempt whose future was dropped.
struct Left {
    containers: Option<Arc<Containers>>,
    attempt: String,
}

impl Left {
    fn gone(mut self) {
        self.containers = None;
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let Some(containers) = self.containers.take() else { return };
        let attempt = std::mem::take(&mut self.attempt);
        tokio::spawn(async move {
            if let Err(error) = containers.remove(&attempt).await {
                tracing::warn!(attempt, %error, "a container was left behind");
            }
        });
    }
}

fn limit(bound: Bound) -> Limit {
    match bound {
        Bound::Memory => Limit::Memory,
        Bound::Processes => Limit::Processes,
        Bound::Disk => Limit::Disk,
        Bound::Log => Limit::Log,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_too_many_never_fit_and_a_full_disk_empties() {
        let error = forge::Error::TooLarge { what: "the commit".into(), limit: "1 GiB".into() };
        let unpacked = unmade(std::io::Error::other(error));
        assert_eq!(unpacked, Failure::Rejected("the commit is larger than 1 GiB".into()));
        let full = unmade(std::io::ErrorKind::StorageFull.into());
        assert!(matches!(full, Failure::Transient(_)), "{full:?}");
    }
}
