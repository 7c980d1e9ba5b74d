//! What a call costs: for the benches, which set it beside other ways to run a step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::abilities::{
    Abilities, Build, Built, Bump, Bumped, Container, Exit, Failure, Follow, Followed, HttpRequest, HttpResponse,
    Level, List, Listed, Named, Place, Push, Pushed, Read, SyncRequest, Synced,
};
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

fn refuse<T>() -> Result<T, Failure> {
    Err(Failure::Rejected("a bench has no host".to_owned()))
}

#[async_trait]
impl Abilities for Nobody {
    fn log(&self, _: Level, _: &str) {}

    async fn read(&self, _: Read) -> Result<Vec<u8>, Failure> {
        refuse()
    }

    async fn list(&self, _: List) -> Result<Vec<Listed>, Failure> {
        refuse()
    }

    async fn http(&self, _: HttpRequest) -> Result<HttpResponse, Failure> {
        refuse()
    }

    async fn secret(&self, _: String) -> Result<SecretString, Failure> {
        refuse()
    }

    async fn container(&self, _: Container) -> Result<Exit, Failure> {
        refuse()
    }

    async fn build(&self, _: Build) -> Result<Built, Failure> {
        refuse()
    }

    async fn push(&self, _: Push) -> Result<Pushed, Failure> {
        refuse()
    }

    async fn bump(&self, _: Bump) -> Result<Bumped, Failure> {
        refuse()
    }

    async fn locate(&self, _: Named) -> Result<Place, Failure> {
        refuse()
    }

    async fn sync(&self, _: SyncRequest) -> Result<Synced, Failure> {
        refuse()
    }

    async fn follow(&self, _: Follow) -> Result<Followed, Failure> {
        refuse()
    }
}
