//! Real components in the real sandbox, with a world in memory behind the abilities.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod builtins;
mod cache;
mod collection;
mod contract;
mod declared;
mod hostile;
mod inspect;
mod languages;
mod limits;
mod load;
mod released;
mod speed;
mod world;
mod worlds;
