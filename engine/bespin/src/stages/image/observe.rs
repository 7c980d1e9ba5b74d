//! Looks at the builder, the store and the registry.

use super::ImageStage;
use crate::drive::Trouble;
use decide::image::{self, Act, Availability, Health, Intent, Local, Push, Reply};
use decide::outcome::Outcomes;
use decide::request::Key;

impl ImageStage {
    pub(super) async fn availability(
        &self,
        key: &Key,
        intent: &Intent,
        outcomes: &Outcomes<Act, Reply>,
    ) -> Result<Availability, Trouble> {
        let health = match image::attempts(key, outcomes) {
            Ok(health) => health,
            Err(refused) => return Ok(refused),
        };
        match intent {
            Intent::Build(_) => match self.images.find(key, &*self.sinks.of(key)).await? {
                Some(digest) => Ok(Availability::Built(digest)),
                None => Ok(Availability::Unbuilt(health)),
            },
            Intent::Push(push) => self.tag(push, health).await,
        }
    }

    async fn tag(&self, push: &Push, health: Health) -> Result<Availability, Trouble> {
        let (build, to) = push.target().map_err(Trouble::permanent)?;
        match self.registries.of(&to.host)?.digest(&to).await? {
            Some(digest) => Ok(Availability::Tagged(digest)),
            None => {
                let local = if self.images.layout().holds(&build.digest) { Local::Held } else { Local::Missing };
                Ok(Availability::Untagged(local, health))
            }
        }
    }
}
