//! The server's own death, for the stories that kill it at every point. Built in by the feature `faults` alone.

use std::sync::atomic::{AtomicU64, Ordering};

static APPENDS: AtomicU64 = AtomicU64::new(0);

/// Counts an append, and dies where `BESPIN_FAULT_AFTER_APPEND` names it.
pub(crate) fn after_append() {
    count(&APPENDS, "BESPIN_FAULT_AFTER_APPEND");
}

/// Counts an event, and kills this process where the environment variable names its number, from 1.
///
/// Where `BESPIN_FAULT_COUNTS` names a folder, its file of the variable's name is as many bytes long as events were.
pub fn count(events: &AtomicU64, variable: &str) {
    let n = events.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(folder) = std::env::var_os("BESPIN_FAULT_COUNTS") {
        let file = std::path::Path::new(&folder).join(variable);
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
        // A count that is short would make the story ask for too few deaths.
        opened.and_then(|mut file| std::io::Write::write_all(&mut file, b".")).expect("events can be counted");
    }
    if std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok()) == Some(n) {
        let pid = std::process::id().to_string();
        let _killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
        std::process::abort();
    }
}
