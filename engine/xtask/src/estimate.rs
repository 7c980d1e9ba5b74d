//! How long the demo's build takes, told before it begins.

use crate::build::target;
use crate::process::{Failed, timed};
use std::num::NonZero;
use std::thread::available_parallelism;

/// The CPU time that each part of the build takes from a fresh clone whose dependencies are downloaded, in seconds.
const CPU_SECONDS: [u64; 3] = [60, 30, 500];

/// Does a part of the build, counted from 1, and says beforehand how long it and what follows may take.
///
/// # Errors
/// Those of the part.
pub(crate) fn announced<T>(part: usize, what: &str, work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    let is_first = !target().join("debug/bespin").exists();
    let left = if is_first { format!("; {}", first(part)) } else { String::new() };
    eprintln!("xtask: {part}/{} {what}{left}", CPU_SECONDS.len());
    timed(what, work)
}

fn first(part: usize) -> String {
    let cores = available_parallelism().map_or(1, NonZero::get) as u64;
    // Every part compiles on all cores for nearly its whole time.
    let seconds: u64 = CPU_SECONDS.iter().skip(part - 1).sum::<u64>() / cores;
    match seconds.div_ceil(60) {
        1 => "ready in about a minute".to_owned(),
        minutes => format!("the first time, ready in about {minutes} minutes"),
    }
}
