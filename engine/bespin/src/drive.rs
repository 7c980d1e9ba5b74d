//! The only loop in the program: observe, decide, append, act, wait.

use crate::board::Board;
use async_trait::async_trait;
use decide::by::By;
use decide::next::{Next, Phase, Status, Timestamp, Wake};
use journal::{AppendError, Journal, NewEntry};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Streams whose last word nobody reads once they are done: the run, or the
/// rollout, that they belong to says it. There is one for each push and step, without end.
const ENDS_UNSEEN: [&str; 4] = ["delivery/", "image/", "bump/", "revert/"];

/// Streams without an end: what was read of them is not kept from turn to turn.
const ENDLESS: [&str; 2] = ["app/", "rollout/"];

/// One stage of the corridor: a pure decision, bound to what it sees and does.
#[async_trait]
pub trait Stage: Send + Sync + 'static {
    /// The stage's word in logs and on the dashboard.
    const NAME: &'static str;
    /// What it writes down; serde's adjacently tagged `{kind, body}`.
    type Entry: Serialize + DeserializeOwned + Send + Sync;
    /// What its stream adds up to.
    type Recorded: Send + Sync;
    /// What the world looks like to it.
    type Seen: Send + Sync;
    /// What it may cause.
    type Act: Send + Sync;

    /// Folds a stream. Starting is resuming: a fresh stream has one entry.
    fn replay(&self, entries: &[Written<Self::Entry>]) -> Self::Recorded;
    /// Looks at the world. An error means that there is no decision at all.
    async fn observe(&self, stream: &str, recorded: &Self::Recorded) -> Result<Self::Seen, Trouble>;
    /// Decides. Total and pure; delegates to `decide`.
    fn decide(&self, recorded: &Self::Recorded, seen: &Self::Seen, now: Timestamp) -> Next<Self::Entry, Self::Act>;
    /// Carries out one act. Called again after any failure or crash.
    async fn act(&self, stream: &str, act: &Self::Act) -> Result<(), Trouble>;
}

/// An entry with its moment and its author.
#[derive(Clone, Debug)]
pub struct Written<E> {
    /// Milliseconds since the epoch.
    pub at_ms: Timestamp,
    /// Who caused it.
    pub by: By,
    /// What it says.
    pub entry: E,
}

/// Why an observation or an act did not work out, as a sentence for a person.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

impl Trouble {
    /// Wraps any error, with what was tried.
    pub fn new(tried: &str, error: impl std::fmt::Display) -> Trouble {
        Trouble(format!("{tried}: {error}"))
    }
}

