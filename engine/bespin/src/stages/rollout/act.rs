//! What is done after each decision, at the cluster and at the routers.

use super::{RolloutStage, fold};
use crate::drive::{Trouble, Turn, Written};
use crate::stages::revert;
use cluster::Acted;
use decide::by::By;
use decide::rollout::{Act, Entry};
use decide::stream::Stream;

impl RolloutStage {
    /// Carries out one act: at a router that is a plugin, or else in the cluster.
    pub(super) async fn carry_out(&self, turn: &Turn<'_>, act: &Act) -> Result<(), Trouble> {
        let stream = turn.stream.as_str();
        let (cluster, namespace, _) = self.find(stream)?;
        match act {
            // How it has taken it is for the next look.
            Act::Weigh { split } => {
                self.routers.tell(stream, split).await;
                return Ok(());
            }
            Act::Unroute { router, rollout } => return self.unroute(turn, router, rollout).await,
            Act::AskRevert { since, intent } => {
                return revert::ask(turn.drivers(), &Stream::revert_of(turn.stream, *since), intent).await;
            }
            Act::WithdrawRevert { since, intent, cause } => {
                let stream = Stream::revert_of(turn.stream, *since);
                return revert::withdraw(turn.drivers(), &stream, intent, cause).await;
            }
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
}
