//! What a call costs: for the benches, which set it beside other ways to run a step.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::abilities::{Abilities, Failure, Level, List, Listed};
use crate::engine::{self, Settings};
use crate::host::bindings::StepPre;
use crate::host::bindings::bespin::plugin::{failures, log, workspace};
use crate::plugin::Plugin;
use crate::sandbox::Sandbox;
use crate::verdict::Verdict;
use pipeline::limits::Limits;
use pipeline::permission::Permissions;

/// Times calls of a plugin one after another, each of them whole: wait for a place, instantiate, run, drop.
///
/// The plugin gets no permissions and no abilities, so that nothing but the sandbox is timed.
///
/// # Errors
///
/// The first verdict that is no success: a time without one would mean nothing.
pub async fn calls(sandbox: &Sandbox, plugin: &Plugin, settings: &str, times: usize) -> Result<Vec<Duration>, Verdict> {
    let (grants, limits) = (Permissions::none(), Limits::default());
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

/// How long many calls at the same time take together, each of them whole.
///
/// # Errors
///
/// The first verdict that is no success.
pub async fn at_once(
    sandbox: &Arc<Sandbox>,
    plugin: &Plugin,
    settings: &str,
    times: usize,
) -> Result<Duration, Verdict> {
    let began = Instant::now();
    let mut calls = spawn(sandbox, plugin, settings, times, &(Arc::new(Nobody) as Arc<dyn Abilities>));
    while let Some(ended) = calls.join_next().await {
        succeeded(ended.ok())?;
    }
    Ok(began.elapsed())
}

/// Has many instances alive at the same time, each waiting for an answer to [`Abilities::list`], and looks at
/// something then.
///
/// # Errors
///
/// The first verdict that is no success.
pub async fn alive<T>(
    sandbox: &Arc<Sandbox>,
    plugin: &Plugin,
    settings: &str,
    times: usize,
    look: impl FnOnce() -> T,
) -> Result<T, Verdict> {
    let gate = Arc::new(BenchGate { come: Semaphore::new(0), go: Semaphore::new(0) });
    let mut calls = spawn(sandbox, plugin, settings, times, &(Arc::clone(&gate) as Arc<dyn Abilities>));
    let places = u32::try_from(times).expect("there are not that many places");
    tokio::select! {
        all = gate.come.acquire_many(places) => drop(all),
        // Whoever does not wait at the gate has failed.
        ended = calls.join_next() => succeeded(ended.and_then(Result::ok))?,
    }
    let seen = look();
    gate.go.add_permits(times);
    while let Some(ended) = calls.join_next().await {
        succeeded(ended.ok())?;
    }
    Ok(seen)
}

fn spawn(
    sandbox: &Arc<Sandbox>,
    plugin: &Plugin,
    settings: &str,
    times: usize,
    abilities: &Arc<dyn Abilities>,
) -> JoinSet<Verdict> {
    let mut calls = JoinSet::new();
    for _ in 0..times {
        let (sandbox, plugin, settings) = (Arc::clone(sandbox), plugin.clone(), settings.to_owned());
        let abilities = Arc::clone(abilities);
        calls.spawn(async move {
            sandbox.run(&plugin, &settings, &Permissions::none(), &Limits::default(), abilities).await
        });
    }
    calls
}

fn succeeded(verdict: Option<Verdict>) -> Result<(), Verdict> {
    match verdict {
        Some(Verdict::Succeeded { .. }) => Ok(()),
        Some(other) => Err(other),
        None => Err(Verdict::Transient { because: "the call ended without a verdict".to_owned() }),
    }
}

/// The same component in an engine of the same kind, with nothing around it: no limits, no grants, no threads of its
/// own. What a caged call is set beside.
pub struct Bare {
    engine: Engine,
    step: StepPre<Nothing>,
}

/// What a bare guest has: a log that goes nowhere, and a workspace with nothing in it.
struct Nothing {
    table: ResourceTable,
    wasi: WasiCtx,
}

impl Bare {
    /// Compiles a component for an engine as a sandbox of these settings has it.
    ///
    /// # Errors
    ///
    /// It is no step, asks for more than the log and the workspace, or the file cannot be read.
    pub fn open(path: &Path, settings: &Settings) -> wasmtime::Result<Bare> {
        let engine = engine::engine(settings)?;
        let component = Component::from_file(&engine, path)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        log::add_to_linker::<_, HasSelf<Nothing>>(&mut linker, |nothing| nothing)?;
        failures::add_to_linker::<_, HasSelf<Nothing>>(&mut linker, |nothing| nothing)?;
        workspace::add_to_linker::<_, HasSelf<Nothing>>(&mut linker, |nothing| nothing)?;
        let step = StepPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Bare { engine, step })
    }

    /// Times calls one after another, each of them whole: instantiate, run, drop.
    ///
    /// # Errors
    ///
    /// The first call that is no success.
    pub async fn calls(&self, settings: &str, times: usize) -> wasmtime::Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(times);
        for _ in 0..times {
            let began = Instant::now();
            let nothing = Nothing { table: ResourceTable::new(), wasi: WasiCtx::builder().build() };
            let mut store = Store::new(&self.engine, nothing);
            // Nobody ticks.
            store.set_epoch_deadline(1);
            let step = self.step.instantiate_async(&mut store).await?;
            let answer = step.bespin_plugin_guest().call_run(&mut store, settings).await?;
            drop(store);
            took.push(began.elapsed());
            if let Err(failure) = answer {
                return Err(wasmtime::Error::msg(format!("{failure:?}")));
            }
        }
        Ok(took)
    }
}

impl WasiView for Nothing {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl failures::Host for Nothing {}

impl log::Host for Nothing {
    fn line(&mut self, _: log::Level, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl workspace::Host for Nothing {
    async fn read(&mut self, _: String) -> wasmtime::Result<Result<Vec<u8>, failures::Fault>> {
        Ok(Ok(Vec::new()))
    }

    async fn list(&mut self, _: String) -> wasmtime::Result<Result<Vec<workspace::Entry>, failures::Fault>> {
        Ok(Ok(Vec::new()))
    }
}

/// A host that does nothing for anybody.
struct Nobody;

impl Abilities for Nobody {
    fn log(&self, _: Level, _: &str) {}
}

/// A host at which everybody waits until all are there.
struct BenchGate {
    come: Semaphore,
    go: Semaphore,
}

#[async_trait]
impl Abilities for BenchGate {
    fn log(&self, _: Level, _: &str) {}

    async fn list(&self, _: List) -> Result<Vec<Listed>, Failure> {
        self.come.add_permits(1);
        self.go.acquire().await.map_err(|closed| Failure::Transient(closed.to_string()))?.forget();
        Ok(Vec::new())
    }
}
