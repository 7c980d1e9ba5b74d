//! The threads that guests run on.
//!
//! Every guest begins on the light ones, or on its caller's, and moves to the
//! heavy ones when it has used more than a little CPU time. Unless the settings
//! say otherwise, those have the scheduler's policy for what can wait
//! (`SCHED_IDLE`): whatever else the server does takes the CPU from them at once,
//! however many of them spin.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

use crate::engine::{Busy, Settings};
use crate::meter::{FirstSlice, Meter};

/// A call on its way.
pub(crate) type CallFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The threads. Dropping them stops what runs there.
pub(crate) struct Threads {
    light: Pool,
    heavy: Pool,
}

/// One kind of them; there until it is dropped.
struct Pool(Option<Runtime>);

/// How far a call came.
enum Light<T> {
    Ended(T),
    /// It is heavy now.
    Goes(CallFuture<T>),
}

/// We failed in the midst of a call. The guest is gone with its store.
pub(crate) struct Panicked;

impl Threads {
    pub(crate) fn start(settings: &Settings) -> io::Result<Threads> {
        let mut light = Builder::new_multi_thread();
        light.worker_threads(settings.threads.max(1)).thread_name("plugin").enable_all();
        let mut heavy = Builder::new_multi_thread();
        heavy.worker_threads(settings.heavy_threads()).thread_name("plugin-heavy").enable_all();
        if settings.busy == Busy::Behind {
            heavy.on_thread_start(step_back);
        }
        Ok(Threads { light: Pool(Some(light.build()?)), heavy: Pool(Some(heavy.build()?)) })
    }

    /// Runs a call to its end. Dropping the future stops it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        mut call: CallFuture<T>,
        meter: Arc<Meter>,
        first: &FirstSlice,
    ) -> Result<T, Panicked> {
        if first.is_brief()
            && let Poll::Ready(ended) = first_slice(&mut call, self.light.handle()).await
        {
            return ended;
        }
        let mut task = JoinSet::new();
        task.spawn_on(while_light(call, meter), self.light.handle());
        let call = match task.join_next().await {
            Some(Ok(Light::Ended(ended))) => return Ok(ended),
            Some(Ok(Light::Goes(call))) => call,
            _ => return Err(Panicked),
        };
        let mut task = JoinSet::new();
        task.spawn_on(call, self.heavy.handle());
        task.join_next().await.and_then(Result::ok).ok_or(Panicked)
    }
}

impl Pool {
    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is there until it is dropped").handle()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // A runtime may not wait for its threads inside of another.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Polls a call once, on the caller's own thread.
async fn first_slice<T>(call: &mut CallFuture<T>, light: &Handle) -> Poll<Result<T, Panicked>> {
    poll_fn(|cx| {
        // Its timers are the guests' from the beginning.
        let _light = light.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
        Poll::Ready(match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        })
    })
    .await
}

/// Runs a call until it ends or is heavy.
async fn while_light<T>(mut call: CallFuture<T>, meter: Arc<Meter>) -> Light<T> {
    let ended = poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if meter.is_heavy() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    match ended.await {
        Some(ended) => Light::Ended(ended),
        None => Light::Goes(call),
    }
}

/// Gives this thread the policy for what can wait.
fn step_back() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
        tracing::warn!(?error, "busy plugins are not put behind the server's own work");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use thread_priority::thread_schedule_policy;

    /// The policies of the threads that a call was polled by, which had used so much before.
    async fn policies(busy: Busy, used: Duration) -> Vec<ThreadSchedulePolicy> {
        let threads = Threads::start(&Settings { threads: 1, busy, ..Settings::default() }).unwrap();
        let meter = Arc::new(Meter::after(used));
        let mut seen = Vec::new();
        let call = poll_fn(move |cx| {
            seen.push(thread_schedule_policy().unwrap());
            cx.waker().wake_by_ref();
            if seen.len() < 2 { Poll::Pending } else { Poll::Ready(std::mem::take(&mut seen)) }
        });
        threads.run(Box::pin(call), meter, &FirstSlice::default()).await.ok().unwrap()
    }

    #[tokio::test]
    async fn whoever_is_heavy_goes_on_behind_everything_else_where_it_is_a_step() {
        let other = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let (light, heavy) = (Duration::ZERO, Duration::from_secs(1));
        assert_eq!(policies(Busy::Behind, light).await, [other, other]);
        assert_eq!(policies(Busy::Behind, heavy).await, [other, idle]);
        assert_eq!(policies(Busy::Beside, heavy).await, [other, other]);
    }
}
