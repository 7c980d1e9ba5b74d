//! The sync: bring the cluster to what git says. Binds `decide::sync` to the
//! Applications of the clusters and to the manifests repositories.
//!
//! It writes only what belongs to Applications that carry the annotation
//! `bespin.dev/owner`; all others are looked at, and the dashboard shows what
//! it would do.

mod act;
mod generate;
mod judge;
pub(super) mod lines;
mod named;
mod observe;
mod pushes;
mod read;
mod supervise;
mod view;

pub use generate::Generators;
pub use judge::Judges;

use crate::drive::{Drivers, Stage, Then, Trouble, Turn, Written, kept, now};
use api::board::Board;
use api::commands::NotTaken;
use async_trait::async_trait;
use cluster::Cluster;
use decide::by::By;
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::stream::{Family, Stream};
use decide::sync::application::{Ownership, Source};
use decide::sync::{self, Act, ActKey, Custody, Entry, Gvk, Objects, Observed, Reply, State};
use sandbox::{Failure, Listed, Place};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Where manifests come from.
#[async_trait]
pub trait Manifests: Send + Sync + 'static {
    /// The full id of the commit that a target revision (`HEAD`, a branch, a
    /// tag, a commit) names now.
    async fn head(&self, repo_url: &str, target_revision: &str) -> Result<String, Trouble>;
    /// The text files below a folder at a commit, each named relative to that
    /// folder; at least all that end in `.yaml`, `.yml` and `.json`. A folder
    /// that is not there has none.
    async fn files(&self, repo_url: &str, commit: &str, path: &str) -> Result<Vec<(String, String)>, Trouble>;
    /// One file at a commit, of at most so many bytes; `None` where there is none.
    async fn file(&self, repo_url: &str, commit: &str, path: &str, at_most: usize) -> Result<Option<Vec<u8>>, Failure>;
    /// One folder at a commit, one level deep; `None` where there is none.
    async fn list(&self, repo_url: &str, commit: &str, path: &str) -> Result<Option<Vec<Listed>>, Failure>;
    /// Whether `older` is in the history of `newer`, or the same. A commit
    /// that nobody knows is in nobody's history, not even its own.
    async fn contains(&self, repo_url: &str, newer: &str, older: &str) -> Result<bool, Trouble>;
}

/// The stage `sync`, on streams `app/<cluster>/<namespace>/<name>`.
pub struct SyncStage {
    clusters: BTreeMap<String, Arc<Cluster>>,
    git: Arc<dyn Manifests>,
    judges: Judges,
    generators: Generators,
    memories: Mutex<HashMap<String, Memory>>,
    /// Counts up when a look needs a kind that was not in use before.
    interest: watch::Sender<u64>,
}

/// What the stage remembers of one application while the server runs: a cache, which comes back by looking. Nothing
/// is decided by what it lacks.
#[derive(Clone, Default)]
struct Memory {
    /// The Application, as it was last seen: shown while nothing newer can be read.
    application: Option<Value>,
    /// The kinds that looks must read.
    kinds: BTreeSet<Gvk>,
    /// The namespaces that looks must read.
    namespaces: BTreeSet<String>,
    /// When every kind of the cluster was looked through last, in ms since the epoch.
    full_at: Option<Timestamp>,
    /// Where git's head was, of which source, and when that was asked, in ms since the epoch.
    head: Option<(Source, String, Timestamp)>,
    /// How many pushes were told of: an answer that was asked for before one of them is old.
    pushes: u64,
    /// What was read from git last.
    read: Option<read::Read>,
}

impl SyncStage {
    /// Binds the stage to the clusters whose Applications it may see. It uses no plugins.
    pub fn new(clusters: impl IntoIterator<Item = Arc<Cluster>>, git: Arc<dyn Manifests>) -> Arc<SyncStage> {
        SyncStage::extended(clusters, git, Judges::default(), Generators::default())
    }

    /// The same with plugins that judge objects and make manifests.
    pub fn extended(
        clusters: impl IntoIterator<Item = Arc<Cluster>>,
        git: Arc<dyn Manifests>,
        judges: Judges,
        generators: Generators,
    ) -> Arc<SyncStage> {
        let clusters = clusters.into_iter().map(|cluster| (cluster.name().to_owned(), cluster)).collect();
        let memories = Mutex::default();
        let interest = watch::Sender::new(0);
        Arc::new(SyncStage { clusters, git, judges, generators, memories, interest })
    }

