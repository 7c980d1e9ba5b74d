//! Real components in the real sandbox, with a world in memory behind the abilities.

mod builtins;
mod cache;
mod hostile;
mod world;
