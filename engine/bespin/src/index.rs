//! What the journal says of runs and pending deliveries: which numbers are taken, which run is ahead of
//! which in its concurrency group, what has not ended.
//!
//! One index for the process, shared by the stages that decide from it. Every answer is complete: what is
//! new in the journal is read first, up to its newest entry, so that nothing depends on which drivers
//! have observed so far. What stands here is a copy of the journal; a restart reads it again.

mod anchors;

use anchors::Anchors;
use decide::by::By;
use decide::delivery::{Bump, KnownRun, NOTHING, PullRequest, Push, Reflog, RunPhase, Source};
use decide::epoch::Epoch;
use decide::heads::{Known, Look};
use decide::next::Timestamp;
use decide::retention::REDELIVERY_MS;
use decide::run::Opened;
use decide::stream::Stream;
use forge::Head;
use journal::{Entry, Journal};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio::sync::{Mutex, MutexGuard};

/// How many entries are read at once.
const PAGE: usize = 1_000;

/// The runs by repository, and the deliveries that have not ended.
pub struct JournalIndex {
    journal: Journal,
    /// The newest sequence that came with a backup; 0 where the journal was never restored.
    restored: u64,
    folded: Mutex<Folded>,
}

#[derive(Default)]
struct Folded {
    seq: u64,
    /// By repository, in the order in which they were opened.
    runs: HashMap<String, Vec<KnownRun>>,
    /// A run's repository and its place there, by id.
    places: HashMap<String, (String, usize)>,
    /// Streams, by the sequence of their first entry.
    pending: BTreeMap<u64, String>,
    received: HashMap<String, u64>,
    /// The heads of pull requests whose deliveries have not ended, by stream.
    proposed: HashMap<String, Head>,
    /// The repositories that pull requests were made to.
    proposed_to: BTreeSet<String>,
    /// How branches and tags moved, by repository and full reference.
    reflogs: HashMap<(String, String), Reflog>,
    /// Where each stands, by repository and full reference: as deliveries told, or as a later look saw. What came with a
    /// backup is left out, for it is not known what followed.
    positions: HashMap<String, BTreeMap<String, Known>>,
    /// The repositories that were looked at, also without what came with a backup.
    looked: BTreeSet<String>,
    anchors: Anchors,
    /// The moment of the first entry since the restore.
    began_ms: Option<Timestamp>,
    /// The streams of pending deliveries that were received since the restore, and begin where nothing of that time ends.
    unanchored: BTreeSet<String>,
    /// The open runs that came with a backup, and that nobody has ended or gone on with since.
    untouched: BTreeSet<String>,
}

impl JournalIndex {
    /// Starts with nothing; the first question reads the whole journal.
    pub fn new(journal: Journal) -> JournalIndex {
        JournalIndex::restored(journal, 0)
    }

    /// The same over a journal whose entries up to this sequence came with a backup.
    pub fn restored(journal: Journal, up_to: u64) -> JournalIndex {
        JournalIndex { journal, restored: up_to, folded: Mutex::default() }
    }

