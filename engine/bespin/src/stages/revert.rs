//! Revert: after a canary's retreat, git stops naming the image that failed.
//!
//! Its driver's name is `revert/<cluster>/<namespace>/<name>`; promise and
//! outcome stand in the stream of the rollout, which is told at the end.

use super::bump;
use super::sync::SyncStage;
use crate::drive::{Drivers, Stage, Trouble, Written, read};
use crate::sources;
use async_trait::async_trait;
use decide::by::By;
use decide::canary::{self, Recorded};
use decide::next::{Next, Timestamp};
use decide::revert::{self, Act, Aside, Branch, Entry, Folder, Git, How, Intent, Promised, Request, Seen, Stands};
use forge::pulls::{NewPull, Pulls};
use forge::{Forge, Mirror, NewCommit, Pushed};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The stage `revert`, one driver for each rollout that has retreated.
pub struct RevertStage {
    drivers: Arc<Drivers>,
    forge: Arc<Forge>,
    pulls: Pulls,
    sync: Arc<SyncStage>,
    /// What a remote said when it refused something; seen once, by stream.
    refusals: Mutex<HashMap<(String, Asked), String>>,
}

/// What a remote can refuse.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    Push,
    PullRequest,
}

impl RevertStage {
    /// Binds the stage. The sync is told of each push, so that the applications of that repository look at once.
    pub fn new(drivers: &Arc<Drivers>, forge: &Arc<Forge>, pulls: Pulls, sync: &Arc<SyncStage>) -> Arc<RevertStage> {
        let (drivers, forge, sync) = (drivers.clone(), forge.clone(), sync.clone());
        Arc::new(RevertStage { drivers, forge, pulls, sync, refusals: Mutex::default() })
    }

    /// Starts the driver that keeps a rollout's promise, unless it runs.
    pub fn keep(self: &Arc<Self>, rollout: &str) {
        let stream = rollout.replacen("rollout/", "revert/", 1);
        if !self.drivers.is_driven(&stream) {
            self.drivers.ensure(self, &stream);
        }
    }

    async fn recorded(&self, stream: &str) -> Result<Recorded, Trouble> {
        let written = read::<canary::Entry>(self.drivers.journal(), &rollout(stream)).await;
        let written = written.map_err(|error| Trouble::new("reading the journal", error))?;
        Ok(Recorded::fold(written.iter().map(|one| (one.at_ms, &one.by, &one.entry))))
    }

    async fn look(&self, stream: &str, intent: &Intent) -> Result<Git, Trouble> {
        let mirror = match self.forge.mirror(&intent.repo) {
            Ok(mirror) => mirror,
            Err(error) => return Ok(Git::Unusable { because: error.to_string() }),
        };
        let Some((name, head)) = bump::tip(&mirror, intent.branch.as_deref()).await? else {
            let branch = intent.branch.as_ref().map_or("default branch".into(), |name| format!("branch `{name}`"));
            return Ok(Git::NoBranch { branch });
        };
        let files = folder(&mirror, &head, intent).await?;
        let bumps = bump::past(&mirror, &head).await?;
        let (aside, request) = match intent.how {
            How::PullRequest => self.look_aside(stream, &mirror, intent, &name, &head).await?,
            How::Revert => (Aside::Absent, Request::NoApi),
        };
        let refused = self.refusal(stream, Asked::Push);
        Ok(Git::Branch(Box::new(Branch { name, head, files, bumps, aside, request, refused })))
    }

    /// The branch of the pull request, and the pull request once that branch is there.
    async fn look_aside(
        &self,
        stream: &str,
        mirror: &Mirror,
        intent: &Intent,
        base: &str,
        head: &str,
    ) -> Result<(Aside, Request), Trouble> {
        let name = intent.aside();
        let tip = mirror.resolve(&format!("refs/heads/{name}")).await.map_err(trouble)?;
        let Some(tip) = tip else { return Ok((Aside::Absent, Request::Absent)) };
        if mirror.contains(head, &tip).await.map_err(trouble)? {
            return Ok((Aside::Absent, Request::Absent));
        }
        let aside = Aside::There { files: folder(mirror, &tip, intent).await? };
        let Some(pulls) = self.pulls.of(mirror.address()) else { return Ok((aside, Request::NoApi)) };
        let found = match pulls.find(&name, base).await {
            Err(error) if error.transient => return Err(Trouble(error.to_string())),
            found => found,
        };
        // The forge also refuses what is there already, so what it has comes before what it said.
        let request = match (found, self.refusal(stream, Asked::PullRequest)) {
            (Ok(Some(url)), _) => Request::Open { url },
            (Ok(None), Some(because)) => Request::Refused { because },
            (Ok(None), None) => Request::Absent,
            (Err(error), _) => Request::Refused { because: error.problem },
        };
        Ok((aside, request))
    }

