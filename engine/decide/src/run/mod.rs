//! Which steps of a run start next, and how the run ends.
//!
//! A run *is* its journal: [`State::replay`] folds the entries, and starting a
//! run is replaying a journal that holds only [`Entry::Opened`]. There is no
//! other way in, so resuming after a crash is not a special case.
//!
//! The rules of [`decide`], in the order in which they are tried:
//!
//! 1. a closed run only reports how it ended;
//! 2. a pipeline file with mistakes fails its run;
//! 3. attempts that ended, or were lost, are written down, and so are those that wait for a free place or have one;
//! 4. a run that came with a backup, and may have ended since, is cancelled;
//! 5. a cancelled run stops what runs and starts nothing but its final steps;
//! 6. an attempt that takes longer than its step allows is ended;
//! 7. a run that has started nothing waits for the run ahead of it in its group;
//! 8. what is ready starts, is skipped, asks for approval, or is tried again;
//! 9. it waits for attempts, for answers, and for the moment of the next retry;
//! 10. when nothing is left, it closes.

mod approval;
mod concurrency_group;
mod decide;
mod entry;
mod messages;
mod observed;
mod render;
mod retry;
mod state;
mod subject;
#[cfg(test)]
mod tests;

pub use approval::{Answered, Asked, Fit, Unfit};
pub use decide::{Act, decide};
pub use entry::{
    Answer, CancelCause, Commit, Entry, Event, EventKind, Instance, ManualStart, Opened, Origin, Outcome, PullRequest,
    RunOutcome,
};
pub use observed::{Observed, SinceBackup};
pub use state::{Queued, State, Status};
