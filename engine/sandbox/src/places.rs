//! Places for calls: so many at once for a run, and so many for the server.
//!
//! A call waits for its run's turn first and for a place of the pool then, so
//! that a run with a thousand steps never stands before another run's one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use pipeline::limits::Limits;

/// The places of a sandbox.
pub(crate) struct CallPlaces {
    pool: Arc<WaitingLine>,
    shares: Mutex<HashMap<String, Weak<WaitingLine>>>,
}

/// A place, until it is dropped.
pub(crate) struct CallPlace {
    _share: Option<PlacePermit>,
    _pool: PlacePermit,
}

/// Places, and the line of those who wait for one.
struct WaitingLine {
    places: Arc<Semaphore>,
    most: u32,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// One place of a line. The line is known for as long as anybody has a place in it.
struct PlacePermit {
    _permit: OwnedSemaphorePermit,
    _line: Arc<WaitingLine>,
}

/// One who waits; whoever gives up waits no longer.
struct Waiter<'a>(&'a AtomicUsize);

impl CallPlaces {
    pub(crate) fn new(places: u32, most_waiting: usize) -> Self {
        CallPlaces { pool: WaitingLine::new(places, most_waiting), shares: Mutex::default() }
    }

    /// Waits for a place. Calls of the same share take turns by the limits of the first of them. Where none is free,
    /// `queued` is told, and what it returns is dropped once there is one.
    ///
    /// # Errors
    ///
    /// Too many wait already: which, as a sentence.
    pub(crate) async fn take<W>(
        &self,
        share: Option<String>,
        limits: &Limits,
        queued: impl Fn(String) -> W,
    ) -> Result<CallPlace, String> {
        let share = match share {
            None => None,
            Some(name) => {
                let turn = self.line(&name, limits).turn(|most| queued(in_use(most, " by this run"))).await;
                Some(turn.map_err(|most| format!("{most} calls of this run wait for their turn already"))?)
            }
        };
        let pool = Arc::clone(&self.pool).turn(|most| queued(in_use(most, ""))).await;
        let pool = pool.map_err(|most| format!("{most} calls wait for a place in the server already"))?;
        Ok(CallPlace { _share: share, _pool: pool })
    }

    fn line(&self, share: &str, limits: &Limits) -> Arc<WaitingLine> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = shares.get(share).and_then(Weak::upgrade) {
            return line;
        }
        shares.retain(|_, line| line.strong_count() > 0);
        let line = WaitingLine::new(limits.concurrent, limits.waiting);
        shares.insert(share.to_owned(), Arc::downgrade(&line));
        line
    }
}

/// What is said of a wait.
fn in_use(most: u32, by: &str) -> String {
    format!("waiting for a free place: {most} of {most} are in use{by}")
}

impl WaitingLine {
    fn new(places: u32, most_waiting: usize) -> Arc<Self> {
        // Nobody would ever get one of no places.
        let most = places.max(1);
        let places = Arc::new(Semaphore::new(most as usize));
        Arc::new(WaitingLine { places, most, waiting: AtomicUsize::new(0), most_waiting })
    }

    /// Waits for a place of this line.
    ///
    /// # Errors
    ///
    /// How many wait already, which are too many.
    async fn turn<W>(self: Arc<Self>, queued: impl FnOnce(u32) -> W) -> Result<PlacePermit, usize> {
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let before = self.waiting.fetch_add(1, Ordering::SeqCst);
                let _waiting = Waiter(&self.waiting);
                if before >= self.most_waiting {
                    return Err(self.most_waiting);
                }
                let _queued = queued(self.most);
                Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        Ok(PlacePermit { _permit: permit, _line: self })
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    /// Whether a call did not get a place at once.
    fn waits<T>(taken: &mut Pin<Box<impl Future<Output = T>>>) -> bool {
        taken.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn limits(concurrent: u32, waiting: usize) -> Limits {
        Limits { concurrent, waiting, ..Limits::default() }
    }

    #[tokio::test]
    async fn a_run_takes_turns_and_stands_in_nobodys_way() {
        let (places, limits) = (CallPlaces::new(2, 10), limits(1, 1));
        let first = places.take(Some("a".into()), &limits, drop).await.unwrap();
        let mut second = Box::pin(places.take(Some("a".into()), &limits, drop));
        assert!(waits(&mut second), "the run has its one place");
        let other = places.take(Some("b".into()), &limits, drop).await.unwrap();
        let third = places.take(Some("a".into()), &limits, drop).await.err().unwrap();
        assert!(third.contains("1 calls of this run"), "{third}");
        drop(first);
        second.await.unwrap();
        drop(other);
    }

    #[tokio::test]
    async fn who_waits_is_told_for_what_until_there_is_a_place() {
        let (places, limits) = (CallPlaces::new(2, 10), limits(1, 1));
        let (told, waits_on) = (Mutex::new(Vec::new()), Arc::new(()));
        let queued = |because: String| {
            told.lock().unwrap().push(because);
            waits_on.clone()
        };
        let first = places.take(Some("a".into()), &limits, queued).await.unwrap();
        let other = places.take(Some("b".into()), &limits, queued).await.unwrap();
        assert!(told.lock().unwrap().is_empty(), "they had their places at once");
        let mut third = Box::pin(places.take(Some("c".into()), &limits, queued));
        let mut second = Box::pin(places.take(Some("a".into()), &limits, queued));
        assert!(waits(&mut third) && waits(&mut second));
        let expected = ["2 of 2 are in use", "1 of 1 are in use by this run"];
        assert_eq!(*told.lock().unwrap(), expected.map(|text| format!("waiting for a free place: {text}")));
        assert_eq!(Arc::strong_count(&waits_on), 3);
        drop((first, other));
        third.await.unwrap();
        second.await.unwrap();
        assert_eq!(Arc::strong_count(&waits_on), 1);
    }

    #[tokio::test]
    async fn the_servers_line_is_bounded() {
        let (places, limits) = (CallPlaces::new(1, 1), limits(5, 5));
        let first = places.take(None, &limits, drop).await.unwrap();
        let mut second = Box::pin(places.take(None, &limits, drop));
        assert!(waits(&mut second));
        let third = places.take(Some("a".into()), &limits, drop).await.err().unwrap();
        assert!(third.contains("in the server"), "{third}");
        // Who gives up makes room in the line.
        drop(second);
        let mut fourth = Box::pin(places.take(None, &limits, drop));
        assert!(waits(&mut fourth));
        drop(first);
        fourth.await.unwrap();
    }

    #[tokio::test]
    async fn a_run_without_calls_is_forgotten() {
        let places = CallPlaces::new(1, 1);
        drop(places.take(Some("a".into()), &limits(1, 1), drop).await.unwrap());
        drop(places.take(Some("b".into()), &limits(1, 1), drop).await.unwrap());
        assert_eq!(places.shares.lock().unwrap().len(), 1);
    }
}
