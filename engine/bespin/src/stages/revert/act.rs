//! Commits, and opens pull requests.

use super::RevertStage;
use crate::drive::{Trouble, Turn};
use decide::retry::Retry;
use decide::revert::Reply;
use forge::pulls::NewPull;
use forge::{NewCommit, Pushed};

impl RevertStage {
    pub(super) async fn commit(&self, turn: &Turn<'_>, repo: &str, new: NewCommit) -> Result<Reply, Trouble> {
        let mirror = self.forge.mirror(repo)?;
        let branch = new.branch.clone();
        match mirror.push(new).await? {
            Pushed::Landed { .. } => {
                self.sync.pushed(turn.drivers(), repo);
                Ok(Reply::Done)
            }
            // The next look sees who was faster, and comes after a pause.
            Pushed::Stale => Err(Trouble::passing(format!("`{branch}` of {repo} has moved meanwhile"))),
            Pushed::Refused { because, retry: Retry::Permanent } => Ok(Reply::Refused(because)),
            // The promise stays open until git is put back, by whomever, or it is taken back.
            Pushed::Refused { because, retry } => {
                Err(Trouble { message: format!("{repo} refuses the push to `{branch}`: {because}"), retry })
            }
        }
    }

    pub(super) async fn request(&self, repo: &str, new: NewPull) -> Result<Reply, Trouble> {
        let mirror = self.forge.mirror(repo)?;
        let Some(pulls) = self.pulls.of(mirror.address()) else { return Ok(Reply::Done) };
        match pulls.open(&new).await {
            // The next look finds it.
            Ok(_) => Ok(Reply::Done),
            Err(error) if error.retry.may_pass() => Err(error.into()),
            Err(error) => Ok(Reply::Refused(error.problem)),
        }
    }
}
