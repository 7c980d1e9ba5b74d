//! The adapter against real registries and a real engine, and against the playground's registry.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod assembled;
#[path = "../../../fuzz/src/corpus.rs"]
mod corpus;
mod engine;
mod plugins;
#[path = "../../../../tests/world/port.rs"]
mod port;
mod pushed;
#[path = "../../../fuzz/src/registry.rs"]
mod registry;
mod world;
