//! What a run does: start and stop attempts, and report to the forge.

use super::RunStage;
use crate::drive::{Trouble, Turn};
use crate::steps::Asked;
use decide::request::Key;
use decide::retry::Retry;
use decide::run::{Act, Opened, RunOutcome, State, Status};
use std::sync::Arc;

impl RunStage {
    /// Carries out one act of a run.
    pub(super) async fn carry_out(
        &self,
        turn: &Turn<'_>,
        state: &State,
        opened: &Arc<Opened>,
        act: &Act,
    ) -> Result<(), Trouble> {
        match act {
            Act::Start { step, attempt, uses, settings, grants, timeout_ms, approved_by } => {
                let asked = Asked {
                    run: opened.clone(),
                    step: step.clone(),
                    attempt: *attempt,
                    uses: uses.clone(),
                    settings: settings.clone(),
                    grants: grants.clone(),
                    timeout_ms: *timeout_ms,
                    approved_by: approved_by.clone(),
                };
                self.start(turn, asked);
                Ok(())
            }
            Act::Stop { .. } => {
                self.stop_over(state, opened).await;
                Ok(())
            }
            Act::GiveUp { step } => {
                let key = Key { run: opened.id.clone(), step: step.clone() };
                super::super::rollout::gave_up(turn.drivers(), &key).await.map_err(Trouble::passing)
            }
            Act::Report { outcome, text } => self.report(turn, opened, *outcome, text).await,
        }
    }

    /// Tells the forge, unless it knows: a run that waits says the same in each turn.
    async fn report(
        &self,
        turn: &Turn<'_>,
        opened: &Opened,
        outcome: Option<RunOutcome>,
        text: &str,
    ) -> Result<(), Trouble> {
        let told = || self.told.lock().expect("nobody panics while holding what was told");
        if outcome.is_none() && told().get(turn.stream).is_some_and(|last| last == text) {
            return Ok(());
        }
        let url = format!("{}/runs/{}", self.url, opened.id);
        if outcome.is_some() {
            told().remove(turn.stream);
            return self.reporter.report(opened, outcome, text, &url).await;
        }
        if let Err(Trouble { message, retry }) = self.reporter.report(opened, outcome, text, &url).await {
            // The forge's client keeps to the forge's limits by itself; the run's steps do not wait for them.
            let retry = if matches!(retry, Retry::Passing { .. }) { Retry::PASSING } else { retry };
            return Err(Trouble { message, retry });
        }
        told().insert(turn.stream.clone(), text.to_owned());
        Ok(())
    }

    /// Stops every attempt that is over by the journal, and returns when they are gone: each has a little time to end
    /// by itself, so that they have it at the same time.
    async fn stop_over(&self, state: &State, opened: &Opened) {
        let is_over =
            |step: &str, of: u32| !matches!(state.status(step), Status::Started { attempt, .. } if attempt == of);
        let alive = self.attempts.of(&opened.id).alive;
        let stop = async |(step, attempt): (String, u32)| {
            self.attempts.stop(&opened.id, &step, attempt).await;
            self.executor.settle(&(opened.id.clone(), step, attempt)).await;
        };
        let over = alive.into_iter().filter(|(step, attempt)| is_over(step, *attempt));
        futures::future::join_all(over.map(stop)).await;
    }

    fn start(&self, turn: &Turn<'_>, asked: Asked) {
        let (drivers, stream) = (Arc::downgrade(turn.drivers()), turn.stream.clone());
        let ended = move || {
            if let Some(drivers) = drivers.upgrade() {
                drivers.poke(&stream);
            }
        };
        let (id, step, attempt) = (asked.run.id.clone(), asked.step.clone(), asked.attempt);
        let executor = self.executor.clone();
        let work = async move {
            let key = asked.key();
            let outcome = executor.run(asked).await;
            executor.settle(&key).await;
            outcome
        };
        self.attempts.start(&id, &step, attempt, work, ended);
    }
}
