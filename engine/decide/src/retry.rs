//! Whether what failed is worth trying again, and when.
//!
//! Every adapter's error says what happened, as a sentence for a person, and
//! has one of these classes. The rule: what may pass is never final. Only
//! [`Retry::Permanent`] may end something; the other two are tried again until
//! what waits for them ends (a step by its timeout).

use crate::next::Timestamp;

/// The longest pause between two attempts, in ms, where the other side names no longer one.
pub const LONGEST_MS: u64 = 180_000;

/// The longest pause that another side may ask for, in ms.
const LONGEST_ASKED_MS: u64 = 3_600_000;

/// The first pause after what passes by itself, in ms.
const FIRST_MS: u64 = 200;

/// The first pause after what a person must change, in ms.
const FIRST_FOR_A_PERSON_MS: u64 = 5_000;

/// Whether the same attempt can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It can, without any change on this side: an outage, a timeout, a conflict, a rate limit.
    Passing {
        /// How long the other side asks to be left alone, in ms; `Retry-After` of HTTP.
        after_ms: Option<u64>,
    },
    /// It can, once a person has changed something elsewhere: a token, a right, a repository that is not there.
    /// Credentials are read again and rights are granted while the server runs, so this is tried again, too.
    NeedsPerson,
    /// It cannot: the attempt itself is wrong, and is refused again as long as it stays the same.
    Permanent,
}

impl Retry {
    /// It passes, and nothing says when.
    pub const PASSING: Retry = Retry::Passing { after_ms: None };

    /// It passes, in so many ms according to the other side. More than an hour is taken for an hour.
    pub fn after(ms: u64) -> Retry {
        Retry::Passing { after_ms: Some(ms.min(LONGEST_ASKED_MS)) }
    }

    /// What an HTTP status says that is no success; `after_ms` is the answer's `Retry-After`, in ms.
    /// The adapters know where their peer means something else by a status.
    pub fn of_status(status: u16, after_ms: Option<u64>) -> Retry {
        match status {
            // A conflict is looked at again; 425 is "too early".
            408 | 409 | 425 | 429 | 500..=599 => after_ms.map_or(Retry::PASSING, Retry::after),
            // Not found is what most peers answer for what may not be seen, too; a redirect tells of a new address.
            300..=399 | 401..=404 | 407 => Retry::NeedsPerson,
            // 410 says by its meaning that it stays so.
            400..=499 => Retry::Permanent,
            // A status that no specification knows comes from something in between.
            _ => Retry::PASSING,
        }
    }

    /// Whether the same attempt may succeed later.
    pub fn may_pass(self) -> bool {
        self != Retry::Permanent
    }

    /// The pause before the next attempt, in ms, after so many failures in a row (the first is 1). It doubles, ends at
    /// [`LONGEST_MS`], and is never shorter than what the other side asked for. `jitter`, from 0 up to 1, moves it by a
    /// quarter to either side, so that many who failed together do not come back together.
    ///
    /// What is permanent is looked at again as well, at the slowest pace: the stage may see something else by then.
    pub fn pause_ms(self, failures: u32, jitter: f64) -> u64 {
        let first = match self {
            Retry::Passing { .. } => FIRST_MS,
            Retry::NeedsPerson => FIRST_FOR_A_PERSON_MS,
            Retry::Permanent => LONGEST_MS,
        };
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_MS);
        let moved = doubled as f64 * (0.75 + jitter.clamp(0.0, 1.0) / 2.0);
        let pause = (moved as u64).min(LONGEST_MS);
        match self {
            Retry::Passing { after_ms: Some(asked) } => pause.max(asked),
            _ => pause,
        }
    }
}

/// How long an HTTP header `Retry-After` asks to wait, in ms: it holds seconds or a date.
/// Source: RFC 9110, section 10.2.3.
pub fn retry_after_ms(header: &str, now: Timestamp) -> Option<u64> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let at = jiff::fmt::rfc2822::parse(header).ok()?.timestamp().as_millisecond();
    Some(u64::try_from(at).unwrap_or(0).saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_at_three_minutes() {
        let pauses = |retry: Retry| [1, 2, 3, 4, 11, 12, u32::MAX].map(|failures| retry.pause_ms(failures, 0.5));
        assert_eq!(pauses(Retry::PASSING), [200, 400, 800, 1_600, 180_000, 180_000, 180_000]);
        assert_eq!(pauses(Retry::NeedsPerson), [5_000, 10_000, 20_000, 40_000, 180_000, 180_000, 180_000]);
        assert_eq!(pauses(Retry::Permanent), [180_000; 7]);
    }

    #[test]
    fn jitter_moves_a_pause_by_a_quarter_and_never_beyond_the_longest() {
        let with = |failures, jitter| Retry::PASSING.pause_ms(failures, jitter);
        assert_eq!([with(3, 0.0), with(3, 1.0)], [600, 1_000]);
        assert_eq!([with(40, 0.0), with(40, 1.0)], [135_000, 180_000]);
    }

    #[test]
    fn what_the_other_side_asks_for_is_kept() {
        assert_eq!(Retry::after(90_000).pause_ms(1, 0.5), 90_000);
        assert_eq!(Retry::after(1_000).pause_ms(20, 0.5), 180_000, "it asks for less than it is given");
        assert_eq!(Retry::after(600_000).pause_ms(20, 0.0), 600_000, "it asks for more than the longest");
        assert_eq!(Retry::after(u64::MAX).pause_ms(1, 0.5), 3_600_000, "no outage is for ever");
    }

    #[test]
    fn a_header_has_seconds_or_a_date() {
        assert_eq!(retry_after_ms(" 120 ", 0), Some(120_000));
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000 - 5_000), Some(5_000));
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000 + 5_000), Some(0));
        assert_eq!(retry_after_ms("soon", 0), None);
    }
}
