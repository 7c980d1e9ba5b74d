//! The CPU time of one guest, and the clock that makes it look up.
//!
//! A guest's code asks at loops and calls whether a tick has passed. It is the
//! time of its own thread between the beginning and the end of a poll that
//! counts then: waiting for the host is free, and so is waiting for a CPU.
//!
//! Whoever has used more than a little of it is heavy. Heavy guests take turns
//! on all threads but one, so that one that spins delays no step that does not.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use wasmtime::EngineWeak;

/// How often a guest looks up: the grain of its CPU limit, and of its turns with other guests.
const TICK: Duration = Duration::from_millis(10);

/// CPU time after which a guest is heavy: what starts with a runtime of its own language has done so by then.
const LIGHT: Duration = Duration::from_millis(30);

/// CPU time that one guest has used, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    before: AtomicU64,
    poll_began: AtomicU64,
}

/// A future whose polls are metered, and wait for their turn once it is heavy.
pub(crate) struct Metered<F> {
    inner: Pin<Box<F>>,
    meter: Arc<Meter>,
    heavy: Arc<Semaphore>,
    turn: Option<Turn>,
}

/// A heavy guest's wait for one of the threads that heavy guests have.
type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

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
    /// As many turns as there are threads, but for one.
    heavy: OnceLock<Arc<Semaphore>>,
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

    fn is_heavy(&self) -> bool {
        Duration::from_nanos(self.before.load(Ordering::Relaxed)) > LIGHT
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
    pub(crate) fn new(inner: F, meter: Arc<Meter>, heavy: Arc<Semaphore>) -> Self {
        Metered { inner: Box::pin(inner), meter, heavy, turn: None }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut held = None;
        if self.meter.is_heavy() {
            let heavy = Arc::clone(&self.heavy);
            let turn = self.turn.get_or_insert_with(|| Box::pin(heavy.acquire_owned()));
            let Poll::Ready(permit) = turn.as_mut().poll(cx) else { return Poll::Pending };
            self.turn = None;
            held = Some(permit.expect("the semaphore is never closed"));
        }
        self.meter.enter();
        let polled = self.inner.as_mut().poll(cx);
        self.meter.leave();
        drop(held);
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

impl Ticking {
    /// The turns of heavy guests. Called on the runtime of the guests.
    pub(crate) fn heavy(&self) -> Arc<Semaphore> {
        let turns = || Handle::current().metrics().num_workers().saturating_sub(1).max(1);
        Arc::clone(self.shared.heavy.get_or_init(|| Arc::new(Semaphore::new(turns()))))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls a guest that has used `used` before, while all turns of heavy guests are taken.
    fn polled(used: Duration) -> Poll<()> {
        let meter = Meter { before: AtomicU64::new(used.as_nanos() as u64), poll_began: AtomicU64::new(0) };
        let mut guest = Metered::new(std::future::ready(()), Arc::new(meter), Arc::new(Semaphore::new(0)));
        Pin::new(&mut guest).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn heavy_guests_wait_for_their_turn_and_light_ones_do_not() {
        assert_eq!(polled(Duration::ZERO), Poll::Ready(()));
        assert_eq!(polled(Duration::from_secs(1)), Poll::Pending);
    }
}
