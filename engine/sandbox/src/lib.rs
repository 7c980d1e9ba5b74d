//! The adapter to plugins: WebAssembly components, caged.
//!
//! A plugin is a component of one of the worlds in `plugins/wit`. It sees nothing
//! but the abilities that it imports, each call of which is checked against
//! `pipeline`'s permissions and limits here, before [`Abilities`] is asked. Every call
//! gets a fresh instance, so nothing that a plugin did is there for the next.
//!
//! Deliberately absent: file systems, environment, sockets, threads, and any
//! way to compile while a step waits for it.

mod abilities;
mod asked;
mod asks;
pub mod bench;
mod cache;
mod call;
mod calls;
mod clocks;
mod compiler;
mod declare;
mod declared;
mod engine;
mod host;
pub mod inspect;
mod meter;
mod output;
mod places;
mod plugin;
mod sandbox;
mod state;
mod threads;
mod turns;
mod verdict;
mod worlds;

pub use abilities::{
    Abilities, Applied, ApplyRequest, Artifact, Build, Built, Bump, Bumped, Change, Container, Exit, Failure, Follow,
    Followed, Found, HttpRequest, HttpResponse, Level, List, Listed, ListedKind, Mount, Named, OnTimeout, Place,
    PlanMode, PlanRequest, Planned, Process, Push, Pushed, Query, Read, Redirects, Restore, Sample, Save, Saved,
    Stored, SyncRequest, Synced, Variable,
};
pub use compiler::{Compiler, compile_alone};
pub use declare::declare;
pub use declared::declared;
pub use engine::{Busy, Settings};
pub use plugin::{LoadError, Plugin};
pub use sandbox::Sandbox;
pub use verdict::Verdict;
pub use worlds::{Destination, Health, HealthStatus, Judgement, Measurement, Split, Verification, World};
