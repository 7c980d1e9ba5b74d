//! How an application changes hands: the old controller lets go first, and
//! ours writes nothing until its writes have stopped.

use super::application::Ownership;
use super::{Act, Context, Custody, Decision, Entry, State};
use crate::next::{Next, Timestamp, Wake};
use crate::sync::application::SKIP;
use crate::sync::object::{ObjectRef, annotation};

/// How long the old controller must have been silent, in ms. Its queue may
/// hold the application for a while after it was told to let go.
const SILENCE: u64 = 15_000;

/// Takes or gives, while a person's wish is not fulfilled.
pub(super) fn change_hands(state: &State, context: &Context, now: Timestamp) -> Option<Decision> {
    match state.custody {
        Custody::Taking { since } => Some(taking(context, since, now)),
        Custody::Giving => Some(giving(context)),
        Custody::AsFound | Custody::Taken { .. } => None,
    }
}

fn taking(context: &Context, since: Timestamp, now: Timestamp) -> Decision {
    if context.ownership == Ownership::Owned {
        return Next { record: vec![Entry::Taken], ..Next::progressing(Wake::Now, "the application is ours") };
    }
    if annotation(&context.object, SKIP) != Some("true") {
        return Next {
            acts: vec![Act::LetGo(ObjectRef::of(&context.object))],
            ..Next::progressing(Wake::Now, "telling Argo CD to let the application go")
        };
    }
    let newest = context.newest_foreign_write().unwrap_or(0).max(since);
    // The grain of a write's time is one second.
    let quiet_at = newest + 1_000 + SILENCE;
    if now < quiet_at {
        let because = format!("Argo CD was told to let go; its last write must be {} s old", SILENCE / 1_000);
        return Next::waiting(Wake::At(quiet_at), because);
    }
    Next {
        acts: vec![Act::Claim(ObjectRef::of(&context.object))],
        ..Next::progressing(Wake::Now, "claiming the application")
    }
}

fn giving(context: &Context) -> Decision {
    if context.ownership == Ownership::Owned || annotation(&context.object, SKIP) == Some("true") {
        return Next {
            acts: vec![Act::Release(ObjectRef::of(&context.object))],
            ..Next::progressing(Wake::Now, "giving the application back")
        };
    }
    Next { record: vec![Entry::Given], ..Next::progressing(Wake::Now, "the application is given back") }
}
