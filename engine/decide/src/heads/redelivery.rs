//! Which failed deliveries the forge is asked to send again.

use std::collections::BTreeSet;

/// How often a delivery is tried altogether before nobody asks for it again.
pub const TRIES: usize = 3;

/// One try of the forge to deliver something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The try's own id, by which it can be repeated.
    pub id: u64,
    /// The delivery's id, which is the same for every try: the header `X-GitHub-Delivery`.
    pub delivery: String,
    /// The forge's word for the event, such as `push`.
    pub event: String,
    /// What came of it.
    pub result: AttemptResult,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// It was answered with a success.
    Taken,
    /// Nobody answered, or with something else.
    Failed,
}

/// A delivery that nobody took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The forge's id of the hook.
    pub hook: u64,
    /// The id of its newest try.
    pub attempt: u64,
    /// The delivery's id.
    pub delivery: String,
}

/// The deliveries of a hook that were never taken and may open runs; `attempts` come newest first, and `is_known` says
/// of which ids the journal has a delivery.
pub fn lost(hook: u64, attempts: &[Attempt], is_known: impl Fn(&str) -> bool) -> Vec<Lost> {
    let opens = |attempt: &&Attempt| matches!(attempt.event.as_str(), "push" | "pull_request");
    let of = |id: &str| attempts.iter().filter(move |attempt| attempt.delivery == id).collect::<Vec<_>>();
    let mut seen = BTreeSet::new();
    let newest = attempts.iter().filter(opens).filter(|attempt| seen.insert(attempt.delivery.as_str()));
    let is_lost = |attempt: &&Attempt| {
        let all = of(&attempt.delivery);
        all.len() < TRIES && all.iter().all(|one| one.result == AttemptResult::Failed) && !is_known(&attempt.delivery)
    };
    let newest: Vec<&Attempt> = newest.collect();
    let lost = newest.into_iter().filter(is_lost);
    // In the order in which they happened.
    let lost = lost.map(|attempt| Lost { hook, attempt: attempt.id, delivery: attempt.delivery.clone() });
    lost.collect::<Vec<_>>().into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_took_is_asked_for_again() {
        let attempt = |id, delivery: &str, event: &str, result| Attempt {
            id,
            delivery: delivery.into(),
            event: event.into(),
            result,
        };
        let (taken, failed) = (AttemptResult::Taken, AttemptResult::Failed);
        let attempts = [
            attempt(9, "d", "pull_request", failed),
            attempt(8, "again", "push", taken),
            attempt(7, "often", "push", failed),
            attempt(6, "c", "push", failed),
            attempt(5, "often", "push", failed),
            attempt(4, "again", "push", failed),
            attempt(3, "often", "push", failed),
            attempt(2, "known", "push", failed),
            attempt(1, "star", "star", failed),
        ];
        let found = lost(77, &attempts, |id| id == "known");
        let told: Vec<_> = found.iter().map(|lost| (lost.hook, lost.attempt, lost.delivery.as_str())).collect();
        assert_eq!(told, [(77, 6, "c"), (77, 9, "d")]);
    }
}
