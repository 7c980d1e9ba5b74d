//! What a rollout's stream adds up to: which step the newest version is at, what was asked for,
//! which versions are refused, and what steps of runs ask for.

use super::entry::{Action, Cause, Entry, Intent, OnTimeout, Routed, Start};
use crate::by::By;
use crate::next::Timestamp;
use crate::request::{Key, Ledger, Request, Response};
use crate::revert;
use std::collections::BTreeMap;

/// How many weights are kept to be shown.
const WEIGHTS: usize = 200;

/// What the journal says about one rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Since when Bespin holds itself to be the only writer.
    pub claimed_at: Option<Timestamp>,
    /// Names that another controller gave to a template, by the name that we would give.
    pub aliases: BTreeMap<String, String>,
    /// The progress of the newest template.
    pub progress: Option<Progress>,
    /// The progress of the one before it, and how that ended.
    pub before: Option<Progress>,
    /// The version that serves whenever no canary does.
    pub stable: Option<Version>,
    /// The version that the last promotion replaced, and when.
    pub released: Option<(String, Timestamp)>,
    /// The weight asked of the router, in percent.
    pub asked: u32,
    /// The plugin that shares the traffic, from before it is told anything until it has taken that back.
    pub routed: Option<Routed>,
    /// Versions that have failed, and are refused until somebody retries.
    pub refused: Vec<Refused>,
    /// What git shall no longer say, since the last abort that promised it.
    pub undo: Option<Undo>,
    /// The weights over time, oldest first.
    pub weights: Vec<Weighed>,
    /// What steps of runs ask for.
    requests: Ledger<Intent>,
    /// The template that each of these is about, once it was seen.
    bound: BTreeMap<Key, String>,
}

/// A version of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its pod template's hash.
    pub hash: String,
    /// The image of its first container.
    pub image: String,
}

/// One template's way through the steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The hash of the template that is rolled out.
    pub hash: String,
    /// The images of the template's containers.
    pub images: Vec<String>,
    /// The hash of the steps that it follows.
    pub steps_hash: String,
    /// How many steps there are.
    pub steps: usize,
    /// Whether it goes through its steps from the first, or at once to the end.
    pub start: Start,
    /// The current step's index; the number of steps when all are done.
    pub at: usize,
    /// Since when it is at this step, or its progress deadline began anew.
    pub since: Timestamp,
    /// Since when the current step's pause lasts.
    pub paused_since: Option<Timestamp>,
    /// The highest weight whose pods were there.
    pub reached: u32,
    /// Whether it goes on, or how it ended.
    pub state: ProgressState,
}

/// How far a template is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressState {
    /// It goes through its steps.
    Underway,
    /// Gone back to the stable version.
    Aborted {
        /// Why it was aborted, as a sentence.
        because: String,
        /// When it was aborted, in ms since the epoch.
        at: Timestamp,
    },
    /// It is the stable version now.
    Promoted,
}

/// A version that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The hash of the template that was refused.
    pub hash: String,
    /// Its images, when the pods failed: another template with them is refused as well.
    pub images: Vec<String>,
    /// Why it was refused, as a sentence.
    pub because: String,
}

/// A promise that git will be put back.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    /// Whether the abort that it follows from is the newest one.
    pub stands: AbortStatus,
    /// When it was promised.
    pub since: Timestamp,
    /// What git shall no longer say.
    pub intent: revert::Intent,
    /// How the revert ended; absent while it goes on.
    pub outcome: Option<revert::Outcome>,
}

/// Whether the abort that a promise follows from is the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// No abort came after it.
    Yes,
    /// Another abort came after it, which has a promise of its own.
    No,
}

/// What a step of a run asks for, and the version that this is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requested<'a> {
    /// What it asks for, and where that stands.
    pub request: &'a Request<Intent>,
    /// The template that it is about, once it was seen.
    pub bound: Option<&'a str>,
}

