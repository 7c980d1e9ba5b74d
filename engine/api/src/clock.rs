//! The clock.

use decide::next::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The clock, in ms since the epoch.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Timestamp)
}
