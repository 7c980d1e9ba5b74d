//! A request that both servers are asked, and how it is sent.

use super::alike;
use reqwest::Method;
use serde_json::Value;
use world::kube::Kube;
use world::process::ANSWER;

/// A request. What it is called also names it in the list of the differences that stay.
pub(super) struct Asked {
    /// What it is about.
    pub what: String,
    method: Method,
    /// Where it goes.
    pub path: String,
    kind: &'static str,
    accept: &'static str,
    body: Option<Value>,
    /// When the answer counts.
    pub counts: Counts,
}

/// When an answer counts.
pub(super) enum Counts {
    /// As it comes.
    AtOnce,
    /// Once the controllers of both sides have had their say.
    Settled,
    /// Once the real controllers have brought a field to a value; then all that they write counts.
    Rested(&'static str, Value),
}

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// The ConfigMaps of the namespace that is compared.
pub(super) const MAPS: &str = "/api/v1/namespaces/compared/configmaps";

fn ask_for(what: &str, method: Method, path: &str, kind: &'static str, body: Option<Value>) -> Asked {
    Asked { what: what.into(), method, path: path.into(), kind, accept: JSON, body, counts: Counts::AtOnce }
}

/// Reads.
pub(super) fn get(what: &str, path: &str) -> Asked {
    ask_for(what, Method::GET, path, JSON, None)
}

/// Reads as kubectl does, once nothing moves any more.
pub(super) fn table(what: &str, path: &str) -> Asked {
    Asked { accept: TABLE, counts: Counts::Settled, ..get(what, path) }
}

/// Reads what controllers have made, once the real ones have brought this field to this value; null stands for absent.
pub(super) fn settled(what: &str, path: &str, field: &'static str, value: Value) -> Asked {
    Asked { counts: Counts::Rested(field, value), ..get(what, path) }
}

/// Creates.
pub(super) fn post(what: &str, path: &str, body: Value) -> Asked {
    ask_for(what, Method::POST, path, JSON, Some(body))
}

/// Replaces.
pub(super) fn put(what: &str, path: &str, body: Value) -> Asked {
    ask_for(what, Method::PUT, path, JSON, Some(body))
}

/// Merges.
pub(super) fn merge(what: &str, path: &str, body: Value) -> Asked {
    ask_for(what, Method::PATCH, path, MERGE, Some(body))
}

/// Deletes.
pub(super) fn delete(what: &str, path: &str, body: Option<Value>) -> Asked {
    ask_for(what, Method::DELETE, path, JSON, body)
}

/// Applies.
pub(super) fn apply(what: &str, path: &str, manager: &str, body: Value) -> Asked {
    ask_for(what, Method::PATCH, &format!("{path}?fieldManager={manager}"), APPLY, Some(body))
}

impl Asked {
    /// Whether the two answers are one, and that of the real server counts already.
    pub(super) fn is_settled(&self, ours: &(u16, Value), theirs: &(u16, Value)) -> bool {
        let rests = match &self.counts {
            Counts::Rested(field, value) => theirs.1.pointer(field).unwrap_or(&Value::Null) == value,
            Counts::AtOnce | Counts::Settled => true,
        };
        rests && ours == theirs
    }

    /// Asks a server: the status, and the answer without what is another on every server.
    pub(super) async fn of(&self, kube: &Kube) -> (u16, Value) {
        let mut request = kube.request(self.method.clone(), &self.path).timeout(ANSWER).header("accept", self.accept);
        if let Some(body) = &self.body {
            request = request.header("content-type", self.kind).body(body.to_string());
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{}: {error}", self.what));
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        let mut answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
        match &self.counts {
            Counts::Rested(..) => alike::rested(&mut answer),
            Counts::AtOnce | Counts::Settled => alike::normalise(&mut answer),
        }
        (status, answer)
    }
}
