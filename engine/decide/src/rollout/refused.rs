//! Writes that the API server refuses: each is left alone for a while, and holds nothing else up.

use super::act::Act;
use super::observed::ObservedRollout;
use super::router::plugin::RouterFailure;
use super::write_key::WriteKey;
use crate::next::Timestamp;

impl ObservedRollout {
    /// Why a write was refused the last time, where it was.
    pub(super) fn refusal_of(&self, act: &Act) -> Option<&RouterFailure> {
        if self.unwritten.is_empty() {
            return None;
        }
        let key = WriteKey::of(act)?;
        self.unwritten.iter().find(|(known, _)| *known == key).map(|(_, refused)| refused)
    }

    /// Until when a write is left alone, in ms since the epoch, where it is.
    pub(super) fn left_alone(&self, act: &Act, now: Timestamp) -> Option<Timestamp> {
        self.refusal_of(act).map(|refused| refused.again).filter(|again| now < *again)
    }
}

/// Takes away what was refused a moment ago, and answers when each of it is tried again.
pub(super) fn leave_alone(observed: &ObservedRollout, acts: &mut Vec<Act>, now: Timestamp) -> Vec<Timestamp> {
    let waits = acts.iter().filter_map(|act| observed.left_alone(act, now)).collect();
    acts.retain(|act| observed.left_alone(act, now).is_none());
    waits
}
