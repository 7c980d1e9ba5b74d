//! Delivery and trigger: a push or a pull request that was received becomes runs.

mod files;
mod index;
mod pull_request;

pub use index::Index;

use crate::drive::{Drivers, Stage, Trouble, Written, encode, now};
use crate::retention::Memory;
use async_trait::async_trait;
use decide::by::By;
use decide::delivery::{Change, Entry, Paths, Push, Received, Recorded};
use decide::next::{Next, Timestamp};
use decide::run::{self, CancelCause, Commit, Opened};
use decide::trigger::{self, Act, Ancestry, Changed, File, Found, Known, Seen, Standing};
use forge::{Forge, Mirror};
use journal::AppendError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many commits' pipelines are kept in memory.
const KEPT_COMMITS: usize = 64;
/// How many of a reference's newest runs are compared with a late delivery.
const COMPARED_RUNS: usize = 20;

/// Starts the driver of a run, by its stream.
pub type StartRun = Arc<dyn Fn(&str) + Send + Sync>;

/// Knows the numbers that runs have left elsewhere, when the journal does not.
#[async_trait]
pub trait Floors: Send + Sync + 'static {
    /// The last number that runs of the pipeline have used, as far as their
    /// traces show; 0 where there are none. `opened` is the run that waits for a number.
    ///
    /// # Errors
    /// A place that may hold traces could not be looked at, so the number is not known.
    async fn last(&self, opened: &Opened) -> Result<u64, Trouble>;
}

/// The stage `delivery`, on streams `delivery/<hook>/<delivery id>`.
pub struct DeliveryStage {
    drivers: Arc<Drivers>,
    forge: Arc<Forge>,
    index: Index,
    floors: BTreeMap<String, u64>,
    elsewhere: Arc<dyn Floors>,
    /// What `elsewhere` said, by repository and pipeline.
    learnt: Mutex<HashMap<(String, String), u64>>,
    start: StartRun,
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    commits: Mutex<HashMap<(String, String), Arc<AtCommit>>>,
}

/// What a commit holds for the trigger; it never changes.
#[derive(Clone)]
struct AtCommit {
    commit: Commit,
    files: Vec<File>,
}

/// What a repository shows of a delivery.
struct Looked {
    commit: Commit,
    files: Vec<File>,
    files_at: String,
    changed: Changed,
    standing: Standing,
}

impl DeliveryStage {
    /// Binds the stage. `floors` holds the last run numbers used elsewhere, by
    /// `owner/repo/pipeline`, and `elsewhere` finds those that are neither there nor
    /// in the journal; `start` begins to drive a run, by its stream.
    pub fn new(
        drivers: &Arc<Drivers>,
        forge: &Arc<Forge>,
        floors: BTreeMap<String, u64>,
        elsewhere: Arc<dyn Floors>,
        start: StartRun,
    ) -> Arc<DeliveryStage> {
        Arc::new(DeliveryStage {
            drivers: drivers.clone(),
            forge: forge.clone(),
            index: Index::new(drivers.journal().clone()),
            floors,
            elsewhere,
            learnt: Mutex::default(),
            start,
            gates: Mutex::default(),
            commits: Mutex::default(),
        })
    }

