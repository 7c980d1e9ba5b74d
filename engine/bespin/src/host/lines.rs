//! From the lines of builders, registries and containers to the log of the attempt that waits for them.

use crate::logs::{Logs, PieceEnd, Source};
use crate::places::PlaceWaits;
use crate::stages::image::Sinks;
use crate::steps::Asked;
use api::reading::LogPlace;
use decide::request::Key;
use images::{LogSink, Silent, Stream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The log of one attempt, for one program. Once it is dropped, nothing that the program printed waits any more.
pub(super) struct StepLog {
    logs: Arc<Logs>,
    place: LogPlace,
}

impl StepLog {
    /// The log of the attempt that asked.
    pub(super) fn of(logs: &Arc<Logs>, asked: &Asked) -> StepLog {
        StepLog { logs: logs.clone(), place: LogPlace::new(&asked.run.id, &asked.step, asked.attempt) }
    }

    /// The beginning of a line whose rest is left out.
    pub(super) fn cut(&self, stream: Stream, text: &str) {
        self.piece(stream, text, PieceEnd::Cut);
    }

    fn piece(&self, stream: Stream, text: &str, end: PieceEnd) {
        let (source, level) = match stream {
            Stream::Stdout => (Source::Stdout, "info"),
            Stream::Stderr => (Source::Stderr, "info"),
            Stream::Progress => (Source::Progress, "debug"),
        };
        self.logs.piece(&self.place, source, level, text, end);
    }
}

impl Drop for StepLog {
    fn drop(&mut self) {
        [Source::Stdout, Source::Stderr, Source::Progress]
            .iter()
            .for_each(|source| self.logs.finish(&self.place, *source));
    }
}

impl LogSink for StepLog {
    fn line(&self, stream: Stream, text: &str) {
        self.piece(stream, text, PieceEnd::Line);
    }

    fn part(&self, stream: Stream, text: &str) {
        self.piece(stream, text, PieceEnd::Open);
    }
}

/// Which attempt waits for which request. Requests know no attempts, so this does.
pub struct Waiting {
    logs: Arc<Logs>,
    waits: Arc<PlaceWaits>,
    attempts: Mutex<HashMap<Key, u32>>,
}

impl Waiting {
    /// Lines that nobody waits for yet.
    pub fn new(logs: Arc<Logs>, waits: Arc<PlaceWaits>) -> Arc<Waiting> {
        Arc::new(Waiting { logs, waits, attempts: Mutex::default() })
    }

    /// From now on this attempt waits for its step's request.
    pub fn enter(&self, asked: &Asked) {
        let key = Key { run: asked.run.id.clone(), step: asked.step.clone() };
        self.attempts.lock().expect("nobody panics while holding the attempts").insert(key, asked.attempt);
    }

    /// Nobody waits for this step's request any more.
    pub fn leave(&self, asked: &Asked) {
        let key = Key { run: asked.run.id.clone(), step: asked.step.clone() };
        self.attempts.lock().expect("nobody panics while holding the attempts").remove(&key);
    }
}

impl Sinks for Waiting {
    fn of(&self, key: &Key) -> Box<dyn LogSink> {
        match self.attempts.lock().expect("nobody panics while holding the attempts").get(key) {
            Some(&attempt) => {
                let place = LogPlace::new(&key.run, &key.step, attempt);
                Box::new(StepLog { logs: self.logs.clone(), place })
            }
            None => Box::new(Silent),
        }
    }

    fn queued(&self, key: &Key, because: String) -> Box<dyn Send + Sync> {
        match self.attempts.lock().expect("nobody panics while holding the attempts").get(key) {
            Some(&attempt) => Box::new(self.waits.begin((key.run.clone(), key.step.clone(), attempt), because)),
            None => Box::new(()),
        }
    }
}
