//! Runs that people start: what there is to start, and the start.
//!
//! Everything is asked first, and then the run is opened by its first entry: a start that is refused leaves no trace,
//! and one whose answer was lost is asked for again by its key.

use super::DeliveryStage;
use crate::drive::{Begun, Drivers, Trouble};
use api::commands::{NotTaken, StartRun};
use api::views::{StartablePipeline, StartableRepository, StartableView};
use decide::by::By;
use decide::delivery::{
    Changed, Context, ManualPlan, ManualRequest, Standing, StartRefusal, is_numbered, may_mean, plan_manual,
    reference_named, run_of, started_before,
};
use decide::epoch::Epoch;
use decide::run::Entry;
use decide::stream::Stream;
use forge::Mirror;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How old what a form shows may be. The start itself looks again.
const FRESH: Duration = Duration::from_secs(30);
/// How long a form waits for a repository that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many repositories are looked at side by side for a form.
const SIDE_BY_SIDE: usize = 8;

/// What people start.
pub struct ManualRuns {
    delivery: Arc<DeliveryStage>,
    /// As the configuration names them.
    repositories: BTreeSet<String>,
}

/// Where a branch or a tag stands.
struct Stands {
    reference: String,
    sha: String,
}

impl ManualRuns {
    /// Binds to the stage that opens runs, for these repositories.
    pub fn new(delivery: Arc<DeliveryStage>, repositories: impl IntoIterator<Item = String>) -> ManualRuns {
        ManualRuns { delivery, repositories: repositories.into_iter().collect() }
    }

    /// Opens a run at the commit where the reference stands now, and returns its id; the older one's where the same
    /// key has started it before.
    ///
    /// # Errors
    /// Everything that is wrong with what is asked for, or what could not be asked now. Nothing is recorded then.
    pub async fn start(&self, drivers: &Arc<Drivers>, asked: StartRun, by: By) -> Result<String, NotTaken> {
        let repository = self.repository(asked.repository.as_deref())?.to_owned();
        let mirror = self.delivery.forge.repository(&repository).map_err(unavailable)?;
        let named = asked.reference.as_deref();
        let mut request = ManualRequest {
            repository,
            file: path(&asked.file),
            reference: String::new(),
            key: asked.key.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>())),
            inputs: asked.inputs,
        };
        // As deliveries do, and before anything is looked at: two that look at the same time would find the same number,
        // and what was looked at before a push of its own turn is older than that push's run.
        let _turn = self.delivery.turn(&request.repository).await.map_err(unavailable)?;
        if let Some(run) = self.again(&mirror, &mut request, named).await? {
            drivers.ensure(&Stream::run(&run));
            return Ok(run);
        }
        let fetched = mirror.fetch(Instant::now()).await;
        let failed = |error| NotTaken::Unavailable(format!("{} cannot be fetched now: {error}", request.repository));
        fetched.map_err(failed)?;
        let stands = stands(&mirror, named).await?;
        request.reference.clone_from(&stands.reference);
        let mut context = self.context(&mirror, &request.repository, &stands).await?;
        loop {
            context.runs = self.delivery.runs(&request.repository).await.map_err(unavailable)?;
            let opened = match plan_manual(&request, &context).map_err(NotTaken::NotStarted)? {
                ManualPlan::Exists(run) => {
                    drivers.ensure(&Stream::run(&run));
                    return Ok(run);
                }
                ManualPlan::Open(opened) => opened,
            };
            if !is_numbered(&opened, &context) {
                let floor = self.delivery.external.last(&opened).await.map_err(unavailable)?;
                context.floors.insert(opened.pipeline.name.clone(), floor);
                continue;
            }
            let id = opened.id.clone();
            let first = Entry::Opened { run: Arc::new(*opened) };
            // Where a retry was faster and took the number, the next look sees whose run it is.
            if drivers.open(&Stream::run(&id), &by, &first).await? == Begun::Now {
                return Ok(id);
            }
        }
    }

    /// The run that this start opened before, where its answer was lost. The repository is not asked: it may have moved
    /// on, or not answer.
    async fn again(
        &self,
        mirror: &Mirror,
        request: &mut ManualRequest,
        named: Option<&str>,
    ) -> Result<Option<String>, NotTaken> {
        let runs = self.delivery.runs(&request.repository).await.map_err(unavailable)?;
        let Some(known) = run_of(&request.key, &runs) else { return Ok(None) };
        // A mirror that is not there yet has no default branch; it is fetched next.
        let default = mirror.default_branch().await.ok().flatten();
        if !may_mean(named, default.as_deref(), &known.event.reference) {
            return Ok(None);
        }
        request.reference.clone_from(&known.event.reference);
        started_before(request, &runs).map_err(|refused| NotTaken::NotStarted(vec![refused]))
    }

    /// What there is to start, in one repository or in all.
    ///
    /// # Errors
    /// There is no such repository.
    pub async fn startable(&self, named: Option<&str>, at: Option<&str>) -> Result<StartableView, NotTaken> {
        let names: Vec<&String> = match named {
            Some(_) => vec![self.repository(named)?],
            None => self.repositories.iter().collect(),
        };
        let each: Vec<_> = names.into_iter().map(|name| self.startable_of(name, at)).collect();
        let repositories = futures::stream::iter(each).buffered(SIDE_BY_SIDE).collect().await;
        Ok(StartableView { repositories })
    }

    async fn startable_of(&self, repository: &str, at: Option<&str>) -> StartableRepository {
        let mut view = StartableRepository {
            repository: repository.to_owned(),
            reference: String::new(),
            sha: String::new(),
            pipelines: Vec::new(),
            problem: None,
        };
        let mut problems = Vec::new();
        if let Err(not_taken) = self.look(&mut view, &mut problems, at).await {
            problems.push(not_taken.to_string());
        }
        view.problem = (!problems.is_empty()).then(|| problems.join("; "));
        view
    }

    /// Fills in what a repository has to start, as far as it can be told.
    async fn look(
        &self,
        view: &mut StartableRepository,
        problems: &mut Vec<String>,
        at: Option<&str>,
    ) -> Result<(), NotTaken> {
        let mirror = self.delivery.forge.repository(&view.repository).map_err(unavailable)?;
        let since = Instant::now().checked_sub(FRESH).unwrap_or_else(Instant::now);
        match tokio::time::timeout(PATIENCE, mirror.fetch(since)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => problems.push(format!("this may be old: {error}")),
            Err(_) => problems.push(format!("this may be old: {} does not answer", mirror.address().as_str())),
        }
        let stands = stands(&mirror, at).await?;
        let context = self.context(&mirror, &view.repository, &stands).await?;
        for file in &context.files {
            match &file.pipeline {
                Ok(pipeline) => view.pipelines.extend(pipeline.on.manual.as_ref().map(|manual| StartablePipeline {
                    file: file.path.clone(),
                    name: pipeline.name.clone(),
                    inputs: manual.inputs.iter().map(Into::into).collect(),
                })),
                Err(_) => problems.push(format!("`{}` has mistakes and cannot be started", file.path)),
            }
        }
        (view.reference, view.sha) = (stands.reference, stands.sha);
        Ok(())
    }

    /// The repository that is meant: the one of this name, or the only one.
    fn repository(&self, named: Option<&str>) -> Result<&String, NotTaken> {
        let known = self.repositories.iter().map(String::as_str);
        let refused = match named {
            Some(named) => match self.repositories.get(named) {
                Some(known) => return Ok(known),
                None => {
                    let message = format!("no hook of the configuration names the repository `{named}`");
                    StartRefusal::unknown("repository", message, named, known)
                }
            },
            None => match self.repositories.first().filter(|_| self.repositories.len() == 1) {
                Some(only) => return Ok(only),
                None => StartRefusal::unknown("repository", "the repository is not named", "", known),
            },
        };
        Err(NotTaken::NotStarted(vec![refused]))
    }

    /// What a start rests on at a commit, without the runs.
    async fn context(&self, mirror: &Mirror, repository: &str, stands: &Stands) -> Result<Context, NotTaken> {
        let read = self.delivery.read_at(mirror, repository, &stands.sha).await.map_err(unavailable)?;
        let read = read.ok_or_else(|| NotTaken::Unavailable(format!("the commit {} is gone by now", stands.sha)))?;
        Ok(Context {
            commit: read.commit,
            files: read.files,
            files_at: stands.sha.clone(),
            changed: Changed::Everything,
            standing: Standing::Current,
            receipt: Epoch::This,
            same: BTreeSet::new(),
            brought: Vec::new(),
            runs: Vec::new(),
            floors: BTreeMap::new(),
            configured: self.delivery.configured(repository),
        })
    }
}