/// A weight at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// When, in ms since the epoch.
    pub at: Timestamp,
    /// Asked of the canary, in percent.
    pub asked: u32,
    /// Verified, in percent, once it was.
    pub served: Option<u32>,
}

impl State {
    /// Folds a stream's entries.
    pub fn fold<'a>(entries: impl IntoIterator<Item = (Timestamp, &'a By, &'a Entry)>) -> State {
        let mut state = State::default();
        for (at, by, entry) in entries {
            state.apply(at, by, entry);
        }
        state
    }

    /// How a request ended, once it has.
    pub fn answer(&self, key: &Key) -> Option<&Response> {
        self.requests.response(key)
    }

    /// Every request, in the order in which they were first made.
    pub fn requests(&self) -> impl Iterator<Item = Requested<'_>> {
        let bound = |key: &Key| self.bound.get(key).map(String::as_str);
        self.requests.iter().map(move |request| Requested { request, bound: bound(&request.key) })
    }

    /// The requests without a response, given up or not.
    pub fn open(&self) -> impl Iterator<Item = Requested<'_>> {
        self.requests().filter(|requested| requested.request.is_open())
    }

    /// Adds one entry. Total: an entry that no longer fits changes nothing.
    pub fn apply(&mut self, at: Timestamp, by: &By, entry: &Entry) {
        match entry {
            Entry::Wanted { key, .. } => self.wanted(key, entry),
            Entry::Bound { key, hash } => drop(self.bound.insert(key.clone(), hash.clone())),
            Entry::TimedOut { .. } | Entry::Answered { .. } => self.requests.apply(entry),
            Entry::Asked { action, .. } => self.asked(at, by, *action),
            Entry::Adopted { .. } => self.adopted(at, entry),
            Entry::Began { .. } => self.began(at, entry),
            Entry::Shifting { weight } => {
                self.asked = *weight;
                self.weigh(at);
            }
            Entry::Served { weight } => self.verified(*weight),
            Entry::Routing { router, rollout } => {
                self.routed = Some(Routed { router: router.clone(), rollout: rollout.clone() });
            }
            Entry::Unrouted { router } => {
                self.routed.take_if(|routed| routed.router == *router);
            }
            Entry::PauseBegan { index } => self.arrived(at, *index),
            Entry::StepDone { index } => self.step_done(at, *index),
            Entry::Extended => self.progress.iter_mut().for_each(|progress| progress.since = at),
            Entry::Aborted { because, cause } => self.aborted(at, because, *cause),
            Entry::Promoted { hash } => self.promoted(at, hash),
            Entry::PuttingBack { intent } => {
                let intent = (**intent).clone();
                self.undo = Some(Undo { stands: AbortStatus::Yes, since: at, intent, outcome: None });
            }
            Entry::PutBack { since, outcome } => {
                if let Some(undo) = self.undo.as_mut().filter(|undo| undo.since == *since) {
                    undo.outcome = Some(outcome.clone());
                }
            }
        }
    }

    /// The promise that follows from the abort at which the rollout is.
    pub fn undoing(&self) -> Option<&Undo> {
        self.undo.as_ref().filter(|undo| undo.stands == AbortStatus::Yes && self.is_aborted())
    }

    /// The promise that is not answered yet.
    pub fn promised(&self) -> Option<&Undo> {
        self.undo.as_ref().filter(|undo| undo.outcome.is_none())
    }

    /// Whether the newest version has gone back.
    pub fn is_aborted(&self) -> bool {
        matches!(&self.progress, Some(Progress { state: ProgressState::Aborted { .. }, .. }))
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
            (Action::Promote, ProgressState::Underway) if progress.at < progress.steps => progress.next(at),
            (Action::Resume, ProgressState::Underway) if progress.paused_since.is_some() => progress.next(at),
            (Action::PromoteFull, ProgressState::Underway) if progress.at < progress.steps => {
                progress.at = progress.steps;
                progress.since = at;
                progress.paused_since = None;
            }
            (Action::Abort, ProgressState::Underway) if progress.start == Start::Steps => {
                let because = format!("asked for by {}", whom(by));
                self.aborted(at, &because, Cause::Asked);
            }
            (Action::Retry, ProgressState::Aborted { .. }) => {
                let Progress { hash, images, .. } = progress.clone();
                progress.state = ProgressState::Underway;
                progress.at = 0;
                progress.since = at;
                progress.reached = 0;
                self.refused.retain(|refused| refused.hash != hash && refused.images != images);
            }
            _ => {}
        }
    }

    fn adopted(&mut self, at: Timestamp, entry: &Entry) {
        let Entry::Adopted { template, hash, stable, index, paused_ms, weight, aborted, images, steps_hash, steps } =
            entry
        else {
            return;
        };
        self.claimed_at = Some(at);
        if template != hash {
            self.aliases.insert(template.clone(), hash.clone());
        }
        let image = images.first().cloned().unwrap_or_default();
        self.stable = stable.as_ref().map(|stable| Version {
            hash: stable.clone(),
            // Another version's image is learnt from its set when it is shown.
            image: if stable == hash { image } else { String::new() },
        });
        let state = match (stable.as_ref() == Some(hash), aborted) {
            (true, _) => ProgressState::Promoted,
            (false, Some(because)) => ProgressState::Aborted { because: because.clone(), at },
            (false, None) => ProgressState::Underway,
        };
        self.asked = *weight;
        self.progress = Some(Progress {
            hash: hash.clone(),
            images: images.clone(),
            steps_hash: steps_hash.clone(),
            steps: *steps,
            start: if stable.is_some() { Start::Steps } else { Start::First },
            at: *index,
            since: paused_ms.unwrap_or(at),
            paused_since: *paused_ms,
            reached: *weight,
            state,
        });
    }

    fn began(&mut self, at: Timestamp, entry: &Entry) {
        let Entry::Began { hash, images, steps_hash, steps, start } = entry else { return };
        self.claimed_at.get_or_insert(at);
        self.before = self.progress.take();
        self.progress = Some(Progress {
            hash: hash.clone(),
            images: images.clone(),
            steps_hash: steps_hash.clone(),
            steps: *steps,
            start: *start,
            at: if *start == Start::Steps { 0 } else { *steps },
            since: at,
            paused_since: None,
            reached: 0,
            state: if *start == Start::Back { ProgressState::Promoted } else { ProgressState::Underway },
        });
    }

    /// The weight is there; what is left of the step is its pause.
    fn arrived(&mut self, at: Timestamp, index: usize) {
        let asked = self.asked;
        let Some(progress) = self.progress.as_mut().filter(|progress| progress.at == index) else { return };
        progress.paused_since = Some(at);
        progress.reached = asked;
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
        progress.at = 0;
        progress.since = at;
        progress.paused_since = None;
        let images = if cause == Cause::Failed { progress.images.clone() } else { Vec::new() };
        let refused = Refused { hash: progress.hash.clone(), images, because: because.to_owned() };
        if cause != Cause::Refused && self.refused.iter().all(|known| known.hash != refused.hash) {
            self.refused.push(refused);
        }
    }

    fn promoted(&mut self, at: Timestamp, hash: &str) {
        let Some(progress) = self.progress.as_mut().filter(|progress| progress.hash == hash) else { return };
        progress.state = ProgressState::Promoted;
        progress.at = progress.steps;
        progress.since = at;
        progress.paused_since = None;
        let image = progress.images.first().cloned().unwrap_or_default();
        let before = self.stable.replace(Version { hash: hash.to_owned(), image });
        self.released = before.filter(|before| before.hash != hash).map(|before| (before.hash, at));
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

impl Progress {
    fn next(&mut self, at: Timestamp) {
        self.at = (self.at + 1).min(self.steps);
        self.since = at;
        self.paused_since = None;
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