    /// The runs of a repository, in the order in which they were opened.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn of(&self, repository: &str) -> Result<Vec<KnownRun>, journal::Error> {
        Ok(self.fresh().await?.runs.get(repository).cloned().unwrap_or_default())
    }

    /// The runs of a push's repository, and of their deliveries those that tell of the same move of its branch or tag.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn runs_beside(&self, push: &Push) -> Result<(Vec<KnownRun>, BTreeSet<String>), journal::Error> {
        let folded = self.fresh().await?;
        let runs = folded.runs.get(&push.repository).cloned().unwrap_or_default();
        let reflog = folded.reflogs.get(&(push.repository.clone(), push.reference.clone()));
        let told = runs.iter().map(|run| &run.event.delivery);
        let same = told.filter(|told| reflog.is_some_and(|reflog| reflog.is_same(told, &push.delivery)));
        let same = same.cloned().collect();
        Ok((runs, same))
    }

    /// Whether what a delivery tells, which has not ended, happened since the journal was begun or restored. A forge
    /// tells of old pushes again when somebody asks it to; what follows upon what was told or seen since is none.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn move_epoch(&self, stream: &Stream) -> Result<Epoch, journal::Error> {
        let folded = self.fresh().await?;
        let seq = folded.received.get(stream.as_str()).copied();
        Ok(match folded.unanchored.contains(stream.as_str()) {
            true => Epoch::Restored,
            false => seq.map_or(Epoch::This, |seq| self.epoch(seq)),
        })
    }

    /// Whether anything of a run was written since the journal was begun or restored.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn run_epoch(&self, run: &str) -> Result<Epoch, journal::Error> {
        Ok(if self.fresh().await?.untouched.contains(run) { Epoch::Restored } else { Epoch::This })
    }

    /// Whether a branch or tag is known to have stood at a commit since the journal was restored.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn stood(&self, repository: &str, reference: &str, commit: &str) -> Result<bool, journal::Error> {
        Ok(self.fresh().await?.anchors.stood(repository, reference, commit))
    }

    /// Where the branches and tags of a repository stand by what was told and seen since the journal was begun or
    /// restored, by full reference; and whether it was looked at since.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn positions(&self, repository: &str) -> Result<(BTreeMap<String, Known>, Look), journal::Error> {
        let folded = self.fresh().await?;
        let look = if folded.looked.contains(repository) { Look::Later } else { Look::First };
        Ok((folded.positions.get(repository).cloned().unwrap_or_default(), look))
    }

    /// Branches and tags of a repository, by full reference, of which the journal knows only what came with a backup:
    /// they stood somewhere then.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn formerly(&self, repository: &str) -> Result<BTreeSet<String>, journal::Error> {
        if self.restored == 0 {
            return Ok(BTreeSet::new());
        }
        let folded = self.fresh().await?;
        let known = folded.positions.get(repository);
        let stood = folded.reflogs.iter().filter(|((of, reference), reflog)| {
            let is_known = known.is_some_and(|known| known.contains_key(reference));
            of == repository && !is_known && reflog.stands().is_some_and(|at| at != NOTHING)
        });
        Ok(stood.map(|((_, reference), _)| reference.clone()).collect())
    }

    /// The run that `run` waits for: of the open runs of its concurrency group that were opened before it,
    /// the newest. `None` where it is the first, has no group, or is not known.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn ahead_of(&self, run: &str) -> Result<Option<String>, journal::Error> {
        let folded = self.fresh().await?;
        let Some((repository, place)) = folded.places.get(run) else { return Ok(None) };
        let Some((mine, before)) = folded.runs.get(repository).and_then(|runs| runs.get(..=*place)?.split_last())
        else {
            return Ok(None);
        };
        let ahead =
            |other: &&KnownRun| mine.group.is_some() && other.group == mine.group && other.phase != RunPhase::Closed;
        Ok(before.iter().rev().find(ahead).map(|other| other.id.clone()))
    }

    /// The runs that may wait for `run`: the open ones of its concurrency group that were opened after it.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn behind(&self, run: &str) -> Result<Vec<String>, journal::Error> {
        let folded = self.fresh().await?;
        let Some((repository, place)) = folded.places.get(run) else { return Ok(Vec::new()) };
        let Some([mine, after @ ..]) = folded.runs.get(repository).and_then(|runs| runs.get(*place..)) else {
            return Ok(Vec::new());
        };
        let waits =
            |other: &&KnownRun| mine.group.is_some() && other.group == mine.group && other.phase != RunPhase::Closed;
        Ok(after.iter().filter(waits).map(|other| other.id.clone()).collect())
    }

    /// The streams of deliveries that have not ended, in the order received.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn pending(&self) -> Result<Vec<Stream>, journal::Error> {
        Ok(self.fresh().await?.pending.values().filter_map(|name| Stream::parse(name).ok()).collect())
    }

    /// The heads of pull requests that may still be read: those of open runs, and
    /// of deliveries that have not ended. A delivery ends after its runs are open, so
    /// that there is no moment in between.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn heads(&self) -> Result<BTreeSet<Head>, journal::Error> {
        let folded = self.fresh().await?;
        let open = folded.runs.values().flatten().filter(|run| run.phase != RunPhase::Closed);
        let of_runs = open.filter_map(|run| {
            let asked = run.event.pull_request.as_ref()?;
            Some(Head { number: asked.number, sha: run.event.after.clone() })
        });
        Ok(of_runs.chain(folded.proposed.values().cloned()).collect())
    }

    /// The repositories that pull requests were made to, as far as the journal remembers.
    ///
    /// # Errors
    /// The journal's, when it cannot be read.
    pub async fn proposed_to(&self) -> Result<BTreeSet<String>, journal::Error> {
        Ok(self.fresh().await?.proposed_to.clone())
    }

    /// Forgets runs that the journal has forgotten.
    pub async fn forget(&self, runs: &BTreeSet<String>) {
        let mut folded = self.folded.lock().await;
        let Folded { runs: known, places, .. } = &mut *folded;
        known.values_mut().for_each(|of_one| of_one.retain(|run| !runs.contains(&run.id)));
        known.retain(|_, of_one| !of_one.is_empty());
        places.clear();
        for (repository, of_one) in known {
            let place = |(place, run): (usize, &KnownRun)| (run.id.clone(), (repository.clone(), place));
            places.extend(of_one.iter().enumerate().map(place));
        }
    }

    fn epoch(&self, seq: u64) -> Epoch {
        if seq <= self.restored { Epoch::Restored } else { Epoch::This }
    }

    async fn fresh(&self) -> Result<MutexGuard<'_, Folded>, journal::Error> {
        let mut folded = self.folded.lock().await;
        loop {
            let entries = self.journal.tail(folded.seq, PAGE).await?;
            let more = entries.len() == PAGE;
            for entry in entries {
                folded.seq = folded.seq.max(entry.seq);
                folded.fold(&entry, self.epoch(entry.seq), self.restored)?;
            }
            if !more {
                return Ok(folded);
            }
        }
    }
}