    fn find<'a>(&self, stream: &'a Stream) -> Result<(&Arc<Cluster>, &'a str, &'a str), Trouble> {
        let Some((cluster, namespace, name)) = stream.object() else {
            return Err(Trouble::passing(format!(
                "`{stream}` is no stream of an application; it reads app/cluster/namespace/name"
            )));
        };
        let known = self.clusters.get(cluster);
        let known =
            known.ok_or_else(|| Trouble::passing(format!("cluster `{cluster}` is not in the configuration")))?;
        Ok((known, namespace, name))
    }

    fn memory(&self, stream: &str) -> Memory {
        self.memories.lock().expect("nobody panics while holding the memories").get(stream).cloned().unwrap_or_default()
    }

    fn remember(&self, stream: &str, change: impl FnOnce(&mut Memory)) {
        let mut memories = self.memories.lock().expect("nobody panics while holding the memories");
        change(memories.entry(stream.to_owned()).or_default());
    }

    fn forget(&self, stream: &str) {
        self.memories.lock().expect("nobody panics while holding the memories").remove(stream);
    }

    /// Where an application's objects go: what a grant must allow.
    ///
    /// # Errors
    /// An application that cannot be read.
    pub async fn destination(&self, stream: &Stream) -> Result<Place, Trouble> {
        let (cluster, _, name) = self.find(stream)?;
        let object = self.present(stream).await?;
        let application = sync::application::read(&object).map_err(Trouble::permanent)?;
        Ok(Place { cluster: cluster.name().into(), namespace: application.namespace, name: name.into() })
    }

    async fn application(&self, stream: &Stream) -> Result<Option<Value>, Trouble> {
        let (cluster, namespace, name) = self.find(stream)?;
        let found = cluster.get("argoproj.io/v1alpha1", "Application", namespace, name).await;
        found.map_err(Trouble::from)
    }

    /// The Application, which has to be there.
    async fn present(&self, stream: &Stream) -> Result<Value, Trouble> {
        let object = self.application(stream).await?;
        object.ok_or_else(|| Trouble::passing(format!("the application `{stream}` is not there")))
    }

    /// The commit that an application's target revision names now.
    ///
    /// # Errors
    /// An application or a repository that cannot be read.
    pub async fn head(&self, stream: &Stream) -> Result<String, Trouble> {
        let object = self.present(stream).await?;
        let source = sync::application::read(&object).map_err(Trouble::permanent)?.source;
        self.git.head(&source.repo_url, &source.target_revision).await
    }

    /// Records that a person asks for a sync.
    ///
    /// # Errors
    /// An application that is only observed or cannot be read, or a journal that cannot be written.
    pub async fn ask(&self, drivers: &Arc<Drivers>, stream: &Stream, by: By) -> Result<(), Trouble> {
        match sync::application::ownership(&self.present(stream).await?) {
            Ownership::Owned => record(drivers, stream, by, Entry::Asked).await,
            Ownership::Observed => {
                Err(Trouble::passing(format!("`{}` is only observed: run `bespin take` first", stream.rest())))
            }
        }
    }

    /// Records that a person takes an application over from Argo CD, unless it is ours or is being taken.
    ///
    /// # Errors
    /// An application that is not there or cannot be read, or a journal that cannot be written: nothing is recorded.
    pub async fn take(&self, drivers: &Drivers, stream: &Stream, by: By) -> Result<(), NotTaken> {
        let ownership = self.owner_now(stream).await?;
        change_hands(drivers, stream, by, Entry::TakeAsked, |custody| match custody {
            Custody::Taking { .. } => true,
            Custody::Giving => false,
            Custody::AsFound | Custody::Taken { .. } => ownership == Ownership::Owned,
        })
        .await
    }

    /// Records that a person gives an application back to Argo CD, unless it is not ours or is being given.
    ///
    /// # Errors
    /// As [`SyncStage::take`].
    pub async fn give(&self, drivers: &Drivers, stream: &Stream, by: By) -> Result<(), NotTaken> {
        let ownership = self.owner_now(stream).await?;
        change_hands(drivers, stream, by, Entry::GiveAsked, |custody| match custody {
            Custody::Giving => true,
            Custody::Taking { .. } => false,
            Custody::AsFound | Custody::Taken { .. } => ownership == Ownership::Observed,
        })
        .await
    }

    async fn owner_now(&self, stream: &Stream) -> Result<Ownership, NotTaken> {
        let absent = || NotTaken::NoObject(format!("there is no application `{}`", stream.rest()));
        let object = self.application(stream).await.map_err(|trouble| NotTaken::Refused(trouble.message))?;
        Ok(sync::application::ownership(&object.ok_or_else(absent)?))
    }

    /// Wakes every application whose manifests may be in this repository: somebody pushed to it.
    pub fn pushed(&self, drivers: &Drivers, repo_url: &str) {
        let is_elsewhere = |memory: &Memory| {
            let source = memory.application.as_ref().and_then(|object| object["spec"]["source"]["repoURL"].as_str());
            source.is_some_and(|source| !pushes::is_same(source, repo_url))
        };
        let mut memories = self.memories.lock().expect("nobody panics while holding the memories");
        for memory in memories.values_mut().filter(|memory| !is_elsewhere(memory)) {
            memory.head = None;
            memory.pushes += 1;
        }
        // One that was not looked at yet may be in any repository.
        let may_be = |stream: &Stream| memories.get(stream.as_str()).is_none_or(|memory| !is_elsewhere(memory));
        drivers.poke_those(Family::App, may_be);
    }
}

