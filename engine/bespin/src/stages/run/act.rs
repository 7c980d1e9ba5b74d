//! What a run does: start and stop attempts, and report to the forge.

use super::RunStage;
use crate::drive::Trouble;
use crate::steps::Asked;
use decide::run::{Act, Opened, RunOutcome};
use decide::want::Key;

impl RunStage {
    /// Carries out one act of the run on `stream`.
    pub(super) async fn carry_out(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
        let Some(drivers) = self.drivers.upgrade() else { return Ok(()) };
        // Every act follows a look, which left this here.
        let Some(opened) = self.driven().get(stream).cloned() else { return Ok(()) };
        match act {
            Act::Start { step, attempt, uses, settings, grants, timeout_ms, approved_by } => {
                let asked = Asked {
                    run: opened,
                    step: step.clone(),
                    attempt: *attempt,
                    uses: uses.clone(),
                    settings: settings.clone(),
                    grants: grants.clone(),
                    timeout_ms: *timeout_ms,
                    approved_by: approved_by.clone(),
                };
                self.start(stream, asked);
                Ok(())
            }
            Act::Stop { step, attempt } => {
                self.attempts.stop(&opened.id, step, *attempt).await;
                Ok(())
            }
            Act::GiveUp { step } => {
                let key = Key { run: opened.id.clone(), step: step.clone() };
                super::super::canary::gave_up(&drivers, &key).await.map_err(Trouble)
            }
            Act::Report { outcome, text } => self.report(stream, &opened, *outcome, text).await,
        }
    }

    /// Tells the forge, unless it knows: a run that waits says the same at each look.
    async fn report(
        &self,
        stream: &str,
        opened: &Opened,
        outcome: Option<RunOutcome>,
        text: &str,
    ) -> Result<(), Trouble> {
        let told = || self.told.lock().expect("nobody panics while holding what was told");
        if outcome.is_none() && told().get(stream).is_some_and(|last| last == text) {
            return Ok(());
        }
        let url = format!("{}/runs/{}", self.url, opened.id);
        self.reporter.report(opened, outcome, text, &url).await?;
        match outcome {
            None => drop(told().insert(stream.to_owned(), text.to_owned())),
            Some(_) => {
                told().remove(stream);
                self.driven().remove(stream);
            }
        }
        Ok(())
    }

    fn start(&self, stream: &str, asked: Asked) {
        let (drivers, stream) = (self.drivers.clone(), stream.to_owned());
        let ended = move || {
            if let Some(drivers) = drivers.upgrade() {
                drivers.poke(&stream);
            }
        };
        let (id, step, attempt) = (asked.run.id.clone(), asked.step.clone(), asked.attempt);
        let executor = self.executor.clone();
        self.attempts.start(&id, &step, attempt, async move { executor.run(asked).await }, ended);
    }
}