    /// Goes on with every delivery that has not ended, in the order received.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn resume(self: &Arc<Self>) -> Result<(), journal::Error> {
        for stream in self.index.pending().await? {
            self.drivers.ensure(self, &stream);
        }
        Ok(())
    }

    /// The runs of all repositories, as far as superseding goes.
    pub fn index(&self) -> &Index {
        &self.index
    }

    async fn look(&self, received: &Received, at: Timestamp) -> Result<Seen, Trouble> {
        let repository = received.repository();
        let mirror = self.forge.repository(repository).map_err(|e| Trouble(e.to_string()))?;
        let (_turn, looked, runs) = match received {
            Received::Push(push) => {
                let turn = self.turn(repository).await?;
                let Some(looked) = self.look_at_push(&mirror, push, at).await? else { return Ok(Seen::Missing) };
                let mut runs = self.runs(repository).await?;
                compare(&mirror, push, &mut runs).await?;
                (turn, looked, runs)
            }
            Received::PullRequest(asked) => {
                // Before its turn: a stranger's head may be slow, and no push waits for it.
                let looked = match self.look_at_pull_request(&mirror, asked, at).await? {
                    Ok(looked) => looked,
                    Err(seen) => return Ok(seen),
                };
                (self.turn(repository).await?, looked, self.runs(repository).await?)
            }
        };
        let prefix = format!("{repository}/");
        let floors =
            self.floors.iter().filter_map(|(name, floor)| Some((name.strip_prefix(&prefix)?.to_owned(), *floor)));
        let Looked { commit, files, files_at, changed, standing } = looked;
        let mut found = Found { commit, files, files_at, changed, standing, runs, floors: floors.collect() };
        for opened in trigger::unnumbered(received, &found) {
            let floor = self.learn(&opened).await?;
            found.floors.insert(opened.pipeline.name, floor);
        }
        Ok(Seen::Found(Box::new(found)))
    }

    async fn runs(&self, repository: &str) -> Result<Vec<Known>, Trouble> {
        self.index.of(repository).await.map_err(|error| Trouble::new("reading the runs", error))
    }

    /// The last number that was used before the journal begins; looked up once.
    async fn learn(&self, opened: &Opened) -> Result<u64, Trouble> {
        let key = (opened.repository.clone(), opened.pipeline.name.clone());
        let learnt = self.learnt.lock().expect("nobody panics while holding the numbers").get(&key).copied();
        if let Some(last) = learnt {
            return Ok(last);
        }
        let last = self.elsewhere.last(opened).await?;
        self.learnt.lock().expect("nobody panics while holding the numbers").insert(key, last);
        Ok(last)
    }

    /// The pushed commit with its pipelines; `None` where the remote has not got it.
    async fn look_at_push(&self, mirror: &Mirror, push: &Push, at: Timestamp) -> Result<Option<Looked>, Trouble> {
        let trouble = |e: forge::Error| Trouble(e.to_string());
        let mut at_commit = match push.change {
            // A new reference is compared with the others, so they must be fresh.
            Change::New => {
                mirror.fetch(at).await.map_err(trouble)?;
                self.read_at(mirror, &push.repository, &push.after).await?
            }
            Change::Forward | Change::Forced | Change::Deleted => {
                self.read_at(mirror, &push.repository, &push.after).await?
            }
        };
        for since in [at, now()] {
            if at_commit.is_none() {
                mirror.fetch(since).await.map_err(trouble)?;
                at_commit = self.read_at(mirror, &push.repository, &push.after).await?;
            }
        }
        let Some(at_commit) = at_commit else { return Ok(None) };
        let changed = changed(mirror, push).await?;
        let AtCommit { commit, files } = (*at_commit).clone();
        Ok(Some(Looked { files_at: commit.sha.clone(), commit, files, changed, standing: Standing::Current }))
    }

    /// A commit with its pipelines; `None` where the mirror has not got it.
    async fn read_at(&self, mirror: &Mirror, repository: &str, id: &str) -> Result<Option<Arc<AtCommit>>, Trouble> {
        let key = (repository.to_owned(), id.to_owned());
        let kept = self.commits.lock().expect("nobody panics while holding the commits").get(&key).cloned();
        if kept.is_some() {
            return Ok(kept);
        }
        let Some(commit) = mirror.commit(id).await.map_err(|e| Trouble(e.to_string()))? else { return Ok(None) };
        let files = files::at(mirror, &commit.sha).await?;
        let commit = Commit { sha: commit.sha, short: commit.short, message: commit.message, author: commit.author };
        let at_commit = Arc::new(AtCommit { commit, files });
        let mut commits = self.commits.lock().expect("nobody panics while holding the commits");
        if commits.len() >= KEPT_COMMITS {
            commits.clear();
        }
        commits.insert(key, at_commit.clone());
        Ok(Some(at_commit))
    }

    /// Waits until nobody else looks at the repository: deliveries take turns, in the order received.
    async fn turn(&self, repository: &str) -> Result<OwnedSemaphorePermit, Trouble> {
        let gate = {
            let mut gates = self.gates.lock().expect("nobody panics while holding the gates");
            gates.entry(repository.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
        };
        gate.acquire_owned().await.map_err(|error| Trouble(error.to_string()))
    }

    async fn open(&self, delivery: &str, opened: &Opened) -> Result<(), Trouble> {
        let stream = format!("run/{}", opened.id);
        let entry = run::Entry::Opened { run: Box::new(opened.clone()) };
        let by = By::Delivery(delivery.to_owned());
        let entries = encode(&[entry], &by, now()).map_err(|e| Trouble(e.to_string()))?;
        match self.drivers.journal().append(&stream, 0, entries).await {
            Ok(_) => {
                (self.start)(&stream);
                Ok(())
            }
            // Somebody else took the number; the next look sees whose run it is.
            Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(Trouble::new("opening a run", error)),
        }
    }

    async fn supersede(&self, run: &str, by: &str) -> Result<(), Trouble> {
        let because = format!("superseded by {by}");
        let ask = |written: &[Written<run::Entry>]| {
            let over =
                |w: &Written<run::Entry>| matches!(w.entry, run::Entry::CancelAsked { .. } | run::Entry::Closed { .. });
            let entry = run::Entry::CancelAsked { because: because.clone(), cause: CancelCause::Superseded };
            (!written.is_empty() && !written.iter().any(over)).then(|| vec![entry])
        };
        let asked = self.drivers.append::<run::Entry, _>(&format!("run/{run}"), By::Server, ask).await;
        asked.map(|_| ()).map_err(|error| Trouble::new("superseding a run", error))
    }
}

