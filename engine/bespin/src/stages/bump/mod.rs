//! Bump: a new image's name, committed to the manifests repository.

mod act;
pub(in crate::stages) mod observe;

use crate::drive::{Drivers, Stage, Trouble, Written};
use async_trait::async_trait;
use decide::bump::{self, Act, Entry, Observed, State};
use decide::next::{Next, Timestamp};
use forge::Forge;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

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
}

fn trouble(error: forge::Error) -> Trouble {
    Trouble(error.to_string())
}

#[async_trait]
impl Stage for BumpStage {
    const NAME: &'static str = "bump";
    type Entry = Entry;
    type Recorded = State;
    type Seen = Observed;
    type Act = Act;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        State::replay(entries.iter().map(|written| &written.entry))
    }

    async fn observe(&self, stream: &str, state: &State) -> Result<Observed, Trouble> {
        match state.open().next() {
            Some((_, intent)) => self.manifests(stream, intent).await,
            None => Ok(Observed::Nothing),
        }
    }

    fn decide(&self, state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
        bump::decide(state, observed, now)
    }

    async fn act(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
        self.commit(stream, act).await
    }
}

#[cfg(test)]
mod tests;
