//! A container as a step: any image, confined.

use crate::engine::{Engine, said};
use crate::error::Error;
use crate::sink::{Lines, LogSink, Stream};
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    WaitContainerOptions,
};
use futures::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::path::PathBuf;

/// The label by which an attempt's container is found again.
pub const ATTEMPT: &str = "dev.bespin.attempt";
/// Where the workspace is mounted.
const WORKSPACE: &str = "/workspace";

/// What a container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory, in bytes.
    pub memory_bytes: i64,
    /// CPU time for each second, in billionths of a core.
    pub nano_cpus: i64,
    /// Processes and threads.
    pub pids: i64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { memory_bytes: 2 << 30, nano_cpus: 2_000_000_000, pids: 512 }
    }
}

/// One container to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// `<run>#<step>#<attempt>`.
    pub attempt: String,
    /// The image's reference; it must be there already.
    pub image: String,
    /// The program instead of the image's entry point; the image's own where it is absent.
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments; the image's own where they are absent.
    pub args: Option<Vec<String>>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Where it starts; relative to the workspace.
    pub workdir: Option<String>,
    /// The workspace, and whether it may be written.
    pub workspace: Option<(PathBuf, Access)>,
    /// What it may use.
    pub bounds: Bounds,
}

/// Whether a mount may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Read and written.
    Write,
}

impl Engine {
    /// Runs a container to its end and returns its exit code. Whatever an
    /// earlier attempt of the same step left behind, alive or dead, is removed
    /// first, and the container is gone when this returns.
    ///
    /// # Errors
    /// The image is not there, or the engine fails.
    pub async fn run(&self, spec: &Spec, sink: &dyn LogSink) -> Result<i64, Error> {
        let step = spec.attempt.rsplit_once('#').map_or(spec.attempt.as_str(), |(step, _)| step);
        self.remove_where(|attempt| attempt.rsplit_once('#').is_some_and(|(of, _)| of == step)).await?;
        let options = CreateContainerOptionsBuilder::default().build();
        let created = self.docker().create_container(Some(options), body(spec)).await;
        let id = created.map_err(|error| said("creating the container", error))?.id;
        let ended = self.follow(&id, sink).await;
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
            match self.docker().remove_container(&id, Some(options)).await {
                // Somebody else removes it, or has done so.
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) | Ok(()) => {}
                Err(error) => return Err(said("removing a container", error)),
            }
        }
        Ok(())
    }

    /// Every container of ours: its attempt and its id.
    async fn labelled(&self) -> Result<Vec<(String, String)>, Error> {
        let filters = HashMap::from([("label", vec![ATTEMPT])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found =
            self.docker().list_containers(Some(options)).await.map_err(|error| said("listing containers", error))?;
        let labelled =
            found.into_iter().filter_map(|container| Some((container.labels?.remove(ATTEMPT)?, container.id?)));
        Ok(labelled.collect())
    }

    async fn follow(&self, id: &str, sink: &dyn LogSink) -> Result<i64, Error> {
        let docker = self.docker();
        docker.start_container(id, None).await.map_err(|error| said("starting the container", error))?;
        let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
        let lines = Lines::new(sink);
        let mut logs = std::pin::pin!(docker.logs(id, Some(options)));
        while let Some(output) = logs.try_next().await.map_err(|error| said("reading the log", error))? {
            match output {
                LogOutput::StdErr { message } => lines.push(Stream::Stderr, &message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => lines.push(Stream::Stdout, &message),
                LogOutput::StdIn { .. } => {}
            }
        }
        lines.finish();
        let mut waited = std::pin::pin!(docker.wait_container(id, None::<WaitContainerOptions>));
        match waited.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(said("waiting for the container", error)),
            None => Err(Error::Transient("the engine ended without the container's exit code".into())),
        }
    }
}

/// The confinement: no privilege, no capability, no network, no host namespace, and only the workspace mounted.
fn body(spec: &Spec) -> ContainerCreateBody {
    let mounts = spec.workspace.iter().map(|(path, access)| Mount {
        typ: Some(MountType::BIND),
        source: Some(path.display().to_string()),
        target: Some(WORKSPACE.into()),
        read_only: Some(*access == Access::Read),
        ..Mount::default()
    });
    let workdir = match &spec.workdir {
        Some(absolute) if absolute.starts_with('/') => Some(absolute.clone()),
        Some(relative) => Some(format!("{WORKSPACE}/{relative}")),
        None => spec.workspace.as_ref().map(|_| WORKSPACE.to_owned()),
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.args.clone(),
        env: Some(spec.env.clone()),
        working_dir: workdir,
        labels: Some(HashMap::from([(ATTEMPT.to_owned(), spec.attempt.clone())])),
        host_config: Some(HostConfig {
            mounts: Some(mounts.collect()),
            network_mode: Some("none".into()),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges".into()]),
            privileged: Some(false),
            memory: Some(spec.bounds.memory_bytes),
            memory_swap: Some(spec.bounds.memory_bytes),
            nano_cpus: Some(spec.bounds.nano_cpus),
            pids_limit: Some(spec.bounds.pids),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
