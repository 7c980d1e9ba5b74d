//! Containers as steps: any image, caged.
//!
//! What a container gets is written in [`cage`]; what it may use is looked after in [`watch`]
//! while it runs. Both are the whole of it: whatever is not named there, it does not have.

mod cage;
mod output;
mod watch;

use crate::engine::{Engine, said, unanswered};
use crate::error::Error;
use crate::sink::LogSink;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures::StreamExt;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The label by which an attempt's container is found again.
pub const ATTEMPT: &str = "dev.bespin.attempt";
/// The label that says whose container it is, for several servers may share an engine.
pub const OWNER: &str = "dev.bespin.server";
/// Where the workspace is mounted.
pub const WORKSPACE: &str = "/workspace";

/// What a container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory, in bytes, with `/tmp`, the image's volumes and shared memory counted; there is no swap beside it.
    pub memory_bytes: u64,
    /// CPU time for each second, in billionths of a core.
    pub nano_cpus: u64,
    /// Processes and threads together.
    pub processes: u64,
    /// One file, in bytes. The whole of a workspace is bounded by the file system that it is on.
    pub file_bytes: u64,
    /// What it prints, in bytes.
    pub log_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            memory_bytes: 2 << 30,
            nano_cpus: 2_000_000_000,
            processes: 512,
            file_bytes: 4 << 30,
            log_bytes: 32 << 20,
        }
    }
}

/// One container to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The attempt that it belongs to, as `<run>#<step>#<attempt>`; by this it is found after a crash.
    pub attempt: String,
    /// The image's reference; it must be there already.
    pub image: String,
    /// The program instead of the image's entry point; the image's own where it is absent.
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments; the image's own where they are absent.
    pub args: Option<Vec<String>>,
    /// Variables as `NAME=value`, beside those of the image.
    pub env: Vec<String>,
    /// Where it starts: relative to the workspace, or absolute.
    pub workdir: Option<String>,
    /// Who it is, whatever the image says; never root.
    pub user: User,
    /// What it sees of this machine's disk: its workspace and its caches.
    pub mounts: Vec<Mounted>,
    /// What must stay free on that disk.
    pub floors: Vec<Floor>,
    /// What it may use.
    pub bounds: Bounds,
}

/// A user and its group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number; never 0.
    pub uid: u32,
    /// The group's number; never 0.
    pub gid: u32,
}

/// A directory of this machine, as a container sees it.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// The directory on this machine, as an absolute path.
    pub source: PathBuf,
    /// Where it is in the container.
    pub target: String,
    /// Whether it may be written.
    pub access: Access,
}

/// A container is stopped when less than this is free.
#[derive(Clone, Debug)]
pub struct Floor {
    /// Any directory of the file system.
    pub place: PathBuf,
    /// How much must stay free, in bytes.
    pub least_bytes: u64,
}

/// Whether a mount may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The container only reads it.
    Read,
    /// The container reads and writes it.
    Write,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code.
    Exited(i64),
    /// By a bound that it came up against; the text says which and how large it is.
    Exceeded(Bound, String),
}

/// Which bound a container came up against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It was killed for its memory, [`Bounds::memory_bytes`].
    Memory,
    /// It could start no further process, [`Bounds::processes`].
    Processes,
    /// The disk came below one of [`Spec::floors`].
    Disk,
    /// It wrote more than [`Bounds::log_bytes`].
    Log,
}

/// When a container is to stop before its end.
pub struct Stop<F> {
    /// Ready once it is to stop.
    pub asked: F,
    /// How long it has then to end by itself, in whole seconds.
    pub grace: Duration,
}

/// A place for one container, until it is dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// The containers of one server, on an engine that others may use as well.
pub struct Containers {
    engine: Engine,
    owner: String,
    places: Arc<Semaphore>,
    at_once: usize,
    /// The engine refuses a container that is to have more cores than there are.
    cores: u64,
}

impl Containers {
    /// Takes an engine for the server `owner`, which runs at most `at_once` containers at a time.
    /// Whatever a server of this name left behind, alive or dead, is removed.
    ///
    /// # Errors
    /// The engine fails, or runs containers without a seccomp filter.
    pub async fn open(engine: Engine, owner: String, at_once: usize) -> Result<Containers, Error> {
        let info = engine.docker().info().await.map_err(|error| said("asking the engine", error))?;
        cage::must_filter(&info.security_options.unwrap_or_default())?;
        let cores = info.ncpu.and_then(|cores| u64::try_from(cores).ok()).unwrap_or(1);
        let containers = Containers { engine, owner, places: Arc::new(Semaphore::new(at_once)), at_once, cores };
        for attempt in containers.attempts().await? {
            tracing::info!(attempt, "a container outlived its server; it is removed");
        }
        containers.remove_where(|_| true).await?;
        Ok(containers)
    }