impl Folded {
    fn fold(&mut self, entry: &Entry, epoch: Epoch, restored: u64) -> Result<(), journal::Error> {
        if entry.seq > restored {
            self.began_ms.get_or_insert(entry.at_ms);
        }
        let Some((family, rest)) = entry.stream.split_once('/') else { return Ok(()) };
        // What a person says of it meanwhile, an approval say, judges nothing.
        let is_judged = epoch == Epoch::This && (entry.by == By::Server || entry.kind == "cancel-asked");
        if family == "run" && (is_judged || entry.kind == "closed") {
            self.untouched.remove(rest);
        }
        match (family, entry.kind.as_str()) {
            ("run", "opened") => return self.opened(entry, epoch),
            ("run", "cancel-asked") => self.change(rest, |run| {
                if run.phase == RunPhase::Open {
                    run.phase = RunPhase::Ending;
                }
            }),
            ("run", "closed") => self.change(rest, |run| run.phase = RunPhase::Closed),
            ("bump", "wanted") => {
                // The last part is the step.
                let run = rest.rsplit_once('/').map_or(rest, |(run, _)| run);
                self.change(run, |run| run.bump = Bump::Recorded);
            }
            ("delivery", "received" | "proposed") => {
                if entry.kind == "proposed" {
                    self.proposed(entry)?
                } else {
                    self.pushed(entry, epoch, restored)?
                }
                self.pending.insert(entry.seq, entry.stream.clone());
                self.received.insert(entry.stream.clone(), entry.seq);
            }
            ("heads", _) if epoch == Epoch::This => self.seen(rest, entry, restored)?,
            ("delivery", "opened" | "ignored") => {
                if let Some(seq) = self.received.remove(&entry.stream) {
                    self.pending.remove(&seq);
                }
                self.proposed.remove(&entry.stream);
                self.unanchored.remove(&entry.stream);
            }
            _ => {}
        }
        Ok(())
    }

