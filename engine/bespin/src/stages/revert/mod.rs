//! Revert: after a rollout was aborted, git stops naming the image that failed.
//!
//! The rollout asks by a stream for each of its promises, and reads the answer from there.

mod act;
mod observe;

use super::sync::SyncStage;
use crate::drive::{Drivers, Stage, Trouble, Turn, Written, read};
use async_trait::async_trait;
use decide::by::By;
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::revert::{self, Act, Entry, Intent, Observed, Refusals, Reply, State, Withdrawal};
use decide::stream::{Family, Stream};
use forge::Forge;
use forge::NewCommit;
use forge::pulls::{NewPull, Pulls};
use journal::Journal;
use std::sync::Arc;

/// The stage `revert`, on streams `revert/<cluster>/<namespace>/<name>/<since>`.
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
}

/// What the stream of a revert adds up to: how it stands with a promise, as far as the journal knows.
///
/// # Errors
/// The journal's.
pub async fn recorded(journal: &Journal, revert: &Stream) -> Result<State, journal::Error> {
    Ok(fold(&read::<Entry>(journal, revert).await?))
}

/// Asks for a revert, unless that was asked before, and sees to it that it is driven. One that is driven is left to
/// its own pace.
///
/// # Errors
/// A journal that did not take the entry.
pub async fn ask(drivers: &Arc<Drivers>, revert: &Stream, intent: &Intent) -> Result<(), Trouble> {
    if !drivers.is_driven(revert) {
        drivers.open(revert, &By::Server, &Entry::Asked { intent: Box::new(intent.clone()) }).await?;
    }
    Ok(())
}

/// Takes the request for a revert back, unless that was done before or it has ended, and sees to it that it is driven
/// to its end.
///
/// # Errors
/// A journal that cannot be read, or did not take the entry.
pub async fn withdraw(
    drivers: &Arc<Drivers>,
    revert: &Stream,
    intent: &Intent,
    cause: &Withdrawal,
) -> Result<(), Trouble> {
    let make = |written: &[Written<Entry>]| {
        let entries = fold(written).withdraw(intent, cause);
        (!entries.is_empty()).then_some(entries)
    };
    // This wakes the driver that runs.
    drivers.append(revert, By::Server, make).await?;
    if !drivers.is_driven(revert) {
        drivers.ensure(revert);
    }
    Ok(())
}

fn fold(written: &[Written<Entry>]) -> State {
    State::replay(written.iter().map(|one| &one.entry))
}

#[async_trait]
impl Stage for RevertStage {
    const NAME: &'static str = "revert";
    const FAMILY: Family = Family::Revert;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = Act;
    type Reply = Reply;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        fold(entries)
    }

    fn is_current(&self, state: &State, _: &Act) -> bool {
        state.open().is_some()
    }

    async fn observe(&self, _: &Turn<'_>, state: &State, outcomes: &Outcomes<Act, Reply>) -> Result<Observed, Trouble> {
        match state.looked_for() {
            Some(intent) => self.git(intent, Refusals::of(outcomes)).await,
            None => Ok(Observed::Nothing),
        }
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        revert::decide(state, observed, now)
    }

    async fn act(&self, turn: &Turn<'_>, state: &State, act: &Act) -> Result<Reply, Trouble> {
        if *act == Act::Notify {
            turn.drivers().ensure(&Stream::rollout_of(turn.stream));
            return Ok(Reply::Done);
        }
        // What was taken back is not done any more.
        let Some(intent) = state.standing() else { return Ok(Reply::Done) };
        match act.clone() {
            Act::Commit { branch, parent, files, message } => {
                let files = files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
                self.commit(turn, &intent.repo, NewCommit { branch, parent, files, message }).await
            }
            Act::Request { head, base, title, body } => {
                self.request(&intent.repo, NewPull { head, base, title, body }).await
            }
            Act::Notify => Ok(Reply::Done),
        }
    }
}

#[cfg(test)]
mod tests;
