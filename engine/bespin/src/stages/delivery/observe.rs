//! What a delivery observes of its repository: the commit, its pipelines, the runs so far.

use super::{AtCommit, DeliveryStage, KnownCommit, files};
use crate::drive::Trouble;
use decide::delivery::{
    self, Ancestry, Change, Changed, Context, File, KnownRun, Observed, Paths, Push, Received, Standing,
};
use decide::epoch::Epoch;
use decide::run::Commit;
use forge::Mirror;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// From how many on the moments of deliveries that have ended are forgotten.
const KEPT_MOMENTS: usize = 1_000;
/// How many of a reference's newest runs are compared with a late delivery.
const COMPARED_RUNS: usize = 20;
/// How many commits of a push are read at most, where each of them matters.
const READ_COMMITS: usize = 1_000;

/// What a repository shows of a delivery.
pub(super) struct AtRepository {
    pub(super) commit: Commit,
    pub(super) files: Vec<File>,
    pub(super) files_at: String,
    pub(super) changed: Changed,
    pub(super) standing: Standing,
    /// See [`Context::brought`].
    pub(super) brought: Vec<String>,
}

impl DeliveryStage {
    /// Observes the repository of what was received.
    pub(super) async fn observe_repository(&self, received: &Received) -> Result<Observed, Trouble> {
        let since = self.received_before(received).await?;
        let receipt = self.index.move_epoch(&received.stream()).await;
        let receipt = receipt.map_err(|error| Trouble::new("reading the deliveries", error))?;
        let repository = received.repository();
        let mirror = self.forge.repository(repository)?;
        let (_turn, at_repository, runs, same) = match received {
            Received::Push(push) => {
                let turn = self.turn(repository).await?;
                let Some(at_repository) = self.observe_push(&mirror, push, (since, receipt)).await? else {
                    return Ok(missing(&mirror, push));
                };
                let told = self.index.runs_beside(push).await;
                let (mut runs, same) = told.map_err(|error| Trouble::new("reading the runs", error))?;
                compare(&mirror, push, &at_repository.standing, &mut runs).await?;
                (turn, at_repository, runs, same)
            }
            Received::PullRequest(asked) => {
                // Before its turn: a stranger's head may be slow, and no push waits for it.
                let at_repository = match self.observe_pull_request(&mirror, asked, since).await? {
                    Ok(at_repository) => at_repository,
                    Err(observed) => return Ok(observed),
                };
                (self.turn(repository).await?, at_repository, self.runs(repository).await?, BTreeSet::new())
            }
        };
        let AtRepository { commit, files, files_at, changed, standing, brought } = at_repository;
        let (floors, configured) = (BTreeMap::new(), self.configured(repository));
        let mut context =
            Context { commit, files, files_at, changed, standing, receipt, same, brought, runs, floors, configured };
        for opened in delivery::unnumbered(received, &context) {
            // Asked each time: what others left there since is as much a fact as what the journal says.
            let floor = self.external.last(&opened).await?;
            // A file with mistakes may have the name of another.
            let known = context.floors.entry(opened.pipeline.name).or_default();
            *known = floor.max(*known);
        }
        Ok(Observed::Readable(Box::new(context)))
    }

    /// When a delivery was first looked at. The receipt's own moment is the wall clock's, which is set back.
    async fn received_before(&self, received: &Received) -> Result<Instant, Trouble> {
        let locked = || self.looked.lock().expect("nobody panics while holding the moments");
        if locked().len() >= KEPT_MOMENTS {
            let pending = self.index.pending().await.map_err(|error| Trouble::new("reading the deliveries", error))?;
            let pending: BTreeSet<_> = pending.into_iter().collect();
            locked().retain(|stream, _| pending.contains(stream));
        }
        Ok(*locked().entry(received.stream()).or_insert_with(Instant::now))
    }

    /// The last numbers of a repository's pipelines that the configuration has, by pipeline.
    pub(super) fn configured(&self, repository: &str) -> BTreeMap<String, u64> {
        let prefix = format!("{repository}/");
        let of_it =
            self.floors.iter().filter_map(|(name, floor)| Some((name.strip_prefix(&prefix)?.to_owned(), *floor)));
        of_it.collect()
    }

    /// The runs of a repository, as far as the journal says.
    pub(super) async fn runs(&self, repository: &str) -> Result<Vec<KnownRun>, Trouble> {
        self.index.of(repository).await.map_err(|error| Trouble::new("reading the runs", error))
    }

