//! What an alert does to a rollout: an entry, recorded once.

use super::{RolloutStage, UNADOPTED, fold};
use crate::drive::{Drivers, Written, read};
use api::commands::NotTaken;
use decide::by::By;
use decide::epoch::Epoch;
use decide::rollout::{Alert, AlertAction, Entry, heed_alert};
use decide::stream::Stream;

impl RolloutStage {
    /// Records what an alert does, if it does anything: then that is done. The journal alone says whether the rollout is
    /// in progress, so that a cluster which does not answer costs no time; why nothing is done is answered as a sentence.
    ///
    /// # Errors
    /// The journal, or a restored one that may not know yet what is in progress.
    pub async fn heed(
        &self,
        drivers: &Drivers,
        stream: &Stream,
        alert: &Alert,
        action: AlertAction,
    ) -> Result<Result<(), String>, NotTaken> {
        let written = read::<Entry>(drivers.journal(), stream).await?;
        if written.is_empty() {
            return Ok(heed_alert(&fold(&written), alert, action).map(drop));
        }
        if self.restored.epoch(drivers.journal(), stream).await? == Epoch::Restored {
            return Err(NotTaken::Unavailable(UNADOPTED.to_owned()));
        }
        let mut refused = None;
        let make = |written: &[Written<Entry>]| match heed_alert(&fold(written), alert, action) {
            Ok(entry) => Some(vec![entry]),
            Err(because) => {
                refused = Some(because);
                None
            }
        };
        drivers.append(stream, By::Alert(alert.author()), make).await?;
        Ok(refused.map_or(Ok(()), Err))
    }
}
