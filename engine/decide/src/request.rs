//! How a step asks a stage for something, and is answered: one ledger for every stage that can be asked.
//!
//! A plugin makes one call. What it asks for is recorded in the stage's stream under a [`Key`] without the attempt, so
//! that a later attempt joins the request of the first instead of making a second one. A request that failed for a
//! reason that may pass, or that an attempt gave up, is recorded once more by the next attempt and is open again from
//! then on. What was met is never asked for twice.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which step of which run asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The run's id, such as `user/petclinic/petclinic-was/56`.
    pub run: String,
    /// The step's id within that run.
    pub step: String,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// The world is as the step asked for it; `outputs` becomes the step's outputs.
    Met {
        /// A flat JSON object of strings.
        outputs: serde_json::Value,
    },
    /// A newer request took its place.
    Superseded {
        /// By what, as a sentence.
        because: String,
    },
    /// It cannot be met.
    Failed {
        /// Why, as a sentence with the help.
        because: String,
        /// Whether the same request may succeed later.
        transient: bool,
    },
}

impl Response {
    /// Whether the same request may succeed later: recorded once more, it is open again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Response::Failed { transient: true, .. })
    }
}

/// What an entry says about a request.
#[derive(Debug)]
pub enum Change<'a, Intent> {
    /// A step asks, for the first time or once more.
    Asked(&'a Key, &'a Intent),
    /// The stage has answered.
    Answered(&'a Key, &'a Response),
    /// The step has stopped waiting.
    GaveUp(&'a Key),
    /// The requests so far, in a summary of the stream.
    Summarized(&'a Ledger<Intent>),
}

/// The entries of a stage that steps can ask.
pub trait Requests: Sized {
    /// What can be asked for.
    type Intent: Clone;
    /// The entry that records a request.
    fn asked(key: Key, intent: Self::Intent) -> Self;
    /// What this entry says about a request, if it is about one.
    fn change(&self) -> Option<Change<'_, Self::Intent>>;
    /// The step whose request this entry is about.
    fn key(&self) -> Option<&Key> {
        match self.change()? {
            Change::Asked(key, _) | Change::Answered(key, _) | Change::GaveUp(key) => Some(key),
            Change::Summarized(_) => None,
        }
    }
}

/// Reads requests off entries called `Wanted` and `Answered`, and perhaps one by which a step gives up, and one with a
/// summary of the stream.
macro_rules! requests {
    ($entry:ident, $intent:ty $(, gives up by $gives_up:ident)? $(, summarized by $summarized:ident)?) => {
        impl $crate::request::Requests for $entry {
            type Intent = $intent;

            fn asked(key: $crate::request::Key, intent: $intent) -> $entry {
                $entry::Wanted { key, intent }
            }

            fn change(&self) -> Option<$crate::request::Change<'_, $intent>> {
                if let $entry::Wanted { key, intent } = self {
                    return Some($crate::request::Change::Asked(key, intent));
                }
                $(if let $entry::$gives_up { key } = self {
                    return Some($crate::request::Change::GaveUp(key));
                })?
                $(if let $entry::$summarized(state) = self {
                    return Some($crate::request::Change::Summarized(state.ledger()));
                })?
                if let $entry::Answered { key, answer } = self {
                    return Some($crate::request::Change::Answered(key, answer));
                }
                None
            }
        }
    };
}
pub(crate) use requests;

/// Where a request stands, by the last entry about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// It was asked for, or asked for once more, and waits for the stage.
    Open,
    /// The step that asked has stopped waiting, and the stage has not answered yet.
    GivenUp,
    /// The stage has answered.
    Ended(Response),
}

/// One request that was recorded, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<Intent> {
    /// The run and step that ask.
    pub key: Key,
    /// What the stage is asked for.
    pub intent: Intent,
    /// Whether the request is open, or how it was answered.
    pub state: RequestState,
}

/// How many answered requests a summary keeps, the newest: a later attempt of such a step finds its response.
const ANSWERED: usize = 200;

/// All requests of one stream, in the order in which they were first made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Request<Intent>>", into = "Vec<Request<Intent>>", bound(serialize = "Intent: Clone + Serialize"))]
pub struct Ledger<Intent> {
    requests: Vec<Request<Intent>>,
    /// Where each stands among them: streams of applications go on without end.
    places: BTreeMap<Key, usize>,
}

impl<Intent> Default for Ledger<Intent> {
    fn default() -> Self {
        Ledger { requests: Vec::new(), places: BTreeMap::new() }
    }
}

