//! Commits and pushes to the manifests repository.

use super::{BumpStage, trouble};
use crate::drive::{Stage, Trouble};
use decide::bump::{Act, Entry, Intent};
use forge::{NewCommit, Pushed};

impl BumpStage {
    pub(super) async fn commit(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
        let Act::Commit { branch, parent, files, message } = act;
        let Some(intent) = self.intent(stream).await? else { return Ok(()) };
        let mirror = self.forge.mirror(&intent.repo).map_err(trouble)?;
        let files = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        let new = NewCommit { branch: branch.clone(), parent: parent.clone(), files, message: message.clone() };
        match mirror.push(new).await.map_err(trouble)? {
            // The next look finds the commit by its trailer, or whoever was faster.
            Pushed::Landed { .. } | Pushed::Stale => Ok(()),
            Pushed::Refused { because } => {
                let mut refusals = self.refusals.lock().expect("nobody panics while holding the refusals");
                refusals.insert(stream.to_owned(), because);
                Ok(())
            }
        }
    }

    async fn intent(&self, stream: &str) -> Result<Option<Intent>, Trouble> {
        let written = crate::drive::read::<Entry>(self.drivers.journal(), stream).await;
        let written = written.map_err(|error| Trouble::new("reading the journal", error))?;
        Ok(self.replay(&written).open().next().map(|(_, intent)| intent.clone()))
    }
}
