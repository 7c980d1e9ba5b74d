//! What a call costs: for the benches, which set it beside other ways to run a step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::abilities::{Abilities, Level};
use crate::grants::Grants;
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::sandbox::Sandbox;
use crate::verdict::Verdict;

/// Times calls of a plugin one after another, each of them whole: wait for a place, instantiate, run, drop.
///
/// The plugin gets no leave and no abilities, so that nothing but the sandbox is timed.
///
/// # Errors
///
/// The first verdict that is no success: a time without one would mean nothing.
pub async fn calls(sandbox: &Sandbox, plugin: &Plugin, settings: &str, times: usize) -> Result<Vec<Duration>, Verdict> {
    let (grants, limits) = (Grants::none(), Limits::default());
    let nobody: Arc<dyn Abilities> = Arc::new(Nobody);
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        match sandbox.run(plugin, settings, &grants, &limits, Arc::clone(&nobody)).await {
            Verdict::Succeeded { .. } => took.push(began.elapsed()),
            other => return Err(other),
        }
    }
    Ok(took)
}

/// A host that does nothing for anybody.
struct Nobody;

impl Abilities for Nobody {
    fn log(&self, _: Level, _: &str) {}
}
