//! What the dashboard's buttons do: each is an entry, appended by a person.

use crate::drive::{Begun, Drivers, Trouble, read};
use crate::stages::delivery::{DeliveryStage, ManualRuns};
use crate::stages::rollout::RolloutStage;
use crate::stages::sync::SyncStage;
use api::commands::{Commands, NotTaken, StartRun};
use api::views::StartableView;
use async_trait::async_trait;
use decide::by::By;
use decide::run::{Answer, CancelCause, Entry, Opened};
use decide::stream::Stream;
use std::sync::Arc;

/// The buttons, over the stages.
pub struct Buttons {
    /// The drivers, with the journal.
    pub drivers: Arc<Drivers>,
    /// The stage that knows the numbers of runs.
    pub delivery: Arc<DeliveryStage>,
    /// The stage that applications are asked of.
    pub sync: Arc<SyncStage>,
    /// The stage that rollouts are asked of.
    pub rollout: Arc<RolloutStage>,
    /// What people start runs by.
    pub manual: ManualRuns,
}

#[async_trait]
impl Commands for Buttons {
    async fn startable(&self, repository: Option<&str>, reference: Option<&str>) -> Result<StartableView, NotTaken> {
        self.manual.startable(repository, reference).await
    }

    async fn start_run(&self, asked: StartRun, by: By) -> Result<String, NotTaken> {
        self.manual.start(&self.drivers, asked, by).await
    }

    async fn retry_run(&self, run: &str, by: By) -> Result<String, NotTaken> {
        let old = self.opened(run).await?;
        let prefix = old.id.rsplit_once('/').map(|(prefix, _)| prefix.to_owned()).unwrap_or_default();
        loop {
            let number = self.delivery.number_again(&old).await.map_err(refused)?;
            let id = format!("{prefix}/{number}");
            let again = Opened { id: id.clone(), number, retry_of: Some(old.id.clone()), ..old.clone() };
            let first = Entry::Opened { run: Arc::new(again) };
            match self.drivers.open(&Stream::run(&id), &by, &first).await? {
                Begun::Now => return Ok(id),
                // A push was faster and took the number.
                Begun::Before => continue,
            }
        }
    }

    async fn cancel_run(&self, run: &str, by: By) -> Result<(), NotTaken> {
        self.opened(run).await?;
        let because = format!("{by} asked for it");
        let asked = |written: &[crate::drive::Written<Entry>]| {
            let ended = written.iter().any(|one| matches!(one.entry, Entry::Closed { .. }));
            (!ended).then(|| vec![Entry::CancelAsked { because: because.clone(), cause: CancelCause::Asked }])
        };
        match self.drivers.append(&Stream::run(run), by, asked).await? {
            true => Ok(()),
            false => Err(NotTaken::Refused("the run has ended already".into())),
        }
    }

    async fn answer(&self, run: &str, step: &str, answer: Answer, by: By) -> Result<(), NotTaken> {
        crate::stages::run::answer(&self.drivers, run, step, answer, by).await
    }

    async fn rollout_action(&self, stream: &str, action: &str, by: By) -> Result<(), NotTaken> {
        let stream = Stream::parse(stream).map_err(|error| NotTaken::NoObject(error.to_string()))?;
        self.rollout.ask(&self.drivers, &stream, action, by).await
    }

    async fn sync_app(&self, stream: &str, by: By) -> Result<(), NotTaken> {
        let stream = Stream::parse(stream).map_err(|error| NotTaken::NoObject(error.to_string()))?;
        self.sync.ask(&self.drivers, &stream, by).await.map_err(refused)
    }

    async fn app_named(&self, name: &str) -> Result<Stream, NotTaken> {
        self.sync.one_named(name).await
    }

    async fn take_app(&self, stream: &Stream, by: By) -> Result<(), NotTaken> {
        self.sync.take(&self.drivers, stream, by).await?;
        self.drivers.ensure(stream);
        Ok(())
    }

    async fn give_app(&self, stream: &Stream, by: By) -> Result<(), NotTaken> {
        self.sync.give(&self.drivers, stream, by).await?;
        self.drivers.ensure(stream);
        Ok(())
    }
}

impl Buttons {
    async fn opened(&self, run: &str) -> Result<Opened, NotTaken> {
        let written = read::<Entry>(self.drivers.journal(), Stream::run(run)).await;
        match written?.into_iter().next().map(|first| first.entry) {
            Some(Entry::Opened { run }) => Ok(Arc::unwrap_or_clone(run)),
            _ => Err(NotTaken::NoRun),
        }
    }
}

/// What a stage says to a person's wish that it does not take.
fn refused(trouble: Trouble) -> NotTaken {
    NotTaken::Refused(trouble.message)
}

#[cfg(test)]
mod tests;
