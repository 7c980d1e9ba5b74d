//! One stream's driver: its turns, and what it waits for between them.

use super::codec::{read_from, written};
use super::{Drivers, Stage, Then, Trouble, Turn, Written, encode, now};
use decide::by::By;
use decide::next::{Phase, Status, Wake};
use decide::outcome::{Failure, Outcomes};
use decide::stream::{Family, Stream};
use journal::AppendError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Families whose last status is not read once a stream is done: the run, or the rollout, that it belongs to tells
/// its end. There is one such stream for each push and step, without end.
const STATUS_ENDS: [Family; 4] = [Family::Delivery, Family::Image, Family::Bump, Family::Revert];

pub(super) struct Driver<S: Stage> {
    all: Arc<Drivers>,
    stage: Arc<S>,
    stream: Stream,
    notify: Arc<Notify>,
    /// The stream as far as it was read: each turn reads only what came after.
    written: Vec<Written<S::Entry>>,
    outcomes: Outcomes<S::ActKey, S::Reply>,
}

impl<S: Stage> Driver<S> {
    pub(super) fn new(all: Arc<Drivers>, stage: Arc<S>, stream: Stream, notify: Arc<Notify>) -> Driver<S> {
        Driver { all, stage, stream, notify, written: Vec::new(), outcomes: Outcomes::default() }
    }

    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            // Acts are repeatable, so a stop in their middle is no worse than a crash there.
            let stop = self.all.stop.clone();
            let turn = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                turn = self.turn() => turn,
            };
            let pause = match turn {
                Ok(Wake::Now) => Some(Duration::ZERO),
                Ok(Wake::At(at)) => Some(Duration::from_millis(at.saturating_sub(now()))),
                Ok(Wake::OnChange) => None,
                Ok(Wake::Never) => {
                    if self.leave() {
                        return;
                    }
                    Some(Duration::ZERO)
                }
                Err(trouble) => {
                    failures += 1;
                    tracing::warn!(stage = S::NAME, stream = %self.stream, %trouble, "will try again");
                    self.publish(Status { phase: Phase::Waiting, message: format!("{trouble}; trying again") });
                    let pause = trouble.retry.pause_ms(failures, rand::random_range(0.0..1.0));
                    if !self.wait(Some(Duration::from_millis(pause))).await {
                        return;
                    }
                    continue;
                }
            };
            failures = 0;
            if !self.wait(pause).await {
                return;
            }
        }
    }

    /// One turn of the loop: observe, decide, append, act.
    async fn turn(&mut self) -> Result<Wake, Trouble> {
        let new = read_from(self.all.journal(), &self.stream, self.written.len() as u64).await?;
        self.written.extend(new);
        let (all, stream) = (self.all.clone(), self.stream.clone());
        let turn = Turn::new(&all, &stream);
        let mut state = self.stage.replay(&self.written);
        self.outcomes.retain(|act| self.stage.is_current(&state, act));
        let observed = self.stage.observe(&turn, &state, &self.outcomes).await?;
        let now = now();
        let next = self.stage.decide(&state, &observed, now);
        if !next.record.is_empty() {
            if !self.record(&next.record, now).await? {
                return Ok(Wake::Now);
            }
            state = self.stage.replay(&self.written);
            self.outcomes.retain(|act| self.stage.is_current(&state, act));
        }
        self.publish(next.status);
        self.carry_out(&turn, &state, next.acts).await?;
        if self.stream.family().is_endless() {
            // What was read of a stream without an end is not kept from turn to turn.
            self.written = Vec::new();
        }
        Ok(next.wake)
    }

    /// Appends what was decided; `false` where another writer was faster: what was decided is stale, and what was
    /// read may be, too.
    async fn record(&mut self, entries: &[S::Entry], now: u64) -> Result<bool, Trouble> {
        let entries = encode(entries, &By::Server, now)?;
        match self.all.journal().append(self.stream.as_str(), self.written.len() as u64, entries.clone()).await {
            Ok(_) => {
                let new = written(entries).map_err(|error| Trouble::new("reading back what was written", error))?;
                self.written.extend(new);
                Ok(true)
            }
            Err(AppendError::Conflict { .. }) => {
                self.written.clear();
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Carries out the acts in their order, as far as the stage goes on, and keeps what came of each. The trouble of
    /// several is that of the first.
    async fn carry_out(&mut self, turn: &Turn<'_>, state: &S::State, acts: Vec<S::Act>) -> Result<(), Trouble> {
        let mut result = Ok(());
        for act in acts {
            let ended = self.stage.act(turn, state, &act).await;
            super::fault::after_act();
            let then = self.stage.then(&act, &ended);
            if let (Then::Fail | Then::FailAtTheEnd, Err(trouble)) = (then, &ended) {
                result = result.and(Err(trouble.clone()));
            }
            self.outcomes.keep(act.into(), ended.map_err(Failure::from), now());
            if matches!(then, Then::Stop | Then::Fail) {
                break;
            }
        }
        result
    }

    /// Waits for the pause, a change, or the server's end (false).
    async fn wait(&self, pause: Option<Duration>) -> bool {
        let pause = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.all.stop.cancelled() => false,
            () = self.notify.notified() => true,
            () = pause => true,
        }
    }

    /// Takes the driver off the map, unless it was woken in the meantime.
    fn leave(&self) -> bool {
        let mut running = self.all.running.lock().expect("no driver panics while it holds the map");
        let woken = futures::FutureExt::now_or_never(self.notify.notified()).is_some();
        if !woken {
            running.remove(&self.stream);
            // Under the map's lock, or the stream's next driver could have published already.
            if STATUS_ENDS.contains(&self.stream.family()) {
                self.all.board().forget(self.stream.as_str());
            }
        }
        !woken
    }

    fn publish(&self, status: Status) {
        self.all.board().publish(self.stream.as_str(), S::NAME, status, now());
    }
}
