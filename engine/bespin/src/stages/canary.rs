//! The canary: shift, hold, promote or retreat. Binds `decide::canary` to the
//! Rollouts of the clusters.
//!
//! It acts only on Rollouts that carry the annotation `bespin.dev/owner`; all
//! others are looked at, and the dashboard shows what it would do.

mod routers;
#[cfg(test)]
mod tests;
mod view;
mod watch;

pub use routers::Routers;

use super::revert;
use crate::drive::{Drivers, Stage, Trouble, Turn, Written, now};
use async_trait::async_trait;
use cluster::{Acted, Annotations, Cluster, Router};
use decide::by::By;
use decide::canary::{self, Act, Action, Entry, Objects, Owner, Recorded, Seen, Through};
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::request::Key;
use decide::stream::{Family, Stream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The stage `canary`, on streams `rollout/<cluster>/<namespace>/<name>`.
pub struct CanaryStage {
    clusters: BTreeMap<String, Arc<Cluster>>,
    router: Arc<dyn Router>,
    routers: Routers,
}

impl CanaryStage {
    /// Binds the stage to the clusters that it may act upon. The weights that
    /// are served are taken from the live Ingresses; what is promised about git
    /// is kept by `revert`.
    pub fn new(clusters: impl IntoIterator<Item = Arc<Cluster>>) -> CanaryStage {
        let clusters = clusters.into_iter().map(|cluster| (cluster.name().to_owned(), cluster)).collect();
        CanaryStage { clusters, router: Arc::new(Annotations), routers: Routers::default() }
    }

    /// Follows Rollouts whose traffic these plugins share, too.
    #[must_use]
    pub fn routed_by(self, routers: Routers) -> CanaryStage {
        CanaryStage { routers, ..self }
    }

    /// Has a router take back what it has made, and records that it has: nobody else can know.
    async fn unroute(&self, turn: &Turn<'_>, router: &str, rollout: &serde_json::Value) -> Result<(), Trouble> {
        self.routers.take_back(turn.stream.as_str(), router, rollout).await.map_err(Trouble::passing)?;
        let make = |written: &[Written<Entry>]| {
            let still = fold(written).routed.is_some_and(|routed| routed.router == router);
            still.then(|| vec![Entry::Unrouted { router: router.to_owned() }])
        };
        let recorded = turn.drivers().append(turn.stream, By::Server, make).await;
        recorded.map(drop).map_err(|error| Trouble::new("writing the journal", error))
    }

    fn find<'a>(&self, stream: &'a str) -> Result<(&Arc<Cluster>, &'a str, &'a str), Trouble> {
        let mut parts = stream.split('/').skip(1);
        let place = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(cluster), Some(namespace), Some(name), None) = place else {
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
impl Stage for CanaryStage {
    const NAME: &'static str = "canary";
    const FAMILY: Family = Family::Rollout;
    type Entry = Entry;
    type State = Recorded;
    type Observed = Seen;
    type Act = Act;
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> Recorded {
        fold(entries)
    }

    fn is_current(&self, _: &Recorded, _: &Act) -> bool {
        true
    }

    async fn observe(&self, turn: &Turn<'_>, recorded: &Recorded, _: &Outcomes<Act, ()>) -> Result<Seen, Trouble> {
        let (stream, board) = (turn.stream.as_str(), turn.board());
        let (cluster, namespace, name) = self.find(stream)?;
        let tried = "looking at the rollout";
        let objects = cluster.look_at_rollout(namespace, name, &*self.router).await;
        let mut objects = objects.map_err(|error| Trouble::new(tried, error))?;
        objects.applications = applications(cluster, recorded, &objects).await;
        objects.routers = self.routers.names(stream);
        let mut seen = Seen::read(objects);
        if let Seen::Present(live) = &mut seen {
            match canary::question(recorded, live) {
                Some(split) => live.hear(self.routers.ask(stream, &split).await),
                None => self.routers.forget(stream),
            }
        }
        let promised = recorded.promised().is_some();
        if matches!(&seen, Seen::Present(live) if promised && live.owner == Owner::Ours) {
            revert::keep(turn.drivers(), turn.stream);
        }
        match &seen {
            Seen::Present(live) => {
                board.show_rollout(stream, view::view(cluster.name(), recorded, live, now()));
            }
            Seen::Absent => board.forget_rollout(stream),
        }
        Ok(seen)
    }

    fn decide(&self, recorded: &Recorded, seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
        canary::decide(recorded, seen, now)
    }

    async fn act(&self, turn: &Turn<'_>, _: &Recorded, act: &Act) -> Result<(), Trouble> {
        let stream = turn.stream.as_str();
        let (cluster, namespace, _) = self.find(stream)?;
        match act {
            // How it has taken it is for the next look.
            Act::Weigh { split } => {
                self.routers.tell(stream, split).await;
                return Ok(());
            }
            Act::Unroute { router, rollout } => return self.unroute(turn, router, rollout).await,
            _ => {}
        }
        let acted = cluster.act_on_rollout(namespace, act).await;
        match acted.map_err(|error| Trouble::passing(error.to_string()))? {
            Acted::Done => {}
            // Somebody was faster: what was decided is stale, and is decided again at once.
            Acted::Stale => turn.drivers().poke(turn.stream),
        }
        Ok(())
    }
}

/// The Applications, once it depends on one of them what follows a retreat.
async fn applications(
    cluster: &Cluster,
    recorded: &Recorded,
    objects: &Objects,
) -> Option<Result<Vec<serde_json::Value>, String>> {
    if !recorded.is_retreated() || recorded.undoing().is_some() {
        return None;
    }
    let Some(name) = objects.rollout.as_ref().and_then(canary::application_of) else { return Some(Ok(Vec::new())) };
    let list = async {
        let kind = cluster.kind("argoproj.io/v1alpha1", "Application").await?;
        cluster.list(&kind, None).await
    };
    let named = |all: Vec<_>| all.into_iter().filter(|one| decide::sync::object::name(one) == name).collect();
    Some(list.await.map(named).map_err(|error| error.to_string()))
}

fn fold(entries: &[Written<Entry>]) -> Recorded {
    Recorded::fold(entries.iter().map(|written| (written.at_ms, &written.by, &written.entry)))
}

/// Records what a person asks of a rollout: `promote`, `promote-full`,
/// `retreat`, `retry` or `resume`. It is done by being recorded.
///
/// # Errors
/// A sentence: an action that nobody knows or that means nothing now, or a
/// journal that cannot be written.
pub async fn ask(drivers: &Arc<Drivers>, stream: &Stream, action: &str, by: By) -> Result<(), String> {
    let word = serde_json::Value::from(action);
    let Ok(action) = serde_json::from_value::<Action>(word) else {
        return Err(format!("`{action}` is not one of promote, promote-full, retreat, retry, resume"));
    };
    // What holds a rollout from outside is seen, not recorded: the view knows.
    let shown = drivers.board().rollouts().remove(stream.as_str());
    let offered = shown.is_some_and(|view| view.actions.iter().any(|offer| offer.action == view::word(action)));
    let mut refused = None;
    let make = |written: &[Written<Entry>]| {
        let allowed = canary::allowed(&fold(written), action);
        refused = allowed.err().filter(|_| !(offered && action == Action::Resume));
        refused.is_none().then(|| vec![Entry::Asked { action, through: Through::Api }])
    };
    drivers.append(stream, by, make).await.map_err(|error| error.to_string())?;
    refused.map_or(Ok(()), Err)
}

/// Records that a step of a run has stopped waiting for a rollout, whichever
/// it was, so that its want ends and its `on-timeout` is followed. Without a
/// want that is open, nothing happens.
///
/// # Errors
/// A journal that cannot be read or written, as a sentence.
pub async fn gave_up(drivers: &Arc<Drivers>, key: &Key) -> Result<(), String> {
    let streams = drivers.streams(Family::Rollout).await.map_err(|error| error.to_string())?;
    for stream in streams {
        let make = |written: &[Written<Entry>]| {
            let recorded = fold(written);
            let open = recorded.open().any(|want| want.key == *key);
            open.then(|| vec![Entry::TimedOut { key: key.clone() }])
        };
        let by = By::Run(format!("{}#{}", key.run, key.step));
        drivers.append(&stream, by, make).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
