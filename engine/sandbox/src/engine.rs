//! How the engine is set up, and with it what a plugin can cost.

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::compiler::Compiler;
use crate::host::bindings::Step;
use crate::state::State;

/// How a sandbox is sized.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Calls at the same time; more wait for a place.
    pub concurrent: u32,
    /// Calls that wait for a place; one more is refused.
    pub waiting: usize,
    /// What one instance's memory can grow to at most, in bytes; [`crate::Limits::memory_bytes`] may be lower.
    pub memory_bytes: usize,
    /// Threads that run guests, and as many again for busy ones. They are the sandbox's own, so that a busy plugin
    /// delays no request.
    pub threads: usize,
    /// How busy guests stand to everything else.
    pub busy: Busy,
    /// All compiled plugins in the cache together, in bytes; the least recently used go first.
    pub cache_bytes: u64,
    /// The longest component that is compiled, in bytes.
    pub component_bytes: u64,
    /// Whether this process or a program compiles what the cache does not have.
    pub compiler: Compiler,
}

/// How guests that use more than a little CPU time stand to everything else on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// They go on when nothing else wants the CPU, on all threads: for steps, which may be anybody's.
    Behind,
    /// They take their share like others, on all threads but one: for what the server itself waits for.
    Beside,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            concurrent: 64,
            waiting: 10_000,
            memory_bytes: 256 << 20,
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            busy: Busy::Behind,
            cache_bytes: 512 << 20,
            component_bytes: 64 << 20,
            compiler: Compiler::Here,
        }
    }
}

impl Settings {
    /// How many busy guests run at the same time.
    pub(crate) fn heavy_threads(&self) -> usize {
        match self.busy {
            Busy::Behind => self.threads.max(1),
            Busy::Beside => self.threads.saturating_sub(1).max(1),
        }
    }
}

/// An engine whose instances come from a pool.
///
/// The pool reserves address space, about 8 GiB for each place, and no memory; what stays resident
/// between calls is bounded by the numbers below, at about 4 MiB in all.
pub(crate) fn engine(settings: &Settings) -> wasmtime::Result<Engine> {
    let places = settings.concurrent;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(places * 8)
        .total_memories(places * 2)
        .total_tables(places * 4)
        .total_stacks(places)
        .max_core_instances_per_component(64)
        .max_memories_per_component(4)
        .max_tables_per_component(16)
        .max_memory_size(settings.memory_bytes)
        .max_unused_warm_slots(16)
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(8 << 10)
        .async_stack_keep_resident(16 << 10);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .wasm_memory64(false)
        // One core at a time: compiling is rare, and the server beside it has work to do.
        .parallel_compilation(false);
    Engine::new(&config)
}

/// Everything that a plugin can import: the contract, and the parts of WASI that language runtimes start with.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Step::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
