//! The rules of a sync, in their order: the first that applies wins.

use super::application::{self, Ownership};
use super::object::{Id, ObjectRef};
use super::{Context, Custody, Entry, Observed, OpenRequest, Standing, State, custody, operation, requests};
use crate::next::{Next, Timestamp, Wake};
use crate::request::Response;
use serde_json::Value;

/// What the sync may cause. Each is absolute and may be repeated.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// The namespace is there.
    CreateNamespace(String),
    /// The API server would accept all of these; nothing is written.
    Rehearse(Vec<Value>),
    /// The replaced managers' share is ours, if the object is still as it was read.
    Adopt {
        /// The live object, as it was read.
        live: Value,
        /// The `managedFields` to write, with our manager in the old one's place.
        managed: Value,
    },
    /// The field is also owned by the second manager.
    HandOver(Value),
    /// These objects, of one kind, are as sent.
    Apply(Vec<Value>),
    /// The object is gone, if it is still as it was read.
    Prune {
        /// The object that git no longer names.
        id: Id,
        /// The version by which it was read, such as `apps/v1`.
        api_version: String,
        /// The uid that it was read with: another object of that name stays.
        uid: String,
        /// The resourceVersion that it was read with: a changed object stays.
        resource_version: String,
    },
    /// The Application's status says this.
    Status {
        /// The Application that is synced.
        application: ObjectRef,
        /// The fields that it says.
        status: Value,
    },
    /// Argo CD lets the Application go, if it is still as it was read.
    LetGo(ObjectRef),
    /// The Application carries our annotation, if it is still as it was read.
    Claim(ObjectRef),
    /// The Application carries neither our annotation nor the one that keeps Argo CD off, if it is still as it was
    /// read.
    Release(ObjectRef),
}

pub(super) type Decision = Next<Entry, Act>;

/// Decides the next move of an application.
pub fn decide(state: &State, observed: &Observed, now: Timestamp) -> Decision {
    match observed {
        // Git or a person may make it again, and who waits for it has a timeout.
        Observed::Gone => Next::waiting(Wake::OnChange, "the Application is gone; nothing that it brought is deleted"),
        Observed::Unreadable { because, ownership: Ownership::Owned } => {
            fail_all(state, because, || Next::blocked(because.clone()))
        }
        Observed::Unreadable { because, ownership: Ownership::Observed } => fail_all(state, because, || {
            Next::waiting(Wake::OnChange, format!("observed only; as ours it would be refused: {because}"))
        }),
        Observed::Present(context) => present(state, context, now),
    }
}

fn present(state: &State, context: &Context, now: Timestamp) -> Decision {
    custody::change_hands(state, context, now)
        .or_else(|| observe_only(state, context))
        .or_else(|| two_masters(state, context))
        .or_else(|| mistakes(state, context))
        .or_else(|| requests::answer_overtaken(state, context, now))
        .or_else(|| operation::go_on(state, context, now))
        .or_else(|| requests::answer_ended(state, context))
        .or_else(|| operation::start(state, context, now))
        .unwrap_or_else(|| requests::rest(state, context, now))
}

/// An Application without our annotation is only looked at.
fn observe_only(state: &State, context: &Context) -> Option<Decision> {
    if context.ownership == Ownership::Owned {
        return None;
    }
    let name = &context.application.name;
    let refusal =
        format!("`{name}` is only observed, for it does not carry {}: run `bespin take {name}`", application::OWNER);
    Some(fail_all(state, &refusal, || {
        let would = match &context.plan {
            Err(mistakes) => format!("would stop at {}", mistakes.first().map_or("a mistake", String::as_str)),
            Ok(plan) => match plan.items.iter().find(|item| item.is_out_of_sync()) {
                Some(item) => format!("would sync, for {}", item.because()),
                None if plan.is_out_of_sync() => format!("would prune {} objects", plan.extras.len()),
                None => "would change nothing".to_owned(),
            },
        };
        Next::waiting(Wake::OnChange, format!("observed only; {would}"))
    }))
}

/// A write of the old controller after the claim: nothing more is written.
fn two_masters(state: &State, context: &Context) -> Option<Decision> {
    let Custody::Taken { at } = state.custody else { return None };
    // The old controller may have been in the middle of a write, and times have a grain of 1 s.
    let writer = context.foreign_write(at + 2_000)?;
    Some(Next::blocked(format!(
        "held: {writer}, though the application is ours; stop that writer, or run `bespin give`"
    )))
}

fn mistakes(state: &State, context: &Context) -> Option<Decision> {
    let Err(mistakes) = &context.plan else { return None };
    let first = mistakes.first().map_or("the manifests cannot be read", String::as_str);
    let more = match mistakes.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let because = format!("at {}: {first}{more}", context.head.short());
    let contained =
        |request: &OpenRequest| context.standing.get(&request.intent.revision) == Some(&Standing::Contained);
    let record =
        state.open.iter().filter(|request| contained(request)).map(|request| failed(request, &because)).collect();
    Some(Next { record, ..Next::blocked(because) })
}

pub(super) fn failed(request: &OpenRequest, because: &str) -> Entry {
    let answer = Response::Failed { because: because.to_owned(), transient: false };
    Entry::Answered { key: request.key.clone(), answer }
}

/// Answers every open request with a failure; otherwise decides by `or`.
fn fail_all(state: &State, because: &str, or: impl FnOnce() -> Decision) -> Decision {
    let record: Vec<Entry> = state.open.iter().map(|request| failed(request, because)).collect();
    Next { record, ..or() }
}
