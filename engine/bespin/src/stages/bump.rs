//! Bump: a new image's name, committed to the manifests repository.

use crate::drive::{Drivers, Stage, Trouble, Written};
use async_trait::async_trait;
use decide::bump::{self, Act, Branch, Entry, File, IMAGE_TRAILER, Intent, Past, RUN_TRAILER, Recorded, Seen};
use decide::next::{Next, Timestamp};
use forge::{Forge, Limits, Mirror, NewCommit, Pushed, Trailered};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How far back the branch's history is searched, in commits.
const HISTORY: usize = 2_000;
/// How much of the manifests is read.
const LIMITS: Limits = Limits { files: 5_000, file_bytes: 1024 * 1024, bytes: 32 * 1024 * 1024 };
/// What counts as a manifest.
const ENDINGS: [&str; 3] = [".yaml", ".yml", "Kustomization"];

/// The stage `bump`, on streams `bump/<run id>/<step>`.
pub struct BumpStage {
    drivers: Arc<Drivers>,
    forge: Arc<Forge>,
    /// What a remote said when it refused a push; seen once, by stream.
    refusals: Mutex<HashMap<String, String>>,
}

crate::wanted!(BumpStage, decide::bump::Entry, decide::bump::Intent);

impl BumpStage {
    /// Binds the stage.
    pub fn new(drivers: &Arc<Drivers>, forge: &Arc<Forge>) -> Arc<BumpStage> {
        Arc::new(BumpStage { drivers: drivers.clone(), forge: forge.clone(), refusals: Mutex::default() })
    }

    async fn look(&self, stream: &str, intent: &Intent) -> Result<Seen, Trouble> {
        let mirror = match self.forge.mirror(&intent.repo) {
            Ok(mirror) => mirror,
            Err(error) => return Ok(Seen::Unusable { because: error.to_string() }),
        };
        if intent.path.split('/').any(|part| part == "..") || intent.path.starts_with('/') {
            let because = format!("`{}` is not a path within the repository; write it from its root", intent.path);
            return Ok(Seen::Unusable { because });
        }
        let Some((name, head)) = tip(&mirror, intent.branch.as_deref()).await? else {
            let branch = intent.branch.as_ref().map_or("default branch".into(), |name| format!("branch `{name}`"));
            return Ok(Seen::NoBranch { branch });
        };
        let files = files(&mirror, &head, &intent.path).await?;
        let bumps = past(&mirror, &head).await?;
        let refused = self.refusals.lock().expect("nobody panics while holding the refusals").remove(stream);
        Ok(Seen::Branch(Box::new(Branch { name, head, files, bumps, refused })))
    }

    async fn intent(&self, stream: &str) -> Result<Option<Intent>, Trouble> {
        let written = crate::drive::read::<Entry>(self.drivers.journal(), stream).await;
        let written = written.map_err(|error| Trouble::new("reading the journal", error))?;
        Ok(self.replay(&written).open().next().map(|(_, intent)| intent.clone()))
    }
}

fn trouble(error: forge::Error) -> Trouble {
    Trouble(error.to_string())
}

/// Fetches, and answers a branch's name and the commit that it is at; the default branch's where none is named.
pub(super) async fn tip(mirror: &Mirror, branch: Option<&str>) -> Result<Option<(String, String)>, Trouble> {
    mirror.fetch(forge::now_ms() + 1).await.map_err(trouble)?;
    let name = match branch {
        Some(name) => Some(name.to_owned()),
        None => mirror.default_branch().await.map_err(trouble)?,
    };
    let Some(name) = name else { return Ok(None) };
    let head = mirror.resolve(&format!("refs/heads/{name}")).await.map_err(trouble)?;
    Ok(head.map(|head| (name, head)))
}

/// Reads the manifests; too many of them are the author's to mend.
async fn files(mirror: &Mirror, head: &str, path: &str) -> Result<Result<Vec<File>, String>, Trouble> {
    let path = path.trim_start_matches("./").trim_end_matches("/.");
    let path = if path == "." { "" } else { path };
    let files = match mirror.files(head, path, &ENDINGS, LIMITS).await {
        Ok(files) => files,
        Err(error @ forge::Error::TooLarge { .. }) => {
            return Ok(Err(format!("{error}, below `{path}`; give the step a narrower `path`")));
        }
        Err(error) => return Err(trouble(error)),
    };
    // What is no text names no image.
    let text = |file: forge::FileAt| Some(File { path: file.path, text: String::from_utf8(file.bytes).ok()? });
    Ok(Ok(files.into_iter().filter_map(text).collect()))
}

/// The bumps in a commit's history, newest first.
pub(super) async fn past(mirror: &Mirror, head: &str) -> Result<Vec<Past>, Trouble> {
    let trailered = mirror.trailered(head, HISTORY).await.map_err(trouble)?;
    Ok(trailered.into_iter().filter_map(bumped).collect())
}

fn bumped(commit: Trailered) -> Option<Past> {
    let value = |wanted: &str| {
        let found = commit.trailers.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.clone())
    };
    let (run, image) = (value(RUN_TRAILER)?, value(IMAGE_TRAILER)?);
    Some(Past { run, image, commit: commit.sha })
}

#[async_trait]
impl Stage for BumpStage {
    const NAME: &'static str = "bump";
    type Entry = Entry;
    type Recorded = Recorded;
    type Seen = Seen;
    type Act = Act;

    fn replay(&self, entries: &[Written<Entry>]) -> Recorded {
        Recorded::replay(entries.iter().map(|written| &written.entry))
    }

    async fn observe(&self, stream: &str, recorded: &Recorded) -> Result<Seen, Trouble> {
        match recorded.open().next() {
            Some((_, intent)) => self.look(stream, intent).await,
            None => Ok(Seen::Nothing),
        }
    }

    fn decide(&self, recorded: &Recorded, seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
        bump::decide(recorded, seen, now)
    }

    async fn act(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
        let Act::Commit { branch, parent, files, message } = act;
        let Some(intent) = self.intent(stream).await? else { return Ok(()) };
        let mirror = self.forge.mirror(&intent.repo).map_err(trouble)?;
        let files = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        let new = NewCommit { branch: branch.clone(), parent: parent.clone(), files, message: message.clone() };
        match mirror.push(new).await.map_err(trouble)? {
            // The next look finds the commit by its trailer, or whoever was faster.
            Pushed::Landed { .. } | Pushed::Stale => Ok(()),
            Pushed::Refused { because } => {
                let mut refusals = self.refusals.lock().expect("nobody panics while holding the refusals");
                refusals.insert(stream.to_owned(), because);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
