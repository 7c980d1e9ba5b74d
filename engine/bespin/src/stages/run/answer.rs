//! A person's answer to a step that asks before it starts.

use super::fold;
use crate::drive::{Drivers, Written};
use decide::by::By;
use decide::run::{Answer, Entry, Fit, Unfit};
use decide::stream::Stream;

/// Why an answer was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The journal holds no such run.
    #[error("the journal holds no run of this id")]
    NoRun,
    /// It does not fit what the run waits for.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The journal did not take it.
    #[error(transparent)]
    Journal(#[from] journal::AppendError),
}

/// Writes a person's answer into the run's stream, once however often it is given.
///
/// # Errors
/// [`NotTaken`], where nothing was written.
pub async fn answer(drivers: &Drivers, run: &str, step: &str, answer: Answer, by: By) -> Result<(), NotTaken> {
    let mut verdict = Err(NotTaken::NoRun);
    // One moment for both: what fits a moment before the deadline would count for nothing, were it written after it.
    let fitting = |written: &[Written<Entry>], at_ms| {
        let fits = match written {
            [] => return None,
            written => fold(written).fits(step, answer, &by, at_ms),
        };
        let is_new = fits == Ok(Fit::New);
        verdict = fits.map(drop).map_err(NotTaken::from);
        is_new.then(|| vec![Entry::ApprovalAnswered { step: step.to_owned(), answer }])
    };
    drivers.append_at(&Stream::run(run), by.clone(), fitting).await?;
    verdict
}
