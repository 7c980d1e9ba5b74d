//! The abilities of one attempt: each call goes to an adapter, or is a request of a
//! stage that a step may wait for.

mod image;

use super::archives::{Archives, Mode, Reader};
use super::artifacts::{Artifacts, Author};
use super::connector::Connector;
use super::container::ContainerSteps;
use super::lines::Waiting;
use super::metrics::{self, Provider};
use super::terraform::Terraform;
use crate::config::SecretSource;
use crate::drive::{Drivers, Trouble};
use crate::logs::{Logs, Masker, PieceEnd, Source};
use crate::patience::{until_known, until_served};
use crate::places::{AttemptKey, PlaceWaits};
use crate::requests::request;
use crate::stages::sync::SyncStage;
use crate::steps::{Asked, Host};
use api::reading::LogPlace;
use async_trait::async_trait;
use decide::delivery::Origin;
use decide::request::{Key, Requests};
use decide::run::Event;
use decide::stream::Stream;
use forge::Forge;
use futures::future::BoxFuture;
use sandbox::{
    Abilities, Applied, ApplyRequest, Artifact, Build, Built, Bump, Bumped, Container, Exit, Failure, Follow, Followed,
    Found, HttpRequest, HttpResponse, Level, List, Listed, Named, OnTimeout, Place, PlanRequest, Planned, Push, Pushed,
    Query, Read, Restore, Sample, Save, Saved, Stored, SyncRequest, Synced,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Everything that abilities reach through.
pub struct Adapters {
    /// The drivers, and the journal and board with them.
    pub drivers: Arc<Drivers>,
    /// The git repositories that steps may read.
    pub forge: Arc<Forge>,
    /// The logs that steps write to.
    pub logs: Arc<Logs>,
    /// The server's secrets, by the name that grants use.
    pub secrets: BTreeMap<String, SecretSource>,
    /// What steps leave for one another.
    pub artifacts: Artifacts,
    /// What runs leave for later ones.
    pub archives: Archives,
    /// The providers of metrics, by their grants.
    pub metrics: Vec<Provider>,
    /// Container steps, where an engine is there for them.
    pub containers: Arc<ContainerSteps>,
    /// What plans and applies infrastructure, where the configuration has it.
    pub terraform: Option<Arc<Terraform>>,
    /// Which attempt waits for which request.
    pub waiting: Arc<Waiting>,
    /// Which attempts wait for a free place.
    pub waits: Arc<PlaceWaits>,
    /// The stage that syncs applications.
    pub sync: Arc<SyncStage>,
    /// The names of the clusters, the first of which is meant where none is named.
    pub clusters: Vec<String>,
    /// The requests over HTTP that plugins make.
    pub connector: Arc<Connector>,
}

/// Makes abilities from the adapters.
pub struct PluginHost {
    adapters: Arc<Adapters>,
}

impl PluginHost {
    /// Offers these adapters to plugins.
    pub fn new(adapters: Adapters) -> PluginHost {
        PluginHost { adapters: Arc::new(adapters) }
    }
}

impl Host for PluginHost {
    fn abilities(&self, asked: &Asked) -> Arc<dyn Abilities> {
        Arc::new(Attempt { adapters: self.adapters.clone(), asked: asked.clone() })
    }

    fn note(&self, asked: &Asked, level: &str, text: &str) {
        self.adapters.logs.line(&asked.run.id, &asked.step, asked.attempt, level, text);
    }

    fn hidden(&self, asked: &Asked, text: &str) -> String {
        self.adapters.logs.hidden(&asked.run.id, text)
    }

    fn ended(&self, asked: &Asked) {
        self.adapters.waiting.leave(asked);
        self.adapters.waits.forget(&asked.key());
        self.adapters.logs.end(&asked.run.id, &asked.step, asked.attempt);
    }

    fn settled<'a>(&'a self, key: &'a AttemptKey) -> BoxFuture<'a, ()> {
        Box::pin(self.adapters.containers.settle(key))
    }
}

struct Attempt {
    adapters: Arc<Adapters>,
    asked: Asked,
}

impl Attempt {
    fn key(&self) -> Key {
        Key { run: self.asked.run.id.clone(), step: self.asked.step.clone() }
    }

    /// Where the attempt's log is.
    fn place(&self) -> LogPlace {
        LogPlace::new(&self.asked.run.id, &self.asked.step, self.asked.attempt)
    }

    /// Asks a stage for something, and waits for the response.
    async fn request<E>(&self, stream: &Stream, intent: E::Intent) -> Result<Value, Failure>
    where
        E: Requests + Serialize + DeserializeOwned + Send + Sync,
        E::Intent: Send + Sync,
    {
        request::<E>(&self.adapters.drivers, stream, &self.key(), intent, |trouble| self.waits_for(trouble)).await
    }

    /// What must be known before a stage can be asked, or written before the step goes on. An outage, and a full disk,
    /// is waited for here like the stage's answer itself: the step's timeout ends the wait.
    async fn patiently<T, F>(&self, look: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        Ok(until_known(look, |trouble| self.waits_for(trouble)).await?)
    }

    fn waits_for(&self, trouble: &Trouble) {
        self.log(Level::Warn, &format!("{trouble}; trying again"));
    }

    fn terraform(&self) -> Result<&Terraform, Failure> {
        let missing = "this server runs no Terraform; its administrator can add [terraform] to its configuration";
        self.adapters.terraform.as_deref().ok_or_else(|| Failure::Rejected(missing.to_owned()))
    }

    fn mirror(&self) -> Result<Arc<forge::Mirror>, Failure> {
        Ok(self.adapters.forge.repository(&self.asked.run.repository).map_err(Trouble::from)?)
    }
}

#[async_trait]
impl Abilities for Attempt {
    fn log(&self, level: Level, line: &str) {
        self.adapters.logs.piece(&self.place(), Source::Plugin, level.name(), line, PieceEnd::Line);
    }

    fn log_part(&self, level: Level, part: &str) {
        self.adapters.logs.piece(&self.place(), Source::Plugin, level.name(), part, PieceEnd::Open);
    }

    fn hidden(&self, because: String) -> String {
        self.adapters.logs.hidden(&self.asked.run.id, &because)
    }

    async fn read(&self, asked: Read) -> Result<Vec<u8>, Failure> {
        let limit = usize::try_from(asked.at_most).unwrap_or(usize::MAX);
        let read = self.mirror()?.file(&self.asked.run.commit.sha, &asked.path, limit).await.map_err(git)?;
        read.ok_or_else(|| Failure::Rejected(format!("there is no file {} at this commit", asked.path)))
    }

    async fn list(&self, asked: List) -> Result<Vec<Listed>, Failure> {
        let entries = self.mirror()?.list(&self.asked.run.commit.sha, &asked.path).await.map_err(git)?;
        let entries = entries.ok_or_else(|| Failure::Rejected(format!("there is no folder {}", asked.path)))?;
        let listed = |entry: forge::Listed| Listed {
            name: entry.name,
            kind: match entry.kind {
                forge::ListedKind::File => sandbox::ListedKind::File,
                forge::ListedKind::Directory => sandbox::ListedKind::Directory,
                forge::ListedKind::Other => sandbox::ListedKind::Other,
            },
            size: entry.size,
        };
        Ok(entries.into_iter().map(listed).collect())
    }

    fn share(&self) -> Option<String> {
        Some(self.asked.run.id.clone())
    }

    fn queued(&self, because: String) -> Box<dyn Send + Sync> {
        Box::new(self.adapters.waits.begin(self.asked.key(), because))
    }

    fn waited(&self) -> Duration {
        self.adapters.waits.waited(&self.asked.key())
    }

    async fn store(&self, asked: Artifact) -> Result<(), Failure> {
        let Asked { run, step, attempt, .. } = &self.asked;
        let author = Author { run: run.id.clone(), step: step.clone(), attempt: *attempt };
        let put = || self.adapters.artifacts.put(author.clone(), asked.name.clone(), asked.content.clone());
        until_served(put, |trouble| self.waits_for(trouble)).await
    }

    async fn stored(&self, asked: Read) -> Result<Vec<u8>, Failure> {
        self.adapters.artifacts.get(&self.asked.run.id, asked.path, asked.at_most).await
    }

    async fn artifacts(&self) -> Result<Vec<Stored>, Failure> {
        self.adapters.artifacts.list(&self.asked.run.id).await
    }

    async fn restore(&self, asked: Restore) -> Result<Option<Found>, Failure> {
        self.adapters.archives.restore(reader(&self.asked.run.repository, &self.asked.run.event), asked).await
    }

    async fn save(&self, asked: Save) -> Result<Saved, Failure> {
        self.adapters.archives.save(reader(&self.asked.run.repository, &self.asked.run.event), asked).await
    }

    async fn query(&self, asked: Query) -> Result<Vec<Sample>, Failure> {
        metrics::query(&self.adapters.connector, &self.adapters.metrics, &asked).await
    }

    async fn http(&self, asked: HttpRequest) -> Result<HttpResponse, Failure> {
        self.adapters.connector.send(asked).await
    }

    async fn secret(&self, name: String) -> Result<SecretString, Failure> {
        let source = self.adapters.secrets.get(&name).ok_or_else(|| {
            Failure::Rejected(format!("the server has no secret `{name}`; add [secret.{name}] to its configuration"))
        })?;
        let secret = source.read().map_err(|because| Failure::Transient(format!("secret `{name}`: {because}")))?;
        // From here on the value is in the plugin's reach, so no log of this run may show it.
        self.adapters.logs.mask(&self.asked.run.id, Masker::new([secret.expose_secret()]));
        Ok(secret)
    }

    async fn container(&self, asked: Container) -> Result<Exit, Failure> {
        self.adapters.containers.run(&self.asked, asked).await
    }

    async fn plan(&self, asked: PlanRequest) -> Result<Planned, Failure> {
        self.terraform()?.plan(&self.asked, asked).await
    }

    async fn planned_folder(&self, plan: String) -> Result<String, Failure> {
        self.terraform()?.folder(&self.asked, &plan)
    }

    async fn apply(&self, asked: ApplyRequest) -> Result<Applied, Failure> {
        self.terraform()?.apply(&self.asked, asked).await
    }

    async fn build(&self, asked: Build) -> Result<Built, Failure> {
        let build = decide::image::Build {
            repository: self.asked.run.repository.clone(),
            commit: self.asked.run.commit.sha.clone(),
            context: asked.context,
            dockerfile: asked.dockerfile,
            build_args: asked.build_args,
            network: decide::image::Network::Builder,
            timeout_ms: Some(self.asked.timeout_ms),
        };
        let build = self.as_its_run_may(build).await?;
        let outputs = self.image(decide::image::Intent::Build(build)).await?;
        Ok(Built { build: text(&outputs, "build")?, digest: text(&outputs, "digest")? })
    }

    async fn push(&self, asked: Push) -> Result<Pushed, Failure> {
        let build = match asked.build {
            Some(build) => build,
            None => self.newest_build().await?,
        };
        let push = decide::image::Push { build, to: asked.to, tag: asked.tag, timeout_ms: Some(self.asked.timeout_ms) };
        let outputs = self.image(decide::image::Intent::Push(push)).await?;
        let (image, digest) = (text(&outputs, "image")?, text(&outputs, "digest")?);
        Ok(Pushed { image, digest, reference: text(&outputs, "reference")? })
    }

    async fn bump(&self, asked: Bump) -> Result<Bumped, Failure> {
        let intent = decide::bump::Intent {
            repo: asked.repo,
            branch: asked.branch,
            path: asked.path,
            image: asked.image,
            message: asked.message,
        };
        let (key, repo) = (self.key(), intent.repo.clone());
        let stream = Stream::bump(&key.run, &key.step);
        let outputs = self.request::<decide::bump::Entry>(&stream, intent).await?;
        // The commit is there: whoever follows that repository can look at once.
        self.adapters.sync.pushed(&self.adapters.drivers, &repo);
        Ok(Bumped { commit: text(&outputs, "commit")?, changed: text(&outputs, "changed")? == "true" })
    }

    async fn locate(&self, asked: Named) -> Result<Place, Failure> {
        match asked {
            Named::Application(name) => {
                let stream = self.application(&name).await?;
                self.patiently(|| self.adapters.sync.destination(&stream)).await
            }
            Named::Rollout(name) => {
                let parts: Vec<_> = name.split('/').collect();
                let (cluster, namespace, name) = match (parts.as_slice(), self.adapters.clusters.first()) {
                    ([namespace, name], Some(cluster)) => (cluster.as_str(), *namespace, *name),
                    ([cluster, namespace, name], _) => (*cluster, *namespace, *name),
                    _ => {
                        return Err(Failure::Rejected(format!(
                            "`{name}` is not namespace/name, or no cluster is configured"
                        )));
                    }
                };
                Ok(Place { cluster: cluster.into(), namespace: namespace.into(), name: name.into() })
            }
        }
    }

    async fn sync(&self, asked: SyncRequest) -> Result<Synced, Failure> {
        let stream = self.application(&asked.application).await?;
        let revision = match asked.revision {
            Some(revision) => revision,
            None => self.patiently(|| self.adapters.sync.head(&stream)).await?,
        };
        let intent = decide::sync::Intent { revision: revision.into() };
        let outputs = self.request::<decide::sync::Entry>(&stream, intent).await?;
        Ok(Synced { revision: text(&outputs, "revision")? })
    }

    async fn follow(&self, asked: Follow) -> Result<Followed, Failure> {
        let on_timeout = match asked.on_timeout {
            OnTimeout::Hold => decide::rollout::OnTimeout::Hold,
            OnTimeout::Retreat => decide::rollout::OnTimeout::Abort,
        };
        let intent = decide::rollout::Intent { image: asked.image, on_timeout };
        let Place { cluster, namespace, name } = &asked.place;
        let stream = Stream::rollout(cluster, namespace, name);
        let outputs = self.request::<decide::rollout::Entry>(&stream, intent).await?;
        Ok(Followed { outcome: text(&outputs, "outcome")? })
    }
}

impl Attempt {
    /// The stream of an application, by the name that a pipeline gives it.
    async fn application(&self, name: &str) -> Result<Stream, Failure> {
        let found = self.patiently(|| self.adapters.sync.named(&self.adapters.drivers, name)).await?;
        match found.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Failure::Transient(format!("no cluster has an application `{name}`"))),
            several => {
                let several: Vec<&str> = several.iter().map(Stream::as_str).collect();
                Err(Failure::Rejected(format!("`{name}` could be {}; name one of them", several.join(" or "))))
            }
        }
    }
}

