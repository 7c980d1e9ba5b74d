//! A person's answer to a step that asks before it starts.

use super::fold;
use crate::drive::{Drivers, Written};
use api::commands::NotTaken;
use decide::by::By;
use decide::run::{Answer, Entry, Fit};
use decide::stream::Stream;

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
