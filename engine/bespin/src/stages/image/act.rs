//! Builds and pushes.

use super::ImageStage;
use crate::drive::Trouble;
use decide::image::{Build, BuildId, Network};
use decide::request::Key;
use images::Job;
use pipeline::ImageRef;
use std::time::Duration;

/// The longest that a build may take from its place on; the engine stops it when its request ends.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);

impl ImageStage {
    /// Builds when there is a place, and for no longer than a build may take.
    pub(super) async fn build(&self, key: &Key, build: &Build, longest: Duration) -> Result<(), Trouble> {
        let never = "the places are never closed";
        let _stranger = match build.network {
            Network::None => Some(self.strangers.acquire().await.expect(never)),
            Network::Builder => None,
        };
        let _place = self.places.acquire().await.expect(never);
        let building = async {
            let context = self.source.context(&build.repository, &build.commit, &build.context).await?;
            let job = Job {
                key: key.clone(),
                dockerfile: build.dockerfile.clone(),
                build_args: build.build_args.clone(),
                network: build.network,
                context: context.path().to_owned(),
            };
            self.images.build(&job, &*self.sinks.of(key)).await?;
            Ok(())
        };
        tokio::time::timeout(longest, building).await.unwrap_or_else(|_| {
            let minutes = longest.as_secs() / 60;
            let message = format!("the build took longer than {minutes} minutes and was stopped; make it shorter");
            Err(Trouble::permanent(message))
        })
    }

    pub(super) async fn push(&self, key: &Key, build: &BuildId, to: &ImageRef) -> Result<(), Trouble> {
        let registry = self.registries.of(&to.host)?;
        registry.push(self.images.layout(), &build.digest, to, &*self.sinks.of(key)).await?;
        Ok(())
    }
}