impl SyncStage {
    /// An application that cannot be compared is shown all the same: as it was seen last, and why not now.
    fn show_blind(&self, board: &Board, stream: &str, state: &State, trouble: &Trouble) {
        let before = board.apps().remove(stream);
        let blind = match (before, self.memory(stream).application) {
            (Some(before), _) => view::blind(before, &trouble.message),
            (None, Some(object)) => {
                let ownership = sync::application::ownership(&object);
                view::unreadable(stream, state, &object, &trouble.message, ownership)
            }
            (None, None) => return,
        };
        board.show_app(stream, blind);
    }
}

/// Records what a person asks, unless it is so or is on its way.
async fn change_hands(
    drivers: &Drivers,
    stream: &Stream,
    by: By,
    asked: Entry,
    is_so: impl Fn(Custody) -> bool,
) -> Result<(), NotTaken> {
    let make = |written: &[Written<Entry>]| {
        let state = State::fold(written.iter().map(|written| (written.at_ms, &written.entry)));
        (!is_so(state.custody)).then(|| vec![asked.clone()])
    };
    drivers.append(stream, by, make).await?;
    Ok(())
}

async fn record(drivers: &Arc<Drivers>, stream: &Stream, by: By, entry: Entry) -> Result<(), Trouble> {
    let appended = drivers.append(stream, by, |_: &[Written<Entry>]| Some(vec![entry.clone()])).await;
    appended.map(drop).map_err(|error| Trouble::new("writing the journal", error))
}

#[async_trait]
impl Stage for SyncStage {
    const NAME: &'static str = "sync";
    const FAMILY: Family = Family::App;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = ActKey;
    type Reply = Reply;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        State::fold(entries.iter().map(|written| (written.at_ms, &written.entry)))
    }

    fn is_current(&self, state: &State, act: &ActKey) -> bool {
        sync::is_current(state, act)
    }

    fn summary(&self, state: &State) -> Option<Entry> {
        Some(state.summary())
    }

    fn kept(&self, entries: &[(u64, Written<Entry>)]) -> Vec<u64> {
        kept(entries)
    }

    async fn observe(
        &self,
        turn: &Turn<'_>,
        state: &State,
        outcomes: &Outcomes<ActKey, Reply>,
    ) -> Result<Observed, Trouble> {
        let (stream, board) = (turn.stream.as_str(), turn.board());
        let objects = match self.objects(turn, state, now()).await {
            Ok(objects) => {
                let (refused, rehearsed) = (sync::refused(outcomes), sync::rehearsed(outcomes));
                let applied = sync::applied(outcomes);
                Objects { refused, rehearsed, applied, written: sync::written_status(outcomes), ..objects }
            }
            Err(trouble) => {
                self.show_blind(board, stream, state, &trouble);
                return Err(trouble);
            }
        };
        let observed = Observed::read(objects);
        match &observed {
            Observed::Present(context) => {
                let remarks = self.memory(stream).read.map(|read| read.remarks).unwrap_or_default();
                board.show_app(stream, view::view(stream, state, context, &remarks));
            }
            Observed::Unreadable { because, ownership } => {
                let object = self.memory(stream).application.unwrap_or_default();
                let view = view::unreadable(stream, state, &object, because, *ownership);
                board.show_app(stream, view);
            }
            Observed::Gone => {
                board.forget_app(stream);
                self.forget(stream);
            }
        }
        Ok(observed)
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        sync::decide(state, observed, now)
    }

    async fn act(&self, turn: &Turn<'_>, state: &State, act: &Act) -> Result<Reply, Trouble> {
        self.carry_out(turn.stream, state, act).await
    }

    /// What is refused for good ends the sync, by the next decision: nothing is left out before it was handed over. The
    /// status informs other clients, and a sync does not fail by it.
    fn then(&self, act: &Act, ended: &Result<Reply, Trouble>) -> Then {
        match (act, ended) {
            (_, Ok(Reply::Refused(_))) => Then::Stop,
            (_, Ok(Reply::Done)) | (Act::Status { .. }, Err(_)) => Then::GoOn,
            (_, Err(_)) => Then::Fail,
        }
    }
}

#[cfg(test)]
mod tests;