    /// The pushed commit with its pipelines; `None` where the remote has not got it.
    async fn observe_push(
        &self,
        mirror: &Mirror,
        push: &Push,
        (since, receipt): (Instant, Epoch),
    ) -> Result<Option<AtRepository>, Trouble> {
        let mut at_commit = match push.change {
            // A new reference is compared with the others, so they must be fresh.
            Change::New => {
                mirror.fetch(since).await?;
                self.read_at(mirror, &push.repository, &push.after).await?
            }
            Change::Forward | Change::Forced | Change::Deleted => {
                self.read_at(mirror, &push.repository, &push.after).await?
            }
        };
        for since in [Some(since), None] {
            if at_commit.is_none() {
                mirror.fetch(since.unwrap_or_else(Instant::now)).await?;
                at_commit = self.read_at(mirror, &push.repository, &push.after).await?;
            }
        }
        let Some(at_commit) = at_commit else { return Ok(None) };
        let changed = changed(mirror, push).await?;
        let AtCommit { commit, files } = at_commit;
        let standing = self.standing(mirror, push, (since, receipt), &commit.sha).await?;
        let brought = match delivery::depends_on_all(&Received::Push(push.clone()), &commit.message) {
            true => mirror.brought(&push.before, &push.after, READ_COMMITS).await?.unwrap_or_default(),
            false => Vec::new(),
        };
        Ok(Some(AtRepository { files_at: commit.sha.clone(), commit, files, changed, standing, brought }))
    }

    /// Where the pushed branch or tag stands since the push was received, before `since`. Without a run of it nothing depends
    /// on that, unless its runs may be lost.
    async fn standing(
        &self,
        mirror: &Mirror,
        push: &Push,
        (since, receipt): (Instant, Epoch),
        commit: &str,
    ) -> Result<Standing, Trouble> {
        let runs = self.runs(&push.repository).await?;
        if receipt == Epoch::This && !runs.iter().any(|run| run.event.reference == push.reference) {
            return Ok(Standing::Current);
        }
        mirror.fetch(since).await?;
        let to = mirror.resolve(&push.reference).await?;
        Ok(if to.as_deref() == Some(commit) { Standing::Current } else { Standing::Moved { to } })
    }

    /// A commit with its pipelines; `None` where the mirror has not got it.
    pub(super) async fn read_at(
        &self,
        mirror: &Mirror,
        repository: &str,
        id: &str,
    ) -> Result<Option<AtCommit>, Trouble> {
        let Some(KnownCommit { commit, sources }) = self.known_commit(mirror, repository, id).await? else {
            return Ok(None);
        };
        Ok(Some(AtCommit { commit, files: sources.judge(self.plugins.clone()).await? }))
    }

    /// What git says of a commit; `None` where the mirror has not got it.
    async fn known_commit(&self, mirror: &Mirror, repository: &str, id: &str) -> Result<Option<KnownCommit>, Trouble> {
        let key = (repository.to_owned(), id.to_owned());
        let kept = self.commits.lock().expect("nobody panics while holding the commits").get(&key);
        if kept.is_some() {
            return Ok(kept);
        }
        let Some(commit) = mirror.commit(id).await? else {
            return Ok(None);
        };
        let sources = Arc::new(files::at(mirror, &commit.sha).await?);
        let commit = Commit { sha: commit.sha, short: commit.short, message: commit.message, author: commit.author };
        let known = KnownCommit { commit, sources };
        let bytes = known.commit.message.len() + known.sources.bytes();
        self.commits.lock().expect("nobody panics while holding the commits").keep(key, known.clone(), bytes);
        Ok(Some(known))
    }

    /// Waits for its turn: of the deliveries of a repository one observes at a time, in the order received.
    pub(super) async fn turn(&self, repository: &str) -> Result<OwnedSemaphorePermit, Trouble> {
        let gate = {
            let mut gates = self.gates.lock().expect("nobody panics while holding the gates");
            gates.entry(repository.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
        };
        gate.acquire_owned().await.map_err(|error| Trouble::new("waiting for other deliveries", error))
    }
}

/// The commit is not there, unless its reference could not be fetched.
fn missing(mirror: &Mirror, push: &Push) -> Observed {
    match mirror.unfetched(&push.reference) {
        Some(because) => Observed::Unreadable { because: format!("`{}` cannot be fetched: {because}", push.reference) },
        None => Observed::Missing,
    }
}

async fn changed(mirror: &Mirror, push: &Push) -> Result<Changed, Trouble> {
    if let Paths::Listed { paths } = &push.paths {
        return Ok(Changed::Paths(paths.clone()));
    }
    Ok(match mirror.changed(&push.reference, &push.before, &push.after).await? {
        forge::Changed::Paths(paths) => Changed::Paths(paths),
        forge::Changed::Everything { .. } => Changed::Everything,
    })
}

/// Finds the runs of what a branch or tag has moved on to: where it stands now, and the commits on the way there.
async fn compare(mirror: &Mirror, push: &Push, standing: &Standing, runs: &mut [KnownRun]) -> Result<(), Trouble> {
    let Standing::Moved { to: Some(to) } = standing else { return Ok(()) };
    let same =
        runs.iter_mut().rev().filter(|run| run.event.reference == push.reference && run.event.after != push.after);
    for run in same.take(COMPARED_RUNS) {
        let after = &run.event.after;
        // An annotated tag's id leads to its commit.
        let stands_there = mirror.resolve(after).await?.as_ref() == Some(to);
        if stands_there || (mirror.contains(to, after).await? && mirror.contains(after, &push.after).await?) {
            run.ancestry = Ancestry::Newer;
        }
    }
    Ok(())
}