/// Which archives a run finds, and whether it may add to them.
fn reader(repository: &str, event: &Event) -> Reader {
    let own = event.reference.clone();
    let base = event.pull_request.iter().map(|asked| asked.base.clone());
    let (references, mode) = match event.origin() {
        Some(Origin::Fork) => (base.collect(), Mode::ReadOnly),
        Some(Origin::Own) | None => ([own.clone()].into_iter().chain(base).collect(), Mode::ReadWrite(own)),
    };
    Reader { repository: repository.to_owned(), references, mode }
}

fn text(outputs: &Value, name: &str) -> Result<String, Failure> {
    let missing = || Failure::Transient(format!("the stage answered without `{name}`"));
    outputs[name].as_str().map(str::to_owned).ok_or_else(missing)
}

fn git(error: forge::Error) -> Failure {
    Trouble::from(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use decide::run::{EventKind, PullRequest};

    #[test]
    fn a_run_finds_its_branchs_archives_and_a_fork_adds_none() {
        let of = |event: Event| {
            let Reader { references, mode, .. } = reader("o/r", &event);
            (references, mode)
        };
        let main = "refs/heads/main".to_owned();
        let pushed = Event { kind: EventKind::Push, reference: main.clone(), ..Event::default() };
        assert_eq!(of(pushed), (vec![main.clone()], Mode::ReadWrite(main.clone())));
        let head = "refs/pull/7/head".to_owned();
        let asked = |origin| {
            let pull_request = Some(PullRequest { number: 7, base: main.clone(), head: "fix".into(), origin });
            Event { kind: EventKind::PullRequest, reference: head.clone(), pull_request, ..Event::default() }
        };
        assert_eq!(of(asked(Origin::Own)), (vec![head.clone(), main.clone()], Mode::ReadWrite(head.clone())));
        assert_eq!(of(asked(Origin::Fork)), (vec![main.clone()], Mode::ReadOnly));
        let unknown = Event { pull_request: None, ..asked(Origin::Fork) };
        assert_eq!(of(unknown), (Vec::new(), Mode::ReadOnly));
    }
}
