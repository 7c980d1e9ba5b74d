//! The number of the next run.

use super::observed::{Context, KnownRun};

/// The number that the next run of a pipeline gets, above those of its runs and above these.
pub fn next_number(pipeline: &str, runs: &[KnownRun], floors: impl IntoIterator<Item = u64>) -> u64 {
    let used = runs.iter().filter(|known| known.pipeline == pipeline).map(|known| known.number);
    used.chain(floors).max().unwrap_or(0) + 1
}

impl Context {
    /// The number that the next run of a pipeline gets.
    pub(super) fn next_number(&self, pipeline: &str) -> u64 {
        let floors = [&self.floors, &self.configured].map(|floors| floors.get(pipeline).copied());
        next_number(pipeline, &self.runs, floors.into_iter().flatten())
    }
}
