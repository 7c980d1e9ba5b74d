//! Bump: a new image's name, committed to the manifests repository.

mod act;
pub(in crate::stages) mod observe;

use crate::drive::{Stage, Trouble, Turn, Written};
use async_trait::async_trait;
use decide::bump::{self, Act, Entry, Observed, Reply, State};
use decide::next::{Next, Timestamp};
use decide::outcome::Outcomes;
use decide::stream::Family;
use forge::Forge;
use std::sync::Arc;

/// The stage `bump`, on streams `bump/<run id>/<step>`.
pub struct BumpStage {
    forge: Arc<Forge>,
}

impl BumpStage {
    /// Binds the stage to the manifests repositories.
    pub fn new(forge: &Arc<Forge>) -> Arc<BumpStage> {
        Arc::new(BumpStage { forge: forge.clone() })
    }
}

#[async_trait]
impl Stage for BumpStage {
    const NAME: &'static str = "bump";
    const FAMILY: Family = Family::Bump;
    type Entry = Entry;
    type State = State;
    type Observed = Observed;
    type Act = Act;
    type ActKey = Act;
    type Reply = Reply;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        State::replay(entries.iter().map(|written| &written.entry))
    }

    fn is_current(&self, state: &State, _: &Act) -> bool {
        state.open().next().is_some()
    }

    async fn observe(&self, _: &Turn<'_>, state: &State, outcomes: &Outcomes<Act, Reply>) -> Result<Observed, Trouble> {
        match state.open().next() {
            Some((_, intent)) => self.manifests(intent, bump::refused(outcomes)).await,
            None => Ok(Observed::Nothing),
        }
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        bump::decide(state, observed, now)
    }

    async fn act(&self, _: &Turn<'_>, state: &State, act: &Act) -> Result<Reply, Trouble> {
        match state.open().next() {
            Some((_, intent)) => self.commit(intent, act).await,
            None => Ok(Reply::Done),
        }
    }
}

#[cfg(test)]
mod tests;
