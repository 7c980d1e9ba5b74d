//! The numbers that a pipeline's runs have left in registries, in manifests and in the data folder,
//! for when the journal does not know them.

use crate::drive::Trouble;
use crate::stages::delivery::RunNumberFloor;
use crate::stages::run::LostTime;
use async_trait::async_trait;
use decide::delivery::{Place, by_folders, by_tags, by_trailers, places};
use decide::run::{EventKind, Opened, SinceBackup};
use forge::Forge;
use images::Registries;
use pipeline::permission::{self, Permissions, Policy, Whose};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// How far back a manifests repository is read, in commits.
const HISTORY: usize = 20_000;
/// The trailer in which a bump names its run.
const TRAILER: &str = "Bespin-Run";

/// Where runs have folders of their own in the data folder, `<data>/<one of these>/<run id>`.
const OF_RUNS: [&str; 4] = ["logs", "artifacts", "plans", "workspaces"];

/// Reads where `push` and `bump` leave numbers, and whatever runs.
pub struct ExternalRunNumbers {
    forge: Arc<Forge>,
    registries: Arc<Registries>,
    policy: Vec<Policy>,
    data: PathBuf,
}

impl ExternalRunNumbers {
    /// Binds the adapters, the policy that says where a run may reach at all, and the data folder.
    pub fn new(
        forge: Arc<Forge>,
        registries: Arc<Registries>,
        policy: Vec<Policy>,
        data: &Path,
    ) -> Arc<ExternalRunNumbers> {
        // An earlier run's step may have been approved by any of the people whom a row names.
        let policy = policy.into_iter().map(|row| Policy { approved_by: None, ..row }).collect();
        Arc::new(ExternalRunNumbers { forge, registries, policy, data: data.to_owned() })
    }

    /// Both keys, as for the step itself: a pipeline file must not make the server call anywhere else.
    fn permissions(&self, opened: &Opened, own: &BTreeMap<String, Vec<String>>) -> Permissions {
        // Permissions that do not parse let the step do nothing, so it has left no number.
        let own = Permissions::parse(Whose::Step, own).unwrap_or_else(|_| Permissions::none());
        permission::both(&self.policy, &opened.subject(), None, own)
    }

    /// The highest number that a run has a folder of. Its logs and artifacts would become those of a new run.
    async fn kept(&self, opened: &Opened) -> Result<Option<u64>, Trouble> {
        let pipeline = Path::new(&opened.repository).join(&opened.pipeline.name);
        let folders = OF_RUNS.map(|of_runs| self.data.join(of_runs).join(&pipeline));
        let looked = tokio::task::spawn_blocking(move || highest(&folders)).await;
        let trouble = |error| Trouble::new("looking for earlier runs' logs and artifacts", error);
        looked.map_err(std::io::Error::other).flatten().map_err(trouble)
    }

    async fn tagged(&self, to: &str) -> Result<Option<u64>, Trouble> {
        let Some((host, repository)) = to.split_once('/') else { return Ok(None) };
        // A registry that the server does not know cannot have been pushed to; the step will say so.
        let Ok(registry) = self.registries.of(host) else { return Ok(None) };
        let tags = registry.tags(repository).await;
        let tags = tags.map_err(|error| Trouble::new(&format!("looking for earlier runs' tags of {to}"), error))?;
        Ok(by_tags(tags.iter().map(String::as_str)))
    }

    /// The ids of the runs whose bumps are in a manifests repository.
    async fn committed(&self, repo: &str, branch: Option<&str>) -> Result<Vec<String>, Trouble> {
        let trouble = |error| Trouble::new(&format!("looking for earlier runs' commits in {repo}"), error);
        let mirror = match self.forge.mirror(repo) {
            Ok(mirror) => mirror,
            // No address that Bespin speaks to; the step will say so.
            Err(forge::Error::Address { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(trouble(error)),
        };
        mirror.fetch(Instant::now()).await.map_err(trouble)?;
        let Some(tip) = mirror.resolve(branch.unwrap_or("HEAD")).await.map_err(trouble)? else { return Ok(Vec::new()) };
        let trailered = mirror.trailered(&tip, HISTORY).await.map_err(trouble)?;
        let trailers = trailered.into_iter().flat_map(|commit| commit.trailers);
        Ok(trailers.filter(|(name, _)| name.eq_ignore_ascii_case(TRAILER)).map(|(_, id)| id).collect())
    }
}

#[async_trait]
impl RunNumberFloor for ExternalRunNumbers {
    async fn last(&self, opened: &Opened) -> Result<u64, Trouble> {
        let mut last = self.kept(opened).await?.unwrap_or(0);
        for place in places(opened) {
            let found = match &place {
                Place::Registry { to, grants } if self.permissions(opened, grants).let_push(to) => {
                    self.tagged(to).await?
                }
                Place::Manifests { repo, branch, grants } if self.permissions(opened, grants).let_bump(repo) => {
                    let ids = self.committed(repo, branch.as_deref()).await?;
                    by_trailers(&opened.repository, &opened.pipeline.name, ids.iter().map(String::as_str))
                }
                // Without permission no run can have been there.
                Place::Registry { .. } | Place::Manifests { .. } => None,
            };
            last = last.max(found.unwrap_or(0));
        }
        if last > 0 {
            tracing::info!(opened.repository, pipeline = opened.pipeline.name, last, "earlier runs left their numbers");
        }
        Ok(last)
    }
}

#[async_trait]
impl LostTime for ExternalRunNumbers {
    async fn shows(&self, opened: &Opened) -> Result<Option<SinceBackup>, Trouble> {
        for place in places(opened) {
            let Place::Manifests { repo, branch, grants } = place else { continue };
            if !self.permissions(opened, &grants).let_bump(&repo) {
                continue;
            }
            if self.committed(&repo, branch.as_deref()).await?.contains(&opened.id) {
                return Ok(Some(SinceBackup::Bumped { repo }));
            }
        }
        let reference = &opened.event.reference;
        if opened.event.kind != EventKind::PullRequest && reference.starts_with("refs/") {
            let mirror = self.forge.repository(&opened.repository)?;
            mirror.fetch(Instant::now()).await?;
            if mirror.resolve(reference).await?.as_ref() != Some(&opened.commit.sha) {
                return Ok(Some(SinceBackup::Moved { reference: reference.clone() }));
            }
        }
        Ok(None)
    }
}

/// The highest number among the names in these folders, as far as they are there. Blocks.
fn highest(folders: &[PathBuf]) -> std::io::Result<Option<u64>> {
    let mut last = None;
    for folder in folders {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            last = last.max(by_folders(entry?.file_name().to_str()));
        }
    }
    Ok(last)
}
