//! What is done after each decision, at the cluster and at the routers.

use super::RolloutStage;
use crate::drive::{Trouble, Turn};
use crate::stages::revert;
use cluster::Acted;
use decide::rollout::{Act, Reply};
use decide::stream::Stream;

impl RolloutStage {
    /// Carries out one act: at a router that is a plugin, or else in the cluster.
    pub(super) async fn carry_out(&self, turn: &Turn<'_>, act: &Act) -> Result<Reply, Trouble> {
        let stream = turn.stream.as_str();
        let (cluster, namespace, _) = self.find(turn.stream)?;
        match act {
            Act::Weigh { split } => return self.routers.tell(stream, split).await,
            Act::Verify { split } => return self.routers.ask(stream, split).await,
            Act::Unroute { router, rollout } => return self.routers.take_back(stream, router, rollout).await,
            Act::AskRevert { since, intent } => {
                let asked = revert::ask(turn.drivers(), &Stream::revert_of(turn.stream, *since), intent).await;
                return asked.map(|()| Reply::Done);
            }
            Act::WithdrawRevert { since, intent, cause } => {
                let stream = Stream::revert_of(turn.stream, *since);
                let withdrawn = revert::withdraw(turn.drivers(), &stream, intent, cause).await;
                return withdrawn.map(|()| Reply::Done);
            }
            _ => {}
        }
        let acted = cluster.act_on_rollout(namespace, act).await;
        match acted? {
            Acted::Done => {}
            // Somebody was faster: what was decided is stale, and is decided again at once.
            Acted::Stale => turn.drivers().poke(turn.stream),
        }
        Ok(Reply::Done)
    }
}
