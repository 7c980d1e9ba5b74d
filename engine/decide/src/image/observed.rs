//! What the builder, the store and the registry say.

use crate::next::Timestamp;
use crate::request::Key;
use pipeline::Digest;
use std::collections::BTreeMap;

/// What the world says about each open request.
pub type Observed = BTreeMap<Key, Availability>;

/// What the world says about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// No builder and no store has an image for it.
    Unbuilt(Health),
    /// The store holds the image.
    Built(Digest),
    /// The registry has no such tag; the store has the image, or not.
    Untagged(Local, Health),
    /// The registry's tag has this digest.
    Tagged(Digest),
    /// The builder was asked, and could not build it.
    NotBuilt(String),
    /// It was tried, and refused for a reason that trying again does not change.
    Refused(String),
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was carried out; the next observation sees what came of it.
    Done,
    /// The builder or the registry refused it for a reason that trying again does not change.
    Refused(String),
}

/// Whether the store still holds a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// It can be pushed.
    Held,
    /// The store no longer holds it; only another run can build it again.
    Missing,
}

/// How the last attempts went in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// No attempt since the server started has failed.
    Well,
    /// They failed for a reason that may pass.
    Failing {
        /// Since the first of them, in ms since the epoch.
        since: Timestamp,
        /// What the last one met.
        because: String,
    },
}
