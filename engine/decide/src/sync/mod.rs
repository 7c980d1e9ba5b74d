//! Decides how a cluster becomes what git says.
//!
//! The rules are tried from the top; the first that applies wins, and their
//! order is the policy. What is not ours is only looked at.

mod advice;
pub mod application;
pub mod autoscale;
mod custody;
mod decide;
pub mod diff;
mod entry;
pub mod fields;
mod fold;
pub mod generator;
pub mod ignore;
mod intent;
mod jq;
mod messages;
mod objects;
mod observed;
mod operation;
pub mod order;
mod outcomes;
pub mod plan;
pub mod prepare;
mod prune;
pub mod quantity;
mod requests;
mod revision;
mod state;
mod status;
pub mod tracking;
pub mod view;

pub use crate::object;
pub use decide::{Act, decide};
pub use entry::Entry;
pub use intent::{Cause, Intent, Outcome};
pub use objects::{Gvk, Objects, Scope, Standing};
pub use observed::{Context, Observed};
pub use outcomes::{
    ActKey, Refused, RefusedObject, Reply, TakenObject, WrittenStatus, applied, is_current, refused, rehearsed, sent,
    written_status,
};
pub use revision::Revision;
pub use state::{Custody, Ended, Healing, OpenRequest, Operation, State};

use decide::Decision;

/// The field manager of everything that is applied.
pub const MANAGER: &str = "bespin";
/// The second manager, to whom a field is handed that an autoscaler owns.
pub const HANDOVER: &str = "bespin-handover";
/// The annotation with Argo CD's options for one object.
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";

#[cfg(test)]
mod tests;
