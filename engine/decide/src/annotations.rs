//! The annotations that are Bespin's own, under one prefix.

/// An annotation's key: the prefix, which stands here and nowhere else, and its name.
macro_rules! ours {
    ($name:literal) => {
        concat!("bespin.dev/", $name)
    };
}

/// Makes an Application or a Rollout Bespin's; without it, the object is only observed.
pub const OWNER: &str = ours!("owner");

/// On an Application: what becomes of git after its canary was aborted.
pub const ON_ABORT: &str = ours!("on-abort");

/// The name that [`ON_ABORT`] had at first. It is read where the new one is missing, with a warning.
pub const ON_RETREAT: &str = ours!("on-retreat");

/// On a Rollout: which share of a canary's pods must fail before it is aborted at once.
pub const ABORT_ON: &str = ours!("abort-on");

/// On a ReplicaSet of the stable version: it has only the pods for its share of the traffic, or is on its way from there.
pub const BY_SHARE: &str = ours!("by-share");

/// On a ReplicaSet: what its template itself says of the keys that `canaryMetadata` or `stableMetadata` have overwritten.
pub const OVERWRITTEN: &str = ours!("overwritten-metadata");
