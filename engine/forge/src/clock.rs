//! The wall's clock, for what other machines say of theirs.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall's clock, in ms since the epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
