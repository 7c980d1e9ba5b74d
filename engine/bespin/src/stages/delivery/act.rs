//! What a delivery does: open runs, and ask older ones to end.

use super::DeliveryStage;
use crate::drive::{Trouble, Turn, Written};
use decide::by::By;
use decide::run::{self, CancelCause, Opened};
use decide::stream::Stream;
use std::sync::Arc;

impl DeliveryStage {
    /// Opens a run. Where another delivery took the number, the next observation sees whose run it is.
    pub(super) async fn open(&self, turn: &Turn<'_>, opened: &Opened) -> Result<(), Trouble> {
        let delivery = turn.stream.as_str().rsplit('/').next().unwrap_or_default();
        let by = By::Delivery(delivery.to_owned());
        let first = run::Entry::Opened { run: Arc::new(opened.clone()) };
        let begun = turn.drivers().open(&Stream::run(&opened.id), &by, &first).await;
        begun.map(drop).map_err(|error| Trouble::new("opening a run", error))
    }

    pub(super) async fn supersede(&self, turn: &Turn<'_>, run: &str, by: &str) -> Result<(), Trouble> {
        let because = format!("superseded by {by}");
        let ask = |written: &[Written<run::Entry>]| {
            let over =
                |w: &Written<run::Entry>| matches!(w.entry, run::Entry::CancelAsked { .. } | run::Entry::Closed { .. });
            let entry = run::Entry::CancelAsked { because: because.clone(), cause: CancelCause::Superseded };
            (!written.is_empty() && !written.iter().any(over)).then(|| vec![entry])
        };
        let asked = turn.drivers().append::<run::Entry, _>(&Stream::run(run), By::Server, ask).await;
        asked.map(|_| ()).map_err(|error| Trouble::new("superseding a run", error))
    }
}
