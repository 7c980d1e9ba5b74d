//! Revert: after a rollout was aborted, git stops naming the image that failed.
//!
//! Its driver's name is `revert/<cluster>/<namespace>/<name>`; promise and
//! outcome stand in the stream of the rollout, which is told at the end.

mod act;
mod observe;

use super::sync::SyncStage;
use crate::drive::{Drivers, Stage, Trouble, Turn, Written, read};
use async_trait::async_trait;
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::revert::{self, AbortStatus, Act, Entry, Observed, Promised, Refusals, Reply};
use decide::rollout::{self, State};
use decide::stream::{Family, Stream};
use forge::Forge;
use forge::NewCommit;
use forge::pulls::{NewPull, Pulls};
use std::sync::Arc;

/// The stage `revert`, one driver for each rollout that was aborted.
pub struct RevertStage {
    forge: Arc<Forge>,
    pulls: Pulls,
    sync: Arc<SyncStage>,
}

impl RevertStage {
    /// Binds the stage. The sync is told of each push, so that the applications of that repository look at once.
    pub fn new(forge: &Arc<Forge>, pulls: Pulls, sync: &Arc<SyncStage>) -> Arc<RevertStage> {
        let (forge, sync) = (forge.clone(), sync.clone());
        Arc::new(RevertStage { forge, pulls, sync })
    }

    async fn recorded(&self, turn: &Turn<'_>) -> Result<State, Trouble> {
        let written = read::<rollout::Entry>(turn.journal(), Stream::rollout_of(turn.stream)).await?;
        Ok(State::fold(written.iter().map(|one| (one.at_ms, &one.by, &one.entry))))
    }
}

/// Starts the driver that keeps a rollout's promise, unless it runs.
pub fn keep(drivers: &Arc<Drivers>, rollout: &Stream) {
    let stream = Stream::revert_of(rollout);
    if !drivers.is_driven(&stream) {
        drivers.ensure(&stream);
    }
}

fn trouble(error: forge::Error) -> Trouble {
    Trouble::passing(error.to_string())
}

#[async_trait]
impl Stage for RevertStage {
    const NAME: &'static str = "revert";
    const FAMILY: Family = Family::Revert;
    type Entry = Entry;
    type State = ();
    type Observed = Observed;
    type Act = Act;
    type Reply = Reply;

    fn replay(&self, _: &[Written<Entry>]) {}

    /// The driver ends with the promise, and a later promise does not count what was refused before it.
    fn is_current(&self, (): &(), _: &Act) -> bool {
        true
    }

    async fn observe(&self, turn: &Turn<'_>, (): &(), outcomes: &Outcomes<Act, Reply>) -> Result<Observed, Trouble> {
        let recorded = self.recorded(turn).await?;
        let abort = if recorded.undoing().is_some() { AbortStatus::Yes } else { AbortStatus::No };
        let Some(undo) = recorded.promised() else { return Ok(Observed::Nothing) };
        let git = self.git(&undo.intent, Refusals::since(undo.since, outcomes)).await?;
        Ok(Observed::Promised(Box::new(Promised { since: undo.since, intent: undo.intent.clone(), abort, git })))
    }

    fn decide(&self, (): &(), observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        revert::decide(observed, now)
    }

    async fn act(&self, turn: &Turn<'_>, (): &(), act: &Act) -> Result<Reply, Trouble> {
        // Whoever has answered the promise meanwhile has ended it.
        let recorded = self.recorded(turn).await?;
        let Some(undo) = recorded.promised() else { return Ok(Reply::Done) };
        let repo = &undo.intent.repo;
        match act.clone() {
            Act::Commit { branch, parent, files, message } => {
                let files = files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
                self.commit(turn, repo, NewCommit { branch, parent, files, message }).await
            }
            Act::Request { head, base, title, body } => self.request(repo, NewPull { head, base, title, body }).await,
            Act::Answer { since, outcome } => self.answer(turn, since, &outcome).await,
        }
    }
}

#[cfg(test)]
mod tests;
