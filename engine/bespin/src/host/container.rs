//! Containers as steps: the pushed commit's files as their workspace, and the repository's own cache beside it.

use super::disk::{self, Disk};
use super::lines::StepLog;
use crate::config;
use crate::drive::Trouble;
use crate::logs::Logs;
use crate::patience::until_served;
use crate::places::{AttemptKey, PlaceWaits, in_use};
use crate::steps::Asked;
use forge::Forge;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use images::containers::{Access, Bound, Bounds, Containers, Ended, Mounted, Spec, Stop, WORKSPACE};
use images::{Error, Images, LogSink, Stream};
use pipeline::limits::Limit;
use pipeline::{Digest, ImageRef};
use sandbox::{Container, Exit, Failure, Mount, Process};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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
    waits: Arc<PlaceWaits>,
    data: PathBuf,
    containers: OnceCell<Arc<Containers>>,
    /// Disks are made one at a time, so that two steps do not make the same one.
    making: tokio::sync::Mutex<()>,
    /// How many containers use which cache.
    used: Mutex<HashMap<PathBuf, usize>>,
    /// The containers that nobody waits for any more, and that have not ended.
    stopping: Mutex<HashMap<AttemptKey, Vec<Shared<BoxFuture<'static, ()>>>>>,
}

/// A container's way to its end.
type Task = JoinHandle<Result<Ended, Error>>;

impl ContainerSteps {
    /// Binds what they need; everything on disk is below `data`.
    pub fn new(
        settings: config::Containers,
        images: Arc<Images>,
        forge: Arc<Forge>,
        logs: Arc<Logs>,
        waits: Arc<PlaceWaits>,
        data: PathBuf,
    ) -> ContainerSteps {
        // The engine is told whole paths only.
        let data = std::path::absolute(&data).unwrap_or(data);
        let (containers, making, used, stopping) = Default::default();
        ContainerSteps { settings, images, forge, logs, waits, data, containers, making, used, stopping }
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

    /// Runs a container to its end. Dropping the future stops it: it is told so, has the grace that the configuration
    /// gives it, and is killed and removed then; [`ContainerSteps::settle`] waits for that.
    ///
    /// # Errors
    /// As [`sandbox::Abilities::container`].
    pub async fn run(self: &Arc<Self>, asked: &Asked, container: Container) -> Result<Exit, Failure> {
        container.image.parse::<ImageRef>().map_err(|error| Failure::Rejected(error.to_string()))?;
        let containers = self.containers().await.map_err(Trouble::from)?.clone();
        let waits = |trouble: &Trouble| {
            self.logs.line(&asked.run.id, &asked.step, asked.attempt, "warn", &format!("{trouble}; trying again"));
        };
        let place = containers.place(|places| self.waits.begin(asked.key(), in_use(places))).await;
        let (entrypoint, args) = match container.process {
            Process::Image => (None, None),
            Process::Args(args) => (None, Some(args)),
            Process::Command(mut command) => {
                let args = command.split_off(command.len().min(1));
                (Some(command), Some(args))
            }
        };
        let (workspace, cache, in_use) = until_served(|| self.disks(asked, container.workspace), waits).await?;
        let mount =
            |disk: &Disk, target: &str, access| Mounted { source: disk.files.clone(), target: target.into(), access };
        let access = if container.workspace == Mount::ReadOnly { Access::Read } else { Access::Write };
        let mounts = workspace.iter().map(|disk| mount(disk, WORKSPACE, access));
        let mounts = mounts.chain([mount(&cache, CACHE, Access::Write)]).collect();
        let floors = workspace.into_iter().chain([cache]).flat_map(|disk| disk.floors).collect();
        let env = container.env.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect();
        let user = disk::user(&self.data).map_err(|error| transient(&error))?;
        let spec = Spec {
            attempt: format!("{}#{}#{}", asked.run.id, asked.step, asked.attempt),
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
        let (stop, log) = (CancellationToken::new(), StepLog::of(&self.logs, asked));
        let (stopped, grace) = (stop.clone(), Duration::from_secs(self.settings.grace_s));
        let (logs, (run, step, attempt)) = (self.logs.clone(), asked.key());
        let running = tokio::spawn(async move {
            let asked = async {
                stopped.cancelled().await;
                log.line(Stream::Progress, &format!("the container is to stop; it has {} s to end", grace.as_secs()));
            };
            let ended = containers.run_in(place, &spec, &log, Stop { asked, grace }).await;
            // What it used may be thrown away from here on, and nobody writes to the log.
            drop((in_use, log));
            if stopped.is_cancelled() {
                // Its last words opened the attempt's log again.
                logs.end(&run, &step, attempt);
            }
            ended
        });
        let mut running = RunningContainer { steps: self.clone(), key: asked.key(), stop, task: Some(running) };
        let ended = running.ended().await?;
        match ended {
            Ended::Exited(code) => Ok(Exit { code: i32::try_from(code).unwrap_or(i32::MAX) }),
            Ended::Exceeded(bound, because) => Err(Failure::Limit { which: limit(bound), because }),
        }
    }

    /// Waits until no container of an attempt is left: those whose future was dropped have their grace.
    pub async fn settle(&self, key: &AttemptKey) {
        let stopping = || self.stopping.lock().expect("nobody panics while holding what stops");
        let ends = stopping().get(key).cloned().unwrap_or_default();
        futures::future::join_all(ends).await;
        stopping().remove(key);
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

/// A container that goes on; dropped before its end, it is stopped.
struct RunningContainer {
    steps: Arc<ContainerSteps>,
    key: AttemptKey,
    stop: CancellationToken,
    task: Option<Task>,
}

impl RunningContainer {
    async fn ended(&mut self) -> Result<Ended, Failure> {
        let task = self.task.as_mut().expect("it is taken by the drop alone");
        let ended = task.await;
        self.task = None;
        Ok(ended.map_err(|error| transient(&error))?.map_err(Trouble::from)?)
    }
}

impl Drop for RunningContainer {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        self.stop.cancel();
        let end = async move {
            let because = match task.await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(because, "a container was left behind");
        };
        let mut stopping = self.steps.stopping.lock().expect("nobody panics while holding what stops");
        stopping.entry(self.key.clone()).or_default().push(end.boxed().shared());
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