async fn changed(mirror: &Mirror, push: &Push) -> Result<Changed, Trouble> {
    if let Paths::Listed { paths } = &push.paths {
        return Ok(Changed::Paths(paths.clone()));
    }
    let changed = mirror.changed(&push.reference, &push.before, &push.after).await;
    Ok(match changed.map_err(|error| Trouble(error.to_string()))? {
        forge::Changed::Paths(paths) => Changed::Paths(paths),
        forge::Changed::Everything { .. } => Changed::Everything,
    })
}

/// Finds the runs of newer commits, for a push that only moved forwards.
async fn compare(mirror: &Mirror, push: &Push, runs: &mut [Known]) -> Result<(), Trouble> {
    if push.change != Change::Forward {
        return Ok(());
    }
    let same =
        runs.iter_mut().rev().filter(|run| run.event.reference == push.reference && run.event.after != push.after);
    for run in same.take(COMPARED_RUNS) {
        let newer = mirror.contains(&run.event.after, &push.after).await;
        if newer.map_err(|error| Trouble(error.to_string()))? {
            run.ancestry = Ancestry::Newer;
        }
    }
    Ok(())
}

#[async_trait]
impl Memory for DeliveryStage {
    async fn forget(&self, runs: &BTreeSet<String>) {
        self.index.forget(runs).await;
    }

    async fn tidy(&self) {
        if let Err(trouble) = self.tidy_heads().await {
            tracing::warn!(%trouble, "heads of pull requests were left behind");
        }
    }
}

#[async_trait]
impl Stage for DeliveryStage {
    const NAME: &'static str = "delivery";
    type Entry = Entry;
    type Recorded = Recorded;
    type Seen = Seen;
    type Act = Act;

    fn replay(&self, entries: &[Written<Entry>]) -> Recorded {
        Recorded::replay(entries.iter().map(|written| (written.at_ms, &written.entry)))
    }

    async fn observe(&self, _stream: &str, recorded: &Recorded) -> Result<Seen, Trouble> {
        let (Some((received, at)), None) = (&recorded.received, &recorded.ended) else { return Ok(Seen::Nothing) };
        if matches!(received, Received::Push(Push { change: Change::Deleted, .. })) {
            return Ok(Seen::Nothing);
        }
        self.look(received, *at).await
    }

    fn decide(&self, recorded: &Recorded, seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
        trigger::decide(recorded, seen, now)
    }

    async fn act(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
        match act {
            Act::Open(opened) => self.open(stream.rsplit('/').next().unwrap_or(stream), opened).await,
            Act::Supersede { run, by } => self.supersede(run, by).await,
        }
    }
}

#[cfg(test)]
mod tests;
