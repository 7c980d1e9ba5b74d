//! Decides how git stops naming the image of an aborted rollout.
//!
//! Promise and outcome stand in the rollout's journal; this stage has none of
//! its own. Its truth is the branch: as soon as that no longer names the image,
//! whoever saw to it, there is nothing left to do, and a newer image that
//! stands there by then stays. A pull request's branch has a name that follows
//! from what it is about, so that it is found again and never made twice.

mod decide;
mod entry;
mod folder;
mod messages;
mod observed;

pub use decide::{Act, decide};
pub use entry::{Entry, How, Intent, Outcome, REVERTS_TRAILER};
pub use folder::{Fixed, Folder};
pub use observed::{AbortStatus, Aside, Branch, Git, Observed, Promised, Refusals, Reply, Request};

#[cfg(test)]
mod tests;
