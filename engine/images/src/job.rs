//! What a builder is given.

use decide::image::Network;
use decide::request::Key;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One image to build.
#[derive(Clone, Debug)]
pub struct Job {
    /// By which the build is found again.
    pub key: Key,
    /// The Dockerfile's path within the context.
    pub dockerfile: String,
    /// Values of the Dockerfile's `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// What its commands reach.
    pub network: Network,
    /// The context: a tar file.
    pub context: PathBuf,
}
