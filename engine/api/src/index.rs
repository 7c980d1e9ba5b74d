//! The runs and the deliveries, kept up with the journal as it grows.
//!
//! Listing runs by reading every stream would take longer with every push;
//! this folds each entry once. It holds nothing that the journal does not.

use crate::board::Board;
use crate::delivery_fold::DeliveryFold;
use crate::fold::{Fold, RequestStreams};
use crate::views::{RunRowView, RunState, RunSummary};
use decide::stream::Family;
use journal::Journal;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio::sync::Mutex;

/// How many entries are read at once.
const CHUNK: usize = 1000;

/// How many ended runs are remembered; older ones are still found by their id.
const MAX_ENDED: usize = 2000;

/// The fold of the whole journal, as far as it was read.
#[derive(Default)]
pub(crate) struct RunIndex {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    read: u64,
    /// By the sequence of the entry that opened the run, so newest is last.
    order: BTreeMap<u64, String>,
    open: HashMap<String, Fold>,
    ended: HashMap<String, RunRowView>,
    requests: HashMap<String, RequestStreams>,
    deliveries: DeliveryFold,
}

/// What the index knows at one moment.
pub(crate) struct KnownRuns {
    /// Every run on its way, newest first.
    pub(crate) open: Vec<RunRowView>,
    /// The runs that ended, newest first.
    pub(crate) ended: Vec<RunRowView>,
}

impl RunIndex {
    /// Every run, with what its open steps say right now.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn known(&self, journal: &Journal, board: &Board) -> Result<KnownRuns, journal::Error> {
        let mut state = self.state.lock().await;
        state.catch_up(journal, board).await?;
        let newest = state.order.values().rev();
        let nothing = RequestStreams::new();
        let open = newest
            .clone()
            .filter_map(|run| state.open.get(run)?.row(state.requests.get(run).unwrap_or(&nothing), board));
        let ended = newest.filter_map(|run| state.ended.get(run).cloned());
        Ok(KnownRuns { open: open.collect(), ended: ended.collect() })
    }

    /// The newest run of the same pipeline at the same reference that succeeded after this one.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn newer(
        &self,
        than: &RunSummary,
        journal: &Journal,
        board: &Board,
    ) -> Result<Option<RunSummary>, journal::Error> {
        let mut state = self.state.lock().await;
        state.catch_up(journal, board).await?;
        let is_same = |run: &&RunSummary| {
            (&run.repository, &run.pipeline, &run.reference) == (&than.repository, &than.pipeline, &than.reference)
        };
        let succeeded = state.ended.values().map(|row| &row.run).filter(|run| run.state == RunState::Succeeded);
        let newer = succeeded.filter(is_same).filter(|run| run.number > than.number);
        Ok(newer.max_by_key(|run| run.number).cloned())
    }

    /// Reads the deliveries, once the index has caught up with the journal.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn read<T>(
        &self,
        journal: &Journal,
        board: &Board,
        read: impl FnOnce(&DeliveryFold) -> T,
    ) -> Result<T, journal::Error> {
        let mut state = self.state.lock().await;
        state.catch_up(journal, board).await?;
        Ok(read(&state.deliveries))
    }

    /// Forgets runs that the journal has forgotten.
    pub(crate) async fn forget(&self, runs: &BTreeSet<String>) {
        let mut state = self.state.lock().await;
        state.order.retain(|_, run| !runs.contains(run));
        state.ended.retain(|run, _| !runs.contains(run));
        state.requests.retain(|run, _| !runs.contains(run));
    }

    /// Which streams the steps of a run wait for.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn requests(
        &self,
        run: &str,
        journal: &Journal,
        board: &Board,
    ) -> Result<RequestStreams, journal::Error> {
        let mut state = self.state.lock().await;
        state.catch_up(journal, board).await?;
        Ok(state.requests.get(run).cloned().unwrap_or_default())
    }
}

impl State {
    async fn catch_up(&mut self, journal: &Journal, board: &Board) -> Result<(), journal::Error> {
        loop {
            let entries = journal.tail(self.read, CHUNK).await?;
            for entry in &entries {
                self.read = self.read.max(entry.seq);
                self.add(entry, board);
            }
            if entries.len() < CHUNK {
                return Ok(());
            }
        }
    }

    fn add(&mut self, entry: &journal::Entry, board: &Board) {
        if let Some(run) = entry.stream.strip_prefix(Family::Run.prefix()) {
            self.add_to_run(run, entry, board);
        } else if entry.stream.starts_with(Family::Delivery.prefix()) {
            self.deliveries.add(entry);
        } else if entry.kind == "wanted"
            && let (Some(run), Some(step)) = (entry.body["key"]["run"].as_str(), entry.body["key"]["step"].as_str())
        {
            self.requests.entry(run.to_owned()).or_default().insert(step.to_owned(), entry.stream.clone());
        }
    }

    fn add_to_run(&mut self, run: &str, entry: &journal::Entry, board: &Board) {
        if entry.index == 0 {
            self.order.insert(entry.seq, run.to_owned());
        }
        let fold = self.open.entry(run.to_owned()).or_default();
        if let Err(error) = fold.add(entry) {
            tracing::warn!(stream = entry.stream, index = entry.index, %error, "the dashboard passes over an entry");
        }
        if fold.is_closed() {
            let nothing = RequestStreams::new();
            let row = fold.row(self.requests.get(run).unwrap_or(&nothing), board);
            self.open.remove(run);
            self.ended.extend(row.map(|row| (run.to_owned(), row)));
            self.forget_the_oldest();
        }
    }

    fn forget_the_oldest(&mut self) {
        while self.ended.len() > MAX_ENDED {
            let oldest = self.order.iter().find(|(_, run)| self.ended.contains_key(*run));
            let Some((&seq, run)) = oldest else { return };
            self.ended.remove(run);
            self.requests.remove(run);
            self.order.remove(&seq);
        }
    }
}
