//! The weight of the canary: what the router should give it now.

use super::context::Context;
use super::intent::Start;
use super::progress::ProgressState;

impl Context<'_> {
    /// The weight that the router should have now, in percent.
    ///
    /// It rises only when the canary's pods are there, and falls at once; but where the stable Service has had no ready
    /// pods for a while and the canary's has some, those get everything. A version that was sent back gets nothing more
    /// by that, and keeps its share until the stable Service has ready pods.
    pub(super) fn wanted_weight(&self) -> u32 {
        let asked = self.state.asked;
        let canary = self.canary().map_or(0, |set| set.available);
        let target = self.target();
        match self.progress.state {
            ProgressState::Aborted { .. } if self.canary_alone_serves() => asked,
            ProgressState::Aborted { .. } => 0,
            _ if self.canary_alone_serves() && self.stands_in_at().is_some_and(|at| self.now >= at) => 100,
            ProgressState::Promoted if self.stable_is_selected() => 0,
            ProgressState::Promoted => asked,
            ProgressState::Underway if canary == 0 || self.lacks_its_service() => 0,
            ProgressState::Underway if self.progress.start == Start::First => {
                if self.stable_is_selected() {
                    0
                } else {
                    asked
                }
            }
            ProgressState::Underway if self.is_held() => asked,
            ProgressState::Underway if !self.problems().is_empty() => asked.min(target),
            ProgressState::Underway if !self.canary_is_selected() => asked.min(self.progress.reached),
            ProgressState::Underway if target <= asked || self.at_goal().is_ok() => target,
            ProgressState::Underway => asked,
        }
    }
}
