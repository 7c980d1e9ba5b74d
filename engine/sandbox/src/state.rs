//! What one running guest has, has used and has been refused.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::abilities::{Abilities, Failure};
use crate::clocks::{Stopwatch, TimeOfDay};
use crate::meter::Meter;
use crate::output::Printed;
use pipeline::limits::{Limit, Limits};
use pipeline::permission::Ability;
use pipeline::permission::Denied;
use pipeline::permission::Permissions;

/// Random bytes that a guest gets at once.
const RANDOM: u64 = 64 << 10;

/// The data of a store: one for each call of a plugin.
pub(crate) struct State {
    pub(crate) abilities: Arc<dyn Abilities>,
    pub(crate) grants: Permissions,
    pub(crate) limits: Limits,
    pub(crate) meter: Arc<Meter>,
    pub(crate) memory: GuestMemory,
    pub(crate) table: ResourceTable,
    pub(crate) stdout: Printed,
    pub(crate) stderr: Printed,
    /// The first limit that was exceeded.
    pub(crate) exceeded: Option<(Limit, String)>,
    /// The first permission that was missing.
    pub(crate) denied: Option<Denied>,
    pub(crate) log_left: usize,
    /// The secrets that it was given handles to: their names and values.
    pub(crate) known: Vec<(String, SecretString)>,
    calls: u64,
    home: Handle,
    wasi: WasiCtx,
}

/// Linear memory and tables, counted over the whole component.
pub(crate) struct GuestMemory {
    bytes: usize,
    most_bytes: usize,
    elements: usize,
    most_elements: usize,
    /// What was refused. A guest may live with it, so that it is no verdict by itself.
    pub(crate) refused: Option<(Limit, String)>,
}

impl State {
    /// `home` is the runtime that abilities are called on.
    pub(crate) fn new(
        abilities: Arc<dyn Abilities>,
        grants: Permissions,
        limits: Limits,
        home: Handle,
        meter: Arc<Meter>,
    ) -> Self {
        use crate::abilities::Level;
        let stdout = Printed::new(Arc::clone(&abilities), Level::Info, limits.log_bytes);
        let stderr = Printed::new(Arc::clone(&abilities), Level::Warn, limits.log_bytes);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        // Nothing is given: no files, no environment, no arguments, no sockets, no names. The clocks are coarse.
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone()).stderr(stderr.clone()).max_random_size(RANDOM);
        wasi.monotonic_clock(Stopwatch::start()).wall_clock(TimeOfDay);
        State {
            memory: GuestMemory::new(&limits),
            log_left: limits.log_bytes,
            known: Vec::new(),
            meter,
            exceeded: None,
            denied: None,
            calls: 0,
            wasi: wasi.build(),
            abilities,
            grants,
            limits,
            table,
            stdout,
            stderr,
            home,
        }
    }

    /// Counts one call of the host.
    ///
    /// # Errors
    ///
    /// It is one too many, and ends the guest.
    pub(crate) fn count(&mut self) -> wasmtime::Result<()> {
        self.calls += 1;
        if self.calls > self.limits.host_calls {
            return Err(
                self.exceed(Limit::HostCalls, format!("more than {} calls of the host", self.limits.host_calls))
            );
        }
        Ok(())
    }

    /// Notes that a limit was exceeded; the error ends the guest.
    pub(crate) fn exceed(&mut self, which: Limit, because: String) -> wasmtime::Error {
        let error = wasmtime::Error::msg(because.clone());
        self.exceeded.get_or_insert((which, because));
        error
    }

    /// Checks permission by value.
    ///
    /// # Errors
    ///
    /// It is missing.
    pub(crate) fn covers(&self, ability: Ability, value: &str) -> Result<(), Failure> {
        self.grants.covers(ability, value).map_err(Failure::Denied)
    }

    /// Calls an ability on its own runtime, and waits. The call ends with the guest.
    pub(crate) async fn ask<T, A>(&mut self, call: impl FnOnce(Arc<dyn Abilities>) -> A) -> Result<T, Failure>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut task = JoinSet::new();
        task.spawn_on(call(Arc::clone(&self.abilities)), &self.home);
        match task.join_next().await {
            Some(Ok(answer)) => answer,
            // A panic of the host, or its end: in both cases the plugin did nothing wrong.
            _ => Err(Failure::Transient("the host failed to serve the call; its own log says why".to_owned())),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl GuestMemory {
    fn new(limits: &Limits) -> Self {
        let (most_bytes, most_elements) = (limits.memory_bytes, limits.table_elements);
        GuestMemory { bytes: 0, most_bytes, elements: 0, most_elements, refused: None }
    }
}

impl ResourceLimiter for GuestMemory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.bytes - current.min(self.bytes) + desired;
        if total > self.most_bytes || maximum.is_some_and(|maximum| desired > maximum) {
            let most = self.most_bytes >> 20;
            self.refused.get_or_insert((Limit::Memory, format!("out of memory: it may use {most} MiB")));
            return Ok(false);
        }
        self.bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements - current.min(self.elements) + desired;
        if total > self.most_elements || maximum.is_some_and(|maximum| desired > maximum) {
            let most = self.most_elements;
            self.refused.get_or_insert((Limit::Tables, format!("its tables may have {most} elements")));
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }
}
