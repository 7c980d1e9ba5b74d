//! What the host offers: one method for each function of the contract.
//!
//! The sandbox has checked grants, limits and the form of every value before a
//! method is called; an implementation does the work and nothing else. A call
//! is cancelled by dropping its future, when the step is out of time or stopped.

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use pipeline::limits::Limit;
use pipeline::permission::Ability;
use pipeline::permission::Denied;

pub use crate::asked::{
    Applied, ApplyRequest, Artifact, Build, Built, Bump, Bumped, Change, Container, Exit, Follow, Followed, Found,
    HttpRequest, HttpResponse, List, Listed, ListedKind, Mount, Named, OnTimeout, Place, PlanMode, PlanRequest,
    Planned, Process, Push, Pushed, Query, Read, Redirects, Restore, Sample, Save, Saved, Stored, SyncRequest, Synced,
    Variable,
};

/// The host's side of `bespin:plugin`, for one attempt of one step or one call of another world.
///
/// One value is made for each attempt and knows its run, commit and step, so
/// that no request has to carry them (and no plugin can forge them).
#[async_trait]
pub trait Abilities: Send + Sync + 'static {
    /// Takes one line for the step's log, without a line break. Must not block.
    fn log(&self, level: Level, line: &str);

    /// Takes a part of a line that is too long to be taken at once; the next of its level goes on with it.
    fn log_part(&self, level: Level, part: &str) {
        self.log(level, part);
    }

    /// A reason without what nobody may read in it. It is asked for before the reason is cut to its length.
    fn hidden(&self, because: String) -> String {
        because
    }

    /// The run that the call belongs to. Calls of the same run take turns; without one, only the server's places count.
    fn share(&self) -> Option<String> {
        None
    }

    /// From here on the call waits for a free place, until what is returned is dropped; `because` says so to people.
    fn queued(&self, _because: String) -> Box<dyn Send + Sync> {
        Box::new(())
    }

    /// For how long the call has waited for free places, all its waits together: it is no time of its own.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// Reads a file of the pushed commit.
    async fn read(&self, _asked: Read) -> Result<Vec<u8>, Failure> {
        not_offered(Ability::Workspace)
    }

    /// Lists a directory of the pushed commit, one level deep.
    async fn list(&self, _asked: List) -> Result<Vec<Listed>, Failure> {
        not_offered(Ability::Workspace)
    }

    /// Stores a file for the other steps of the run.
    async fn store(&self, _asked: Artifact) -> Result<(), Failure> {
        not_offered(Ability::Artifacts)
    }

    /// Reads a file that a step of the run has stored. One of more bytes than [`Read::at_most`] is to be rejected.
    async fn stored(&self, _asked: Read) -> Result<Vec<u8>, Failure> {
        not_offered(Ability::Artifacts)
    }

    /// Lists the files that the steps of the run have stored.
    async fn artifacts(&self) -> Result<Vec<Stored>, Failure> {
        not_offered(Ability::Artifacts)
    }

    /// Finds an archive of the repository's cache.
    async fn restore(&self, _asked: Restore) -> Result<Option<Found>, Failure> {
        not_offered(Ability::Cache)
    }

    /// Saves an archive in the repository's cache, unless the key is there or the run may only read.
    async fn save(&self, _asked: Save) -> Result<Saved, Failure> {
        not_offered(Ability::Cache)
    }

    /// Sends one request. Redirects are answers, not orders: none is followed.
    async fn http(&self, _asked: HttpRequest) -> Result<HttpResponse, Failure> {
        not_offered(Ability::Http)
    }

    /// Finds the value of a secret that was granted.
    async fn secret(&self, _name: String) -> Result<SecretString, Failure> {
        not_offered(Ability::Secrets)
    }

    /// Runs an image to its end, its output going to the step's log.
    async fn container(&self, _asked: Container) -> Result<Exit, Failure> {
        not_offered(Ability::Containers)
    }

    /// Builds an image from a directory of the pushed commit.
    async fn build(&self, _asked: Build) -> Result<Built, Failure> {
        not_offered(Ability::Images)
    }

    /// Pushes a build to a registry.
    async fn push(&self, _asked: Push) -> Result<Pushed, Failure> {
        not_offered(Ability::Registry)
    }

    /// Commits a new image to a manifests repository.
    async fn bump(&self, _asked: Bump) -> Result<Bumped, Failure> {
        not_offered(Ability::Git)
    }

    /// Plans what has to change of the infrastructure that a folder of the pushed commit describes.
    async fn plan(&self, _asked: PlanRequest) -> Result<Planned, Failure> {
        not_offered(Ability::Terraform)
    }

    /// Says which folder a plan of this run is for, before the grant for that folder is checked.
    async fn planned_folder(&self, _plan: String) -> Result<String, Failure> {
        not_offered(Ability::Terraform)
    }

    /// Applies a plan of this run.
    async fn apply(&self, _asked: ApplyRequest) -> Result<Applied, Failure> {
        not_offered(Ability::Terraform)
    }

    /// Says where something that a plugin names is, before the grant for that place is checked.
    async fn locate(&self, asked: Named) -> Result<Place, Failure> {
        match asked {
            Named::Application(_) => not_offered(Ability::Cluster),
            Named::Rollout(_) => not_offered(Ability::Canary),
        }
    }

    /// Brings an application to what git says, and waits until it is there.
    async fn sync(&self, _asked: SyncRequest) -> Result<Synced, Failure> {
        not_offered(Ability::Cluster)
    }

    /// Follows a rollout to its end.
    async fn follow(&self, _asked: Follow) -> Result<Followed, Failure> {
        not_offered(Ability::Canary)
    }

    /// Asks a metric provider that was granted.
    async fn query(&self, _asked: Query) -> Result<Vec<Sample>, Failure> {
        not_offered(Ability::Metrics)
    }
}

/// What a host answers that does not have an ability: one for `health` needs the log alone.
fn not_offered<T>(ability: Ability) -> Result<T, Failure> {
    Err(Failure::Rejected(format!("there is no {ability} for this plugin here")))
}

/// Why the host did not do what a plugin asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The author of the pipeline can fix it. The text says how.
    Rejected(String),
    /// The same call may succeed later.
    Transient(String),
    /// A permission is missing; the plugin may go on without.
    Denied(Denied),
    /// What was done for the plugin came up against a limit, which ends the plugin as well.
    Limit {
        /// The limit that was exceeded.
        which: Limit,
        /// With the limit's value.
        because: String,
    },
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For whoever looks for a fault in the plugin.
    Debug,
    /// What the step does, for the person who reads its log.
    Info,
    /// What should be looked at, though the step goes on.
    Warn,
    /// Why the step fails.
    Error,
}

impl Level {
    /// As the contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}
