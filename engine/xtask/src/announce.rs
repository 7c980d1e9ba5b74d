//! Which part of the demo's build goes on, told before it begins.

use crate::build::target;
use crate::process::{Failed, timed};

/// How many parts the build has.
const PARTS: usize = 3;

/// Does a part of the build, counted from 1, and says beforehand which it is, and whether it may take long.
///
/// # Errors
/// Those of the part.
pub(crate) fn announced<T>(part: usize, what: &str, work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    let is_first = !target().join("debug/bespin").exists();
    let first = if is_first { "; a clone's first build takes some minutes" } else { "" };
    eprintln!("xtask: {part}/{PARTS} {what}{first}");
    timed(what, work)
}
