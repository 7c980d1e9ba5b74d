//! The adapter to image builders and registries.
//!
//! An image is built by a Docker Engine, or assembled in process where its
//! Dockerfile only copies and describes. Either way it ends in one [`Layout`]
//! on disk, and from there one path pushes it, so that skipped layers, ECR's
//! tokens and another endpoint are handled in one place.

#![forbid(unsafe_code)]

mod archive;
mod assemble;
mod blobs;
pub mod builder;
pub mod bundle;
pub mod containers;
mod context;
#[cfg(test)]
#[path = "../../fuzz/src/corpus.rs"]
mod corpus;
#[cfg(feature = "ecr")]
mod ecr;
#[cfg(not(feature = "ecr"))]
#[path = "ecr/absent.rs"]
mod ecr;
pub mod engine;
mod error;
mod fetch;
mod freshness;
mod job;
mod layout;
mod names;
pub mod plugin;
#[cfg(feature = "buildkit")]
mod progress;
#[cfg(not(feature = "buildkit"))]
#[path = "progress/absent.rs"]
mod progress;
mod push;
mod refusal;
pub mod registry;
mod secret;
pub mod signature;
mod sink;
mod tree;

pub use builder::{Choice, Images};
pub use engine::Engine;
pub use error::Error;
pub use job::Job;
pub use layout::Layout;
pub use push::Pushed;
pub use registry::{Auth, Registries, Registry, RegistrySettings};
pub use secret::RegistrySecret;
pub use sink::{LogSink, Silent, Stream};
