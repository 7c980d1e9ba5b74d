//! An alert that acts on a rollout: what is recorded of it, and how people are told of it.

use crate::next::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much of an alert's name, and of its summary, is recorded, in characters.
const NAME_CHARS: usize = 100;
const SUMMARY_CHARS: usize = 200;

/// An alert as Alertmanager tells of it. The same fingerprint and start mean the same alert, however often it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alert {
    /// Its label `alertname`.
    pub name: String,
    /// What Alertmanager calls its labels.
    pub fingerprint: String,
    /// Since when it fires, in ms since the epoch.
    pub started_at: Timestamp,
    /// Its annotation `summary`, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// What an alert does to a rollout in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertAction {
    /// Hold it where it is, until a person resumes it.
    Pause,
    /// Send it back to the stable version.
    Abort,
}

impl Alert {
    /// With its texts bounded, each on one line: they come from outside.
    pub fn new(name: &str, fingerprint: &str, started_at: Timestamp, summary: Option<&str>) -> Alert {
        let summary = summary.map(|summary| on_a_line(summary, SUMMARY_CHARS)).filter(|summary| !summary.is_empty());
        Alert { name: on_a_line(name, NAME_CHARS), fingerprint: fingerprint.to_owned(), started_at, summary }
    }

    /// Whether both are the same alert, told twice.
    pub(super) fn is(&self, other: &Alert) -> bool {
        self.fingerprint == other.fingerprint && self.started_at == other.started_at
    }

    /// Who it is, as the author of an entry.
    pub fn author(&self) -> String {
        format!("{}#{}", self.name, self.fingerprint)
    }
}

/// Its name, with the summary in brackets.
impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.summary {
            Some(summary) => write!(f, "{} ({summary})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

fn on_a_line(text: &str, chars: usize) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|s| !s.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(chars) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