/// Runs the drivers, one for each stream that has something to do.
pub struct Drivers {
    journal: Journal,
    board: Arc<Board>,
    running: Mutex<HashMap<String, Arc<Notify>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Drivers {
    /// Binds the drivers to a journal and to the board they publish on.
    pub fn new(journal: Journal, board: Arc<Board>) -> Arc<Drivers> {
        let running = Mutex::new(HashMap::new());
        Arc::new(Drivers { journal, board, running, stop: CancellationToken::new(), tasks: TaskTracker::new() })
    }

    /// The journal that the drivers write to.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Where the drivers say what they do and why.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Ends when the server stops; long observations select on it.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts a stream's driver, or wakes the one that runs already.
    pub fn ensure<S: Stage>(self: &Arc<Self>, stage: &Arc<S>, stream: &str) {
        let mut running = self.running.lock().expect("no driver panics while it holds the map");
        if let Some(notify) = running.get(stream) {
            notify.notify_one();
            return;
        }
        let notify = Arc::new(Notify::new());
        running.insert(stream.to_owned(), notify.clone());
        let (all, stage, stream) = (self.clone(), stage.clone(), stream.to_owned());
        let driver = Driver { all, stage, stream, notify, written: Vec::new() };
        self.tasks.spawn(driver.run());
    }

    /// Runs work that goes on beside the drivers and ends when [`Drivers::stopping`] does; a stop waits for it.
    pub fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Wakes a stream's driver, if it runs: something that it sees has changed.
    pub fn poke(&self, stream: &str) {
        let running = self.running.lock().expect("no driver panics while it holds the map");
        if let Some(notify) = running.get(stream) {
            notify.notify_one();
        }
    }

    /// Whether a stream has a driver at this moment.
    pub fn is_driven(&self, stream: &str) -> bool {
        self.running.lock().expect("no driver panics while it holds the map").contains_key(stream)
    }

    /// Wakes every running driver whose stream starts with `prefix`.
    pub fn poke_all(&self, prefix: &str) {
        let running = self.running.lock().expect("no driver panics while it holds the map");
        for (_, notify) in running.iter().filter(|(stream, _)| stream.starts_with(prefix)) {
            notify.notify_one();
        }
    }

    /// Appends what `make` answers for the stream as it stands, until nobody
    /// else was faster; then wakes the stream's driver. `None` appends nothing.
    pub async fn append<E, F>(&self, stream: &str, by: By, mut make: F) -> Result<bool, AppendError>
    where
        E: Serialize + DeserializeOwned,
        F: FnMut(&[Written<E>]) -> Option<Vec<E>>,
    {
        self.append_at(stream, by, |written, _| make(written)).await
    }

    /// The same, where it depends on the moment that will stand on the entries, in ms since the epoch.
    pub async fn append_at<E, F>(&self, stream: &str, by: By, mut make: F) -> Result<bool, AppendError>
    where
        E: Serialize + DeserializeOwned,
        F: FnMut(&[Written<E>], u64) -> Option<Vec<E>>,
    {
        loop {
            let (written, at_ms) = (read::<E>(&self.journal, stream).await?, now());
            let Some(entries) = make(&written, at_ms) else { return Ok(false) };
            let entries = encode(&entries, &by, at_ms)?;
            match self.journal.append(stream, written.len() as u64, entries).await {
                Ok(_) => {
                    fault::after_append();
                    break;
                }
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
    }
}

struct Driver<S: Stage> {
    all: Arc<Drivers>,
    stage: Arc<S>,
    stream: String,
    notify: Arc<Notify>,
    /// The stream as far as it was read: each turn reads only what came after.
    written: Vec<Written<S::Entry>>,
}

impl<S: Stage> Driver<S> {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            // Acts are repeatable, so a stop in their middle is no worse than a crash there.
            let stop = self.all.stop.clone();
            let turn = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                turn = self.turn() => turn,
            };
            let pause = match turn {
                Ok(Wake::Now) => Some(Duration::ZERO),
                Ok(Wake::At(at)) => Some(Duration::from_millis(at.saturating_sub(now()))),
                Ok(Wake::OnChange) => None,
                Ok(Wake::Never) => {
                    if self.leave() {
                        return;
                    }
                    Some(Duration::ZERO)
                }
                Err(trouble) => {
                    failures += 1;
                    tracing::warn!(stage = S::NAME, stream = self.stream, %trouble, "will try again");
                    self.publish(Status { phase: Phase::Waiting, message: format!("{trouble}; trying again") });
                    if !self.wait(Some(backoff(failures))).await {
                        return;
                    }
                    continue;
                }
            };
            failures = 0;
            if !self.wait(pause).await {
                return;
            }
        }
    }

    /// One turn of the loop: observe, decide, append, act.
    async fn turn(&mut self) -> Result<Wake, Trouble> {
        let new = read_from(&self.all.journal, &self.stream, self.written.len() as u64).await;
        self.written.extend(new.map_err(|error| Trouble::new("reading the journal", error))?);
        let recorded = self.stage.replay(&self.written);
        let seen = self.stage.observe(&self.stream, &recorded).await?;
        let now = now();
        let next = self.stage.decide(&recorded, &seen, now);
        let mut appended = None;
        if !next.record.is_empty() {
            let entries = encode(&next.record, &By::Server, now).map_err(|e| Trouble(e.to_string()))?;
            match self.all.journal.append(&self.stream, self.written.len() as u64, entries.clone()).await {
                Ok(_) => {
                    appended = fault::after_append();
                    // What a reader would find there now.
                    let known =
                        entries.into_iter().map(|NewEntry { at_ms, by, kind, body }| known(at_ms, by, &kind, body));
                    let known: Result<Vec<_>, _> = known.collect();
                    self.written.extend(known.map_err(|error| Trouble::new("reading back what was written", error))?);
                }
                // Somebody wrote while we looked: what was decided is stale, and what was read may be, too.
                Err(AppendError::Conflict { .. }) => {
                    self.written.clear();
                    return Ok(Wake::Now);
                }
                Err(error) => return Err(Trouble::new("writing the journal", error)),
            }
        }
        self.publish(next.status);
        for act in &next.acts {
            self.stage.act(&self.stream, act).await?;
        }
        fault::after_acts(appended);
        if ENDLESS.iter().any(|family| self.stream.starts_with(family)) {
            self.written = Vec::new();
        }
        Ok(next.wake)
    }

