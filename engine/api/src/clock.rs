//! The clock: the wall's, which is set back and forth, made steady for as long as the process runs.
//!
//! Whatever waits compares moments. Where the wall's clock steps, this one catches up little by little, so nothing
//! waits longer than twice its time, and nothing is over at once.

use decide::next::Timestamp;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

static CLOCK: Mutex<Option<Steady>> = Mutex::new(None);

/// The clock, in ms since the epoch. It never goes back while the process runs.
pub fn now() -> Timestamp {
    let mut clock = CLOCK.lock().expect("nobody panics while holding the clock");
    let (passed, wall) = (passed(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let told = match &mut *clock {
        Some(steady) => steady.tell(passed, wall),
        None => clock.insert(Steady { passed, told: wall }).told,
    };
    told.as_millis() as Timestamp
}

/// The time that has passed since some moment, the machine's sleep included; nobody can set it.
fn passed() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let passed = rustix::time::clock_gettime(clock);
    Duration::new(u64::try_from(passed.tv_sec).unwrap_or(0), u32::try_from(passed.tv_nsec).unwrap_or(0))
}

/// A clock that is told the wall's.
#[derive(Debug)]
struct Steady {
    /// What had passed when it was last asked.
    passed: Duration,
    /// What it answered then, since the epoch.
    told: Duration,
}

impl Steady {
    /// The moment, since the epoch. It comes closer to the wall's by no more than half of what has passed.
    fn tell(&mut self, passed: Duration, wall: Duration) -> Duration {
        let went = passed.saturating_sub(self.passed);
        let (steady, most) = (self.told + went, went / 2);
        let behind = wall.saturating_sub(steady).min(most);
        let ahead = steady.saturating_sub(wall).min(most);
        self.passed += went;
        self.told = steady + behind - ahead;
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;
    const HOURS: u64 = 3_600;

    /// What a steady clock tells at each second, where the wall's is off by so many seconds from the tenth on.
    fn told(off: i64, seconds: u64) -> Vec<u64> {
        let mut clock = Steady { passed: Duration::from_secs(7), told: Duration::from_secs(START) };
        let tell = |n: u64| {
            let wall = (START + n).checked_add_signed(if n < 10 { 0 } else { off }).unwrap();
            clock.tell(Duration::from_secs(7 + n), Duration::from_secs(wall)).as_millis() as u64 - START * 1_000
        };
        (0..=seconds).map(tell).collect()
    }

    #[test]
    fn it_is_the_walls_while_that_is_not_set() {
        assert_eq!(told(0, 100).last(), Some(&100_000));
        assert_eq!(told(0, 100)[50], 50_000);
    }

    #[test]
    fn a_wall_that_steps_back_makes_no_wait_longer_than_twice() {
        let told = told(-2 * HOURS as i64, 5 * HOURS);
        assert!(told.is_sorted(), "it never goes back");
        for (begun, now) in told.iter().zip(&told[600..]) {
            assert!(now - begun >= 300_000, "600 s are 300 at the least");
        }
        assert_eq!(*told.last().unwrap(), 3 * HOURS * 1_000, "and then it is the wall's again");
    }

    #[test]
    fn a_wall_that_steps_forth_ends_no_wait_at_once() {
        let told = told(2 * HOURS as i64, 5 * HOURS);
        for (begun, now) in told.iter().zip(&told[600..]) {
            assert!((600_000..=900_000).contains(&(now - begun)), "600 s are 900 at the most");
        }
        assert_eq!(*told.last().unwrap(), 7 * HOURS * 1_000);
    }

    #[test]
    fn what_passes_between_two_looks_is_not_lost() {
        let mut clock = Steady { passed: Duration::ZERO, told: Duration::from_secs(START) };
        let (passed, wall) = (Duration::from_secs(8 * HOURS), Duration::from_secs(START + 8 * HOURS));
        assert_eq!(clock.tell(passed, wall), wall, "the machine slept");
        assert_eq!(clock.tell(passed, wall), wall);
    }

    #[test]
    fn it_never_goes_back() {
        let all: Vec<_> = (0..1_000).map(|_| now()).collect();
        assert!(all.is_sorted());
    }
}
