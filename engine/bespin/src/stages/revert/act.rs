//! Commits, and opens pull requests.

use super::{RevertStage, trouble};
use crate::drive::{Trouble, Turn, Written};
use decide::by::By;
use decide::next::Timestamp;
use decide::revert::{self, Reply};
use decide::rollout::{self, State};
use decide::stream::Stream;
use forge::pulls::NewPull;
use forge::{NewCommit, Pushed};

impl RevertStage {
    pub(super) async fn commit(&self, turn: &Turn<'_>, repo: &str, new: NewCommit) -> Result<Reply, Trouble> {
        let mirror = self.forge.mirror(repo).map_err(trouble)?;
        let branch = new.branch.clone();
        match mirror.push(new).await.map_err(trouble)? {
            Pushed::Landed { .. } => {
                self.sync.pushed(turn.drivers(), repo);
                Ok(Reply::Done)
            }
            // The next look sees who was faster, and comes after a pause.
            Pushed::Stale => Err(Trouble::passing(format!("`{branch}` of {repo} has moved meanwhile"))),
            Pushed::Refused { because } => Ok(Reply::Refused(because)),
        }
    }

    pub(super) async fn request(&self, repo: &str, new: NewPull) -> Result<Reply, Trouble> {
        let mirror = self.forge.mirror(repo).map_err(trouble)?;
        let Some(pulls) = self.pulls.of(mirror.address()) else { return Ok(Reply::Done) };
        match pulls.open(&new).await {
            // The next look finds it.
            Ok(_) => Ok(Reply::Done),
            Err(error) if error.transient => Err(Trouble::passing(error.to_string())),
            Err(error) => Ok(Reply::Refused(error.problem)),
        }
    }

    pub(super) async fn answer(
        &self,
        turn: &Turn<'_>,
        since: Timestamp,
        outcome: &revert::Outcome,
    ) -> Result<Reply, Trouble> {
        let make = |written: &[Written<rollout::Entry>]| {
            let recorded = State::fold(written.iter().map(|one| (one.at_ms, &one.by, &one.entry)));
            let open = recorded.promised().is_some_and(|undo| undo.since == since);
            open.then(|| vec![rollout::Entry::PutBack { since, outcome: outcome.clone() }])
        };
        turn.drivers().append(&Stream::rollout_of(turn.stream), By::Server, make).await?;
        Ok(Reply::Done)
    }
}
