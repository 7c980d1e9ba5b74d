//! Commits and pushes to the manifests repository.

use super::BumpStage;
use crate::drive::Trouble;
use decide::bump::{Act, Intent, Reply};
use decide::retry::Retry;
use forge::{NewCommit, Pushed};

impl BumpStage {
    pub(super) async fn commit(&self, intent: &Intent, act: &Act) -> Result<Reply, Trouble> {
        let Act::Commit { branch, parent, files, message } = act;
        let mirror = self.forge.mirror(&intent.repo)?;
        let files = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        let new = NewCommit { branch: branch.clone(), parent: parent.clone(), files, message: message.clone() };
        match mirror.push(new).await? {
            // The next observation finds the commit by its trailer, or the one that was faster.
            Pushed::Landed { .. } | Pushed::Stale => Ok(Reply::Done),
            Pushed::Refused { because, retry: Retry::Permanent } => Ok(Reply::Refused(because)),
            // The step's timeout ends the attempts.
            Pushed::Refused { because, retry } => {
                let message = format!("{} refuses the push to `{branch}`: {because}", intent.repo);
                Err(Trouble { message, retry })
            }
        }
    }
}
