//! What is kept of a sync's acts from one turn to the next: what the API server refused, and which status was written.

use super::{Act, State, object};
use crate::next::Timestamp;
use crate::outcome::Outcomes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// By what an act is known again: acts hold whole objects, and of those only a digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActKey {
    /// A step of a sync, by the digest of what it is about.
    Step(String),
    /// Objects were rehearsed, by the digest of each.
    Rehearsal(Vec<String>),
    /// Objects were applied, by the digest of each.
    Apply(Vec<String>),
    /// An Application's status was written, by the digest of its uid and the status.
    Status(String),
    /// The Application changes hands.
    Hands,
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was carried out, or somebody was faster; the next observation sees which.
    Done,
    /// The API server refused this for good.
    Refused(Vec<RefusedObject>),
}

/// One thing that the API server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedObject {
    /// The digest of the object that was sent; for anything else than an apply, nothing.
    pub sent: Option<String>,
    /// The API server's answer, naming the object.
    pub because: String,
}

/// Something that was tried and refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The object that was refused.
    pub object: RefusedObject,
    /// When, in ms since the epoch.
    pub at: Timestamp,
}

/// An object that the API server took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenObject {
    /// The digest of the object that was sent.
    pub sent: String,
    /// When it was sent for the first time in a row, in ms since the epoch.
    pub since: Timestamp,
    /// When it was sent the last time, in ms since the epoch.
    pub at: Timestamp,
}

/// The status that was written last. A server may keep less of it than it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenStatus {
    /// The digest of the Application's uid and of the status that was written.
    pub digest: String,
    /// When it is tried again, in ms since the epoch, where it was not taken.
    pub again: Option<Timestamp>,
}

impl From<Act> for ActKey {
    fn from(act: Act) -> ActKey {
        match act {
            Act::CreateNamespace(name) => ActKey::Step(digest(&json!(["namespace", name]))),
            Act::Rehearse(objects) => ActKey::Rehearsal(objects.iter().map(sent).collect()),
            Act::Adopt { live, managed } => ActKey::Step(digest(&json!(["adopt", object::uid(&live), managed]))),
            Act::HandOver(object) => ActKey::Step(digest(&json!(["hand-over", object]))),
            Act::Apply(objects) => ActKey::Apply(objects.iter().map(sent).collect()),
            Act::Prune { uid, .. } => ActKey::Step(digest(&json!(["prune", uid]))),
            Act::Status { application, status } => ActKey::Status(told(&application.uid, &status)),
            Act::LetGo(_) | Act::Claim(_) | Act::Release(_) => ActKey::Hands,
        }
    }
}

/// Whether an act is still asked for: what was refused ends the sync that it belongs to, and is forgotten with it.
pub fn is_current(state: &State, act: &ActKey) -> bool {
    match act {
        ActKey::Step(_) | ActKey::Rehearsal(_) | ActKey::Apply(_) => state.operation.is_some(),
        ActKey::Status(_) => true,
        ActKey::Hands => false,
    }
}

/// What the API server refused of the sync that is under way.
pub fn refused(outcomes: &Outcomes<ActKey, Reply>) -> Vec<Refused> {
    let mut all = Vec::new();
    for attempted in outcomes.iter() {
        if let Ok(Reply::Refused(objects)) = &attempted.result {
            all.extend(objects.iter().map(|object| Refused { object: object.clone(), at: attempted.at }));
        }
    }
    all
}

/// The objects that the API server would accept, as far as it was asked since the server started.
pub fn rehearsed(outcomes: &Outcomes<ActKey, Reply>) -> Vec<TakenObject> {
    let mut all = Vec::new();
    for attempted in outcomes.iter() {
        if let (ActKey::Rehearsal(objects), Ok(Reply::Done)) = (&attempted.act, &attempted.result) {
            all.extend(objects.iter().map(|sent| TakenObject {
                sent: sent.clone(),
                since: attempted.since,
                at: attempted.at,
            }));
        }
    }
    all
}

/// The objects that were applied since the server started.
pub fn applied(outcomes: &Outcomes<ActKey, Reply>) -> Vec<TakenObject> {
    let mut all = Vec::new();
    for attempted in outcomes.iter().rev() {
        if let (ActKey::Apply(objects), Ok(Reply::Done)) = (&attempted.act, &attempted.result) {
            let taken = |sent: &String| TakenObject { sent: sent.clone(), since: attempted.since, at: attempted.at };
            all.extend(objects.iter().map(taken));
        }
    }
    all
}

/// The status that was written last, since the server started.
pub fn written_status(outcomes: &Outcomes<ActKey, Reply>) -> Option<WrittenStatus> {
    outcomes.iter().rev().find_map(|attempted| {
        let ActKey::Status(digest) = &attempted.act else { return None };
        let failed = attempted.result.as_ref().err();
        let again = failed.map(|failure| attempted.at + failure.retry.pause_ms(attempted.failures, 0.5));
        Some(WrittenStatus { digest: digest.clone(), again })
    })
}

/// By what an object is known that was sent: the reading that it rests on does not matter.
pub fn sent(object: &Value) -> String {
    let mut bare = object.clone();
    object::remove(&mut bare, &["metadata", "resourceVersion"]);
    object::remove(&mut bare, &["metadata", "uid"]);
    digest(&bare)
}

/// By what a status is known that was written: an Application that is made again has none yet.
pub(super) fn told(uid: &str, status: &Value) -> String {
    digest(&json!([uid, status]))
}

/// A digest of a JSON value as this server makes it: the same value with its keys in another order has another one.
fn digest(value: &Value) -> String {
    hex::encode(&Sha256::digest(value.to_string())[..16])
}
