//! Starting is resuming: every stream is read once, and those that are not at
//! their end get their driver back. An entry that this version does not know
//! refuses the start, naming the stream and the version that wrote it.

use crate::drive::{Drivers, Stage, Written, now, read};
use crate::stages::bump::BumpStage;
use crate::stages::delivery::DeliveryStage;
use crate::stages::image::ImageStage;
use crate::stages::run::RunStage;
use crate::wants::{Stand, Wanted, stand};
use std::sync::Arc;

/// For how long after its end a run tells the forge again, in ms: its last
/// report may have been lost with the process.
const REPORT_AGAIN_MS: u64 = 60 * 60 * 1000;

/// The stages whose streams are found in the journal. Applications and
/// rollouts are found in their clusters instead.
pub struct Stages {
    /// Deliveries.
    pub delivery: Arc<DeliveryStage>,
    /// Runs.
    pub run: Arc<RunStage>,
    /// Builds and pushes.
    pub image: Arc<ImageStage>,
    /// Bumps.
    pub bump: Arc<BumpStage>,
}

/// Gives every unfinished stream its driver back.
///
/// # Errors
/// The journal cannot be read, or holds what this version does not know.
pub async fn resume(drivers: &Arc<Drivers>, stages: &Stages) -> Result<usize, journal::Error> {
    let mut resumed = 0;
    stages.delivery.resume().await?;
    let recent = now().saturating_sub(REPORT_AGAIN_MS);
    resumed += unfinished(drivers, &stages.run, "run/", |written| match written.last() {
        Some(Written { entry: decide::run::Entry::Closed { .. }, at_ms, .. }) => *at_ms >= recent,
        Some(_) => true,
        None => false,
    })
    .await?;
    resumed += unfinished(drivers, &stages.image, "image/", has_open_want::<ImageStage>).await?;
    resumed += unfinished(drivers, &stages.bump, "bump/", has_open_want::<BumpStage>).await?;
    Ok(resumed)
}

async fn unfinished<S: Stage>(
    drivers: &Arc<Drivers>,
    stage: &Arc<S>,
    prefix: &str,
    is_unfinished: impl Fn(&[Written<S::Entry>]) -> bool,
) -> Result<usize, journal::Error> {
    let mut resumed = 0;
    for stream in drivers.journal().streams(prefix).await? {
        let written = read::<S::Entry>(drivers.journal(), &stream.name).await?;
        if is_unfinished(&written) {
            drivers.ensure(stage, &stream.name);
            resumed += 1;
        }
    }
    Ok(resumed)
}

/// Whether some step still waits for an answer of this stream.
fn has_open_want<S: Wanted>(written: &[Written<S::Entry>]) -> bool {
    let mut keys = written.iter().filter_map(|one| S::asks(&one.entry));
    keys.any(|key| matches!(stand::<S>(written, key), Stand::Open))
}