    /// Waits for one of the places. Where none is free, `queued` is told how many there are, and what it returns is
    /// dropped once there is one.
    ///
    /// # Panics
    /// Never: the places are not closed.
    pub async fn place<W>(&self, queued: impl FnOnce(usize) -> W) -> Place {
        let places = || Arc::clone(&self.places);
        let permit = match places().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _queued = queued(self.at_once);
                places().acquire_owned().await.expect("the places are never closed")
            }
        };
        Place { _permit: permit }
    }

    /// Runs a container to its end, once there is a place for it.
    ///
    /// # Errors
    /// As [`Containers::run_in`].
    pub async fn run(&self, spec: &Spec, sink: &dyn LogSink) -> Result<Ended, Error> {
        cage::check(spec)?;
        let stop = Stop { asked: std::future::pending(), grace: Duration::ZERO };
        self.run_in(self.place(drop).await, spec, sink, stop).await
    }

    /// Runs a container to its end. Whatever an earlier attempt of the same
    /// step left behind, alive or dead, is removed first, and the container is
    /// gone when this returns. Once it is asked to stop, it is told so (by the signal that its image names, or TERM),
    /// and killed when it has not ended in time; what it prints meanwhile is passed on as before.
    ///
    /// # Errors
    /// The image is not there, or the engine fails.
    pub async fn run_in(
        &self,
        _place: Place,
        spec: &Spec,
        sink: &dyn LogSink,
        stop: Stop<impl Future<Output = ()>>,
    ) -> Result<Ended, Error> {
        cage::check(spec)?;
        let step = spec.attempt.rsplit_once('#').map_or(spec.attempt.as_str(), |(step, _)| step);
        self.remove_where(|attempt| attempt.rsplit_once('#').is_some_and(|(of, _)| of == step)).await?;
        let seen = self.engine.docker().inspect_image(&spec.image).await;
        let image = cage::Image::read(&spec.image, seen.map_err(|error| said("looking at the image", error))?);
        let options = CreateContainerOptionsBuilder::default().build();
        let body = cage::body(spec, &image, &self.owner, self.cores)?;
        let created = self.engine.docker().create_container(Some(options), body).await;
        let id = created.map_err(|error| said("creating the container", error))?.id;
        let ended = self.follow(&id, spec, sink, stop).await;
        self.remove(&spec.attempt).await?;
        ended
    }

    /// Kills and removes every container of an attempt.
    ///
    /// # Errors
    /// The engine fails.
    pub async fn remove(&self, attempt: &str) -> Result<(), Error> {
        self.remove_where(|found| found == attempt).await
    }

    /// The attempts that have a container, alive or dead.
    ///
    /// # Errors
    /// The engine fails.
    pub async fn attempts(&self) -> Result<Vec<String>, Error> {
        Ok(self.labelled().await?.into_iter().map(|(attempt, _)| attempt).collect())
    }

    async fn remove_where(&self, chosen: impl Fn(&str) -> bool) -> Result<(), Error> {
        for (_, id) in self.labelled().await?.into_iter().filter(|(attempt, _)| chosen(attempt)) {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            match self.engine.docker().remove_container(&id, Some(options)).await {
                // Somebody else removes it, or has done so.
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) | Ok(()) => {}
                Err(error) => return Err(said("removing a container", error)),
            }
        }
        Ok(())
    }

    /// Every container of this server: its attempt and its id.
    async fn labelled(&self) -> Result<Vec<(String, String)>, Error> {
        let filters = HashMap::from([("label", vec![format!("{OWNER}={}", self.owner), ATTEMPT.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.engine.docker().list_containers(Some(options)).await;
        let found = listed.map_err(|error| said("listing containers", error))?;
        let labelled =
            found.into_iter().filter_map(|container| Some((container.labels?.remove(ATTEMPT)?, container.id?)));
        Ok(labelled.collect())
    }

    /// Starts a container and goes with it to its end. Its output is attached to before it starts and is kept
    /// nowhere else, so that no log of the engine's own can fill a disk.
    async fn follow(
        &self,
        id: &str,
        spec: &Spec,
        sink: &dyn LogSink,
        stop: Stop<impl Future<Output = ()>>,
    ) -> Result<Ended, Error> {
        let docker = self.engine.docker();
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = docker.attach_container(id, Some(options)).await;
        let output = attached.map_err(|error| said("attaching to the container", error))?.output;
        docker.start_container(id, None).await.map_err(|error| said("starting the container", error))?;
        let ending = async {
            match output::pass_on(output, spec.bounds.log_bytes, sink).await? {
                Some(exceeded) => Ok(exceeded),
                None => self.exit(id, &spec.bounds).await,
            }
        };
        // It ends by itself in time, or the engine kills it: either way its output ends, and with it this.
        let stopping = async {
            stop.asked.await;
            let options = StopContainerOptionsBuilder::default().t(stop.grace.as_secs().try_into().unwrap_or(i32::MAX));
            match docker.stop_container(id, Some(options.build())).await {
                Ok(()) => std::future::pending().await,
                Err(error) => Err(said("stopping the container", error)),
            }
        };
        let ended = tokio::select! {
            ended = ending => ended?,
            exceeded = watch::until_exceeded(docker, id, spec) => exceeded?,
            stopped = stopping => stopped?,
        };
        // A program that gives up at once on a full disk is gone before anybody looks.
        match ended {
            Ended::Exited(code) if code != 0 => Ok(watch::full(&spec.floors)?.unwrap_or(ended)),
            ended => Ok(ended),
        }
    }

    async fn exit(&self, id: &str, bounds: &Bounds) -> Result<Ended, Error> {
        let docker = self.engine.docker();
        let mut waited = std::pin::pin!(docker.wait_container(id, None::<WaitContainerOptions>));
        let code = match waited.next().await {
            Some(Ok(answer)) => answer.status_code,
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) => return Err(said("waiting for the container", error)),
            None => return Err(unanswered("waiting for the container", "the engine ended without its exit code")),
        };
        let seen = docker.inspect_container(id, None).await.map_err(|error| said("looking at the container", error))?;
        match code != 0 && was_out_of_memory(&seen) {
            true => Ok(Ended::Exceeded(Bound::Memory, watch::memory(bounds))),
            false => Ok(Ended::Exited(code)),
        }
    }
}

fn was_out_of_memory(seen: &ContainerInspectResponse) -> bool {
    seen.state.as_ref().is_some_and(|state| state.oom_killed == Some(true))
}
