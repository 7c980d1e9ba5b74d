//! How a call of a plugin ended.

use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::limits::Limit;
use pipeline::permission::Denied;

/// How a call of a plugin ended. Only [`Verdict::Succeeded`] is a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T = BTreeMap<String, String>> {
    /// The plugin did what it is there for.
    Succeeded {
        /// What it answered. A step's are for later steps, under `steps.<id>`.
        outputs: T,
    },
    /// The author of the pipeline, or of the plugin, can fix it.
    Rejected {
        /// What is wrong, and how to fix it.
        because: String,
    },
    /// The same call may succeed later.
    Transient {
        /// What stood in the way.
        because: String,
    },
    /// The plugin failed after it asked for something without permission.
    Denied(Denied),
    /// A limit was exceeded.
    Limit {
        /// The limit that was exceeded.
        which: Limit,
        /// With the limit's value.
        because: String,
    },
    /// The call took longer than its wall time, waiting included.
    TimedOut {
        /// The wall time that it was given.
        after: Duration,
    },
    /// The plugin crashed: a panic, an access out of bounds. It is a fault of the plugin.
    Trapped {
        /// What the engine or the panic said.
        because: String,
    },
}
