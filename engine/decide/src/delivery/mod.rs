//! A push or a pull request that was received becomes runs.
//!
//! [`respond`] answers the webhook. What it accepts is the first entry of a stream, from which
//! [`decide`] goes on; its rules, in the order in which they are tried:
//!
//! 1. a delivery that has ended does nothing more;
//! 2. a deletion opens no runs;
//! 3. a commit that cannot be read is waited for, for [`PATIENCE_MS`] at most from the first look that missed it;
//! 4. each pipeline file opens its run, or is skipped, for a reason that is recorded ([`plan`]);
//! 5. the older runs of a group are asked to end once the newer run is open;
//! 6. when nothing is left to open or to ask, the delivery ends.

mod decide;
mod entry;
mod group;
mod manual;
mod messages;
mod observed;
mod payload;
mod pipelines;
mod pull_request;
mod push;
mod reflog;
mod run_number;
mod run_number_floor;
mod skip;
mod state;
mod supersede;
#[cfg(test)]
mod tests;
mod used_run_numbers;
mod webhook;

pub use crate::run::Origin;
pub use decide::{Act, PATIENCE_MS, decide};
pub use entry::{Change, Entry, NOTHING, Paths, PullRequest, Push, Received, Reference, Skipped, Source};
pub use group::with_group;
pub use manual::{
    ManualPlan, ManualRequest, StartRefusal, may_mean, plan_manual, reference_named, run_of, started_before,
};
pub use observed::{Ancestry, Bump, Changed, Context, File, KnownRun, Observed, OpenedBy, RunPhase, Standing};
pub use payload::{Mistake, Parsed};
pub use pipelines::{Plan, idle, plan};
pub use push::{MAX_PATH_BYTES, MAX_PATHS};
pub use reflog::Reflog;
pub use run_number::next_number;
pub use run_number_floor::{by_folders, by_tags, by_trailers, is_numbered, unnumbered, unnumbered_again};
pub use skip::depends_on_all;
pub use state::{Ended, State};
pub use used_run_numbers::{Place, Traces, places};
pub use webhook::{Response, Webhook, parse, respond};
