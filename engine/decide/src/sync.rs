//! Decides how a cluster becomes what git says.
//!
//! The rules are tried from the top; the first that applies wins, and their
//! order is the policy. What is not ours is only looked at.

mod advice;
pub mod application;
pub mod autoscale;
pub mod diff;
mod entry;
pub mod fields;
pub mod generator;
pub mod ignore;
mod jq;
pub mod object;
mod operate;
pub mod order;
pub mod plan;
pub mod prepare;
pub mod quantity;
mod recorded;
mod seen;
mod settle;
mod status;
mod take;
pub mod tracking;
pub mod view;

pub use entry::{Act, Cause, Entry, Intent, Outcome, short};
pub use recorded::{Custody, Ended, Healing, Operation, Recorded, Want};
pub use seen::{Gvk, Look, Objects, Refused, Scope, Seen, Standing};

use crate::next::{Next, Timestamp, Wake};
use crate::want::Answer;
use application::Ownership;

/// The field manager of everything that is applied.
pub const MANAGER: &str = "bespin";
/// The second manager, to whom a field is handed that an autoscaler owns.
pub const HANDOVER: &str = "bespin-handover";
/// The annotation with Argo CD's options for one object.
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";

type Decision = Next<Entry, Act>;

/// Decides the next move of an application.
pub fn decide(recorded: &Recorded, seen: &Seen, now: Timestamp) -> Decision {
    match seen {
        Seen::Gone => fail_all(recorded, "the Application is gone", || {
            Next::waiting(Wake::OnChange, "the Application is gone; nothing that it brought is deleted")
        }),
        Seen::Unreadable { because, ownership: Ownership::Owned } => {
            fail_all(recorded, because, || Next::blocked(because.clone()))
        }
        Seen::Unreadable { because, ownership: Ownership::Observed } => fail_all(recorded, because, || {
            Next::waiting(Wake::OnChange, format!("observed only; as ours it would be refused: {because}"))
        }),
        Seen::Present(look) => present(recorded, look, now),
    }
}

fn present(recorded: &Recorded, look: &Look, now: Timestamp) -> Decision {
    take::change_hands(recorded, look, now)
        .or_else(|| observe_only(recorded, look))
        .or_else(|| two_masters(recorded, look))
        .or_else(|| mistakes(recorded, look))
        .or_else(|| settle::answer_overtaken(recorded, look, now))
        .or_else(|| operate::go_on(recorded, look, now))
        .or_else(|| settle::answer_ended(recorded, look))
        .or_else(|| operate::start(recorded, look, now))
        .unwrap_or_else(|| settle::rest(recorded, look, now))
}

/// An Application without our annotation is only looked at.
fn observe_only(recorded: &Recorded, look: &Look) -> Option<Decision> {
    if look.ownership == Ownership::Owned {
        return None;
    }
    let name = &look.application.name;
    let refusal =
        format!("`{name}` is only observed, for it does not carry {}: run `bespin take {name}`", application::OWNER);
    Some(fail_all(recorded, &refusal, || {
        let would = match &look.plan {
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
fn two_masters(recorded: &Recorded, look: &Look) -> Option<Decision> {
    let Custody::Taken { at } = recorded.custody else { return None };
    // The old controller may have been in the middle of a write, and times have a grain of 1 s.
    let writer = look.foreign_write(at + 2_000)?;
    Some(Next::blocked(format!(
        "held: {writer}, though the application is ours; stop that writer, or run `bespin give`"
    )))
}

fn mistakes(recorded: &Recorded, look: &Look) -> Option<Decision> {
    let Err(mistakes) = &look.plan else { return None };
    let first = mistakes.first().map_or("the manifests cannot be read", String::as_str);
    let more = match mistakes.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let because = format!("at {}: {first}{more}", short(&look.head));
    let contained = |want: &Want| look.standing.get(&want.intent.revision) == Some(&Standing::Contained);
    let record = recorded.open.iter().filter(|want| contained(want)).map(|want| failed(want, &because)).collect();
    Some(Next { record, ..Next::blocked(because) })
}

fn failed(want: &Want, because: &str) -> Entry {
    let answer = Answer::Failed { because: because.to_owned(), transient: false };
    Entry::Answered { key: want.key.clone(), answer }
}

/// Answers every open want with a failure; otherwise decides by `or`.
fn fail_all(recorded: &Recorded, because: &str, or: impl FnOnce() -> Decision) -> Decision {
    let record: Vec<Entry> = recorded.open.iter().map(|want| failed(want, because)).collect();
    Next { record, ..or() }
}

#[cfg(test)]
#[path = "sync/tests.rs"]
mod tests;
