//! The stage `rollout`: binds `decide::rollout` to the Rollouts of the clusters.
//!
//! It acts only on Rollouts that carry the annotation `bespin.dev/owner`; all
//! others are looked at, and the dashboard shows what it would do.

mod act;
mod alerts;
mod observe;
mod routers;
#[cfg(test)]
mod tests;
mod view;
mod watch;

pub use routers::Routers;

use crate::drive::{Drivers, Stage, Then, Trouble, Turn, Written, kept, now, read};
use crate::epoch::StreamEpochs;
use api::commands::NotTaken;
use async_trait::async_trait;
use cluster::{Balancer, Cluster, NoBalancer};
use decide::by::By;
use decide::epoch::Epoch;
use decide::next::{Next, Timestamp};
use decide::outcome::{Failure, Outcomes};
use decide::request::Key;
use decide::rollout::{self, Act, ActKey, Action, Entry, Objects, Observed, Reply, State, Through};
use decide::stream::{Family, Stream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why nothing can be asked of a rollout that a restored journal may have at a moment that is long over.
const UNADOPTED: &str = "this rollout was not looked at since the journal was restored; ask again in a moment";

/// The stage `rollout`, on streams `rollout/<cluster>/<namespace>/<name>`.
pub struct RolloutStage {
    clusters: BTreeMap<String, Arc<Cluster>>,
    /// By the cluster's name; of the others, the annotations of the Ingresses are believed.
    balancers: BTreeMap<String, Arc<dyn Balancer>>,
    routers: Routers,
    restored: StreamEpochs,
}

impl RolloutStage {
    /// Binds the stage to the clusters that it may act upon. What is promised
    /// about git is kept by `revert`.
    pub fn new(clusters: impl IntoIterator<Item = Arc<Cluster>>) -> RolloutStage {
        let clusters = clusters.into_iter().map(|cluster| (cluster.name().to_owned(), cluster)).collect();
        let (balancers, routers, restored) = (BTreeMap::new(), Routers::default(), StreamEpochs::default());
        RolloutStage { clusters, balancers, routers, restored }
    }

    /// Asks the load balancers before these clusters what they serve, instead of the live Ingresses.
    #[must_use]
    pub fn balanced_by(self, balancers: BTreeMap<String, Arc<dyn Balancer>>) -> RolloutStage {
        RolloutStage { balancers, ..self }
    }

    /// Follows Rollouts whose traffic these plugins share, too.
    #[must_use]
    pub fn routed_by(self, routers: Routers) -> RolloutStage {
        RolloutStage { routers, ..self }
    }

    /// Goes on from the status of Rollouts of which the journal knows nothing newer than what came with a backup.
    #[must_use]
    pub fn restored(self, restored: StreamEpochs) -> RolloutStage {
        RolloutStage { restored, ..self }
    }

    fn balancer(&self, cluster: &Cluster) -> &dyn Balancer {
        self.balancers.get(cluster.name()).map_or(&NoBalancer, |balancer| &**balancer)
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

    fn is_hint(&self, act: &ActKey, result: &Result<Reply, Failure>) -> bool {
        rollout::is_hint(act, result)
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

    /// One impossible act never holds up a safer one. When what failed is tried again is decided by its outcome, and
    /// nothing else waits for it; but for a revert's stream, which no outcome is kept of.
    fn then(&self, act: &Act, ended: &Result<Reply, Trouble>) -> Then {
        match (act, ended) {
            (Act::AskRevert { .. } | Act::WithdrawRevert { .. }, Err(_)) => Then::FailAtTheEnd,
            _ => Then::GoOn,
        }
    }
}

fn fold(entries: &[Written<Entry>]) -> State {
    State::fold(entries.iter().map(|written| (written.at_ms, &written.by, &written.entry)))
}

impl RolloutStage {
    /// Records what a person asks of a rollout: `promote`, `promote-full`, `abort`, `retry` or `resume`. It is done by
    /// being recorded.
    ///
    /// What is allowed is asked of the journal, and of the Rollout as it is now: so a server that has just started takes
    /// an abort. One whose cluster cannot be read is told by the journal alone, and acts when it can.
    ///
    /// # Errors
    /// An action that nobody knows or that means nothing now, a Rollout that is not there, or the journal.
    pub async fn ask(&self, drivers: &Drivers, stream: &Stream, action: &str, by: By) -> Result<(), NotTaken> {
        let word = serde_json::Value::from(action);
        let Ok(action) = serde_json::from_value::<Action>(word) else {
            let actions = "promote, promote-full, abort, retry, resume";
            return Err(NotTaken::Refused(format!("`{action}` is not one of {actions}")));
        };
        let recorded = fold(&read::<Entry>(drivers.journal(), stream).await?);
        let epoch = self.restored.epoch(drivers.journal(), stream).await?;
        let offered = self.offered(stream, &recorded, (epoch, action)).await?;
        let is_offered = |action| offered.as_ref().is_none_or(|offered| offered.contains(&action));
        let mut refused = None;
        let make = |written: &[Written<Entry>]| {
            // What holds a rollout from outside is seen, not recorded: only then may it be resumed without a pause.
            let held = action == Action::Resume && offered.is_some() && is_offered(action);
            let allowed = rollout::allowed(&fold(written), action);
            refused = allowed.err().filter(|_| !held).or_else(|| (!is_offered(action)).then(|| instead(&offered)));
            refused.is_none().then(|| vec![Entry::Asked { action, through: Through::Api }])
        };
        drivers.append(stream, by, make).await?;
        refused.map_or(Ok(()), |because| Err(NotTaken::Refused(because)))
    }

    /// What a person may do by the Rollout as it is now; absent where it cannot be read. What holds it from outside may
    /// be told to be over also before the first look after a restore, which waits for that.
    async fn offered(
        &self,
        stream: &Stream,
        recorded: &State,
        (epoch, action): (Epoch, Action),
    ) -> Result<Option<Vec<Action>>, NotTaken> {
        let (cluster, namespace, name) = self.find(stream).map_err(|trouble| NotTaken::NoObject(trouble.message))?;
        let objects = match cluster.look_at_rollout(namespace, name, self.balancer(cluster)).await {
            Ok(objects) => Objects { routers: self.routers.names(stream.as_str()), epoch, ..objects },
            Err(_) if epoch == Epoch::Restored => return Err(NotTaken::Refused(UNADOPTED.to_owned())),
            Err(error) => {
                tracing::warn!(%stream, %error, "the cluster cannot be read; the journal alone says what may be asked");
                return Ok(None);
            }
        };
        match Observed::read(objects) {
            Observed::Present(live) if rollout::is_unadopted(&live) && action != Action::Resume => {
                Err(NotTaken::Refused(UNADOPTED.to_owned()))
            }
            Observed::Present(live) => {
                let offers = rollout::show(recorded, &live, now()).offers;
                Ok(Some(offers.into_iter().map(|offer| offer.action).collect()))
            }
            Observed::Absent { .. } => Err(NotTaken::NoObject(format!("there is no rollout `{}`", stream.rest()))),
        }
    }
}

/// What a person may do instead.
fn instead(offered: &Option<Vec<Action>>) -> String {
    match offered.as_deref().unwrap_or_default() {
        [] => "nothing can be done to it right now".to_owned(),
        offered => {
            let words: Vec<&str> = offered.iter().map(|action| view::word(*action)).collect();
            format!("right now it takes only: {}", words.join(", "))
        }
    }
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
