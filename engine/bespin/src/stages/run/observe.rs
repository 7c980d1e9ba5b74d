//! What a run observes: which of its attempts are alive, and the run ahead of it.

use super::RunStage;
use crate::drive::{Trouble, Turn};
use decide::epoch::Epoch;
use decide::run::{Observed, Opened, SinceBackup, State, Status};
use decide::stream::Stream;
use std::collections::BTreeSet;

impl RunStage {
    /// Observes the attempts of a run and its concurrency group.
    ///
    /// # Errors
    /// The journal could not be read, so it is not known whether another run is ahead.
    pub(super) async fn observe_attempts(&self, turn: &Turn<'_>, run: &State) -> Result<Observed, Trouble> {
        let Some(opened) = run.opened() else { return Ok(Observed::default()) };
        let instance = self.owners.instance().clone();
        if run.outcome().is_some() {
            self.wake_those_behind(turn, opened).await?;
            self.attempts.forget(&opened.id, |_, _| true);
            self.leftovers.closed(&opened.id).await;
            return Ok(Observed { instance, url: self.url.clone(), ..Observed::default() });
        }
        self.attempts.forget(
            &opened.id,
            |step, attempt| !matches!(run.status(step), Status::Started { attempt: current, .. } if current == attempt),
        );
        let here = self.attempts.of(&opened.id);
        // Who has begun waits for nobody any more.
        let ahead = match run.steps().all(|step| run.status(&step.id) == Status::Waiting) {
            true => self.index.ahead_of(&opened.id).await,
            false => Ok(None),
        };
        let ahead = ahead.map_err(|error| Trouble::new("reading who is ahead in the group", error))?;
        let alive = self.alive(run, &here.alive);
        let queued = self.waits.of(&opened.id);
        let since_backup = self.since_backup(run, opened).await?;
        Ok(Observed { instance, alive, queued, exits: here.exits, ahead, since_backup, url: self.url.clone() })
    }

    /// What the world shows of a run of which only the backup tells.
    async fn since_backup(&self, run: &State, opened: &Opened) -> Result<Option<SinceBackup>, Trouble> {
        let Some(lost) = &self.lost else { return Ok(None) };
        let epoch = self.index.run_epoch(&opened.id).await;
        if epoch.map_err(|error| Trouble::new("reading what came with the backup", error))? == Epoch::This {
            return Ok(None);
        }
        // Once it has bumped a run goes on to its end: what git names since then is not taken back.
        let mut bumps = run.steps().filter(|step| step.uses == "bump");
        if !bumps.all(|step| run.status(&step.id) == Status::Waiting) {
            return Ok(None);
        }
        let shown = lost.shows(opened).await?;
        let Some(SinceBackup::Moved { reference }) = &shown else { return Ok(shown) };
        // One that stood there after the restore has moved since, and not in the time that was lost.
        let stood = self.index.stood(&opened.repository, reference, &opened.commit.sha).await;
        let stood = stood.map_err(|error| Trouble::new("reading where branches stood since the backup", error))?;
        Ok(shown.filter(|_| !stood))
    }

    /// Wakes the runs that may wait for this one, which is closed; those that are closed as well are left alone, this
    /// one above all.
    async fn wake_those_behind(&self, turn: &Turn<'_>, opened: &Opened) -> Result<(), Trouble> {
        let behind = self.index.behind(&opened.id).await;
        let behind = behind.map_err(|error| Trouble::new("reading who is behind in the group", error))?;
        behind.iter().for_each(|run| turn.drivers().poke(&Stream::run(run)));
        Ok(())
    }

    /// The attempts that the instance which their entry names still runs. `here` are those of this process:
    /// of its own attempts it knows each one, of another instance only whether it exists.
    fn alive(&self, run: &State, here: &BTreeSet<(String, u32)>) -> BTreeSet<(String, u32)> {
        let started = run.steps().filter_map(|step| match run.status(&step.id) {
            Status::Started { attempt, owner, .. } => Some(((step.id.clone(), attempt), owner?)),
            _ => None,
        });
        let is_alive = started.filter(|(attempt, owner)| match owner == self.owners.instance() {
            true => here.contains(attempt),
            false => self.owners.exists(owner),
        });
        is_alive.map(|(attempt, _)| attempt).collect()
    }
}
