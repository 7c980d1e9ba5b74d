//! What a rollout's stream adds up to: which step the newest version is at, what was asked for,
//! which versions are refused, and what steps of runs ask for.

use super::intent::{Intent, Routed};
use super::progress::{Progress, ProgressState};
use super::turn::{Sharing, Turn};
use crate::next::Timestamp;
use crate::request::{Key, Ledger, Request, Response};
use crate::revert;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the journal says about one rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct State {
    /// Since when Bespin holds itself to be the only writer.
    pub claimed_at: Option<Timestamp>,
    /// The uid of the Rollout that this is about, once it was written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Names that another controller gave to a template, by the name that we would give.
    pub aliases: BTreeMap<String, String>,
    /// The progress of the newest template.
    pub progress: Option<Progress>,
    /// The progress of the one before it, and how that ended.
    pub before: Option<Progress>,
    /// The hashes of the versions that began last, newest last.
    pub begun: Vec<String>,
    /// The version that serves whenever no canary does.
    pub stable: Option<Version>,
    /// The version that the last promotion replaced, and when.
    pub released: Option<(String, Timestamp)>,
    /// Since when no pod of the stable Service is ready while some of the canary's are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unready_since: Option<Timestamp>,
    /// When the newest template began, or began anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// The weight asked of the router, in percent.
    pub asked: u32,
    /// Which of two Services that take turns is the stable version's, once one was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_by: Option<Turn>,
    /// The Services of which the weight was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Sharing>,
    /// The plugin that shares the traffic, from before it is told anything until it has taken that back.
    pub routed: Option<Routed>,
    /// Templates that have gone back, until they are promoted after all or somebody retries them.
    pub refused: Vec<Refused>,
    /// What git shall no longer say, since the last abort that promised it.
    pub undo: Option<Undo>,
    /// The weights over time, oldest first.
    pub weights: Vec<Weighed>,
    /// What steps of runs ask for.
    pub(super) requests: Ledger<Intent>,
    /// The template that each of these is about, once it was seen.
    #[serde(with = "crate::request::by_key")]
    pub(super) bound: BTreeMap<Key, String>,
}

/// A version of the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// Its pod template's hash.
    pub hash: String,
    /// The image of its first container.
    pub image: String,
}

/// A version that has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refused {
    /// The hash of the template that was refused.
    pub hash: String,
    /// Its images, when the pods failed.
    pub images: Vec<String>,
    /// Why it was refused, as a sentence.
    pub because: String,
}

/// A promise that git will be put back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Weighed {
    /// When, in ms since the epoch.
    pub at: Timestamp,
    /// Asked of the canary, in percent.
    pub asked: u32,
    /// Verified, in percent, once it was.
    pub served: Option<u32>,
}

impl State {
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

    pub(super) fn ledger(&self) -> &Ledger<Intent> {
        &self.requests
    }

    /// The promise that follows from the abort at which the rollout is.
    pub fn undoing(&self) -> Option<&Undo> {
        self.undo.as_ref().filter(|undo| undo.stands == AbortStatus::Yes && self.is_aborted())
    }

    /// The promise that is not answered yet.
    pub fn promised(&self) -> Option<&Undo> {
        self.undo.as_ref().filter(|undo| undo.outcome.is_none())
    }

    /// Whether the journal has heard of a version.
    pub(super) fn knows(&self, hash: &str) -> bool {
        let is = |known: &String| known == hash;
        let stable = self.stable.iter().map(|stable| &stable.hash);
        let released = self.released.iter().map(|(released, _)| released);
        let refused = self.refused.iter().map(|refused| &refused.hash);
        self.begun.iter().chain(stable).chain(released).chain(refused).any(is)
    }

    /// Whether this is about the Rollout that was observed, by its uid, as far as is known, and not about one of its name before.
    pub(super) fn is_of(&self, observed: &str) -> bool {
        self.uid.as_ref().is_none_or(|uid| uid == observed)
    }

    /// Whether the newest version has gone back.
    pub fn is_aborted(&self) -> bool {
        matches!(&self.progress, Some(Progress { state: ProgressState::Aborted { .. }, .. }))
    }
}
