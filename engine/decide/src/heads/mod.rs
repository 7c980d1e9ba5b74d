//! Which branches and tags have moved without a delivery that told of it.
//!
//! A webhook that nobody took is not sent again by itself. So the heads of each repository are looked at when the
//! server starts and every few minutes, and compared with where the journal last saw them. [`decide`]'s rules, in the
//! order in which they are tried:
//!
//! 1. a head that stands where the journal knows it has not moved;
//! 2. a head that is seen for the first time by the first look since the journal was begun or restored is where
//!    everything begins, and opens nothing;
//! 3. a head whose delivery was recorded a moment ago is looked at again later: a forge may show it late;
//! 4. a head that is gone is noted;
//! 5. any other head that has moved is opened as a delivery, which goes the way of every other;
//! 6. a delivery that the forge says nobody took is asked for again, by its id;
//! 7. what was seen is written down.

mod decide;
mod entry;
mod observed;
mod redelivery;
mod state;
#[cfg(test)]
mod tests;

pub use decide::{Act, EVERY_MS, SETTLE_MS, decide};
pub use entry::Entry;
pub use observed::{Known, Look, Observed, Way};
pub use redelivery::{Attempt, AttemptResult, Lost, TRIES, lost};
pub use state::State;
