//! Turns of heavy guests on the threads that they may use.
//!
//! It is runs that share the time, and not guests: a run with a hundred busy
//! steps gets as much as one with a single step. The next turn is the one's
//! whose run has used least; a run that comes anew begins where the others are,
//! and has nothing saved up.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// The turns, and who waits for one.
pub(crate) struct Turns(Mutex<TurnQueue>);

/// Permission to run for a slice. Dropping it is the next one's turn.
pub(crate) struct Slice {
    /// None if nobody waited for it any more.
    of: Option<(Arc<Turns>, String)>,
    /// How much CPU time the slice took.
    pub(crate) used: Duration,
}

struct TurnQueue {
    free: usize,
    shares: HashMap<String, ShareUse>,
    /// What the run had used that was given the last turn.
    floor: Duration,
}

#[derive(Default)]
struct ShareUse {
    used: Duration,
    running: usize,
    waiting: VecDeque<oneshot::Sender<Slice>>,
}

impl Turns {
    pub(crate) fn new(turns: usize) -> Arc<Self> {
        Arc::new(Turns(Mutex::new(TurnQueue { free: turns, shares: HashMap::new(), floor: Duration::ZERO })))
    }

    /// Waits for a turn. Whoever drops what is returned waits no longer.
    pub(crate) fn wait(self: &Arc<Self>, share: &str) -> oneshot::Receiver<Slice> {
        let (sender, receiver) = oneshot::channel();
        let mut line = self.lock();
        let floor = line.floor;
        let share = line.shares.entry(share.to_owned()).or_default();
        if !share.is_active() {
            share.used = share.used.max(floor);
        }
        share.waiting.push_back(sender);
        line.give(self);
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, TurnQueue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TurnQueue {
    /// Gives the turns that are free.
    fn give(&mut self, turns: &Arc<Turns>) {
        while self.free > 0 {
            let waiting = self.shares.iter_mut().filter(|(_, share)| !share.waiting.is_empty());
            let Some((name, share)) = waiting.min_by_key(|(_, share)| share.used) else { return };
            let Some(next) = share.waiting.pop_front() else { return };
            let turn = Slice { of: Some((Arc::clone(turns), name.clone())), used: Duration::ZERO };
            match next.send(turn) {
                Ok(()) => {
                    self.floor = self.floor.max(share.used);
                    share.running += 1;
                    self.free -= 1;
                }
                Err(mut nobodys) => nobodys.of = None,
            }
        }
    }
}

impl ShareUse {
    fn is_active(&self) -> bool {
        self.running > 0 || !self.waiting.is_empty()
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        let Some((turns, share)) = self.of.take() else { return };
        let mut line = turns.lock();
        line.free += 1;
        if let Some(share) = line.shares.get_mut(&share) {
            share.running -= 1;
            share.used += self.used;
        }
        let floor = line.floor;
        line.shares.retain(|_, share| share.is_active() || share.used > floor);
        line.give(&turns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets guests of these runs, each of which never ends, use slices of a millisecond; who had how many.
    fn shared(guests: &[&'static str], slices: usize) -> HashMap<&'static str, usize> {
        let turns = Turns::new(1);
        let mut waiting: VecDeque<_> = guests.iter().map(|share| (*share, turns.wait(share))).collect();
        let mut had = HashMap::new();
        for _ in 0..slices {
            let (at, turn) = (0..waiting.len())
                .find_map(|at| waiting[at].1.try_recv().ok().map(|turn| (at, turn)))
                .expect("it is somebody's turn");
            let (share, _) = waiting.remove(at).unwrap();
            *had.entry(share).or_default() += 1;
            used(turn, Duration::from_millis(1));
            waiting.push_back((share, turns.wait(share)));
        }
        had
    }

    /// Ends a turn after a slice of this length.
    fn used(mut turn: Slice, used: Duration) {
        turn.used = used;
    }

    #[test]
    fn runs_share_the_time_however_many_guests_they_have() {
        let had = shared(&["many", "many", "many", "many", "many", "one"], 100);
        assert_eq!((had["many"], had["one"]), (50, 50));
    }

    #[tokio::test]
    async fn whoever_gives_up_takes_nobodys_turn() {
        let turns = Turns::new(1);
        let first = turns.wait("a").await.unwrap();
        let gives_up = turns.wait("b");
        let mut third = turns.wait("c");
        drop(gives_up);
        assert!(third.try_recv().is_err(), "there is one turn");
        drop(first);
        let third = third.await.unwrap();
        // Nor does it keep one that it was given and never took.
        let given = turns.wait("b");
        let last = turns.wait("a");
        drop(third);
        drop(given);
        last.await.unwrap();
    }

    #[tokio::test]
    async fn a_run_that_comes_anew_has_saved_nothing_up() {
        let turns = Turns::new(1);
        used(turns.wait("old").await.unwrap(), Duration::from_secs(60));
        let first = turns.wait("old").await.unwrap();
        let mut new = turns.wait("new");
        let old = turns.wait("old");
        used(first, Duration::from_millis(1));
        let turn = new.try_recv().expect("it has used less by now");
        used(turn, Duration::from_millis(2));
        let mut again = turns.wait("new");
        old.await.expect("it is its turn, and not the new one's for a minute");
        again.try_recv().expect("then it is the new one's");
    }
}
