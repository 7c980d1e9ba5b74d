//! How a stream's entries add up to a rollout's state.

use super::alert::{Alert, AlertAction};
use super::entry::Entry;
use super::intent::{Action, Cause, OnTimeout, Routed, Start};
use super::progress::{Progress, ProgressState};
use super::state::{AbortStatus, Refused, State, Undo, Version, Weighed};
use super::turn::{Sharing, Turn};
use crate::by::By;
use crate::next::Timestamp;
use crate::request::Key;

/// How many weights are kept to be shown.
const WEIGHTS: usize = 200;

/// How many refused templates are known, the newest.
const REFUSED: usize = 50;

/// How many versions are known to have begun, the newest.
const BEGUN: usize = 50;

impl State {
    /// Folds a stream's entries.
    pub fn fold<'a>(entries: impl IntoIterator<Item = (Timestamp, &'a By, &'a Entry)>) -> State {
        let mut state = State::default();
        for (at, by, entry) in entries {
            state.apply(at, by, entry);
        }
        state
    }

    /// Adds one entry. Total: an entry that no longer fits changes nothing.
    pub fn apply(&mut self, at: Timestamp, by: &By, entry: &Entry) {
        match entry {
            Entry::Wanted { key, .. } => self.wanted(key, entry),
            Entry::Bound { key, hash } => drop(self.bound.insert(key.clone(), hash.clone())),
            Entry::TimedOut { .. } | Entry::Answered { .. } => self.requests.apply(entry),
            Entry::Asked { action, .. } => self.asked(at, by, *action),
            Entry::Alerted { alert, action } => self.alerted(at, alert, *action),
            Entry::Adopted { .. } => self.adopted(at, entry),
            Entry::Began { .. } => self.began(at, entry),
            Entry::Corrected { stable } => self.corrected(at, stable.as_ref()),
            Entry::Shifting { weight, services } => {
                self.asked = *weight;
                self.services.clone_from(services);
                self.weigh(at);
            }
            Entry::Served { weight } => self.verified(*weight),
            Entry::Routing { router, rollout } => {
                self.routed = Some(Routed { router: router.clone(), rollout: rollout.clone() });
            }
            Entry::Unrouted { router } => {
                self.routed.take_if(|routed| routed.router == *router);
            }
            Entry::StableUnready => self.unready_since = Some(at),
            Entry::StableReady => self.unready_since = None,
            Entry::PauseBegan { index } => self.arrived(at, *index),
            Entry::PauseBroken { index } => self.broken(at, *index),
            Entry::StepDone { index } => self.step_done(at, *index),
            Entry::Extended => self.progress.iter_mut().for_each(|progress| progress.since = at),
            Entry::Aborted { because, cause } => self.aborted(at, because, *cause),
            Entry::Promoted { hash, stable_by } => {
                self.promoted(at, hash);
                stable_by.iter().for_each(|turn| self.take_turn(at, *turn));
            }
            Entry::PuttingBack { intent } => {
                let intent = (**intent).clone();
                self.undo = Some(Undo { stands: AbortStatus::Yes, since: at, intent, outcome: None });
            }
            Entry::PutBack { since, outcome } => {
                if let Some(undo) = self.undo.as_mut().filter(|undo| undo.since == *since) {
                    undo.outcome = Some(outcome.clone());
                }
            }
            Entry::Summarized(state) => *self = (**state).clone(),
        }
    }

    /// The entry from which the stream can be read from here on.
    pub fn summary(&self) -> Entry {
        let requests = self.requests.summary();
        let mut bound = self.bound.clone();
        bound.retain(|key, _| requests.get(key).is_some());
        Entry::Summarized(Box::new(State { requests, bound, ..self.clone() }))
    }

    fn wanted(&mut self, key: &Key, entry: &Entry) {
        if let Some(known) = self.requests.get(key).filter(|known| known.may_open_again()) {
            // An abort that a step has asked for by giving up is carried out all the same.
            if known.is_given_up() && known.intent.on_timeout == OnTimeout::Abort {
                return;
            }
            // It may be about another version by now.
            self.bound.remove(key);
        }
        self.requests.apply(entry);
    }

    fn asked(&mut self, at: Timestamp, by: &By, action: Action) {
        // Whoever asks for something has looked, and claims the rollout anew.
        self.claimed_at = Some(at);
        let Some(progress) = &mut self.progress else { return };
        match (action, &progress.state) {
            (Action::Promote, ProgressState::Underway) if progress.at < progress.steps => {
                progress.release();
                progress.next(at);
            }
            // What the step itself waits for goes on.
            (Action::Resume, ProgressState::Underway) if progress.held_by.is_some() => {
                progress.release();
                progress.since = at;
            }
            (Action::Resume, ProgressState::Underway) if progress.paused_since.is_some() => progress.next(at),
            (Action::PromoteFull, ProgressState::Underway) if progress.at < progress.steps => {
                progress.release();
                progress.at = progress.steps;
                progress.since = at;
                progress.paused_since = None;
                progress.paused_ms = 0;
            }
            (Action::Abort, ProgressState::Underway) if progress.start == Start::Steps => {
                let because = format!("asked for by {}", whom(by));
                self.aborted(at, &because, Cause::Asked);
            }
            (Action::Retry, ProgressState::Aborted { .. }) => {
                let hash = progress.hash.clone();
                progress.state = ProgressState::Underway;
                progress.at = 0;
                progress.since = at;
                progress.begun_at = Some(at);
                progress.alerts.clear();
                progress.reached = 0;
                self.refused.retain(|refused| refused.hash != hash);
            }
            _ => {}
        }
    }

    fn alerted(&mut self, at: Timestamp, alert: &Alert, action: AlertAction) {
        let Some(progress) = self.progress.as_mut().filter(|it| it.is_in_steps()) else { return };
        progress.alerts.push(alert.clone());
        match action {
            AlertAction::Pause => {
                progress.held_by = Some(alert.clone());
                progress.held_at = Some(at);
            }
            AlertAction::Abort => self.aborted(at, &format!("asked for by the alert {alert}"), Cause::Asked),
        }
    }

    fn adopted(&mut self, at: Timestamp, entry: &Entry) {
        let Entry::Adopted {
            template,
            hash,
            stable,
            index,
            paused_ms,
            weight,
            aborted,
            images,
            steps_hash,
            steps,
            uid,
            stable_by,
            services,
        } = entry
        else {
            return;
        };
        self.identify(uid.as_ref());
        self.claimed_at = Some(at);
        self.remember(hash);
        if template != hash {
            self.aliases.insert(template.clone(), hash.clone());
        }
        let image = images.first().cloned().unwrap_or_default();
        self.stable = stable.as_ref().map(|stable| Version {
            hash: stable.clone(),
            // Another version's image is learnt from its set when it is shown.
            image: if stable == hash { image } else { String::new() },
        });
        let state = claimed(stable.as_ref() == Some(hash), aborted.as_ref(), at);
        if let Some(undo) =
            self.undo.as_mut().filter(|_| self.progress.as_ref().is_some_and(|known| known.hash != *hash))
        {
            undo.stands = AbortStatus::No;
        }
        if state == ProgressState::Promoted {
            self.refused.retain(|refused| refused.hash != *hash);
        }
        self.asked = *weight;
        self.stable_by = stable_by.or(self.stable_by);
        self.services.clone_from(services);
        self.progress = Some(Progress {
            hash: hash.clone(),
            images: images.clone(),
            steps_hash: steps_hash.clone(),
            steps: *steps,
            start: if stable.is_some() { Start::Steps } else { Start::First },
            at: *index,
            since: paused_ms.unwrap_or(at),
            paused_since: *paused_ms,
            paused_ms: 0,
            reached: *weight,
            state,
            generation: None,
            begun_at: Some(at),
            held_by: None,
            held_at: None,
            alerts: Vec::new(),
        });
    }

    fn began(&mut self, at: Timestamp, entry: &Entry) {
        let Entry::Began { hash, images, steps_hash, steps, start, uid, generation } = entry else { return };
        self.identify(uid.as_ref());
        self.claimed_at.get_or_insert(at);
        self.began_at = Some(at);
        self.remember(hash);
        self.before = self.progress.take();
        self.progress = Some(Progress {
            hash: hash.clone(),
            images: images.clone(),
            steps_hash: steps_hash.clone(),
            steps: *steps,
            // What has skipped its steps is as far as if it had taken them, and can go back like it.
            start: if *start == Start::Earlier { Start::Steps } else { *start },
            at: if *start == Start::Steps { 0 } else { *steps },
            since: at,
            paused_since: None,
            paused_ms: 0,
            reached: 0,
            state: if *start == Start::Back { ProgressState::Promoted } else { ProgressState::Underway },
            generation: *generation,
            begun_at: Some(at),
            held_by: None,
            held_at: None,
            alerts: Vec::new(),
        });
    }

    /// Forgets the versions of another Rollout of the same name. What its router was told stays, until it is told anew.
    fn identify(&mut self, uid: Option<&String>) {
        let Some(uid) = uid else { return };
        if self.uid.as_ref().is_some_and(|known| known != uid) {
            self.stable = None;
            self.released = None;
            self.unready_since = None;
            self.began_at = None;
            self.claimed_at = None;
            self.progress = None;
            self.refused.clear();
            if let Some(undo) = &mut self.undo {
                undo.stands = AbortStatus::No;
            }
        }
        self.uid = Some(uid.clone());
    }

    /// Another version is the stable one, and the first of all goes through its steps after all; without one, the
    /// newest needs no steps, even where it has gone back.
    fn corrected(&mut self, at: Timestamp, stable: Option<&Version>) {
        // The status names the one before until it is written anew, which is no sign of lost entries.
        if let Some(before) = std::mem::replace(&mut self.stable, stable.cloned()) {
            self.remember(&before.hash);
        }
        self.released = None;
        let Some(progress) = &mut self.progress else { return };
        if stable.is_some() {
            if progress.state == ProgressState::Underway && progress.start == Start::First {
                progress.start = Start::Steps;
                progress.at = 0;
                progress.since = at;
            }
            return;
        }
        if progress.state != ProgressState::Promoted && progress.start == Start::Steps {
            progress.start = Start::First;
            progress.state = ProgressState::Underway;
            progress.release();
            progress.at = progress.steps;
            progress.since = at;
            progress.paused_since = None;
            progress.paused_ms = 0;
        }
    }

    fn remember(&mut self, hash: &str) {
        self.begun.retain(|known| known != hash);
        self.begun.push(hash.to_owned());
        if self.begun.len() > BEGUN {
            self.begun.remove(0);
        }
    }

    /// The weight is there; what is left of the step is its pause.
    fn arrived(&mut self, at: Timestamp, index: usize) {
        let asked = self.asked;
        let Some(progress) = self.progress.as_mut().filter(|progress| progress.at == index) else { return };
        progress.paused_since = Some(at);
        progress.reached = asked;
    }

    /// The pause stops, and so does the deadline of the weight that is not served.
    fn broken(&mut self, at: Timestamp, index: usize) {
        let Some(progress) = self.progress.as_mut().filter(|progress| progress.at == index) else { return };
        if let Some(since) = progress.paused_since.take() {
            progress.paused_ms += at.saturating_sub(since);
            progress.since = at;
        }
    }

    fn step_done(&mut self, at: Timestamp, index: usize) {
        let asked = self.asked;
        let Some(progress) = self.progress.as_mut().filter(|progress| progress.at == index) else { return };
        progress.next(at);
        progress.reached = asked;
    }

    fn aborted(&mut self, at: Timestamp, because: &str, cause: Cause) {
        let Some(progress) = &mut self.progress else { return };
        if let Some(undo) = &mut self.undo {
            undo.stands = AbortStatus::No;
        }
        progress.state = ProgressState::Aborted { because: because.to_owned(), at };
        progress.release();
        progress.at = 0;
        progress.since = at;
        progress.paused_since = None;
        progress.paused_ms = 0;
        let images = if cause == Cause::Failed { progress.images.clone() } else { Vec::new() };
        let refused = Refused { hash: progress.hash.clone(), images, because: because.to_owned() };
        if cause != Cause::Refused && self.refused.iter().all(|known| known.hash != refused.hash) {
            self.refused.push(refused);
            let many = self.refused.len().saturating_sub(REFUSED);
            self.refused.drain(..many);
        }
    }

    fn promoted(&mut self, at: Timestamp, hash: &str) {
        let Some(progress) = self.progress.as_mut().filter(|progress| progress.hash == hash) else { return };
        progress.state = ProgressState::Promoted;
        progress.at = progress.steps;
        progress.since = at;
        progress.paused_since = None;
        progress.paused_ms = 0;
        let image = progress.images.first().cloned().unwrap_or_default();
        let before = self.stable.replace(Version { hash: hash.to_owned(), image });
        self.released = before.filter(|before| before.hash != hash).map(|before| (before.hash, at));
        self.refused.retain(|refused| refused.hash != hash);
    }

    /// What was the canary's Service is the stable version's from now on, with the weight that it has.
    fn take_turn(&mut self, at: Timestamp, stable_by: Turn) {
        self.stable_by = Some(stable_by);
        self.services = self.services.take().map(Sharing::turned);
        self.asked = 100 - self.asked.min(100);
        self.weigh(at);
    }

    /// A weight was found at the router.
    fn verified(&mut self, weight: u32) {
        if let Some(last) = self.weights.last_mut().filter(|last| last.asked == weight) {
            last.served = Some(weight);
        }
    }

    fn weigh(&mut self, at: Timestamp) {
        self.weights.push(Weighed { at, asked: self.asked, served: None });
        if self.weights.len() > WEIGHTS {
            self.weights.remove(0);
        }
    }
}

/// How far a version is that is claimed as it stands.
fn claimed(is_stable: bool, aborted: Option<&String>, at: Timestamp) -> ProgressState {
    match (is_stable, aborted) {
        (true, _) => ProgressState::Promoted,
        (false, Some(because)) => ProgressState::Aborted { because: because.clone(), at },
        (false, None) => ProgressState::Underway,
    }
}

/// Whoever it was, in words.
fn whom(by: &By) -> String {
    match by {
        By::Person(name) => name.clone(),
        By::Server => "one of Argo's clients".to_owned(),
        other => other.to_string(),
    }
}
