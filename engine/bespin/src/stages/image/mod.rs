//! The image: build it, or find it built; push it, or find it pushed.

mod act;
mod observe;

use crate::drive::{Stage, Trouble, Turn, Written};
use act::LONGEST;
use async_trait::async_trait;
use decide::image::{self, Act, Availability, Entry, Observed, Reply, State};
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::request::Key;
use decide::retry::Retry;
use decide::stream::Family;
use images::{Images, LogSink, Registries};
use std::sync::Arc;
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;

/// How many images are built at a time: a build takes as much of the machine as it can get, and its context lies on
/// the disk for as long.
const AT_ONCE: usize = 2;
/// How many of them may be builds without a network, which are strangers': one place is left for a deployment.
const STRANGERS: usize = 1;

/// Where contexts come from.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// A directory of a repository at a commit, as a tar file; empty for the top.
    async fn context(&self, repository: &str, commit: &str, directory: &str) -> Result<NamedTempFile, Trouble>;
}

/// Where the lines of builds and pushes go.
pub trait Sinks: Send + Sync + 'static {
    /// The log of the attempt that waits for this request; nowhere when none does.
    fn of(&self, key: &Key) -> Box<dyn LogSink>;

    /// The attempt that waits for this request waits for a free place, until what is returned is dropped.
    fn queued(&self, _key: &Key, _because: String) -> Box<dyn Send + Sync> {
        Box::new(())
    }
}

/// The stage `image`, on streams `image/<run id>/<step>`.
pub struct ImageStage {
    images: Arc<Images>,
    registries: Arc<Registries>,
    source: Arc<dyn Source>,
    sinks: Arc<dyn Sinks>,
    places: Semaphore,
    strangers: Semaphore,
}

impl ImageStage {
    /// Binds the stage to its builder and its registries.
    pub fn new(
        images: Arc<Images>,
        registries: Arc<Registries>,
        source: Arc<dyn Source>,
        sinks: Arc<dyn Sinks>,
    ) -> Arc<ImageStage> {
        let (places, strangers) = (Semaphore::new(AT_ONCE), Semaphore::new(STRANGERS));
        Arc::new(ImageStage { images, registries, source, sinks, places, strangers })
    }
}

#[async_trait]
impl Stage for ImageStage {
    const NAME: &'static str = "image";
    const FAMILY: Family = Family::Image;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = Act;
    type Reply = Reply;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        State::replay(entries.iter().map(|written| &written.entry))
    }

    fn is_current(&self, state: &State, act: &Act) -> bool {
        state.answer(act.key()).is_none()
    }

    async fn observe(&self, _: &Turn<'_>, state: &State, outcomes: &Outcomes<Act, Reply>) -> Result<Observed, Trouble> {
        let mut observed = Observed::new();
        let open: Vec<_> = state.open().collect();
        for (key, intent) in open {
            let availability = match self.availability(key, intent, outcomes).await {
                Ok(availability) => availability,
                Err(Trouble { message, retry: Retry::Permanent }) => Availability::Refused(message),
                Err(trouble) => return Err(trouble),
            };
            observed.insert(key.clone(), availability);
        }
        Ok(observed)
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        image::decide(state, observed, now)
    }

    async fn act(&self, _: &Turn<'_>, _: &State, act: &Act) -> Result<Reply, Trouble> {
        let done = match act {
            Act::Build { key, build } => self.build(key, build, LONGEST).await,
            Act::Push { key, build, to } => self.push(key, build, to).await,
        };
        match done {
            Ok(()) => Ok(Reply::Done),
            Err(Trouble { message, retry: Retry::Permanent }) => Ok(Reply::Refused(message)),
            Err(trouble) => Err(trouble),
        }
    }
}

#[cfg(test)]
mod tests;
