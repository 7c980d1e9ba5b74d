//! Every decision that Bespin takes, as pure functions.
//!
//! A stage looks at what is *recorded* and what is *seen*, and answers with
//! what to record, what to do, when to look again, and why. Nothing in this
//! crate reads, waits or fails; that is what lets a test cut the journal
//! after any entry and demand the same ending.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

pub mod annotations;
pub mod bump;
pub mod by;
pub mod delivery;
pub mod epoch;
pub mod heads;
pub mod health;
pub mod image;
pub mod manifest;
pub mod next;
pub mod object;
pub mod outcome;
pub mod request;
pub mod retention;
pub mod retry;
pub mod revert;
pub mod rollout;
pub mod run;
pub mod stream;
pub mod summary;
pub mod sync;
