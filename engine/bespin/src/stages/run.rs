//! The run: which steps start, wait for a person, are tried again, are skipped; when it ends.

mod answer;

use crate::attempts::Attempts;
use crate::drive::{Drivers, Stage, Trouble, Written};
use crate::leftovers::Leftovers;
use crate::steps::{Asked, Executor};
use async_trait::async_trait;
use decide::next::{Next, Timestamp};
use decide::run::{self, Act, Entry, Opened, Run, RunOutcome, Seen, Status};
use decide::want::Key;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

pub use answer::{NotTaken, answer};

/// The stage `run`, on streams `run/<run id>`.
pub struct RunStage {
    drivers: Weak<Drivers>,
    attempts: Arc<Attempts>,
    executor: Arc<dyn Executor>,
    reporter: Arc<dyn Reporter>,
    leftovers: Arc<Leftovers>,
    groups: Mutex<BTreeMap<String, InGroup>>,
    /// What the driven runs rest on, by stream; it never changes, so acts need not read it again.
    opened: Mutex<BTreeMap<String, Arc<Opened>>>,
    /// What the forge was told last of each driven run, by stream.
    told: Mutex<BTreeMap<String, String>>,
    url: String,
}

/// Tells the forge how a commit fares.
#[async_trait]
pub trait Reporter: Send + Sync + 'static {
    /// `outcome` is `None` while the run goes on; `url` is where people read about it.
    async fn report(&self, run: &Opened, outcome: Option<RunOutcome>, text: &str, url: &str) -> Result<(), Trouble>;
}

/// An open run that stands in a concurrency group.
struct InGroup {
    repository: String,
    group: String,
    opened_ms: Timestamp,
}

impl RunStage {
    /// Binds the stage; `url` is where people reach the server.
    pub fn new(
        drivers: &Arc<Drivers>,
        executor: Arc<dyn Executor>,
        reporter: Arc<dyn Reporter>,
        leftovers: Arc<Leftovers>,
        url: String,
    ) -> Self {
        let (drivers, attempts) = (Arc::downgrade(drivers), Arc::default());
        RunStage {
            drivers,
            attempts,
            executor,
            reporter,
            leftovers,
            groups: Mutex::default(),
            opened: Mutex::default(),
            told: Mutex::default(),
            url,
        }
    }

    fn driven(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Opened>>> {
        self.opened.lock().expect("nobody panics while holding the opened runs")
    }

    /// Finds the run ahead of this one in its group, after entering this one.
    fn ahead(&self, run: &Run, opened_ms: Timestamp) -> Option<String> {
        let opened = run.opened()?;
        let group = &opened.pipeline.concurrency.as_ref()?.group;
        let mut groups = self.groups.lock().expect("nobody panics while holding the groups");
        let mine = InGroup { repository: opened.repository.clone(), group: group.clone(), opened_ms };
        groups.insert(opened.id.clone(), mine);
        let older = |(id, other): &(&String, &InGroup)| {
            other.repository == opened.repository
                && other.group == *group
                && (other.opened_ms, id.as_str()) < (opened_ms, opened.id.as_str())
        };
        groups.iter().filter(older).map(|(id, _)| id.clone()).next_back()
    }

    /// Takes a closed run out of its group and wakes those behind it.
    fn leave_group(&self, opened: &Opened) {
        let left = self.groups.lock().expect("nobody panics while holding the groups").remove(&opened.id);
        if let (Some(_), Some(drivers)) = (left, self.drivers.upgrade()) {
            drivers.poke_all(&format!("run/{}/", opened.repository));
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

/// What a run's stream adds up to, with the moment of its first entry.
pub struct Recorded {
    run: Run,
    opened_ms: Timestamp,
}

#[async_trait]
impl Stage for RunStage {
    const NAME: &'static str = "run";
    type Entry = Entry;
    type Recorded = Recorded;
    type Seen = Seen;
    type Act = Act;

    fn replay(&self, entries: &[Written<Entry>]) -> Recorded {
        let run = fold(entries);
        Recorded { run, opened_ms: entries.first().map_or(0, |first| first.at_ms) }
    }

    async fn observe(&self, stream: &str, recorded: &Recorded) -> Result<Seen, Trouble> {
        let run = &recorded.run;
        let Some(opened) = run.opened() else { return Ok(Seen::default()) };
        self.driven().entry(stream.to_owned()).or_insert_with(|| Arc::new(opened.clone()));
        if run.outcome().is_some() {
            self.leave_group(opened);
            self.attempts.forget(&opened.id, |_, _| true);
            self.leftovers.closed(&opened.id).await;
            return Ok(Seen { url: self.url.clone(), ..Seen::default() });
        }
        self.attempts.forget(
            &opened.id,
            |step, attempt| !matches!(run.status(step), Status::Started { attempt: current, .. } if current == attempt),
        );
        let known = self.attempts.of(&opened.id);
        let ahead = self.ahead(run, recorded.opened_ms);
        Ok(Seen { alive: known.alive, exits: known.exits, ahead, url: self.url.clone() })
    }

    fn decide(&self, recorded: &Recorded, seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
        run::decide(&recorded.run, seen, now)
    }

    async fn act(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
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
                super::canary::gave_up(&drivers, &key).await.map_err(Trouble)
            }
            Act::Report { outcome, text } => self.report(stream, &opened, *outcome, text).await,
        }
    }
}

fn fold(entries: &[Written<Entry>]) -> Run {
    Run::replay(entries.iter().map(|written| (written.at_ms, &written.by, &written.entry)))
}

#[cfg(test)]
mod tests;
