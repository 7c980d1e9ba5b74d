//! Decides how git stops naming the image of an aborted rollout.
//!
//! A rollout asks by a stream for each of its promises, takes the request back
//! when it is overtaken or not ours any more, and writes the answer into its
//! own stream. The truth is the branch: as soon as that no longer names the
//! image, whoever saw to it, there is nothing left to do, and a newer image that
//! stands there by then stays. A pull request's branch has a name that follows
//! from what it is about, so that it is found again and never made twice.

mod decide;
mod entry;
mod folder;
mod messages;
mod observed;
mod state;

pub use decide::{Act, decide};
pub use entry::{Entry, How, Intent, Outcome, REVERTS_TRAILER, Withdrawal};
pub use folder::{Fixed, Folder};
pub use observed::{Aside, Branch, Observed, Refusals, Reply, Request};
pub use state::State;

#[cfg(test)]
mod tests;
