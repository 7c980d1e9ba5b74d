//! One stream's driver: its turns, and what it waits for between them.

use super::codec::{read_current, read_from, read_whole, written};
use super::{Drivers, Stage, Then, Trouble, Turn, Written, encode, now};
use decide::by::By;
use decide::next::{Phase, Status, Timestamp, Wake};
use decide::outcome::{Failure, Outcomes};
use decide::retry::Retry;
use decide::stream::{Family, Stream};
use decide::summary;
use journal::AppendError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Families whose last status is not read once a stream is done: the run, or the rollout, that it belongs to tells
/// its end. There is one such stream for each push and step, without end.
const STATUS_ENDS: [Family; 4] = [Family::Delivery, Family::Image, Family::Bump, Family::Revert];

/// The longest that trouble keeps a driver from looking at a change, in ms, where nobody asks to be left alone.
const LONGEST_HELD_MS: u64 = 5_000;

/// How a turn has ended.
struct Turned {
    /// When the stage wants to be asked again.
    wake: Wake,
    /// What kept the turn from a decision, or an act from being carried out.
    trouble: Option<Trouble>,
}

impl Turned {
    /// The stream has grown beyond what the turn had read.
    const AGAIN: Turned = Turned { wake: Wake::Now, trouble: None };
}

/// How the part of a pause that no change ends has ended.
enum Held {
    /// It is over, and nothing has changed.
    Whole,
    /// Something has changed: what is left of the pause is not waited for.
    Changed,
    /// The server ends.
    Stopped,
}

/// How long a driver waits after trouble.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    /// The part that no change ends: what failed is not repeated at the rate of the changes.
    held: Duration,
    /// The part after it, which a change ends.
    left: Duration,
}

impl Rest {
    /// After so many failures in a row. A moment that the stage waits for ends the pause, but not what the other side
    /// asked for.
    fn after(retry: Retry, failures: u32, wake: Wake, now: Timestamp) -> Rest {
        let pause = retry.pause_ms(failures, rand::random_range(0.0..1.0));
        let pause = match wake {
            Wake::At(at) => pause.min(at.saturating_sub(now)),
            Wake::Now | Wake::OnChange | Wake::Never => pause,
        };
        let held = match retry {
            Retry::Passing { after_ms: Some(asked) } => asked,
            // What a person mends is looked at soon while it has not failed often.
            _ => (Retry::PASSING.pause_ms(failures, 0.5) / 4).min(LONGEST_HELD_MS),
        };
        let left = Duration::from_millis(pause.saturating_sub(held));
        Rest { held: Duration::from_millis(held), left }
    }
}

/// Moments of entries that were still to come when they were read: the clock was set back since they were written. Each
/// counts as that of the first reading, or whoever waits from there on would wait until the clock has caught up.
#[derive(Default)]
struct Early(BTreeMap<Timestamp, Timestamp>);

impl Early {
    fn believed(&mut self, at: Timestamp, now: Timestamp) -> Timestamp {
        if at > now { *self.0.entry(at).or_insert(now) } else { self.0.get(&at).copied().unwrap_or(at) }
    }
}

pub(super) struct Driver<S: Stage> {
    all: Arc<Drivers>,
    stage: Arc<S>,
    stream: Stream,
    notify: Arc<Notify>,
    /// The stream as far as it was read: each turn reads only what came after.
    written: Vec<Written<S::Entry>>,
    /// The index after the last of them.
    length: u64,
    early: Early,
    outcomes: Outcomes<S::ActKey, S::Reply>,
}

