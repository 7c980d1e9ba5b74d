//! What a run leaves outside the journal: the logs of its steps, their
//! artifacts, their plans, and the workspace that its containers shared.

use crate::host::{Artifacts, Plans, disk};
use crate::logs::Logs;
use std::io::{Error, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The leftovers of all runs.
pub struct Leftovers {
    logs: Arc<Logs>,
    workspaces: PathBuf,
    artifacts: Artifacts,
    plans: Option<Plans>,
}

impl Leftovers {
    /// Binds the logs, the folder of the workspaces, `<workspaces>/<run id>`, and the artifacts.
    pub fn new(logs: Arc<Logs>, workspaces: PathBuf, artifacts: Artifacts) -> Leftovers {
        Leftovers { logs, workspaces, artifacts, plans: None }
    }

    /// With the plans of infrastructure, too.
    #[must_use]
    pub fn and(self, plans: Plans) -> Leftovers {
        Leftovers { plans: Some(plans), ..self }
    }

    /// The run is closed: its logs end, and its workspace goes. Repeatable.
    /// What cannot be removed is said in the server's log, and tried again with [`Leftovers::tidy`].
    pub async fn closed(&self, run: &str) {
        self.logs.close_run(run);
        self.tidy(run).await;
    }

    /// Removes the workspace of a closed run.
    pub async fn tidy(&self, run: &str) {
        if let Err(error) = self.remove_workspace(run).await {
            tracing::warn!(run, %error, "a workspace was left behind");
        }
    }

    /// The run is about to be forgotten: nothing of it stays. Repeatable.
    ///
    /// # Errors
    /// What could not be removed, and why.
    pub async fn gone(&self, run: &str) -> std::io::Result<()> {
        self.remove_workspace(run).await?;
        self.artifacts.remove_run(run).await?;
        if let Some(plans) = &self.plans {
            plans.remove_run(run).await?;
        }
        let (logs, run) = (self.logs.clone(), run.to_owned());
        tokio::task::spawn_blocking(move || logs.remove_run(&run)).await.map_err(Error::other)?
    }

    async fn remove_workspace(&self, run: &str) -> std::io::Result<()> {
        // An id that leads elsewhere would take what is there.
        if run.is_empty() || !Path::new(run).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::new(ErrorKind::InvalidInput, format!("`{run}` is no path below the workspaces")));
        }
        let workspace = self.workspaces.join(run);
        tokio::task::spawn_blocking(move || disk::remove(&workspace)).await.map_err(Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_run_keeps_its_logs_and_a_forgotten_one_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (logs_dir, workspaces) = (directory.path().join("logs"), directory.path().join("workspaces"));
        let logs = Arc::new(Logs::open(logs_dir.clone()));
        let artifacts_dir = directory.path().join("artifacts");
        let leftovers = Leftovers::new(logs.clone(), workspaces.clone(), Artifacts::open(artifacts_dir.clone()));
        let plans = directory.path().join("plans");
        let leftovers = leftovers.and(Plans::open(plans.clone()));
        for run in ["a/b/c/1", "a/b/c/2"] {
            logs.line(run, "image", 1, "info", "hello");
            std::fs::create_dir_all(workspaces.join(run).join("src")).unwrap();
            std::fs::create_dir_all(artifacts_dir.join(run).join("report")).unwrap();
            std::fs::create_dir_all(plans.join(run).join("0f3a")).unwrap();
        }
        leftovers.closed("a/b/c/1").await;
        assert!(!workspaces.join("a/b/c/1").exists() && logs_dir.join("a/b/c/1").exists());
        assert!(artifacts_dir.join("a/b/c/1").exists() && plans.join("a/b/c/1").exists());
        assert!(workspaces.join("a/b/c/2").exists(), "the other run goes on");
        leftovers.gone("a/b/c/1").await.unwrap();
        leftovers.gone("a/b/c/1").await.expect("once more is no error");
        assert!(!logs_dir.join("a/b/c/1").exists() && logs_dir.join("a/b/c/2").exists());
        assert!(!artifacts_dir.join("a/b/c/1").exists() && artifacts_dir.join("a/b/c/2").exists());
        assert!(!plans.join("a/b/c/1").exists() && plans.join("a/b/c/2").exists());
    }

    #[tokio::test]
    async fn an_id_that_leads_elsewhere_removes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (logs, artifacts) =
            (Logs::open(directory.path().join("logs")), Artifacts::open(directory.path().join("a")));
        let leftovers = Leftovers::new(Arc::new(logs), directory.path().join("w"), artifacts);
        for run in ["", "..", "../w", "/tmp"] {
            assert_eq!(leftovers.gone(run).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{run}");
        }
    }
}
