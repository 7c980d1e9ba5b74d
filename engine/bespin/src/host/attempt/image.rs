//! What an attempt asks of the stage of images.

use super::Attempt;
use crate::drive::Trouble;
use decide::image::fork;
use decide::stream::Stream;
use sandbox::Failure;
use serde_json::Value;

/// The longest Dockerfile of a fork that is read, in bytes.
const DOCKERFILE: usize = 1 << 20;

impl Attempt {
    /// Asks the stage of images for something.
    pub(super) async fn image(&self, intent: decide::image::Intent) -> Result<Value, Failure> {
        self.adapters.waiting.enter(&self.asked);
        let key = self.key();
        self.request::<decide::image::Entry>(&Stream::image(&key.run, &key.step), intent).await
    }

    /// A build as its run may have it: that of a fork's pull request is cut by what its Dockerfile says.
    pub(super) async fn as_its_run_may(&self, build: decide::image::Build) -> Result<decide::image::Build, Failure> {
        let run = &self.asked.run;
        let Some(path) = fork::dockerfile_to_read(run, &build) else { return Ok(build) };
        let dockerfile = self.mirror()?.file(&run.commit.sha, &path, DOCKERFILE).await.map_err(Trouble::from)?;
        let dockerfile =
            dockerfile.ok_or_else(|| Failure::Rejected(format!("there is no plain file {path} at this commit")))?;
        fork::cut(run, build, &path, &String::from_utf8_lossy(&dockerfile)).map_err(Failure::Rejected)
    }

    /// The newest build of this run, for a push that names none.
    pub(super) async fn newest_build(&self) -> Result<String, Failure> {
        let stream = Stream::run(&self.asked.run.id);
        let journal = self.adapters.drivers.journal();
        let read = || async { Ok(crate::drive::read::<decide::run::Entry>(journal, &stream).await?) };
        let written = self.patiently(read).await?;
        let built = written.iter().rev().find_map(|written| match &written.entry {
            decide::run::Entry::Ended { outcome: decide::run::Outcome::Succeeded { outputs }, .. } => {
                outputs["build"].as_str().map(str::to_owned)
            }
            _ => None,
        });
        built.ok_or_else(|| Failure::Rejected("no step before this one has built an image; name one in `build`".into()))
    }
}
