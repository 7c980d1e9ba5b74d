//! From the lines of builders, registries and containers to the log of the attempt that waits for them.

use crate::logs::Logs;
use crate::stages::image::Sinks;
use crate::steps::Asked;
use decide::request::Key;
use images::{LogSink, Silent, Stream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The log of one attempt.
pub(super) struct StepLog {
    logs: Arc<Logs>,
    run: String,
    step: String,
    attempt: u32,
}

impl StepLog {
    /// The log of the attempt that asked.
    pub(super) fn of(logs: &Arc<Logs>, asked: &Asked) -> StepLog {
        StepLog { logs: logs.clone(), run: asked.run.id.clone(), step: asked.step.clone(), attempt: asked.attempt }
    }
}

impl LogSink for StepLog {
    fn line(&self, stream: Stream, text: &str) {
        let level = match stream {
            Stream::Stdout | Stream::Stderr => "info",
            Stream::Progress => "debug",
        };
        self.logs.line(&self.run, &self.step, self.attempt, level, text);
    }
}

/// Which attempt waits for which request. Requests know no attempts, so this does.
pub struct Waiting {
    logs: Arc<Logs>,
    attempts: Mutex<HashMap<Key, u32>>,
}

impl Waiting {
    /// Lines that nobody waits for yet.
    pub fn new(logs: Arc<Logs>) -> Arc<Waiting> {
        Arc::new(Waiting { logs, attempts: Mutex::default() })
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
                let (run, step) = (key.run.clone(), key.step.clone());
                Box::new(StepLog { logs: self.logs.clone(), run, step, attempt })
            }
            None => Box::new(Silent),
        }
    }
}
