//! Whether a remote answers and takes the credentials, without a fetch.

use crate::error::{self, Error};
use crate::fetch::options;
use crate::mirror::Mirror;
use crate::transport::Distrust;
use git2::Repository;

/// A reference that no remote has: asking for it transfers nothing.
const NOTHING: &str = "refs/bespin/nothing:refs/bespin/nothing";

impl Mirror {
    /// How many references the remote shows to the credentials that are configured for it.
    ///
    /// # Errors
    /// [`Error::Git`] where the remote does not answer, or refuses.
    pub async fn shown_references(&self) -> Result<usize, Error> {
        self.run(|core| {
            let failed = error::git("listing", core.address.as_str());
            let room = tempfile::tempdir().map_err(|problem| Error::Directory {
                directory: std::env::temp_dir().display().to_string(),
                problem: problem.to_string(),
            })?;
            let repository = Repository::init_bare(room.path()).map_err(&failed)?;
            let mut remote = repository.remote_anonymous(core.address.as_str()).map_err(&failed)?;
            let distrust = Distrust::default();
            let mut options = options(core.transport.callbacks(&distrust));
            remote.download(&[NOTHING], Some(&mut options)).map_err(|error| failed(distrust.explain(error)))?;
            Ok(remote.list().map_err(&failed)?.len())
        })
        .await
    }
}