impl<Intent> From<Vec<Request<Intent>>> for Ledger<Intent> {
    fn from(requests: Vec<Request<Intent>>) -> Self {
        let places = requests.iter().enumerate().map(|(place, request)| (request.key.clone(), place)).collect();
        Ledger { requests, places }
    }
}

impl<Intent> From<Ledger<Intent>> for Vec<Request<Intent>> {
    fn from(ledger: Ledger<Intent>) -> Self {
        ledger.requests
    }
}

impl<Intent: Clone> Ledger<Intent> {
    /// Folds a stream's entries.
    pub fn fold<'a, E: Requests<Intent = Intent> + 'a>(entries: impl IntoIterator<Item = &'a E>) -> Ledger<Intent> {
        let mut ledger = Ledger::default();
        entries.into_iter().for_each(|entry| ledger.apply(entry));
        ledger
    }

    /// Takes in one more entry.
    pub fn apply<E: Requests<Intent = Intent>>(&mut self, entry: &E) {
        match entry.change() {
            Some(Change::Asked(key, intent)) => match self.get_mut(key) {
                Some(request) if request.may_open_again() => {
                    // The step's settings may have changed since; the same request goes on as it was made.
                    request.intent = intent.clone();
                    request.state = RequestState::Open;
                }
                Some(_) => {}
                None => {
                    let (key, intent) = (key.clone(), intent.clone());
                    self.places.insert(key.clone(), self.requests.len());
                    self.requests.push(Request { key, intent, state: RequestState::Open });
                }
            },
            Some(Change::Answered(key, response)) => {
                if let Some(request) = self.get_mut(key).filter(|request| request.is_open()) {
                    request.state = RequestState::Ended(response.clone());
                }
            }
            Some(Change::GaveUp(key)) => {
                if let Some(request) = self.get_mut(key).filter(|request| request.is_open()) {
                    request.state = RequestState::GivenUp;
                }
            }
            Some(Change::Summarized(before)) => *self = before.clone(),
            None => {}
        }
    }

    /// What a summary of the stream keeps: every request without a response, and the newest with one.
    pub fn summary(&self) -> Ledger<Intent> {
        let answered = self.requests.iter().filter(|request| !request.is_open()).count();
        let mut left_out = answered.saturating_sub(ANSWERED);
        let mut stays = |request: &&Request<Intent>| {
            let goes = !request.is_open() && left_out > 0;
            left_out -= usize::from(goes);
            !goes
        };
        let kept: Vec<_> = self.requests.iter().filter(&mut stays).cloned().collect();
        Ledger::from(kept)
    }

    /// A step's request, if it has made one.
    pub fn get(&self, key: &Key) -> Option<&Request<Intent>> {
        self.places.get(key).map(|place| &self.requests[*place])
    }

    fn get_mut(&mut self, key: &Key) -> Option<&mut Request<Intent>> {
        self.places.get(key).map(|place| &mut self.requests[*place])
    }

    /// How a request ended, once it has.
    pub fn response(&self, key: &Key) -> Option<&Response> {
        self.get(key).and_then(Request::response)
    }

    /// The requests that the stage has not answered, given up or not, in their order.
    pub fn open(&self) -> impl Iterator<Item = &Request<Intent>> {
        self.requests.iter().filter(|request| request.is_open())
    }

    /// Every request, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Request<Intent>> {
        self.requests.iter()
    }
}

impl<Intent> Request<Intent> {
    /// Whether the stage has not answered it.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, RequestState::Ended(_))
    }

    /// Whether the step that asked has stopped waiting, and the stage has not answered yet.
    pub fn is_given_up(&self) -> bool {
        matches!(self.state, RequestState::GivenUp)
    }

    /// How it ended, once it has.
    pub fn response(&self) -> Option<&Response> {
        match &self.state {
            RequestState::Ended(response) => Some(response),
            RequestState::Open | RequestState::GivenUp => None,
        }
    }

    /// Whether recording it once more changes anything.
    pub fn may_open_again(&self) -> bool {
        match &self.state {
            RequestState::Open => false,
            RequestState::GivenUp => true,
            RequestState::Ended(response) => response.is_transient(),
        }
    }
}

/// A map by request, as a list of pairs: keys of JSON are texts.
pub(crate) mod by_key {
    use super::{BTreeMap, Deserialize, Key, Serialize};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(map: &BTreeMap<Key, String>, to: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Key, String>, D::Error> {
        Ok(Vec::<(Key, String)>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
