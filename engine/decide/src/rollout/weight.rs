//! The weight of the canary: what the router should give it now.

use super::context::{Context, pods};
use super::intent::Start;
use super::progress::ProgressState;
use super::shares::StableScale;

/// How long a weight that was promised may not be served yet, in ms: a router takes some seconds.
const PROMISED_MS: u64 = 60_000;

impl Context<'_> {
    /// The weight that the router should have now, in percent.
    ///
    /// It rises only when the canary's pods are there, and falls at once, also when none of its targets is healthy; but
    /// where the stable Service has had no ready pods for a while and the canary's has some, those get everything; and
    /// until then, what they have. A version that was sent back gets nothing more by that, and keeps what it is served until
    /// the stable Service has ready pods. Where neither has any, nothing moves.
    pub(super) fn wanted_weight(&self) -> u32 {
        let asked = self.state.asked;
        let canary = self.canary().map_or(0, |set| set.available);
        let target = self.target();
        match self.progress.state {
            ProgressState::Underway | ProgressState::Promoted if self.stands_in() => 100,
            _ if self.canary_alone_serves() => asked.max(self.last_served()),
            ProgressState::Promoted if self.stable_is_selected() => self.lowered(0),
            ProgressState::Promoted if self.canary_is_cut_off() && self.stable_serves() => 0,
            ProgressState::Promoted => asked,
            _ if self.canary_is_cut_off() && self.stable_serves() => 0,
            _ if self.canary_is_cut_off() => asked,
            ProgressState::Aborted { .. } => self.lowered(0),
            ProgressState::Underway if canary == 0 || self.canary_has_no_target() => self.lowered(0),
            ProgressState::Underway if self.progress.start == Start::First => {
                if self.stable_is_selected() {
                    self.lowered(0)
                } else {
                    asked
                }
            }
            ProgressState::Underway if self.is_held() => asked,
            ProgressState::Underway if !self.problems().is_empty() || self.left().is_some() => self.lowered(target),
            ProgressState::Underway if !self.canary_is_selected() => self.lowered(self.progress.reached),
            ProgressState::Underway if target <= asked => self.lowered(target),
            ProgressState::Underway if self.at_goal().is_ok() => target,
            ProgressState::Underway => asked,
        }
    }

    /// The canary's weight that counts as served, in percent; while what was promised last has hardly had its time, the
    /// one before it.
    fn last_served(&self) -> u32 {
        let before = || match self.state.weights.as_slice() {
            [.., before, last] if self.now < last.at + PROMISED_MS => before.served.map(|_| before.asked),
            _ => None,
        };
        self.served().or_else(before).unwrap_or(0)
    }

    /// A weight that falls, in percent: as far as the stable version has the pods and the targets for what it gets. Where
    /// it still gets everything by the canary's Service, nothing falls.
    fn lowered(&self, weight: u32) -> u32 {
        if self.is_between() {
            return self.state.asked;
        }
        let replicas = u64::from(self.strategy.replicas);
        let stable = self.observed.set(self.stable_hash());
        let follows = self.strategy.stable_scale == StableScale::Dynamic || stable.is_some_and(|set| set.is_by_share);
        let staying = u64::from(stable.map_or(0, |set| pods(set).staying(set.spec)));
        let borne = if follows && replicas > 0 { (staying * 100 / replicas).min(100) } else { 100 };
        let borne = u32::try_from(borne).unwrap_or(100).min(self.borne_by_targets());
        self.state.asked.min(weight.max(100 - borne))
    }
}
