//! Which streams are driven: opening one, appending to one, waking one.

use super::codec::read_current;
use super::turn::Driver;
use super::{Stage, Written, encode, now};
use api::board::Board;
use decide::by::By;
use decide::stream::{Family, Stream};
use journal::{AppendError, Journal};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts the driver of one stream.
type Start = Arc<dyn Fn(&Arc<Drivers>, Stream, Arc<Notify>) + Send + Sync>;

/// Runs the drivers, one for each stream that has something to do.
pub struct Drivers {
    journal: Journal,
    board: Arc<Board>,
    stages: Mutex<BTreeMap<Family, Start>>,
    pub(super) running: Mutex<HashMap<Stream, Arc<Notify>>>,
    pub(super) stop: CancellationToken,
    tasks: TaskTracker,
}

/// Whether a stream began by this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The stream was empty, and its first entry was appended.
    Now,
    /// It had an entry already, and nothing was appended.
    Before,
}

impl Drivers {
    /// Binds the drivers to a journal and to the board they publish on.
    pub fn new(journal: Journal, board: Arc<Board>) -> Arc<Drivers> {
        Arc::new(Drivers {
            journal,
            board,
            stages: Mutex::default(),
            running: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// The journal that the drivers write to.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Where the drivers publish each stream's status.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Ends when the server stops; long observations select on it.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Has this stage drive the streams of its family from now on.
    pub fn register<S: Stage>(&self, stage: &Arc<S>) {
        let stage = stage.clone();
        let start: Start = Arc::new(move |drivers, stream, notify| {
            let driver = Driver::new(drivers.clone(), stage.clone(), stream, notify);
            drivers.tasks.spawn(driver.run());
        });
        self.stages.lock().expect("no stage panics while it is registered").insert(S::FAMILY, start);
    }

    /// Starts a stream's driver, or wakes the one that runs already. A stream whose stage is not registered here is
    /// driven by another server.
    pub fn ensure(self: &Arc<Self>, stream: &Stream) {
        let mut running = self.running.lock().expect("no driver panics while it holds the map");
        if let Some(notify) = running.get(stream) {
            notify.notify_one();
            return;
        }
        let start = self.stages.lock().expect("no stage panics while it is registered").get(&stream.family()).cloned();
        let Some(start) = start else {
            tracing::debug!(%stream, "its stage is not registered here");
            return;
        };
        let notify = Arc::new(Notify::new());
        running.insert(stream.clone(), notify.clone());
        start(self, stream.clone(), notify);
    }

    /// Begins a stream by its first entry, unless it has begun before, and sees to it that it is driven.
    ///
    /// # Errors
    /// The journal did not take the entry.
    pub async fn open<E: Serialize>(
        self: &Arc<Self>,
        stream: &Stream,
        by: &By,
        first: &E,
    ) -> Result<Begun, AppendError> {
        let entries = encode(std::slice::from_ref(first), by, now())?;
        let (drivers, stream) = (self.clone(), stream.clone());
        // To its end, also where whoever asked hangs up in between: what has begun is driven.
        let opening = tokio::spawn(async move {
            let begun = match drivers.journal.append(stream.as_str(), 0, entries).await {
                Ok(_) => Begun::Now,
                Err(AppendError::Conflict { .. }) => Begun::Before,
                Err(error) => return Err(error),
            };
            drivers.ensure(&stream);
            Ok(begun)
        });
        opening.await.unwrap_or_else(|error| Err(journal::Error(error.to_string()).into()))
    }

    /// The streams of a family that the journal holds.
    ///
    /// # Errors
    /// The journal's.
    pub async fn streams(&self, family: Family) -> Result<Vec<Stream>, journal::Error> {
        let found = self.journal.streams(family.prefix()).await?;
        let parse =
            |info: journal::StreamInfo| Stream::parse(&info.name).map_err(|error| journal::Error(error.to_string()));
        found.into_iter().map(parse).collect()
    }

    /// Runs work that goes on beside the drivers and ends when [`Drivers::stopping`] does; a stop waits for it.
    pub fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Wakes a stream's driver, if it runs: something that it observes has changed.
    pub fn poke(&self, stream: &Stream) {
        let running = self.running.lock().expect("no driver panics while it holds the map");
        if let Some(notify) = running.get(stream) {
            notify.notify_one();
        }
    }

    /// Whether a stream has a driver at this moment.
    pub fn is_driven(&self, stream: &Stream) -> bool {
        self.running.lock().expect("no driver panics while it holds the map").contains_key(stream)
    }

    /// Wakes the running drivers of those streams of a family that are meant.
    pub fn poke_those(&self, family: Family, is_meant: impl Fn(&Stream) -> bool) {
        let running = self.running.lock().expect("no driver panics while it holds the map");
        for (_, notify) in running.iter().filter(|(stream, _)| stream.family() == family && is_meant(stream)) {
            notify.notify_one();
        }
    }

    /// Wakes every running driver whose stream starts with `prefix`.
    pub fn poke_all(&self, prefix: &str) {
        let running = self.running.lock().expect("no driver panics while it holds the map");
        for (_, notify) in running.iter().filter(|(stream, _)| stream.as_str().starts_with(prefix)) {
            notify.notify_one();
        }
    }

    /// Appends what `make` answers for the stream as it stands, read again until no other writer was faster; then
    /// wakes the stream's driver. `None` appends nothing, and the answer is then `false`.
    ///
    /// # Errors
    /// The journal cannot be read, or did not take the entries.
    pub async fn append<E, F>(&self, stream: &Stream, by: By, mut make: F) -> Result<bool, AppendError>
    where
        E: Serialize + DeserializeOwned,
        F: FnMut(&[Written<E>]) -> Option<Vec<E>>,
    {
        self.append_at(stream, by, |written, _| make(written)).await
    }

    /// The same, where it depends on the moment that will stand on the entries, in ms since the epoch.
    ///
    /// # Errors
    /// As [`Drivers::append`].
    pub async fn append_at<E, F>(&self, stream: &Stream, by: By, mut make: F) -> Result<bool, AppendError>
    where
        E: Serialize + DeserializeOwned,
        F: FnMut(&[Written<E>], u64) -> Option<Vec<E>>,
    {
        loop {
            let (written, length) = read_current::<E>(&self.journal, stream).await?;
            let at_ms = now();
            let Some(entries) = make(&written, at_ms) else { return Ok(false) };
            let entries = encode(&entries, &by, at_ms)?;
            match self.journal.append(stream.as_str(), length, entries).await {
                Ok(_) => break,
                Err(AppendError::Conflict { .. }) => continue,
                Err(error) => return Err(error),
            }
        }
        self.poke(stream);
        Ok(true)
    }

    /// Stops every driver and waits for all of them; what they were doing is repeated at the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        // What stages hold may hold the drivers.
        self.stages.lock().expect("no stage panics while it is registered").clear();
    }
}
