//! Where the log lines of a sync's plugins go: to the server's log, under the application's name.

use sandbox::{Abilities, Level};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many lines of one call are kept.
const LINES: usize = 100;

/// The log of one call, and nothing else: what a plugin of the world `health` is offered.
pub(in crate::stages) struct Lines {
    plugin: String,
    stream: String,
    about: String,
    count: AtomicUsize,
}

impl Lines {
    /// The log of a plugin's call for an application, about something in it.
    pub(in crate::stages) fn new(plugin: &str, stream: &str, about: String) -> Lines {
        Lines { plugin: plugin.to_owned(), stream: stream.to_owned(), about, count: AtomicUsize::new(0) }
    }

    /// Takes a line; whether it was kept.
    pub(in crate::stages) fn line(&self, level: Level, line: &str) -> bool {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let Lines { plugin, stream, about, .. } = self;
        if before == LINES {
            tracing::warn!(stream, plugin, about, "the plugin says more; {LINES} lines of a call are kept");
        }
        if before >= LINES {
            return false;
        }
        match level {
            Level::Debug => tracing::debug!(stream, plugin, about, "{}", line.escape_debug()),
            Level::Info => tracing::info!(stream, plugin, about, "{}", line.escape_debug()),
            Level::Warn | Level::Error => tracing::warn!(stream, plugin, about, "{}", line.escape_debug()),
        }
        true
    }
}

impl Abilities for Lines {
    fn log(&self, level: Level, line: &str) {
        self.line(level, line);
    }

    /// Judges take turns, so that slow ones leave routers their places.
    fn share(&self) -> Option<String> {
        Some("health".to_owned())
    }
}
