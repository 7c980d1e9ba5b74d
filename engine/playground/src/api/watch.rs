//! Watches: the changes after a version, as a stream of JSON lines.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Api;
use super::kind::Kind;
use super::refusal::Refusal;
use super::route::Query;
use super::select::Selection;
use super::store::{Event, Happened};
use crate::serve::{Body, BoxError};

/// How often a watch that allows it gets a bookmark.
const BOOKMARK: Duration = Duration::from_secs(60);

struct Watching {
    api: Api,
    kind: Arc<Kind>,
    namespace: String,
    selection: Selection,
    version: u64,
    first: Vec<u8>,
    bookmarks: Bookmarks,
    next_bookmark: Instant,
    deadline: Instant,
    changes: tokio::sync::watch::Receiver<u64>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bookmarks {
    Wanted,
    Unwanted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
}

/// The object as this version of its kind names it.
pub(super) fn as_served(kind: &Kind, object: &Arc<Value>) -> Arc<Value> {
    if !kind.custom || object["apiVersion"] == kind.api_version() {
        return object.clone();
    }
    let mut other = Value::clone(object);
    other["apiVersion"] = kind.api_version().into();
    Arc::new(other)
}

/// Opens a watch.
///
/// # Errors
/// 400 for malformed parameters. A version that is too old is no error but the first event.
pub(super) fn open(api: &Api, kind: &Arc<Kind>, namespace: &str, query: &Query) -> Result<Body, Refusal> {
    let selection = query.selection()?;
    let seconds = query.number("timeoutSeconds")?.unwrap_or(3600);
    let asked = query.number("resourceVersion")?.unwrap_or(0);
    let bookmarks = if query.says("allowWatchBookmarks") { Bookmarks::Wanted } else { Bookmarks::Unwanted };
    let changes = api.changes();
    let mut first = Vec::new();
    let mut version = asked;
    let initial = query.says("sendInitialEvents");
    if asked == 0 || initial {
        let (objects, now) = api.list(kind, namespace, &selection);
        for object in objects {
            line(&mut first, "ADDED", &as_served(kind, &object));
        }
        version = now;
        if initial && bookmarks == Bookmarks::Wanted {
            let mut bookmark = bookmark(kind, now);
            bookmark["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            line(&mut first, "BOOKMARK", &bookmark);
        }
    }
    let now = Instant::now();
    let watching = Watching {
        api: api.clone(),
        kind: kind.clone(),
        namespace: namespace.to_owned(),
        selection,
        version,
        first,
        bookmarks,
        next_bookmark: now + BOOKMARK,
        deadline: now + Duration::from_secs(seconds),
        changes,
        state: State::Open,
    };
    let frames = stream::unfold(watching, |mut watching| async move {
        let chunk = watching.next().await?;
        Some((Ok::<_, BoxError>(Frame::data(Bytes::from(chunk))), watching))
    });
    Ok(StreamBody::new(frames).boxed_unsync())
}

fn bookmark(kind: &Kind, version: u64) -> Value {
    json!({"kind": kind.kind, "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null}})
}

fn line(out: &mut Vec<u8>, what: &str, object: &Value) {
    out.extend_from_slice(format!("{{\"type\":\"{what}\",\"object\":{object}}}\n").as_bytes());
}

impl Watching {
    /// The next lines; `None` when the watch ends.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
        loop {
            if self.state == State::Ended {
                return None;
            }
            // Marked as seen before reading, so that a change in between is not missed.
            self.changes.borrow_and_update();
            let mut lines = Vec::new();
            match self.api.since(self.version) {
                Ok(events) => {
                    for event in &events {
                        self.tell(event, &mut lines);
                        self.version = event.version;
                    }
                }
                Err(refusal) => {
                    line(&mut lines, "ERROR", &refusal.status());
                    self.state = State::Ended;
                }
            }
            if !lines.is_empty() {
                return Some(lines);
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.deadline) => {
                    self.state = State::Ended;
                    return (self.bookmarks == Bookmarks::Wanted).then(|| self.bookmark());
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks == Bookmarks::Wanted => {
                    self.next_bookmark = Instant::now() + BOOKMARK;
                    return Some(self.bookmark());
                }
            }
        }
    }

    fn bookmark(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        line(&mut lines, "BOOKMARK", &bookmark(&self.kind, self.version));
        lines
    }

    fn tell(&self, event: &Event, out: &mut Vec<u8>) {
        let here = event.key.is_of(&self.kind) && (self.namespace.is_empty() || event.key.namespace == self.namespace);
        if !here {
            return;
        }
        let was = event.before.as_ref().is_some_and(|before| self.selection.matches(before));
        let is = event.happened != Happened::Deleted && self.selection.matches(&event.object);
        let what = match (was, is) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return,
        };
        line(out, what, &as_served(&self.kind, &event.object));
    }
}
