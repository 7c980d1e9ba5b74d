//! The embedded default: a Kubernetes API, an OCI registry and git remotes to try Bespin on.
//!
//! The playground is also the oracle of the tests, so it depends on no other crate of this workspace and shares no
//! logic with what it judges. Everything listens on loopback and everything that must survive a restart is under one
//! directory:
//!
//! ```text
//! DIR/kubeconfig            for kubectl and for Bespin
//! DIR/kube.json             the Kubernetes objects, written shortly after each change and at the end
//! DIR/token                 the bearer token of the Kubernetes API
//! DIR/registry/blobs/       one file per blob, named by its SHA-256 digest
//! DIR/registry/uploads/     blobs on their way in
//! DIR/registry/repositories tags and manifests
//! DIR/git/OWNER/NAME.git    bare repositories
//! ```

pub mod api;
pub mod controllers;
pub mod faults;
pub mod git;
pub mod kubelet;
mod playground;
pub mod registry;
pub mod sample;
pub mod serve;

#[cfg(test)]
mod tests;

pub use playground::{Error, Options, Playground};
