//! One call of a plugin: instantiate, run, judge, drop.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use wasmtime::component::ResourceTableError;
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use crate::abilities::Abilities;
use crate::asks::{Ask, Returned};
use crate::host::bindings::bespin::plugin::failures::Failure;
use crate::meter::{Clock, FirstSlice, Meter, Metered};
use crate::state::State;
use crate::verdict::Verdict;
use pipeline::limits::{Limit, Limits};
use pipeline::permission::Permissions;

/// What the host copies from a guest for one call, beside what it may answer, in bytes: a text is copied whole before
/// anybody can look how long it is.
const COPIED: usize = 8 << 20;

/// A longer reason is cut, in bytes.
const REASON: usize = 8 << 10;

/// Everything that a call needs, owned.
pub(crate) struct PluginCall<A> {
    pub(crate) engine: Engine,
    pub(crate) asked: A,
    pub(crate) grants: Permissions,
    pub(crate) limits: Limits,
    pub(crate) abilities: Arc<dyn Abilities>,
    /// Where abilities are called.
    pub(crate) home: Handle,
    /// Whose places and turns it takes.
    pub(crate) share: Option<String>,
    /// What is known of the plugin's calls.
    pub(crate) first: Arc<FirstSlice>,
    /// What makes guests look up, and has their turns.
    pub(crate) clock: Arc<Clock>,
    /// Counts the CPU time that it has used.
    pub(crate) meter: Arc<Meter>,
}

impl<A: Ask> PluginCall<A> {
    /// Runs the plugin to a verdict. It is polled by the sandbox's own threads, but for the first slice of a brief one.
    pub(crate) async fn run(self) -> Verdict<A::Answer> {
        let wall = self.limits.wall;
        let abilities = Arc::clone(&self.abilities);
        let copied = COPIED.saturating_add(usize::try_from(self.limits.response_bytes).unwrap_or(usize::MAX));
        let state = State::new(self.abilities, self.grants, self.limits, self.home, Arc::clone(&self.meter));
        let mut store = Store::new(&self.engine, state);
        store.set_hostcall_fuel(copied);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|mut store| {
            let state = store.data_mut();
            if state.meter.used() <= state.limits.cpu {
                return Ok(UpdateDeadline::Yield(1));
            }
            state.exceed(Limit::Cpu, format!("more than {:?} of CPU time", state.limits.cpu));
            Ok(UpdateDeadline::Interrupt)
        });
        store.set_epoch_deadline(1);
        let call = self.asked.call(&mut store);
        let call = Metered::new(call, self.meter, self.first, self.clock, self.share);
        let ended = within(wall, &*abilities, call).await;
        let state = store.into_data();
        state.stdout.finish();
        let printed = state.stderr.finish();
        match ended {
            None => Verdict::TimedOut { after: wall },
            Some(ended) => judge::<A>(state, ended, &printed),
        }
    }
}

/// What a call returns within its wall time; what it waits for free places meanwhile does not count.
async fn within<T>(wall: Duration, abilities: &dyn Abilities, call: impl Future<Output = T>) -> Option<T> {
    let (began, before) = (Instant::now(), abilities.waited());
    let mut call = pin!(call);
    loop {
        let left = (wall + abilities.waited().saturating_sub(before)).saturating_sub(began.elapsed());
        if left.is_zero() {
            return None;
        }
        if let Ok(ended) = tokio::time::timeout(left, call.as_mut()).await {
            return Some(ended);
        }
    }
}

/// A limit comes before a denial, and a denial before what the guest says of it.
fn judge<A: Ask>(state: State, ended: Returned<A::Raw>, printed: &str) -> Verdict<A::Answer> {
    if let Some((which, because)) = state.exceeded {
        return Verdict::Limit { which, because };
    }
    let ended = match ended {
        Ok(Ok(answer)) => return A::judge(answer, state.limits.output_bytes),
        Ok(Err(failure)) => Ok(failure),
        Err(error) => Err(error),
    };
    if let Some((which, because)) = state.memory.refused {
        return Verdict::Limit { which, because };
    }
    if let Err(error) = &ended {
        if matches!(error.downcast_ref::<Trap>(), Some(Trap::StackOverflow)) {
            return Verdict::Limit { which: Limit::Stack, because: "it called itself too deep".to_owned() };
        }
        if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
            let because = format!("more than {} open handles", state.limits.handles);
            return Verdict::Limit { which: Limit::Handles, because };
        }
        // The engine's error for it has no public type.
        if error.root_cause().to_string().contains("fuel allocated for hostcalls") {
            let because = "it handed over more at once than a call may".to_owned();
            return Verdict::Limit { which: Limit::Request, because };
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Verdict::Transient { because: "all places for plugins are taken".to_owned() };
        }
    }
    if let Some(denied) = state.denied {
        return Verdict::Denied(denied);
    }
    let because = |because| clip(state.abilities.hidden(because));
    match ended {
        Ok(Failure::Rejected(text)) => Verdict::Rejected { because: because(text) },
        Ok(Failure::Transient(text)) => Verdict::Transient { because: because(text) },
        Err(error) => Verdict::Trapped { because: because(crash(&error, printed)) },
    }
}

/// Why it crashed. A panic's own words are on standard error; the engine only knows that it was unreachable code.
fn crash(error: &wasmtime::Error, printed: &str) -> String {
    let printed = printed.trim();
    let because = match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(status)) => format!("it exited with status {status} instead of answering"),
        None if printed.contains("panicked at") => return format!("it panicked: {printed}"),
        None => error.root_cause().to_string(),
    };
    if printed.is_empty() { because } else { format!("{because}; it printed: {printed}") }
}

fn clip(mut because: String) -> String {
    because.truncate(because.floor_char_boundary(REASON));
    because
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abilities::Level;
    use std::sync::Mutex;

    /// Has waited so long.
    struct Waited(Mutex<Duration>);

    impl Abilities for Waited {
        fn log(&self, _: Level, _: &str) {}

        fn waited(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    #[tokio::test]
    async fn what_a_call_waits_for_a_place_is_no_time_of_its_own() {
        let (wall, hour) = (Duration::from_millis(1), Duration::from_secs(3600));
        // What was waited before the call began is none of its waits.
        let waited = Waited(Mutex::new(hour));
        assert_eq!(within(wall, &waited, std::future::pending::<()>()).await, None);
        let call = async {
            *waited.0.lock().unwrap() += hour;
            tokio::time::sleep(20 * wall).await;
        };
        assert_eq!(within(wall, &waited, call).await, Some(()));
    }
}
