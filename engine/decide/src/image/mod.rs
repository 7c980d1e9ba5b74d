//! Decides about images: build, reuse, push, or refuse.
//!
//! A step asks for one of two things. A *build* is met when the store holds an
//! image for it; the image is then known by its digest, and a second build for
//! the same key is never made. A *push* is met when the registry's tag has that
//! digest. A tag that has another one is never overwritten: whoever deployed
//! it would otherwise run something else tomorrow under the same name.

pub mod build_id;
mod decide;
pub mod dockerfile;
mod entry;
pub mod fork;
pub mod ignore;
mod messages;
mod observed;
mod state;

pub use build_id::BuildId;
pub use decide::{Act, PATIENCE_MS, attempts, decide};
pub use entry::{Build, Entry, Intent, Network, Push};
pub use observed::{Availability, Health, Local, Observed, Reply};
pub use state::State;

#[cfg(test)]
mod tests;