    fn refused(&self, stream: &str, asked: Asked, because: String) {
        let mut refusals = self.refusals.lock().expect("nobody panics while holding the refusals");
        refusals.insert((stream.to_owned(), asked), because);
    }

    fn refusal(&self, stream: &str, asked: Asked) -> Option<String> {
        let mut refusals = self.refusals.lock().expect("nobody panics while holding the refusals");
        refusals.remove(&(stream.to_owned(), asked))
    }

    async fn commit(&self, stream: &str, repo: &str, new: NewCommit) -> Result<(), Trouble> {
        let mirror = self.forge.mirror(repo).map_err(trouble)?;
        let branch = new.branch.clone();
        match mirror.push(new).await.map_err(trouble)? {
            Pushed::Landed { .. } => self.sync.pushed(repo),
            // The next look sees who was faster, and comes after a pause.
            Pushed::Stale => return Err(Trouble(format!("`{branch}` of {repo} has moved meanwhile"))),
            Pushed::Refused { because } => self.refused(stream, Asked::Push, because),
        }
        Ok(())
    }

    async fn request(&self, stream: &str, repo: &str, new: NewPull) -> Result<(), Trouble> {
        let mirror = self.forge.mirror(repo).map_err(trouble)?;
        let Some(pulls) = self.pulls.of(mirror.address()) else { return Ok(()) };
        match pulls.open(&new).await {
            // The next look finds it.
            Ok(_) => Ok(()),
            Err(error) if error.transient => Err(Trouble(error.to_string())),
            Err(error) => {
                self.refused(stream, Asked::PullRequest, error.problem);
                Ok(())
            }
        }
    }

    async fn answer(&self, stream: &str, since: Timestamp, outcome: &revert::Outcome) -> Result<(), Trouble> {
        let make = |written: &[Written<canary::Entry>]| {
            let recorded = Recorded::fold(written.iter().map(|one| (one.at_ms, &one.by, &one.entry)));
            let open = recorded.promised().is_some_and(|undo| undo.since == since);
            open.then(|| vec![canary::Entry::PutBack { since, outcome: outcome.clone() }])
        };
        let told = self.drivers.append(&rollout(stream), By::Server, make).await;
        // What was refused was refused to this promise.
        self.refusal(stream, Asked::Push);
        self.refusal(stream, Asked::PullRequest);
        told.map(drop).map_err(|error| Trouble::new("writing the journal", error))
    }
}

/// What a sync of the application reads at this commit, or why that is not read.
async fn folder(mirror: &Mirror, commit: &str, intent: &Intent) -> Result<Result<Folder, String>, Trouble> {
    let Intent { repo, path, .. } = intent;
    match sources::manifests(mirror, commit, path).await {
        Ok(Some(files)) => Ok(Ok(Folder::new(intent, files.into_iter().map(|file| (file.path, file.bytes))))),
        Ok(None) => {
            let commit = commit.get(..7).unwrap_or(commit);
            Ok(Err(format!(
                "{repo} has no folder `{path}` at {commit}; put the image back by hand where it stands now"
            )))
        }
        Err(error @ forge::Error::TooLarge { .. }) => {
            Ok(Err(format!("{error}, below `{path}`; put the image back by hand")))
        }
        Err(error) => Err(trouble(error)),
    }
}

fn rollout(stream: &str) -> String {
    stream.replacen("revert/", "rollout/", 1)
}

fn trouble(error: forge::Error) -> Trouble {
    Trouble(error.to_string())
}

#[async_trait]
impl Stage for RevertStage {
    const NAME: &'static str = "revert";
    type Entry = Entry;
    type Recorded = ();
    type Seen = Seen;
    type Act = Act;

    fn replay(&self, _: &[Written<Entry>]) {}

    async fn observe(&self, stream: &str, (): &()) -> Result<Seen, Trouble> {
        let recorded = self.recorded(stream).await?;
        let stands = if recorded.undoing().is_some() { Stands::Yes } else { Stands::No };
        let Some(undo) = recorded.promised() else { return Ok(Seen::Nothing) };
        let git = self.look(stream, &undo.intent).await?;
        Ok(Seen::Promised(Box::new(Promised { since: undo.since, intent: undo.intent.clone(), stands, git })))
    }

    fn decide(&self, (): &(), seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
        revert::decide(seen, now)
    }

    async fn act(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
        // Whoever has answered the promise meanwhile has ended it.
        let recorded = self.recorded(stream).await?;
        let Some(undo) = recorded.promised() else { return Ok(()) };
        let repo = &undo.intent.repo;
        match act.clone() {
            Act::Commit { branch, parent, files, message } => {
                let files = files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
                self.commit(stream, repo, NewCommit { branch, parent, files, message }).await
            }
            Act::Request { head, base, title, body } => {
                self.request(stream, repo, NewPull { head, base, title, body }).await
            }
            Act::Answer { since, outcome } => self.answer(stream, since, &outcome).await,
        }
    }
}

#[cfg(test)]
mod tests;
