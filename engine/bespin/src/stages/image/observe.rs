//! Looks at the builder, the store and the registry.

use super::{ImageStage, Met};
use decide::image::{Availability, Health, Intent, Local, Push};
use decide::want::Key;
use images::Error;

impl ImageStage {
    pub(super) async fn availability(&self, key: &Key, intent: &Intent) -> Result<Availability, Error> {
        if let Some(Met::Refusal(because)) = self.met.lock().expect("nobody panics while holding what was met").get(key)
        {
            return Ok(Availability::Refused(because.clone()));
        }
        match intent {
            Intent::Build(_) => match self.images.find(key, &*self.sinks.of(key)).await? {
                Some(digest) => Ok(Availability::Built(digest)),
                None => Ok(Availability::Unbuilt(self.health(key))),
            },
            Intent::Push(push) => self.tag(key, push).await,
        }
    }

    async fn tag(&self, key: &Key, push: &Push) -> Result<Availability, Error> {
        let (build, to) = push.target().map_err(Error::Refused)?;
        match self.registries.of(&to.host)?.digest(&to).await? {
            Some(digest) => Ok(Availability::Tagged(digest)),
            None => {
                let local = if self.images.layout().holds(&build.digest) { Local::Held } else { Local::Missing };
                Ok(Availability::Untagged(local, self.health(key)))
            }
        }
    }

    fn health(&self, key: &Key) -> Health {
        match self.met.lock().expect("nobody panics while holding what was met").get(key) {
            Some(Met::Failing { since, because }) => Health::Failing { since: *since, because: because.clone() },
            Some(Met::Refusal(_)) | None => Health::Well,
        }
    }
}