impl<S: Stage> Driver<S> {
    pub(super) fn new(all: Arc<Drivers>, stage: Arc<S>, stream: Stream, notify: Arc<Notify>) -> Driver<S> {
        Driver {
            all,
            stage,
            stream,
            notify,
            written: Vec::new(),
            length: 0,
            early: Early::default(),
            outcomes: Outcomes::default(),
        }
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
            let Turned { wake, trouble } = turn;
            if let Some(trouble) = trouble {
                failures += 1;
                tracing::warn!(stage = S::NAME, stream = %self.stream, %trouble, "will try again");
                let phase = match trouble.retry {
                    Retry::NeedsPerson => Phase::Blocked,
                    Retry::Passing { .. } | Retry::Permanent => Phase::Waiting,
                };
                self.publish(Status { phase, message: format!("{trouble}; trying again") });
                let rest = Rest::after(trouble.retry, failures, wake, now());
                let left = match self.hold(rest.held).await {
                    Held::Stopped => return,
                    Held::Whole => rest.left,
                    Held::Changed => Duration::ZERO,
                };
                if !self.wait(Some(left)).await {
                    return;
                }
                continue;
            }
            failures = 0;
            let pause = match wake {
                Wake::Now => Some(Duration::ZERO),
                Wake::At(at) => Some(Duration::from_millis(at.saturating_sub(now()))),
                Wake::OnChange => None,
                Wake::Never => {
                    if self.leave() {
                        return;
                    }
                    Some(Duration::ZERO)
                }
            };
            if !self.wait(pause).await {
                return;
            }
        }
    }

    /// One turn of the loop. Without a decision nothing says when to look again.
    async fn turn(&mut self) -> Turned {
        let turned = self.decide_and_act().await;
        turned.unwrap_or_else(|trouble| Turned { wake: Wake::OnChange, trouble: Some(trouble) })
    }

    /// Observe, decide, append, act.
    async fn decide_and_act(&mut self) -> Result<Turned, Trouble> {
        self.catch_up().await?;
        let (all, stream) = (self.all.clone(), self.stream.clone());
        let turn = Turn::new(&all, &stream);
        let mut state = self.stage.replay(&self.written);
        self.outcomes.retain(|act| self.stage.is_current(&state, act));
        let observed = self.stage.observe(&turn, &state, &self.outcomes).await?;
        let now = now();
        let next = self.stage.decide(&state, &observed, now);
        if !next.record.is_empty() {
            if !self.record(&next.record, now).await? {
                return Ok(Turned::AGAIN);
            }
            state = self.stage.replay(&self.written);
            self.outcomes.retain(|act| self.stage.is_current(&state, act));
        } else if !next.acts.is_empty() && self.catch_up().await? {
            // Observing takes a while, and what was decided meets no conflict where nothing is recorded.
            return Ok(Turned::AGAIN);
        }
        self.publish(next.status);
        let trouble = self.carry_out(&turn, &state, next.acts).await.err();
        if self.stream.family().is_endless() {
            if let Err(error) = self.summarize(&state).await {
                tracing::warn!(stream = %self.stream, %error, "a long stream stays long until its next turn");
            }
            // What was read of a stream without an end is not kept from turn to turn.
            self.written = Vec::new();
        }
        Ok(Turned { wake: next.wake, trouble })
    }

    /// Reads what came after what was read already; whether anything did.
    async fn catch_up(&mut self) -> Result<bool, Trouble> {
        let journal = self.all.journal();
        let mut new = if self.written.is_empty() {
            let (current, length) = read_current(journal, &self.stream).await?;
            self.length = length;
            current
        } else {
            let new = read_from(journal, &self.stream, self.length).await?;
            self.length += new.len() as u64;
            new
        };
        let now = now();
        for written in &mut new {
            written.at_ms = self.early.believed(written.at_ms, now);
        }
        let has_grown = !new.is_empty();
        self.written.extend(new);
        Ok(has_grown)
    }

    /// Has a stream that has grown long begin anew with what it adds up to.
    async fn summarize(&self, state: &S::State) -> Result<(), journal::Error> {
        let is_due = self.written.len() >= summary::DUE;
        let Some(entry) = is_due.then(|| self.stage.summary(state)).flatten() else { return Ok(()) };
        let journal = self.all.journal();
        let kept = self.stage.kept(&read_whole(journal, &self.stream).await?);
        let Some(entry) = encode(&[entry], &By::Server, now())?.pop() else { return Ok(()) };
        match journal.summarize(self.stream.as_str(), self.length, entry, kept).await {
            // Whatever came in the meantime is summarized with the next.
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(journal::Error(error.to_string())),
        }
    }

    /// Appends what was decided; `false` where another writer was faster: what was decided is stale, and what was
    /// read may be, too.
    async fn record(&mut self, entries: &[S::Entry], now: u64) -> Result<bool, Trouble> {
        let entries = encode(entries, &By::Server, now)?;
        match self.all.journal().append(self.stream.as_str(), self.length, entries.clone()).await {
            Ok(_) => {
                let new = written(entries).map_err(|error| Trouble::new("reading back what was written", error))?;
                self.length += new.len() as u64;
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
            let (key, result) = (act.into(), ended.map_err(Failure::from));
            match self.stage.is_hint(&key, &result) {
                true => self.outcomes.keep(key, result, now()),
                false => self.outcomes.forget(&key),
            }
            if matches!(then, Then::Stop | Then::Fail) {
                break;
            }
        }
        result
    }

    /// Waits so long whatever changes around it. An entry of somebody else ends it: a person who aborts does not wait
    /// until another side wants to be asked again.
    async fn hold(&self, pause: Duration) -> Held {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        let mut held = Held::Whole;
        loop {
            tokio::select! {
                biased;
                () = self.all.stop.cancelled() => return Held::Stopped,
                () = &mut over => return held,
                () = self.notify.notified() => held = Held::Changed,
            }
            let grown = self.all.journal().read_from(self.stream.as_str(), self.length).await;
            if grown.is_ok_and(|new| !new.is_empty()) {
                return held;
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(retry: Retry, failures: u32, wake: Wake) -> (u64, u64) {
        let Rest { held, left } = Rest::after(retry, failures, wake, 1_000);
        (held.as_millis() as u64, (held + left).as_millis() as u64)
    }

    #[test]
    fn a_moment_that_is_still_to_come_is_that_of_its_first_reading() {
        let mut early = Early::default();
        assert_eq!(early.believed(500, 1_000), 500);
        assert_eq!(early.believed(7_000, 1_000), 1_000);
        assert_eq!(early.believed(7_000, 3_000), 1_000, "read again, it is no later");
        assert_eq!(early.believed(7_000, 9_000), 1_000, "nor when the clock has caught up");
        assert_eq!(early.believed(2_000, 3_000), 2_000);
    }

    #[test]
    fn a_moment_that_the_stage_waits_for_ends_the_pause_after_trouble() {
        assert_eq!(rest(Retry::Permanent, 20, Wake::At(9_000)), (5_000, 8_000));
        assert!(rest(Retry::Permanent, 20, Wake::OnChange).1 >= 135_000);
        assert!(rest(Retry::Permanent, 20, Wake::Never).1 >= 135_000);
    }

    #[test]
    fn no_change_ends_what_the_other_side_asked_for_and_a_little_of_every_pause() {
        assert_eq!(rest(Retry::after(90_000), 1, Wake::OnChange), (90_000, 90_000));
        assert_eq!(rest(Retry::after(90_000), 1, Wake::At(2_000)), (90_000, 90_000));
        for retry in [Retry::PASSING, Retry::NeedsPerson, Retry::Permanent] {
            let held = [1, 2, 4, 20].map(|failures| rest(retry, failures, Wake::OnChange).0);
            assert_eq!(held, [50, 100, 400, 5_000], "{retry:?}");
        }
    }
}
