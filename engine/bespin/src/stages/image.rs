//! The image: build it, or find it built; push it, or find it pushed.

use crate::drive::{Stage, Trouble, Written, now};
use async_trait::async_trait;
use decide::image::{self, Act, Build, BuildId, Entry, Health, Intent, Local, Network, Push, Recorded, Seen, View};
use decide::next::{Next, Timestamp};
use decide::want::Key;
use images::{Error, Images, Job, LogSink, Registries};
use pipeline::ImageRef;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;

/// How many images are built at a time: a build takes as much of the machine as it can get, and its context lies on
/// the disk for as long.
const AT_ONCE: usize = 2;
/// How many of them may be builds without a network, which are strangers': one place is left for a deployment.
const STRANGERS: usize = 1;
/// The longest that a build may take from its place on; the engine stops it when its request ends.
const LONGEST: Duration = Duration::from_secs(60 * 60);

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

    async fn look(&self, key: &Key, intent: &Intent) -> Result<View, Error> {
        if let Some(Met::Refusal(because)) = self.met.lock().expect("nobody panics while holding what was met").get(key)
        {
            return Ok(View::Refused(because.clone()));
        }
        match intent {
            Intent::Build(_) => match self.images.find(key, &*self.sinks.of(key)).await? {
                Some(digest) => Ok(View::Built(digest)),
                None => Ok(View::Unbuilt(self.health(key))),
            },
            Intent::Push(push) => self.look_at_tag(key, push).await,
        }
    }

    async fn look_at_tag(&self, key: &Key, push: &Push) -> Result<View, Error> {
        let (build, to) = push.target().map_err(Error::Refused)?;
        match self.registries.of(&to.host)?.digest(&to).await? {
            Some(digest) => Ok(View::Tagged(digest)),
            None => {
                let local = if self.images.layout().holds(&build.digest) { Local::Held } else { Local::Missing };
                Ok(View::Untagged(local, self.health(key)))
            }
        }
    }

    fn health(&self, key: &Key) -> Health {
        match self.met.lock().expect("nobody panics while holding what was met").get(key) {
            Some(Met::Failing { since, because }) => Health::Failing { since: *since, because: because.clone() },
            Some(Met::Refusal(_)) | None => Health::Well,
        }
    }

    /// Builds when there is a place, and for no longer than a build may take.
    async fn build(&self, key: &Key, build: &Build, longest: Duration) -> Result<(), Error> {
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
            self.images.build(&job, &*self.sinks.of(key)).await.map(|_digest| ())
        };
        tokio::time::timeout(longest, building).await.unwrap_or_else(|_| {
            let minutes = longest.as_secs() / 60;
            Err(Error::Refused(format!(
                "the build took longer than {minutes} minutes and was stopped; make it shorter"
            )))
        })
    }

    async fn push(&self, key: &Key, build: &BuildId, to: &ImageRef) -> Result<(), Error> {
        let registry = self.registries.of(&to.host)?;
        registry.push(self.images.layout(), &build.digest, to, &*self.sinks.of(key)).await?;
        Ok(())
    }

    /// Remembers what an act met; only what may pass is trouble for the driver.
    fn note(&self, key: &Key, done: Result<(), Error>) -> Result<(), Trouble> {
        let mut met = self.met.lock().expect("nobody panics while holding what was met");
        match done {
            Ok(()) => {
                met.remove(key);
                Ok(())
            }
            Err(Error::Refused(because)) => {
                met.insert(key.clone(), Met::Refusal(because));
                Ok(())
            }
            Err(Error::Transient(because)) => {
                let since = match met.get(key) {
                    Some(Met::Failing { since, .. }) => *since,
                    _ => now(),
                };
                met.insert(key.clone(), Met::Failing { since, because: because.clone() });
                Err(Trouble(because))
            }
        }
    }
}

#[async_trait]
impl Stage for ImageStage {
    const NAME: &'static str = "image";
    type Entry = Entry;
    type Recorded = Recorded;
    type Seen = Seen;
    type Act = Act;

    fn replay(&self, entries: &[Written<Entry>]) -> Recorded {
        Recorded::replay(entries.iter().map(|written| &written.entry))
    }

    async fn observe(&self, _stream: &str, recorded: &Recorded) -> Result<Seen, Trouble> {
        // What was met ends with the answer: a want that is opened again has its own.
        self.met
            .lock()
            .expect("nobody panics while holding what was met")
            .retain(|key, _| recorded.answer(key).is_none());
        let mut seen = Seen::new();
        let open: Vec<_> = recorded.open().collect();
        for (key, intent) in open {
            let view = match self.look(key, intent).await {
                Ok(view) => view,
                Err(Error::Refused(because)) => View::Refused(because),
                Err(Error::Transient(because)) => return Err(Trouble(because)),
            };
            seen.insert(key.clone(), view);
        }
        Ok(seen)
    }

    fn decide(&self, recorded: &Recorded, seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
        image::decide(recorded, seen, now)
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
