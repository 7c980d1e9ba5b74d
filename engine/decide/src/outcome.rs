//! What came of a stage's acts, kept from one turn to the next.
//!
//! The driver keeps the outcome of each act until what it was asked for
//! changes, and hands all of them to the next observation. They are hints: a
//! restart loses them, and the acts are then carried out again. What must
//! survive is an entry.

use crate::next::Timestamp;
use crate::retry::Retry;

/// How many outcomes are kept for one stream; the oldest goes first.
const KEPT: usize = 64;

/// What came of one act, carried out once or several times in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted<Act, Reply> {
    /// What was carried out: the act, or the little by which its stage knows it again.
    pub act: Act,
    /// What came of it the last time.
    pub result: Result<Reply, Failure>,
    /// When the last time ended, in ms since the epoch.
    pub at: Timestamp,
    /// When the first of the failures in a row, or of the successes, ended, in ms since the epoch.
    pub since: Timestamp,
    /// How often in a row it has failed; 0 after a success.
    pub failures: u32,
}

/// Why an act was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened, as a sentence without a full stop.
    pub message: String,
    /// Whether carrying it out again may help.
    pub retry: Retry,
}

/// The outcomes that are known of one stream's acts, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes<Act, Reply>(Vec<Attempted<Act, Reply>>);

impl<Act, Reply> Default for Outcomes<Act, Reply> {
    fn default() -> Self {
        Outcomes(Vec::new())
    }
}

impl<Act: PartialEq, Reply> Outcomes<Act, Reply> {
    /// What came of this very act; nothing where it was not carried out since the server started.
    pub fn of(&self, act: &Act) -> Option<&Attempted<Act, Reply>> {
        self.0.iter().find(|attempted| attempted.act == *act)
    }

    /// Every outcome, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Attempted<Act, Reply>> {
        self.0.iter()
    }

    /// Keeps what came of an act at `now`, in the place of what came of it before.
    pub fn keep(&mut self, act: Act, result: Result<Reply, Failure>, now: Timestamp) {
        let before = self.0.iter().position(|attempted| attempted.act == act).map(|at| self.0.remove(at));
        let (failures, since) = match (&result, before) {
            (Ok(_), Some(before)) if before.failures == 0 => (0, before.since),
            (Ok(_), _) => (0, now),
            (Err(_), Some(before)) if before.failures > 0 => (before.failures.saturating_add(1), before.since),
            (Err(_), _) => (1, now),
        };
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(Attempted { act, result, at: now, since, failures });
    }

    /// Drops what came of this very act.
    pub fn forget(&mut self, act: &Act) {
        self.0.retain(|attempted| attempted.act != *act);
    }

    /// Drops the outcomes of acts that are not asked for any more.
    pub fn retain(&mut self, is_current: impl Fn(&Act) -> bool) {
        self.0.retain(|attempted| is_current(&attempted.act));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Result<(), Failure> {
        Err(Failure { message: "the registry is away".into(), retry: Retry::PASSING })
    }

    #[test]
    fn failures_in_a_row_are_counted_from_the_first_of_them_and_so_is_the_time_of_successes() {
        let mut outcomes = Outcomes::default();
        for (now, result, failures, since) in [
            (10, failed(), 1, 10),
            (20, failed(), 2, 10),
            (30, Ok(()), 0, 30),
            (35, Ok(()), 0, 30),
            (40, failed(), 1, 40),
        ] {
            outcomes.keep("push", result, now);
            outcomes.keep("build", Ok(()), now);
            let push = outcomes.of(&"push").expect("it was carried out");
            assert_eq!((push.failures, push.since, push.at), (failures, since, now));
        }
    }

    #[test]
    fn what_is_not_asked_for_any_more_is_dropped_and_there_is_an_end_to_what_is_kept() {
        let mut outcomes = Outcomes::default();
        (0..KEPT + 2).for_each(|act| outcomes.keep(act, Ok(()), 0));
        assert_eq!(outcomes.iter().map(|kept| kept.act).next(), Some(2));
        outcomes.retain(|act| act % 2 == 0);
        assert_eq!((outcomes.of(&3), outcomes.iter().count()), (None, KEPT / 2));
        outcomes.forget(&2);
        assert_eq!((outcomes.of(&2), outcomes.iter().count()), (None, KEPT / 2 - 1));
    }
}
