//! What is observed before each decision: the Rollout's corner of the cluster, what came of the acts at its router
//! where that is a plugin, and its Application once something follows from it.

use super::{RolloutStage, view};
use crate::drive::{Trouble, Turn, now};
use crate::stages::revert;
use cluster::Cluster;
use decide::outcome::Outcomes;
use decide::rollout::{self, ActKey, Objects, Observed, Reply, State};
use decide::stream::Stream;

impl RolloutStage {
    /// Observes the Rollout and everything around it, and shows it on the dashboard.
    pub(super) async fn look(
        &self,
        turn: &Turn<'_>,
        recorded: &State,
        outcomes: &Outcomes<ActKey, Reply>,
    ) -> Result<Observed, Trouble> {
        let (stream, board) = (turn.stream.as_str(), turn.board());
        let (cluster, namespace, name) = self.find(turn.stream)?;
        let mut objects = cluster.look_at_rollout(namespace, name, self.balancer(cluster)).await?;
        objects.applications = applications(cluster, recorded, &objects).await;
        objects.routers = self.routers.names(stream);
        objects.epoch = self.restored.epoch(turn.journal(), turn.stream).await?;
        if let Some(undo) = recorded.promised() {
            objects.revert = revert::recorded(turn.journal(), &Stream::revert_of(turn.stream, undo.since)).await?;
        }
        let mut seen = Observed::read(objects);
        rollout::hear(recorded, &mut seen, outcomes);
        match &seen {
            Observed::Present(live) => {
                board.show_rollout(stream, view::view(cluster.name(), recorded, live, now()));
            }
            Observed::Absent { .. } => board.forget_rollout(stream),
        }
        Ok(seen)
    }
}

/// The Applications, once it depends on one of them what follows an abort.
async fn applications(
    cluster: &Cluster,
    recorded: &State,
    objects: &Objects,
) -> Option<Result<Vec<serde_json::Value>, String>> {
    if !recorded.is_aborted() || recorded.undoing().is_some() {
        return None;
    }
    let Some(name) = objects.rollout.as_ref().and_then(rollout::application_of) else { return Some(Ok(Vec::new())) };
    let list = async {
        let kind = cluster.kind("argoproj.io/v1alpha1", "Application").await?;
        cluster.list(&kind, None).await
    };
    let named = |all: Vec<_>| all.into_iter().filter(|one| decide::object::name(one) == name).collect();
    Some(list.await.map(named).map_err(|error| error.to_string()))
}
