//! What reaches the load balancer some time after it was seen.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The states of something, each of which comes late; none overtakes another.
pub(super) struct Late<T> {
    seen: Option<T>,
    coming: VecDeque<(Instant, T)>,
    reached: Option<T>,
}

impl<T> Default for Late<T> {
    fn default() -> Late<T> {
        Late { seen: None, coming: VecDeque::new(), reached: None }
    }
}

impl<T: Clone + PartialEq> Late<T> {
    /// It is like this now; where that is new, it takes so long.
    pub(super) fn see(&mut self, value: &T, lag: impl FnOnce() -> Duration) {
        if self.seen.as_ref() == Some(value) {
            return;
        }
        let due = Instant::now() + lag();
        let due = self.coming.back().map_or(due, |(before, _)| due.max(*before));
        self.coming.push_back((due, value.clone()));
        self.seen = Some(value.clone());
    }

    /// What has come by now, where anything has.
    pub(super) fn reached(&mut self) -> Option<&T> {
        while let Some((_, value)) = self.coming.pop_front_if(|(due, _)| *due <= Instant::now()) {
            self.reached = Some(value);
        }
        self.reached.as_ref()
    }
}
