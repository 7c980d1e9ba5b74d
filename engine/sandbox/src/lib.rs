//! The door to plugins: WebAssembly components, caged.
//!
//! A plugin is a component of the world `bespin:plugin/step`. It sees nothing
//! but the abilities that it imports, each call of which is checked against
//! [`Grants`] and [`Limits`] here, before [`Abilities`] is asked. Every call
//! gets a fresh instance, so nothing that a plugin did is there for the next.
//!
//! Deliberately absent: file systems, environment, sockets, threads, and any
//! way to compile while a step waits for it.

mod abilities;
mod ability;
pub mod bench;
mod cache;
mod call;
mod engine;
mod grants;
mod host;
mod limits;
mod meter;
mod output;
mod plugin;
mod sandbox;
mod state;
mod verdict;

pub use abilities::{
    Abilities, Build, Built, Bump, Bumped, Container, Exit, Failure, Follow, Followed, HttpRequest, HttpResponse,
    Level, List, Listed, ListedKind, Mount, Named, OnTimeout, Place, Process, Push, Pushed, Reach, Read, Redirects,
    SyncRequest, Synced,
};
pub use ability::Ability;
pub use engine::Settings;
pub use grants::{Grants, Whose};
pub use limits::{Limit, Limits};
pub use plugin::{LoadError, Plugin};
pub use sandbox::Sandbox;
pub use verdict::{Denied, Verdict};
