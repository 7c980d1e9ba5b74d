//! Which part of the demo's build goes on, told before it begins, and how long it may take.

use crate::build::target;
use crate::process::{Failed, timed};
use std::thread::available_parallelism;

/// One part of the build.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    /// Which it is, counted from 1.
    number: usize,
    /// What is done.
    what: &'static str,
    /// What it leaves in the target folder, by which a first time is known.
    leaves: &'static str,
    /// Seconds of one processor for a first time, as measured on a busy machine of two.
    cpu_seconds: usize,
}

/// The components of the built-in plugins.
pub(crate) const PLUGINS: Part =
    Part { number: 1, what: "building the plugins", leaves: "plugins/canary.wasm", cpu_seconds: 91 };
/// The dashboard, with npm.
pub(crate) const DASHBOARD: Part =
    Part { number: 2, what: "building the dashboard", leaves: "debug/bespin", cpu_seconds: 33 };
/// The server, without what the demo does not need.
pub(crate) const SERVER: Part =
    Part { number: 3, what: "building the server", leaves: "debug/bespin", cpu_seconds: 1_026 };
const PARTS: usize = 3;

/// Does a part of the build, and says beforehand which it is, and how long a first time may take.
///
/// # Errors
/// Those of the part.
pub(crate) fn announced<T>(part: Part, work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    let Part { number, what, leaves, cpu_seconds } = part;
    let first = match target().join(leaves).exists() {
        true => String::new(),
        false => first_time(cpu_seconds, available_parallelism().map_or(1, usize::from)),
    };
    eprintln!("xtask: {number}/{PARTS} {what}{first}");
    timed(what, work)
}

/// Counts no more than eight processors: the crates of a build wait for each other.
fn first_time(cpu_seconds: usize, processors: usize) -> String {
    let minutes = cpu_seconds.div_ceil(processors.min(8)).div_ceil(60);
    let plural = if processors == 1 { "" } else { "s" };
    format!("; the first time up to {minutes} min on {processors} processor{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_time_is_estimated_from_the_processors() {
        assert_eq!(first_time(1_026, 2), "; the first time up to 9 min on 2 processors");
        assert_eq!(first_time(91, 1), "; the first time up to 2 min on 1 processor");
        assert_eq!(first_time(1_026, 64), "; the first time up to 3 min on 64 processors");
    }
}
