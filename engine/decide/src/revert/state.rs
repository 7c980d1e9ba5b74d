//! What a revert's stream adds up to.

use super::{Entry, Intent, Outcome, Withdrawal};

/// What a revert's stream adds up to; nothing at all before the rollout has asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What the rollout has asked for.
    pub intent: Option<Intent>,
    /// Why the rollout has taken its request back, if it has.
    pub withdrawn: Option<Withdrawal>,
    /// How the revert ended; absent while it goes on.
    pub outcome: Option<Outcome>,
}

impl State {
    /// Folds a stream's entries.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> State {
        let mut state = State::default();
        entries.into_iter().for_each(|entry| state.apply(entry));
        state
    }

    fn apply(&mut self, entry: &Entry) {
        match entry {
            // What has ended stays as it ended.
            _ if self.outcome.is_some() => {}
            Entry::Asked { intent } => drop(self.intent.get_or_insert_with(|| (**intent).clone())),
            Entry::Withdrawn { cause } => self.withdrawn = Some(cause.clone()),
            Entry::Answered { outcome } => self.outcome = Some(outcome.clone()),
        }
    }

    /// What is asked for, until it has ended.
    pub fn open(&self) -> Option<&Intent> {
        self.intent.as_ref().filter(|_| self.outcome.is_none())
    }

    /// What git may still be changed for: it is asked for, and was not taken back.
    pub fn standing(&self) -> Option<&Intent> {
        self.open().filter(|_| self.withdrawn.is_none())
    }

    /// What git is to be looked at for: before an end that depends on what stands there.
    pub fn looked_for(&self) -> Option<&Intent> {
        self.open().filter(|_| !matches!(self.withdrawn, Some(Withdrawal::Dropped { .. })))
    }

    /// The entries by which the rollout takes its request back; none where they stand there, or where it has ended.
    pub fn withdraw(&self, intent: &Intent, cause: &Withdrawal) -> Vec<Entry> {
        if self.outcome.is_some() || self.withdrawn.as_ref() == Some(cause) {
            return Vec::new();
        }
        let asked = self.intent.is_none().then(|| Entry::Asked { intent: Box::new(intent.clone()) });
        asked.into_iter().chain([Entry::Withdrawn { cause: cause.clone() }]).collect()
    }
}
