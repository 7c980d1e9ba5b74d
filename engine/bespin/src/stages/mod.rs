//! The stages of a push: heads (what moved and nobody told), delivery, run, image, bump, sync, rollout, and revert
//! after an abort. Each module binds one decision of `decide` to the adapters that it
//! sees and acts through.

pub mod bump;
pub mod delivery;
pub mod heads;
pub mod image;
pub mod revert;
pub mod rollout;
pub mod run;
pub mod sync;

/// A real git server, shared with the forge's own tests.
#[cfg(test)]
#[path = "../../../forge/tests/git_server/mod.rs"]
pub(crate) mod git_server;
