//! Decides how a new image's name comes into the manifests repository.
//!
//! The truth is the branch: its head, its files, and the trailers of its
//! commits. A bump that landed is found by its trailer, so it is never made
//! twice; a push that is refused because somebody was faster is looked at again.

mod decide;
mod edit;
mod entry;
mod find;
mod messages;
mod observed;
mod state;

pub use decide::{Act, decide, refused};
pub use edit::{Edit, Report, Swap, edit, put_back};
pub(crate) use edit::{mentions, names};
pub use entry::{Entry, IMAGE_TRAILER, Intent, RUN_TRAILER, STEP_TRAILER};
pub(crate) use find::name_of;
pub use observed::{Branch, File, Observed, Past, Reply};
pub use state::State;

#[cfg(test)]
mod tests;
