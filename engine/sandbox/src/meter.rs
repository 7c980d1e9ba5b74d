//! The CPU time of one guest, and the clock that makes it look up.
//!
//! A guest's code asks at loops and calls whether a tick has passed. It is the
//! time of its own thread between the beginning and the end of a poll that
//! counts then: waiting for the host is free, and so is waiting for a CPU.
//!
//! Whoever has used more than a little of it is heavy, and takes turns with the
//! other heavy ones, run by run.
//!
//! A plugin whose calls were all brief is called on the caller's own thread: the
//! way to another one and back takes longer than most calls.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;
use wasmtime::EngineWeak;

use crate::turns::{Slice, Turns};

/// How often a guest looks up while any of them runs: the grain of its CPU limit, and of its turns with other guests.
const TICK: Duration = Duration::from_millis(2);

/// CPU time after which a guest is heavy.
const LIGHT: Duration = Duration::from_millis(2);

/// CPU time of a first slice that a caller's thread can spare.
const BRIEF: Duration = Duration::from_millis(2);

/// How long the ticker goes on when nobody runs, in ticks: waking a thread takes longer than most calls.
const LINGER: u32 = 500;

/// The longest first slice of a plugin: the CPU time before a call of it ended, waited for the host, or was
/// interrupted. In nanoseconds; 0 if it was never called.
#[derive(Debug, Default)]
pub(crate) struct FirstSlice(AtomicU64);

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
    first: Option<Arc<FirstSlice>>,
    clock: Arc<Clock>,
    share: String,
    turn: Option<oneshot::Receiver<Slice>>,
}

/// Counts epochs while any guest runs, and sleeps soon after none does.
pub(crate) struct Ticker {
    clock: Arc<Clock>,
    thread: JoinHandle<()>,
}

/// What guests and their ticker share.
pub(crate) struct Clock {
    running: AtomicUsize,
    stopped: AtomicBool,
    ticker: OnceLock<Thread>,
    turns: Arc<Turns>,
}

/// Keeps the ticker going.
struct Ticking<'a>(&'a Clock);

fn thread_time() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0)).as_nanos() as u64
}

impl FirstSlice {
    /// Whether it was called, and was brief each time. Once it was not, it never is again: a plugin that only
    /// pretends takes a caller's thread for one tick in all.
    pub(crate) fn is_brief(&self) -> bool {
        (1..=BRIEF.as_nanos() as u64).contains(&self.0.load(Ordering::Relaxed))
    }

    fn note(&self, used: Duration) {
        self.0.fetch_max((used.as_nanos() as u64).max(1), Ordering::Relaxed);
    }
}

impl Meter {
    /// Of a guest that has used so much before.
    #[cfg(test)]
    pub(crate) fn after(used: Duration) -> Meter {
        Meter { before: AtomicU64::new(used.as_nanos() as u64), poll_began: AtomicU64::new(0) }
    }

    /// Called within a poll, by the guest's own thread.
    pub(crate) fn used(&self) -> Duration {
        let this_poll = thread_time().saturating_sub(self.poll_began.load(Ordering::Relaxed));
        Duration::from_nanos(self.before.load(Ordering::Relaxed) + this_poll)
    }

    /// Whether it has used more than a little.
    pub(crate) fn is_heavy(&self) -> bool {
        Duration::from_nanos(self.before.load(Ordering::Relaxed)) > LIGHT
    }

    fn enter(&self) {
        self.poll_began.store(thread_time(), Ordering::Relaxed);
    }

    /// How much this poll has used.
    fn leave(&self) -> Duration {
        let used = self.used();
        let before = self.before.swap(used.as_nanos() as u64, Ordering::Relaxed);
        used.saturating_sub(Duration::from_nanos(before))
    }
}

impl<F: Future> Metered<F> {
    /// `share` says whose turns it takes once it is heavy.
    pub(crate) fn new(
        inner: F,
        meter: Arc<Meter>,
        first: Arc<FirstSlice>,
        clock: Arc<Clock>,
        share: Option<String>,
    ) -> Self {
        Metered {
            inner: Box::pin(inner),
            meter,
            first: Some(first),
            clock,
            share: share.unwrap_or_default(),
            turn: None,
        }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let mut held = None;
        if this.meter.is_heavy() {
            let turn = this.turn.get_or_insert_with(|| this.clock.turns.wait(&this.share));
            let Poll::Ready(turn) = Pin::new(turn).poll(cx) else { return Poll::Pending };
            this.turn = None;
            held = Some(turn.expect("a turn comes to everybody who waits"));
        }
        let _ticking = this.clock.run();
        this.meter.enter();
        let polled = this.inner.as_mut().poll(cx);
        let used = this.meter.leave();
        if let Some(first) = this.first.take() {
            first.note(used);
        }
        if let Some(turn) = &mut held {
            turn.used = used;
        }
        polled
    }
}

impl Ticker {
    /// Starts the thread. It ends with the ticker, or when the engine is gone.
    ///
    /// `threads` is how many run heavy guests.
    pub(crate) fn start(engine: EngineWeak, threads: usize) -> std::io::Result<Ticker> {
        let clock = Arc::new(Clock {
            running: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            ticker: OnceLock::new(),
            turns: Turns::new(threads.max(1)),
        });
        let seen = Arc::clone(&clock);
        let thread = thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || tick(&seen, &engine))?;
        clock.ticker.get_or_init(|| thread.thread().clone());
        Ok(Ticker { clock, thread })
    }

    pub(crate) fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }
}

impl Clock {
    /// Ticks until what is returned is dropped.
    fn run(&self) -> Ticking<'_> {
        if self.running.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(ticker) = self.ticker.get()
        {
            ticker.unpark();
        }
        Ticking(self)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.clock.stopped.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(clock: &Clock, engine: &EngineWeak) {
    let mut idle = 0;
    while !clock.stopped.load(Ordering::SeqCst) {
        idle = if clock.running.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
        if idle > LINGER {
            thread::park();
            idle = 0;
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
        let meter = Meter::after(used);
        let turns = Turns::new(0);
        let (running, stopped, ticker) = (AtomicUsize::new(0), AtomicBool::new(false), OnceLock::new());
        let clock = Clock { running, stopped, ticker, turns };
        let mut guest = Metered::new(std::future::ready(()), Arc::new(meter), Arc::default(), Arc::new(clock), None);
        Pin::new(&mut guest).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn heavy_guests_wait_for_their_turn_and_light_ones_do_not() {
        assert_eq!(polled(Duration::ZERO), Poll::Ready(()));
        assert_eq!(polled(Duration::from_secs(1)), Poll::Pending);
    }

    #[test]
    fn whoever_was_not_brief_once_is_never_brief_again() {
        let first = FirstSlice::default();
        assert!(!first.is_brief(), "nobody knows it");
        first.note(Duration::ZERO);
        assert!(first.is_brief());
        first.note(BRIEF + Duration::from_nanos(1));
        first.note(Duration::ZERO);
        assert!(!first.is_brief());
    }
}
