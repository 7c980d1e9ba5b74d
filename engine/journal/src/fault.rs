//! The server's own death, for the stories that kill it at every point. Built in by the feature `faults` alone.

use std::sync::atomic::{AtomicU64, Ordering};

static APPENDS: AtomicU64 = AtomicU64::new(0);

/// Counts an append, and dies where `BESPIN_FAULT_AFTER_APPEND` names it.
pub(crate) fn after_append() {
    count(&APPENDS, "BESPIN_FAULT_AFTER_APPEND");
}

/// Counts an event, and kills this process where the environment variable names its number, from 1.
pub fn count(events: &AtomicU64, variable: &str) {
    let n = events.fetch_add(1, Ordering::SeqCst) + 1;
    if std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok()) == Some(n) {
        let pid = std::process::id().to_string();
        let _killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
        std::process::abort();
    }
}
