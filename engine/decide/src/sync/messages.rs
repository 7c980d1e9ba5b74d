//! What people are told about syncs.

use super::Outcome;

impl Outcome {
    /// The outcome in words.
    pub fn spoken(&self) -> String {
        match self {
            Outcome::Succeeded => "succeeded".into(),
            Outcome::Failed { because } => format!("failed: {because}"),
            Outcome::Superseded { by } => format!("superseded by {}", by.short()),
        }
    }
}
