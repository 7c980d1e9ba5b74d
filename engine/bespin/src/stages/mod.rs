//! The corridor: delivery, run, image, bump, sync, canary, and revert after a
//! retreat. Each module binds one decision of `decide` to the doors that it
//! sees and acts through.

pub mod bump;
pub mod canary;
pub mod delivery;
pub mod image;
pub mod revert;
pub mod run;
pub mod sync;

/// A real git server, shared with the forge's own tests.
#[cfg(test)]
#[path = "../../../forge/tests/git_server/mod.rs"]
mod git_server;
