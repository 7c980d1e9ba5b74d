//! Keeps the journal and the data folder bounded: once an hour, what has had
//! its time is removed.

use crate::drive::{Drivers, Trouble, now};
use crate::leftovers::Leftovers;
use api::ApiState;
use async_trait::async_trait;
use decide::retention::{self, Delivery, Gone, Run, Seen, Stand};
use decide::stream::{Family, Stream};
use journal::Entry;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The pause between two rounds.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Keeps in memory what the journal says of runs.
#[async_trait]
pub trait Memory: Send + Sync + 'static {
    /// Forgets runs, by id, that the journal has forgotten.
    async fn forget(&self, runs: &BTreeSet<String>);

    /// Once a round: removes what it keeps beside the journal for runs that go on.
    async fn tidy(&self) {}
}

#[async_trait]
impl Memory for ApiState {
    async fn forget(&self, runs: &BTreeSet<String>) {
        ApiState::forget(self, runs).await;
    }
}

/// Removes what has had its time.
pub struct Retention {
    /// The journal, and what is driven right now.
    pub drivers: Arc<Drivers>,
    /// The logs and workspaces of runs, which go with them.
    pub leftovers: Arc<Leftovers>,
    /// Whose memory of runs follows the journal's.
    pub memories: Vec<Arc<dyn Memory>>,
    /// How many ended runs of each pipeline stay.
    pub keep_runs: usize,
}

impl Retention {
    /// Goes round at once and then every hour, until the server stops. What a stop
    /// interrupts is found again by the next round.
    pub async fn rounds(self) {
        let stopping = self.drivers.stopping().clone();
        let rounds = async {
            loop {
                match self.round().await {
                    Ok(0) => {}
                    Ok(removed) => tracing::info!(removed, "streams that had their time were removed"),
                    Err(trouble) => tracing::warn!(%trouble, "retention will try again in an hour"),
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => {}
            () = rounds => {}
        }
    }

    /// One round; how many streams were removed.
    ///
    /// # Errors
    /// The journal could not be read or written, or a log not be removed.
    pub async fn round(&self) -> Result<usize, Trouble> {
        let seen = self.look().await.map_err(|error| Trouble::new("looking for what had its time", error))?;
        for run in seen.runs.iter().filter(|run| run.stand == Stand::Ended) {
            self.leftovers.tidy(&run.id).await;
        }
        let Gone { runs, mut streams } = retention::decide(&seen, self.keep_runs, now());
        streams.retain(|stream| !self.is_driven(stream));
        let mut forgotten = BTreeSet::new();
        for (run, of_run) in runs {
            // A cancelled step's push may still be on its way; its driver writes down how it went.
            if of_run.iter().any(|stream| self.is_driven(stream)) {
                continue;
            }
            // Before the journal forgets the run, or nobody would know of its logs any more.
            if let Err(error) = self.leftovers.gone(&run).await {
                tracing::warn!(run, %error, "what it left cannot be removed; it stays for the next round");
                continue;
            }
            streams.extend(of_run);
            forgotten.insert(run);
        }
        let removed = streams.len();
        if removed > 0 {
            let board = self.drivers.board();
            streams.iter().for_each(|stream| board.forget(stream));
            self.drivers
                .journal()
                .remove(streams)
                .await
                .map_err(|error| Trouble::new("removing old streams", error))?;
            for memory in &self.memories {
                memory.forget(&forgotten).await;
            }
        }
        for memory in &self.memories {
            memory.tidy().await;
        }
        Ok(removed)
    }

    fn is_driven(&self, stream: &str) -> bool {
        Stream::parse(stream).is_ok_and(|stream| self.drivers.is_driven(&stream))
    }

    async fn look(&self) -> Result<Seen, journal::Error> {
        let journal = self.drivers.journal();
        let mut seen = Seen::default();
        // Before the runs: what goes with a run is opened after it.
        for family in [Family::Image, Family::Bump] {
            seen.beside.extend(journal.streams(family.prefix()).await?.into_iter().map(|stream| stream.name));
        }
        for stream in journal.streams(Family::Run.prefix()).await? {
            let id = stream.name.strip_prefix(Family::Run.prefix()).unwrap_or(&stream.name).to_owned();
            seen.runs.push(Run { id, stand: stand(&journal.read(&stream.name).await?, &["closed"]) });
        }
        for stream in journal.streams(Family::Delivery.prefix()).await? {
            let entries = journal.read(&stream.name).await?;
            let received_ms = entries.first().map_or(u64::MAX, |first| first.at_ms);
            seen.deliveries.push(Delivery {
                stream: stream.name,
                received_ms,
                stand: stand(&entries, &["opened", "ignored"]),
            });
        }
        for stream in journal.streams(Family::Revert.prefix()).await? {
            let last = journal.read(&stream.name).await?.pop().filter(|last| last.kind == "answered");
            seen.reverts.extend(last.map(|last| (stream.name, last.at_ms)));
        }
        Ok(seen)
    }
}

fn stand(entries: &[Entry], ends: &[&str]) -> Stand {
    match entries.iter().any(|entry| ends.contains(&entry.kind.as_str())) {
        true => Stand::Ended,
        false => Stand::Open,
    }
}

#[cfg(test)]
mod tests;
