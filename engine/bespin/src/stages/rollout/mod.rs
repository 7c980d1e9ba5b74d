//! The stage `rollout`: binds `decide::rollout` to the Rollouts of the clusters.
//!
//! It acts only on Rollouts that carry the annotation `bespin.dev/owner`; all
//! others are looked at, and the dashboard shows what it would do.

mod act;
mod observe;
mod routers;
#[cfg(test)]
mod tests;
mod view;
mod watch;

pub use routers::Routers;

use crate::drive::{Drivers, Stage, Then, Trouble, Turn, Written, kept};
use async_trait::async_trait;
use cluster::{Annotations, Cluster, Router};
use decide::by::By;
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::request::Key;
use decide::rollout::{self, Act, ActKey, Action, Entry, Observed, Reply, State, Through};
use decide::stream::{Family, Stream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The stage `rollout`, on streams `rollout/<cluster>/<namespace>/<name>`.
pub struct RolloutStage {
    clusters: BTreeMap<String, Arc<Cluster>>,
    router: Arc<dyn Router>,
    routers: Routers,
}

impl RolloutStage {
    /// Binds the stage to the clusters that it may act upon. The weights that
    /// are served are taken from the live Ingresses; what is promised about git
    /// is kept by `revert`.
    pub fn new(clusters: impl IntoIterator<Item = Arc<Cluster>>) -> RolloutStage {
        let clusters = clusters.into_iter().map(|cluster| (cluster.name().to_owned(), cluster)).collect();
        RolloutStage { clusters, router: Arc::new(Annotations), routers: Routers::default() }
    }

    /// Follows Rollouts whose traffic these plugins share, too.
    #[must_use]
    pub fn routed_by(self, routers: Routers) -> RolloutStage {
        RolloutStage { routers, ..self }
    }

    fn find<'a>(&self, stream: &'a Stream) -> Result<(&Arc<Cluster>, &'a str, &'a str), Trouble> {
        let Some((cluster, namespace, name)) = stream.object() else {
            return Err(Trouble::passing(format!(
                "`{stream}` is no stream of a rollout; it reads rollout/cluster/namespace/name"
            )));
        };
        let known = self.clusters.get(cluster);
        let known =
            known.ok_or_else(|| Trouble::passing(format!("cluster `{cluster}` is not in the configuration")))?;
        Ok((known, namespace, name))
    }
}

#[async_trait]
impl Stage for RolloutStage {
    const NAME: &'static str = "rollout";
    const FAMILY: Family = Family::Rollout;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = ActKey;
    type Reply = Reply;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        fold(entries)
    }

    fn is_current(&self, state: &State, act: &ActKey) -> bool {
        rollout::is_current(state, act)
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
        self.look(turn, state, outcomes).await
    }

    fn decide(&self, recorded: &State, seen: &Observed, now: Timestamp) -> Next<Entry, Act> {
        rollout::decide(recorded, seen, now)
    }

    async fn act(&self, turn: &Turn<'_>, _: &State, act: &Act) -> Result<Reply, Trouble> {
        self.carry_out(turn, act).await
    }

    /// One impossible act never holds up a safer one. When a router that failed is called again is decided by its
    /// outcome.
    fn then(&self, act: &Act, ended: &Result<Reply, Trouble>) -> Then {
        match (act, ended) {
            (_, Ok(_)) | (Act::Weigh { .. } | Act::Verify { .. } | Act::Unroute { .. }, Err(_)) => Then::GoOn,
            (_, Err(_)) => Then::FailAtTheEnd,
        }
    }
}

fn fold(entries: &[Written<Entry>]) -> State {
    State::fold(entries.iter().map(|written| (written.at_ms, &written.by, &written.entry)))
}

/// Records what a person asks of a rollout: `promote`, `promote-full`,
/// `abort`, `retry` or `resume`. It is done by being recorded.
///
/// # Errors
/// A sentence: an action that nobody knows or that means nothing now, or a
/// journal that cannot be written.
pub async fn ask(drivers: &Arc<Drivers>, stream: &Stream, action: &str, by: By) -> Result<(), String> {
    let word = serde_json::Value::from(action);
    let Ok(action) = serde_json::from_value::<Action>(word) else {
        return Err(format!("`{action}` is not one of promote, promote-full, abort, retry, resume"));
    };
    // What holds a rollout from outside is seen, not recorded: the view knows.
    let shown = drivers.board().rollouts().remove(stream.as_str());
    let offered = shown.is_some_and(|view| view.actions.iter().any(|offer| offer.action == view::word(action)));
    let mut refused = None;
    let make = |written: &[Written<Entry>]| {
        let allowed = rollout::allowed(&fold(written), action);
        refused = allowed.err().filter(|_| !(offered && action == Action::Resume));
        refused.is_none().then(|| vec![Entry::Asked { action, through: Through::Api }])
    };
    drivers.append(stream, by, make).await.map_err(|error| error.to_string())?;
    refused.map_or(Ok(()), Err)
}

/// Records that a step of a run has stopped waiting for a rollout, whichever
/// it was, so that its request ends and its `on-timeout` is followed. Without a
/// request that is open, nothing happens.
///
/// # Errors
/// A journal that cannot be read or written, as a sentence.
pub async fn gave_up(drivers: &Arc<Drivers>, key: &Key) -> Result<(), String> {
    let streams = drivers.streams(Family::Rollout).await.map_err(|error| error.to_string())?;
    for stream in streams {
        let make = |written: &[Written<Entry>]| {
            let recorded = fold(written);
            let open = recorded.open().any(|of| of.request.key == *key);
            open.then(|| vec![Entry::TimedOut { key: key.clone() }])
        };
        let by = By::Run(format!("{}#{}", key.run, key.step));
        drivers.append(&stream, by, make).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
