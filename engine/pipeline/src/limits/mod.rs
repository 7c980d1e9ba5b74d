//! How much one call of a plugin may use.

mod overrides;

use std::fmt;
use std::time::Duration;

pub use overrides::Overrides;

/// The bounds of one call. Exceeding one ends the call with a typed verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, all memories of the component together, in bytes.
    /// What a pool slot can hold (the sandbox's own `memory_bytes`) bounds it as well.
    pub memory_bytes: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// CPU time of the guest itself; waiting for the host is free. Checked at each tick of 2 ms.
    pub cpu: Duration,
    /// From instantiation to the answer, waiting included.
    pub wall: Duration,
    /// The answer's length, in bytes.
    pub output_bytes: usize,
    /// All lines of the log together, in bytes, each line counting 32 more. Standard output and error are cut off at the same number instead.
    pub log_bytes: usize,
    /// Calls of abilities, log lines included.
    pub host_calls: u64,
    /// Handles that are open at once, those of WASI included.
    pub handles: usize,
    /// One file, artifact, archive or HTTP body, in bytes. Past it the call is rejected, and the guest goes on.
    pub response_bytes: u64,
    /// Calls of plugins for one run at the same time; further ones wait for their turn.
    /// the sandbox's own `concurrent` bounds all runs together.
    pub concurrent: u32,
    /// Calls for one run that wait for their turn; one more is refused.
    /// the sandbox's own `waiting` bounds all runs together.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(60 * 60),
            output_bytes: 256 << 10,
            log_bytes: 4 << 20,
            host_calls: 10_000,
            handles: 1_000,
            response_bytes: 8 << 20,
            concurrent: 16,
            waiting: 1_000,
        }
    }
}

/// Which bound was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`Limits::memory_bytes`], or a container's.
    Memory,
    /// Elements of tables, [`Limits::table_elements`].
    Tables,
    /// The guest's call stack, 512 KiB.
    Stack,
    /// Time on a processor, [`Limits::cpu`].
    Cpu,
    /// Bytes of outputs, [`Limits::output_bytes`].
    Output,
    /// [`Limits::log_bytes`], or a container's.
    Log,
    /// Calls of the host, [`Limits::host_calls`].
    HostCalls,
    /// Open handles, [`Limits::handles`].
    Handles,
    /// What one call may hand over, or be answered by: 8 MiB more than [`Limits::response_bytes`].
    Request,
    /// A container's processes and threads.
    Processes,
    /// What a container may write.
    Disk,
    /// [`Limits::waiting`], or the sandbox's own `waiting`.
    Concurrent,
}

impl Limit {
    /// The name under which it is journaled, such as `host-calls`.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Memory => "memory",
            Limit::Tables => "tables",
            Limit::Stack => "stack",
            Limit::Cpu => "cpu",
            Limit::Output => "output",
            Limit::Log => "log",
            Limit::HostCalls => "host-calls",
            Limit::Handles => "handles",
            Limit::Request => "request",
            Limit::Processes => "processes",
            Limit::Disk => "disk",
            Limit::Concurrent => "concurrent-calls",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