    /// Waits for the pause, a change, or the server's end (false).
    async fn wait(&self, pause: Option<Duration>) -> bool {
        let pause = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.all.stop.cancelled() => false,
            () = self.notify.notified() => true,
            () = pause => true,
        }
    }

    /// Takes the driver off the map, unless it was woken in the meantime.
    fn leave(&self) -> bool {
        let mut running = self.all.running.lock().expect("no driver panics while it holds the map");
        let woken = futures::FutureExt::now_or_never(self.notify.notified()).is_some();
        if !woken {
            running.remove(&self.stream);
            // Under the map's lock, or the next driver of the stream could have spoken already.
            if ENDS_UNSEEN.iter().any(|family| self.stream.starts_with(family)) {
                self.all.board.forget(&self.stream);
            }
        }
        !woken
    }

    fn publish(&self, status: Status) {
        self.all.board.publish(&self.stream, S::NAME, status, now());
    }
}

/// Reads a stream as a stage's entries; an unknown kind or version is an error.
pub async fn read<E: DeserializeOwned>(journal: &Journal, stream: &str) -> Result<Vec<Written<E>>, journal::Error> {
    read_from(journal, stream, 0).await
}

async fn read_from<E: DeserializeOwned>(
    journal: &Journal,
    stream: &str,
    index: u64,
) -> Result<Vec<Written<E>>, journal::Error> {
    let entries = journal.read_from(stream, index).await?;
    entries.into_iter().map(decode).collect()
}

fn decode<E: DeserializeOwned>(entry: journal::Entry) -> Result<Written<E>, journal::Error> {
    let place = format!("{} entry {} (format v{}, kind `{}`)", entry.stream, entry.index, entry.v, entry.kind);
    if entry.v > journal::VERSION {
        return Err(journal::Error(format!("{place} was written by a newer Bespin; start that version")));
    }
    known(entry.at_ms, entry.by, &entry.kind, entry.body)
        .map_err(|error| journal::Error(format!("{place} is not known to this version of Bespin: {error}")))
}

fn known<E: DeserializeOwned>(
    at_ms: Timestamp,
    by: By,
    kind: &str,
    body: serde_json::Value,
) -> Result<Written<E>, serde_json::Error> {
    let tagged = serde_json::json!({ "kind": kind, "body": body });
    Ok(Written { at_ms, by, entry: serde_json::from_value(tagged)? })
}

/// Encodes entries for an append.
pub fn encode<E: Serialize>(entries: &[E], by: &By, at_ms: Timestamp) -> Result<Vec<NewEntry>, journal::Error> {
    let encode = |entry: &E| {
        let value = serde_json::to_value(entry).map_err(|error| journal::Error(error.to_string()))?;
        let kind = value["kind"].as_str().ok_or_else(|| journal::Error("an entry without a kind".into()))?.to_owned();
        let body = value.get("body").cloned().unwrap_or(serde_json::Value::Null);
        Ok(NewEntry { at_ms, by: by.clone(), kind, body })
    };
    entries.iter().map(encode).collect()
}

/// The clock, in milliseconds since the epoch: read here and nowhere below.
pub fn now() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as Timestamp)
}

/// 0.2 s, doubled each time up to 30 s, with a quarter of jitter.
fn backoff(failures: u32) -> Duration {
    let base = Duration::from_millis(200) * 2u32.pow(failures.saturating_sub(1).min(8));
    let base = base.min(Duration::from_secs(30));
    base.mul_f64(rand::random_range(0.75..1.25))
}

/// The server's own death, for the stories that kill it at every point.
mod fault {
    #[cfg(not(feature = "faults"))]
    pub fn after_append() -> Option<u64> {
        None
    }
    #[cfg(not(feature = "faults"))]
    pub fn after_acts(_append: Option<u64>) {}

    #[cfg(feature = "faults")]
    use std::sync::atomic::{AtomicU64, Ordering};
    #[cfg(feature = "faults")]
    static APPENDS: AtomicU64 = AtomicU64::new(0);

    /// Counts an append, and answers which one it was.
    #[cfg(feature = "faults")]
    pub fn after_append() -> Option<u64> {
        let n = APPENDS.fetch_add(1, Ordering::SeqCst) + 1;
        die_if("BESPIN_FAULT_AFTER_APPEND", n);
        Some(n)
    }

    /// The acts that follow this append are done.
    #[cfg(feature = "faults")]
    pub fn after_acts(append: Option<u64>) {
        if let Some(n) = append {
            die_if("BESPIN_FAULT_AFTER_ACTS", n);
        }
    }

    #[cfg(feature = "faults")]
    fn die_if(variable: &str, n: u64) {
        if std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok()) == Some(n) {
            let pid = std::process::id().to_string();
            let _killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests;
