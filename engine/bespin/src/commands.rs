//! What the dashboard's buttons do: each is an entry, appended by a person.

use crate::drive::{Begun, Drivers, read};
use crate::stages::sync::SyncStage;
use api::commands::{Commands, NotTaken};
use async_trait::async_trait;
use decide::by::By;
use decide::run::{Answer, CancelCause, Entry, Opened};
use decide::stream::Stream;
use std::sync::Arc;

/// The buttons, over the stages.
pub struct Buttons {
    /// The drivers, with the journal.
    pub drivers: Arc<Drivers>,
    /// The stage that applications are asked of.
    pub sync: Arc<SyncStage>,
}

#[async_trait]
impl Commands for Buttons {
    async fn retry_run(&self, run: &str, by: By) -> Result<String, String> {
        let old = self.opened(run).await?;
        let prefix = old.id.rsplit_once('/').map(|(prefix, _)| prefix.to_owned()).unwrap_or_default();
        loop {
            let number = self.next_number(&prefix).await?;
            let id = format!("{prefix}/{number}");
            let again = Opened { id: id.clone(), number, retry_of: Some(old.id.clone()), ..old.clone() };
            let first = Entry::Opened { run: Box::new(again) };
            match self.drivers.open(&Stream::run(&id), &by, &first).await.map_err(|error| error.to_string())? {
                Begun::Now => return Ok(id),
                // A push was faster and took the number.
                Begun::Before => continue,
            }
        }
    }

    async fn cancel_run(&self, run: &str, by: By) -> Result<(), String> {
        self.opened(run).await?;
        let because = format!("{by} asked for it");
        let asked = |written: &[crate::drive::Written<Entry>]| {
            let ended = written.iter().any(|one| matches!(one.entry, Entry::Closed { .. }));
            (!ended).then(|| vec![Entry::CancelAsked { because: because.clone(), cause: CancelCause::Asked }])
        };
        match self.drivers.append(&Stream::run(run), by, asked).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the run has ended already".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn answer(&self, run: &str, step: &str, answer: Answer, by: By) -> Result<(), NotTaken> {
        crate::stages::run::answer(&self.drivers, run, step, answer, by).await
    }

    async fn rollout_action(&self, stream: &str, action: &str, by: By) -> Result<(), String> {
        let stream = Stream::parse(stream).map_err(|error| error.to_string())?;
        crate::stages::rollout::ask(&self.drivers, &stream, action, by).await
    }

    async fn sync_app(&self, stream: &str, by: By) -> Result<(), String> {
        let stream = Stream::parse(stream).map_err(|error| error.to_string())?;
        self.sync.ask(&self.drivers, &stream, by).await.map_err(|error| error.to_string())
    }

    async fn take_app(&self, stream: &Stream, by: By) -> Result<(), String> {
        self.sync.take(&self.drivers, stream, by).await.map_err(|error| error.to_string())?;
        self.drivers.ensure(stream);
        Ok(())
    }

    async fn give_app(&self, stream: &Stream, by: By) -> Result<(), String> {
        self.sync.give(&self.drivers, stream, by).await.map_err(|error| error.to_string())?;
        self.drivers.ensure(stream);
        Ok(())
    }
}

impl Buttons {
    async fn opened(&self, run: &str) -> Result<Opened, String> {
        let written = read::<Entry>(self.drivers.journal(), Stream::run(run)).await;
        match written.map_err(|error| error.to_string())?.into_iter().next().map(|first| first.entry) {
            Some(Entry::Opened { run }) => Ok(*run),
            _ => Err(format!("there is no run {run}")),
        }
    }

    async fn next_number(&self, prefix: &str) -> Result<u64, String> {
        let streams = self.drivers.journal().streams(&format!("run/{prefix}/")).await.map_err(|e| e.to_string())?;
        let numbers = streams.iter().filter_map(|stream| stream.name.rsplit('/').next()?.parse::<u64>().ok());
        Ok(numbers.max().unwrap_or_default() + 1)
    }
}

#[cfg(test)]
mod tests;