    fn pushed(&mut self, entry: &Entry, epoch: Epoch, restored: u64) -> Result<(), journal::Error> {
        let place = |error| journal::Error(format!("{} entry {}: {error}", entry.stream, entry.index));
        let push: Push = serde_json::from_value(entry.body.clone()).map_err(|e| place(e.to_string()))?;
        // Nobody tells a push again after so long a time: what comes then is of its own time.
        let may_be_old = self.began_ms.is_none_or(|began| entry.at_ms.saturating_sub(began) <= REDELIVERY_MS);
        let is_of_its_time = epoch == Epoch::Restored || restored == 0 || !may_be_old || self.follows(&push);
        let reflog = self.reflogs.entry((push.repository.clone(), push.reference.clone())).or_default();
        if !is_of_its_time {
            reflog.tell_undated(&push, entry.at_ms);
            self.unanchored.insert(entry.stream.clone());
            if self.looked.contains(&push.repository) {
                // A look since the restore saw no such branch or tag: as far as is known, it began with this.
                let known = Known { at: push.after, told_ms: Some(entry.at_ms) };
                self.positions.entry(push.repository).or_default().entry(push.reference).or_insert(known);
            }
            return Ok(());
        }
        reflog.tell(&push, entry.at_ms);
        if epoch == Epoch::Restored {
            return Ok(());
        }
        let at = reflog.stands().unwrap_or(&push.after).to_owned();
        let known = Known { at, told_ms: Some(entry.at_ms) };
        self.positions.entry(push.repository.clone()).or_default().insert(push.reference.clone(), known);
        if restored > 0 {
            self.anchors.note(push.repository, push.reference, push.after);
        }
        Ok(())
    }

    /// Whether a push begins where its branch or tag stood since the restore. What has no beginning may be of any time.
    fn follows(&self, push: &Push) -> bool {
        let begins_there = || self.anchors.stood(&push.repository, &push.reference, &push.before);
        push.source == Source::Heads || (push.before != NOTHING && begins_there())
    }

    fn seen(&mut self, repository: &str, entry: &Entry, restored: u64) -> Result<(), journal::Error> {
        let place = |error| journal::Error(format!("{} entry {}: {error}", entry.stream, entry.index));
        let seen = serde_json::json!({ "kind": entry.kind, "body": entry.body });
        let seen: decide::heads::Entry = serde_json::from_value(seen).map_err(|e| place(e.to_string()))?;
        let is_summary = matches!(seen, decide::heads::Entry::Summary { .. });
        self.looked.insert(repository.to_owned());
        for (reference, at) in seen.heads() {
            if restored > 0 {
                self.anchors.note(repository.to_owned(), reference.clone(), at.clone());
            }
            let positions = self.positions.entry(repository.to_owned()).or_default();
            let reflog = self.reflogs.entry((repository.to_owned(), reference.clone())).or_default();
            if is_summary && positions.get(reference).is_some_and(|known| known.told_ms.is_some()) {
                // It says where they stood at the last look, and deliveries may have come since.
                continue;
            }
            reflog.see(at, entry.at_ms);
            positions.insert(reference.clone(), Known { at: at.clone(), told_ms: None });
        }
        Ok(())
    }

    fn proposed(&mut self, entry: &Entry) -> Result<(), journal::Error> {
        let place = |error| journal::Error(format!("{} entry {}: {error}", entry.stream, entry.index));
        let asked: PullRequest = serde_json::from_value(entry.body.clone()).map_err(|e| place(e.to_string()))?;
        self.proposed.insert(entry.stream.clone(), Head { number: asked.number, sha: asked.head_sha });
        self.proposed_to.insert(asked.repository);
        Ok(())
    }

    fn opened(&mut self, entry: &Entry, epoch: Epoch) -> Result<(), journal::Error> {
        let place = |error| journal::Error(format!("{} entry {}: {error}", entry.stream, entry.index));
        let opened: Opened = serde_json::from_value(entry.body["run"].clone()).map_err(|e| place(e.to_string()))?;
        let runs = self.runs.entry(opened.repository.clone()).or_default();
        self.places.insert(opened.id.clone(), (opened.repository.clone(), runs.len()));
        runs.push(KnownRun { epoch, ..KnownRun::new(&opened) });
        if epoch == Epoch::Restored {
            self.untouched.insert(opened.id);
        }
        Ok(())
    }

    fn change(&mut self, run: &str, change: impl FnOnce(&mut KnownRun)) {
        let Some((repository, place)) = self.places.get(run) else { return };
        if let Some(known) = self.runs.get_mut(repository).and_then(|runs| runs.get_mut(*place)) {
            change(known);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
