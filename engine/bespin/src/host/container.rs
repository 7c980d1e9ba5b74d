//! A container as a step, with the pushed commit's files as its workspace.

use super::attempt::Doors;
use super::lines::StepLog;
use crate::steps::Asked;
use images::Error;
use images::containers::{Access, Bounds, Spec};
use sandbox::{Container, Exit, Failure, Mount, Process};
use secrecy::ExposeSecret;
use std::path::PathBuf;

/// The most bytes that a workspace is unpacked from.
const LONGEST: usize = 1 << 30;

/// Runs a container to its end; dropping the future stops and removes it.
pub async fn run(doors: &Doors, asked: &Asked, container: Container) -> Result<Exit, Failure> {
    let attempt = format!("{}#{}#{}", asked.run.id, asked.step, asked.attempt);
    let (entrypoint, args) = match container.process {
        Process::Image => (None, None),
        Process::Args(args) => (None, Some(args)),
        Process::Command(mut command) => {
            let args = command.split_off(command.len().min(1));
            (Some(command), Some(args))
        }
    };
    let workspace = match container.workspace {
        Mount::None => None,
        Mount::ReadOnly => Some((workspace(doors, asked).await?, Access::Read)),
        Mount::ReadWrite => Some((workspace(doors, asked).await?, Access::Write)),
    };
    let env = container.env.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect();
    let spec = Spec {
        attempt: attempt.clone(),
        image: container.image,
        entrypoint,
        args,
        env,
        workdir: container.workdir,
        workspace,
        bounds: Bounds::default(),
    };
    let engine = doors.images.engine().await.map_err(failure)?;
    let left = Left { engine: Some(engine.clone()), attempt };
    let log = StepLog::of(&doors.logs, asked);
    let code = engine.run(&spec, &log).await.map_err(failure)?;
    left.gone();
    Ok(Exit { code: i32::try_from(code).unwrap_or(i32::MAX) })
}

/// The run's workspace: made once, and shared by the steps of the run that follow.
async fn workspace(doors: &Doors, asked: &Asked) -> Result<PathBuf, Failure> {
    let directory = doors.workspaces.join(&asked.run.id);
    if directory.exists() {
        return Ok(directory);
    }
    let transient = |error: &dyn std::fmt::Display| Failure::Transient(format!("the workspace: {error}"));
    let mirror = doors.forge.repository(&asked.run.repository).map_err(|error| transient(&error))?;
    let tar = mirror.archive(&asked.run.commit.sha, "", LONGEST).await.map_err(|error| transient(&error))?;
    let target = directory.clone();
    let unpack = move || -> std::io::Result<()> {
        let parent = target.parent().map(std::path::Path::to_owned).unwrap_or_default();
        std::fs::create_dir_all(&parent)?;
        let partial = tempfile::tempdir_in(&parent)?;
        tar::Archive::new(tar.as_slice()).unpack(partial.path())?;
        std::fs::rename(partial.keep(), &target)
    };
    tokio::task::spawn_blocking(unpack).await.map_err(|error| transient(&error))?.map_err(|error| transient(&error))?;
    Ok(directory)
}

/// Removes the container of an attempt whose future was dropped.
struct Left {
    engine: Option<images::Engine>,
    attempt: String,
}

impl Left {
    fn gone(mut self) {
        self.engine = None;
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        let attempt = std::mem::take(&mut self.attempt);
        tokio::spawn(async move {
            if let Err(error) = engine.remove(&attempt).await {
                tracing::warn!(attempt, %error, "a container was left behind");
            }
        });
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Refused(because) => Failure::Rejected(because),
        Error::Transient(because) => Failure::Transient(because),
    }
}
