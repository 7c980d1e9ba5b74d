//! How old a login may be.

/// Whether a login may be one that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The one at hand, if it is not old.
    Cached,
    /// The one at hand was refused.
    New,
}
