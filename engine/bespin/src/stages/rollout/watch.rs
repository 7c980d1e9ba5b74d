//! Wakes the drivers of rollouts when something happens to them.

use super::RolloutStage;
use crate::drive::{Drivers, Trouble};
use cluster::{Cluster, Noticed};
use decide::stream::{Family, Stream};
use futures::StreamExt;
use std::sync::Arc;

impl RolloutStage {
    /// Follows one cluster until the server stops: each change wakes the
    /// driver of the rollout that it is about. Rollouts that somebody waits
    /// for are driven before they are there.
    ///
    /// # Errors
    /// A cluster without Rollouts, or a journal that cannot be read.
    pub async fn watch(self: Arc<Self>, drivers: Arc<Drivers>, cluster: Arc<Cluster>) -> Result<(), Trouble> {
        let prefix = format!("rollout/{}/", cluster.name());
        let streams = drivers.streams(Family::Rollout).await?;
        let here = |stream: &&Stream| stream.object().is_some_and(|(place, ..)| place == cluster.name());
        streams.iter().filter(here).for_each(|stream| drivers.ensure(stream));
        let mut changes = cluster.watch_rollouts().await?;
        loop {
            let noticed = tokio::select! {
                () = drivers.stopping().cancelled() => return Ok(()),
                noticed = changes.next() => noticed,
            };
            match noticed {
                Some(Noticed::Rollout { namespace, name }) => {
                    drivers.ensure(&Stream::rollout(cluster.name(), &namespace, &name))
                }
                Some(Noticed::Pod { namespace, rollout }) => {
                    let stream = Stream::rollout(cluster.name(), &namespace, &rollout);
                    match drivers.is_driven(&stream) {
                        true => drivers.poke(&stream),
                        // Its set may have been adopted by a rollout of another name.
                        false => drivers.poke_all(&format!("{prefix}{namespace}/")),
                    }
                }
                Some(Noticed::Around { namespace }) => drivers.poke_all(&format!("{prefix}{namespace}/")),
                None => return Ok(()),
            }
        }
    }
}
