//! The CPU time of one guest, and the clock that makes it look up.
//!
//! A guest's code asks at loops and calls whether a tick has passed. It is the
//! time of its own thread between the beginning and the end of a poll that
//! counts then: waiting for the host is free, and so is waiting for a CPU.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::EngineWeak;

/// How often a guest looks up: the grain of its CPU limit, and of its turns with other guests.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that one guest has used, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    before: AtomicU64,
    poll_began: AtomicU64,
}

/// A future whose polls are metered.
pub(crate) struct Metered<F> {
    inner: Pin<Box<F>>,
    meter: Arc<Meter>,
}

/// Counts epochs while any guest runs, and sleeps while none does.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// Keeps the ticker going.
pub(crate) struct Ticking {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    stopped: AtomicBool,
}

fn thread_time() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0)).as_nanos() as u64
}

impl Meter {
    /// Called within a poll, by the guest's own thread.
    pub(crate) fn used(&self) -> Duration {
        let this_poll = thread_time().saturating_sub(self.poll_began.load(Ordering::Relaxed));
        Duration::from_nanos(self.before.load(Ordering::Relaxed) + this_poll)
    }

    fn enter(&self) {
        self.poll_began.store(thread_time(), Ordering::Relaxed);
    }

    fn leave(&self) {
        let used = self.used().as_nanos() as u64;
        self.before.store(used, Ordering::Relaxed);
    }
}

impl<F: Future> Metered<F> {
    pub(crate) fn new(inner: F, meter: Arc<Meter>) -> Self {
        Metered { inner: Box::pin(inner), meter }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.enter();
        let polled = self.inner.as_mut().poll(cx);
        self.meter.leave();
        polled
    }
}

impl Ticker {
    /// Starts the thread. It ends with the ticker, or when the engine is gone.
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || tick(&seen, &engine))?;
        Ok(Ticker { shared, thread })
    }

    /// Ticks until what is returned is dropped.
    pub(crate) fn run(&self) -> Ticking {
        if self.shared.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.thread().unpark();
        }
        Ticking { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &Shared, engine: &EngineWeak) {
    while !shared.stopped.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) == 0 {
            thread::park();
            continue;
        }
        thread::sleep(TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}
