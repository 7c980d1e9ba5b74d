//! What a delivery does: open runs, and ask older ones to end.

use super::DeliveryStage;
use crate::drive::{Trouble, Written, encode, now};
use decide::by::By;
use decide::run::{self, CancelCause, Opened};
use journal::AppendError;

impl DeliveryStage {
    pub(super) async fn open(&self, delivery: &str, opened: &Opened) -> Result<(), Trouble> {
        let stream = format!("run/{}", opened.id);
        let entry = run::Entry::Opened { run: Box::new(opened.clone()) };
        let by = By::Delivery(delivery.to_owned());
        let entries = encode(&[entry], &by, now()).map_err(|e| Trouble(e.to_string()))?;
        match self.drivers.journal().append(&stream, 0, entries).await {
            Ok(_) => {
                (self.start)(&stream);
                Ok(())
            }
            // Somebody else took the number; the next look sees whose run it is.
            Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(Trouble::new("opening a run", error)),
        }
    }

    pub(super) async fn supersede(&self, run: &str, by: &str) -> Result<(), Trouble> {
        let because = format!("superseded by {by}");
        let ask = |written: &[Written<run::Entry>]| {
            let over =
                |w: &Written<run::Entry>| matches!(w.entry, run::Entry::CancelAsked { .. } | run::Entry::Closed { .. });
            let entry = run::Entry::CancelAsked { because: because.clone(), cause: CancelCause::Superseded };
            (!written.is_empty() && !written.iter().any(over)).then(|| vec![entry])
        };
        let asked = self.drivers.append::<run::Entry, _>(&format!("run/{run}"), By::Server, ask).await;
        asked.map(|_| ()).map_err(|error| Trouble::new("superseding a run", error))
    }
}
