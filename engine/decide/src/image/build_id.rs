//! The name of a build: whose it is, and what it is.

use crate::request::Key;
use pipeline::Digest;
use std::fmt;
use std::str::FromStr;

/// What a build answers and a push is given: `run#step@sha256:...`.
///
/// The digest makes it say *what* was built, so that a push can be seen to be
/// done even where the store was lost; the key says whose it is, so that no
/// run pushes what another one has built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildId {
    /// The step that built it.
    pub key: Key,
    /// The digest of its manifest.
    pub digest: Digest,
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", label(&self.key), self.digest)
    }
}

impl FromStr for BuildId {
    type Err = String;

    fn from_str(text: &str) -> Result<BuildId, String> {
        let wrong = |why: &str| {
            format!(
                "`{text}` is not a build ({why}); write the output of the image step, `${{{{ steps.image.build }}}}`"
            )
        };
        let (key, digest) = text.rsplit_once('@').ok_or_else(|| wrong("it has no digest"))?;
        let (run, step) = key.split_once('#').ok_or_else(|| wrong("it names no step"))?;
        let digest = digest.parse().map_err(|_| wrong("its digest is malformed"))?;
        if run.is_empty() || step.is_empty() {
            return Err(wrong("its run or step is empty"));
        }
        Ok(BuildId { key: Key { run: run.into(), step: step.into() }, digest })
    }
}

/// The value of the label `dev.bespin.build`, by which builders find an image again.
pub fn label(key: &Key) -> String {
    format!("{}#{}", key.run, key.step)
}
