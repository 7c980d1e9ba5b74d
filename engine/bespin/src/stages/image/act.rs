//! Builds and pushes.

use super::{AT_ONCE, ImageStage, STRANGERS};
use crate::drive::Trouble;
use crate::places::in_use;
use decide::image::{Build, BuildId, Network};
use decide::request::Key;
use images::Job;
use pipeline::ImageRef;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The longest that a build may take from its place on; the engine stops it when its request ends.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);

impl ImageStage {
    /// Builds when there is a place, and for no longer than a build may take.
    pub(super) async fn build(&self, key: &Key, build: &Build, longest: Duration) -> Result<(), Trouble> {
        let _stranger = match build.network {
            Network::None => Some(self.place(key, &self.strangers, STRANGERS).await),
            Network::Builder => None,
        };
        let _place = self.place(key, &self.places, AT_ONCE).await;
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

    /// Waits for one of so many places; the step that asked is told where it has to.
    async fn place<'a>(&self, key: &Key, places: &'a Semaphore, most: usize) -> SemaphorePermit<'a> {
        if let Ok(place) = places.try_acquire() {
            return place;
        }
        let _queued = self.sinks.queued(key, in_use(most));
        places.acquire().await.expect("the places are never closed")
    }

    pub(super) async fn push(&self, key: &Key, build: &BuildId, to: &ImageRef) -> Result<(), Trouble> {
        let registry = self.registries.of(&to.host)?;
        registry.push(self.images.layout(), &build.digest, to, &*self.sinks.of(key)).await?;
        Ok(())
    }
}
