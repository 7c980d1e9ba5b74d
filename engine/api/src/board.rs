//! What the server shows right now: each stream's status, and the latest
//! look at applications and rollouts. Rebuilt by looking; never journaled.

use crate::views::{AppView, RolloutView, StageStatus};
use decide::next::{Status, Timestamp};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::watch;

/// The shared board. Cheap to write; readers follow [`Board::changed`].
pub struct Board {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    statuses: BTreeMap<String, StageStatus>,
    apps: BTreeMap<String, AppView>,
    rollouts: BTreeMap<String, RolloutView>,
    warnings: BTreeMap<String, Warning>,
}

/// Something beside the streams that a person should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What is the matter, as a sentence.
    pub reason: String,
    /// Since when it has been told so, in ms since the epoch.
    pub since_ms: Timestamp,
}

impl Default for Board {
    fn default() -> Board {
        Board { state: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Board {
    /// Publishes where a stream stands; `now` in ms since the epoch.
    pub fn publish(&self, stream: &str, stage: &str, status: Status, now: Timestamp) {
        self.change(|state| {
            let since_ms = match state.statuses.get(stream) {
                Some(held) if held.status == status => return false,
                _ => now,
            };
            let published = StageStatus { stage: stage.to_owned(), status, since_ms };
            state.statuses.insert(stream.to_owned(), published);
            true
        });
    }

    /// Publishes the latest look at an application, by its stream `app/<cluster>/<namespace>/<name>`.
    pub fn show_app(&self, stream: &str, view: AppView) {
        self.change(|state| state.apps.insert(stream.to_owned(), view.clone()).as_ref() != Some(&view));
    }

    /// Takes an application off the board: it is no longer there.
    pub fn forget_app(&self, stream: &str) {
        self.change(|state| state.apps.remove(stream).is_some());
    }

    /// Publishes the latest look at a rollout, by its stream `rollout/<cluster>/<namespace>/<name>`.
    pub fn show_rollout(&self, stream: &str, view: RolloutView) {
        self.change(|state| state.rollouts.insert(stream.to_owned(), view.clone()).as_ref() != Some(&view));
    }

    /// Takes a rollout away that is no longer in its cluster.
    pub fn forget_rollout(&self, stream: &str) {
        self.change(|state| state.rollouts.remove(stream).is_some());
    }

    /// Publishes what is to be told of one kind of thing, by names such as `git/github.com/user/petclinic`; what was
    /// told of others of this kind before is over. `now` in ms since the epoch.
    pub fn warn(&self, kind: &str, reasons: BTreeMap<String, String>, now: Timestamp) {
        self.change(|state| {
            let is_of_kind = |name: &String| name.split('/').next() == Some(kind);
            let mut warnings = state.warnings.clone();
            warnings.retain(|name, _| !is_of_kind(name) || reasons.contains_key(name));
            for (name, reason) in reasons {
                if warnings.get(&name).is_none_or(|held| held.reason != reason) {
                    warnings.insert(name, Warning { reason, since_ms: now });
                }
            }
            let has_changed = warnings != state.warnings;
            state.warnings = warnings;
            has_changed
        });
    }

    /// Everything that is told beside the streams, by name.
    pub fn warnings(&self) -> BTreeMap<String, Warning> {
        self.look(|state| state.warnings.clone())
    }

    /// Removes a stream's status once the stream is done.
    pub fn forget(&self, stream: &str) {
        self.change(|state| state.statuses.remove(stream).is_some());
    }

    /// A stream's last status.
    pub fn status(&self, stream: &str) -> Option<StageStatus> {
        self.look(|state| state.statuses.get(stream).cloned())
    }

    /// Every stream's last status, by stream.
    pub fn statuses(&self) -> BTreeMap<String, StageStatus> {
        self.look(|state| state.statuses.clone())
    }

    /// Every application seen, by stream.
    pub fn apps(&self) -> BTreeMap<String, AppView> {
        self.look(|state| state.apps.clone())
    }

    /// Every rollout seen, by stream.
    pub fn rollouts(&self) -> BTreeMap<String, RolloutView> {
        self.look(|state| state.rollouts.clone())
    }

    /// Follows changes; the number only grows.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn look<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.lock().expect("nobody panics while holding the board"))
    }

    fn change(&self, write: impl FnOnce(&mut State) -> bool) {
        let changed = write(&mut self.state.lock().expect("nobody panics while holding the board"));
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
    }
}
