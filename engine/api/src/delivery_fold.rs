//! Deliveries as their journal adds up: what each is, and what became of it.

use crate::board::Board;
use crate::views::{DeliveryState, DeliveryView, SkippedView, StatusView};
use decide::delivery::{Entry, Received};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// How many deliveries that ended are remembered.
const MAX_ENDED: usize = 5_000;

/// Every delivery as its journal adds up, as far as it was read.
#[derive(Default)]
pub(crate) struct DeliveryFold {
    /// By the sequence of the first entry, so that the newest is last.
    known: BTreeMap<u64, DeliveryView>,
    by_stream: HashMap<String, u64>,
}

impl DeliveryFold {
    /// Adds the next entry of a delivery's stream.
    pub(crate) fn add(&mut self, entry: &journal::Entry) {
        if !self.by_stream.contains_key(&entry.stream) {
            self.by_stream.insert(entry.stream.clone(), entry.seq);
            self.known.insert(entry.seq, unknown(entry));
            self.forget_the_oldest();
        }
        let number = self.by_stream.get(&entry.stream).copied().unwrap_or_default();
        let Some(view) = self.known.get_mut(&number) else { return };
        match serde_json::from_value(json!({ "kind": entry.kind, "body": entry.body })) {
            Ok(decoded) => apply(view, entry.at_ms, decoded),
            Err(error) => {
                tracing::warn!(stream = entry.stream, index = entry.index, %error, "the dashboard passes over an entry");
            }
        }
    }

    /// Those that have not ended, newest first, with what they wait for.
    pub(crate) fn waiting(&self, board: &Board) -> Vec<DeliveryView> {
        let waiting = self.known.values().rev().filter(|view| view.state == DeliveryState::Waiting);
        waiting.map(|view| now(view, board)).collect()
    }

    /// All of them, newest first.
    pub(crate) fn all(&self, board: &Board) -> impl Iterator<Item = DeliveryView> {
        self.known.values().rev().map(|view| now(view, board))
    }

    fn forget_the_oldest(&mut self) {
        if self.known.len() <= MAX_ENDED {
            return;
        }
        let oldest = self.known.iter().find(|(_, view)| view.state != DeliveryState::Waiting);
        let Some((&number, _)) = oldest else { return };
        if let Some(view) = self.known.remove(&number) {
            self.by_stream.remove(&view.stream);
        }
    }
}

/// A delivery before its first entry was read.
fn unknown(entry: &journal::Entry) -> DeliveryView {
    let mut parts = entry.stream.splitn(3, '/').skip(1).map(str::to_owned);
    DeliveryView {
        stream: entry.stream.clone(),
        hook: parts.next().unwrap_or_default(),
        delivery: parts.next().unwrap_or_default(),
        event: entry.kind.clone(),
        repository: String::new(),
        reference: String::new(),
        sha: String::new(),
        sender: String::new(),
        received_ms: entry.at_ms,
        ended_ms: None,
        state: DeliveryState::Waiting,
        message: "it was received".into(),
        runs: Vec::new(),
        skipped: Vec::new(),
        status: None,
    }
}

fn apply(view: &mut DeliveryView, at_ms: u64, entry: Entry) {
    match entry {
        Entry::Received(push) => {
            (view.event, view.sender) = ("push".into(), push.pusher.clone());
            about(view, &Received::Push(push));
        }
        Entry::Proposed(asked) => {
            (view.event, view.sender) = ("pull-request".into(), asked.sender.clone());
            about(view, &Received::PullRequest(asked));
        }
        Entry::Missed { because } => view.message = because,
        Entry::Opened { runs, skipped } => {
            let one = |skipped: decide::delivery::Skipped| SkippedView { file: skipped.file, because: skipped.because };
            view.skipped = skipped.into_iter().map(one).collect();
            view.message = match runs.len() {
                1 => "it opened a run".into(),
                many => format!("it opened {many} runs"),
            };
            (view.runs, view.state, view.ended_ms) = (runs, DeliveryState::Opened, Some(at_ms));
        }
        Entry::Ignored { because } => {
            (view.message, view.state, view.ended_ms) = (because, DeliveryState::Ignored, Some(at_ms));
        }
    }
}

fn about(view: &mut DeliveryView, received: &Received) {
    view.repository = received.repository().to_owned();
    view.reference = received.reference();
    view.sha = received.commit().to_owned();
}

/// The delivery with what it says at this moment, if it waits.
fn now(view: &DeliveryView, board: &Board) -> DeliveryView {
    let mut view = view.clone();
    if view.state == DeliveryState::Waiting {
        view.status = board.status(&view.stream).map(StatusView::from);
    }
    view
}
