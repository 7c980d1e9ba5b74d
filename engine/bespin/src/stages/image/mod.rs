//! The image: build it, or find it built; push it, or find it pushed.

mod act;
mod observe;

use crate::drive::{Stage, Trouble, Written};
use act::LONGEST;
use async_trait::async_trait;
use decide::image::{self, Act, Availability, Entry, Observed, State};
use decide::next::{Next, Timestamp};
use decide::want::Key;
use images::{Error, Images, LogSink, Registries};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
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
    async fn context(&self, repository: &str, commit: &str, directory: &str) -> Result<NamedTempFile, Error>;
}

/// Where the lines of builds and pushes go.
pub trait Sinks: Send + Sync + 'static {
    /// The log of the attempt that waits for this want; nowhere when none does.
    fn of(&self, key: &Key) -> Box<dyn LogSink>;
}

/// The stage `image`, on streams `image/<run id>/<step>`.
pub struct ImageStage {
    images: Arc<Images>,
    registries: Arc<Registries>,
    source: Arc<dyn Source>,
    sinks: Arc<dyn Sinks>,
    met: Mutex<HashMap<Key, Met>>,
    places: Semaphore,
    strangers: Semaphore,
}

/// What acts met in this process. After a restart they are tried again, and meet the same.
enum Met {
    Refusal(String),
    Failing { since: Timestamp, because: String },
}

impl ImageStage {
    /// Binds the stage.
    pub fn new(
        images: Arc<Images>,
        registries: Arc<Registries>,
        source: Arc<dyn Source>,
        sinks: Arc<dyn Sinks>,
    ) -> Arc<ImageStage> {
        let (places, strangers) = (Semaphore::new(AT_ONCE), Semaphore::new(STRANGERS));
        Arc::new(ImageStage { images, registries, source, sinks, met: Mutex::default(), places, strangers })
    }
}

#[async_trait]
impl Stage for ImageStage {
    const NAME: &'static str = "image";
    type Entry = Entry;
    type Recorded = State;
    type Seen = Observed;
    type Act = Act;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        State::replay(entries.iter().map(|written| &written.entry))
    }

    async fn observe(&self, _stream: &str, state: &State) -> Result<Observed, Trouble> {
        // What was met ends with the answer: a want that is opened again has its own.
        self.met.lock().expect("nobody panics while holding what was met").retain(|key, _| state.answer(key).is_none());
        let mut observed = Observed::new();
        let open: Vec<_> = state.open().collect();
        for (key, intent) in open {
            let availability = match self.availability(key, intent).await {
                Ok(availability) => availability,
                Err(Error::Refused(because)) => Availability::Refused(because),
                Err(Error::Transient(because)) => return Err(Trouble(because)),
            };
            observed.insert(key.clone(), availability);
        }
        Ok(observed)
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        image::decide(state, observed, now)
    }

    async fn act(&self, _stream: &str, act: &Act) -> Result<(), Trouble> {
        match act {
            Act::Build { key, build } => self.note(key, self.build(key, build, LONGEST).await),
            Act::Push { key, build, to } => self.note(key, self.push(key, build, to).await),
        }
    }
}

crate::wanted!(ImageStage, decide::image::Entry, decide::image::Intent);

#[cfg(test)]
mod tests;
