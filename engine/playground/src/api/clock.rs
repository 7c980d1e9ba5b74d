//! The time of day, as Kubernetes writes it.

use jiff::Timestamp;

/// Now, to the second: `2026-01-02T03:04:05Z`.
pub fn now() -> String {
    after(0)
}

/// So many seconds from now.
pub fn after(seconds: i64) -> String {
    let at = Timestamp::now().as_second().saturating_add(seconds);
    Timestamp::from_second(at).unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How many seconds ago a written time was; `None` when it is no time.
pub fn seconds_since(written: &str) -> Option<f64> {
    let then: Timestamp = written.parse().ok()?;
    Some((Timestamp::now().as_millisecond() - then.as_millisecond()) as f64 / 1000.0)
}