/// Where the branch or tag that is meant stands, as of the last fetch.
async fn stands(mirror: &Mirror, named: Option<&str>) -> Result<Stands, NotTaken> {
    let references = mirror.references().await.map_err(unavailable)?;
    let default = mirror.default_branch().await.map_err(unavailable)?;
    let reference = match reference_named(named, default.as_deref(), references.keys().map(String::as_str)) {
        Ok(reference) => reference,
        Err(refused) => {
            // What the remote has and the mirror could not take is no mistake of the person's.
            if let Err(error @ forge::Error::Unfetched { .. }) = mirror.resolve(named.unwrap_or("HEAD")).await {
                return Err(unavailable(error));
            }
            return Err(NotTaken::NotStarted(vec![refused]));
        }
    };
    // Fails where what is here under its name is older than what the remote has.
    match mirror.resolve(&reference).await.map_err(unavailable)? {
        Some(sha) => Ok(Stands { reference, sha }),
        None => {
            let message = format!("`{reference}` leads to no commit");
            Err(NotTaken::NotStarted(vec![StartRefusal::new("ref", message, "name a branch, or a tag of a commit")]))
        }
    }
}

/// The path of a pipeline file that a person names by its path, or by its name alone.
fn path(file: &str) -> String {
    let file = file.trim().trim_start_matches("./");
    if file.contains('/') { file.to_owned() } else { format!("{}/{file}", super::files::FOLDER) }
}

fn unavailable(error: impl Into<Trouble>) -> NotTaken {
    NotTaken::Unavailable(error.into().message)
}

#[cfg(test)]
mod tests;
