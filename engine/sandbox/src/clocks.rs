//! The clocks that a guest sees: the host's, by whole milliseconds.
//!
//! A guest that can time the host finely can learn what other guests and the
//! host itself do. No step needs more than this.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// One tick of either clock.
const TICK: Duration = Duration::from_millis(1);

/// The time since a guest's beginning.
pub(crate) struct Stopwatch(Instant);

/// The time of day.
pub(crate) struct TimeOfDay;

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }
}

impl HostMonotonicClock for Stopwatch {
    fn resolution(&self) -> u64 {
        TICK.as_nanos() as u64
    }

    fn now(&self) -> u64 {
        self.0.elapsed().as_millis() as u64 * self.resolution()
    }
}

impl HostWallClock for TimeOfDay {
    fn resolution(&self) -> Duration {
        TICK
    }

    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_millis(now.as_millis() as u64)
    }
}
