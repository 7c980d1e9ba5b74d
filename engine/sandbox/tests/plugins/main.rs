//! Real components in the real sandbox, with a world in memory behind the abilities.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod builtins;
mod cache;
mod hostile;
mod inspect;
mod languages;
mod load;
mod released;
mod world;
mod worlds;
