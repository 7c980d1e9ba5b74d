//! What the stand-in and the proxy share: the clock of each target, what was asked, and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a target drains after it was taken out.
const DRAINING: Duration = Duration::from_secs(5);
/// A burst of throttling, and how often there is one.
const BURST_MS: u128 = 2_000;
const EACH_MS: u128 = 9_000;

/// Whether the API refuses what comes too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Throttling {
    /// It answers everything.
    #[default]
    Never,
    /// It refuses everything for 2 s of each 9 s, the first of them now.
    InBursts,
}

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Initial,
    Healthy,
    Unhealthy,
    Draining,
}

impl Health {
    /// The state, its reason and its description, as ELBv2 says them.
    pub(super) fn words(self) -> (&'static str, Option<(&'static str, &'static str)>) {
        match self {
            Health::Initial => ("initial", Some(("Elb.RegistrationInProgress", "Target registration is in progress"))),
            Health::Healthy => ("healthy", None),
            Health::Unhealthy => ("unhealthy", Some(("Target.FailedHealthChecks", "Health checks failed"))),
            Health::Draining => {
                let description = "Target deregistration is in progress";
                ("draining", Some(("Target.DeregistrationInProgress", description)))
            }
        }
    }
}

/// What the load balancer serves now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serves {
    /// The weights of the rule that shares, by the name of the Service.
    pub weights: BTreeMap<String, u32>,
    /// The addresses of the targets that it holds for healthy, by the name of the Service.
    pub targets: BTreeMap<String, BTreeSet<String>>,
}

/// One moment: first what the cluster said, then what the load balancer did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// When it began to be like this, in ms since the epoch.
    pub at_ms: u64,
    /// How many pods each version's ReplicaSet shall have, by the hash.
    pub pods: BTreeMap<String, u64>,
    /// The canary's weight in the Rollout's status, in percent, and whether it says that this was verified.
    pub said: Option<(u64, bool)>,
    /// The weights of the rule, by the name of the Service.
    pub weights: BTreeMap<String, u32>,
    /// How many healthy targets whose pods are there each Service's group has, by the hash of the version.
    pub healthy: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Moment {
    /// The weight of a Service's group in the rule; `None` without one.
    pub fn weight(&self, service: &str) -> Option<u32> {
        self.weights.get(service).copied()
    }

    fn is_like(&self, other: &Moment) -> bool {
        let timeless = Moment { at_ms: other.at_ms, ..self.clone() };
        timeless == *other
    }
}

/// A target's times.
struct Clock {
    healthy_at: Instant,
    left_at: Option<Instant>,
}

struct Fault {
    from_ms: u64,
    until_ms: Option<u64>,
    service: String,
    text: String,
}

/// All of it.
#[derive(Default)]
pub(super) struct State {
    asleep: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By the group's ARN and the target's address.
    clocks: BTreeMap<(String, String), Clock>,
    failing: BTreeSet<String>,
    throttled_since: Option<Instant>,
    throttled: usize,
    answered: BTreeMap<String, usize>,
    serves: Serves,
    moments: Vec<Moment>,
    /// When everybody who has a weight had a healthy target for the first time; nothing can be lost before.
    served_from: Option<u64>,
    faults: Vec<Fault>,
}

/// The time in ms since the epoch.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since.as_millis()).expect("it fits for long")
}

impl State {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    pub(super) fn sleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::SeqCst);
    }

    pub(super) fn throttle(&self, throttling: Throttling) {
        self.inner().throttled_since = (throttling == Throttling::InBursts).then(Instant::now);
    }

    pub(super) fn fail(&self, addresses: BTreeSet<String>) {
        self.inner().failing = addresses;
    }

    /// A request for an action has come: whether it is answered.
    pub(super) fn admits(&self, action: &str) -> bool {
        let mut inner = self.inner();
        let is_burst = inner.throttled_since.is_some_and(|since| since.elapsed().as_millis() % EACH_MS < BURST_MS);
        match is_burst {
            true => inner.throttled += 1,
            false => *inner.answered.entry(action.to_owned()).or_default() += 1,
        }
        !is_burst
    }

    pub(super) fn throttled(&self) -> usize {
        self.inner().throttled
    }

    pub(super) fn answered(&self, action: &str) -> usize {
        self.inner().answered.get(action).copied().unwrap_or_default()
    }

    /// A target was put into a group, and is healthy after this time.
    pub(super) fn came(&self, group: &str, address: &str, initial: Duration) {
        let clock = Clock { healthy_at: Instant::now() + initial, left_at: None };
        self.inner().clocks.insert((group.to_owned(), address.to_owned()), clock);
    }

    /// A target is taken out of a group.
    pub(super) fn left(&self, group: &str, address: &str) {
        if let Some(clock) = self.inner().clocks.get_mut(&(group.to_owned(), address.to_owned())) {
            clock.left_at.get_or_insert_with(Instant::now);
        }
    }

    /// How a target of a group is; one that was only just put there has no clock yet.
    pub(super) fn health(&self, group: &str, address: &str) -> Health {
        let inner = self.inner();
        let clock = inner.clocks.get(&(group.to_owned(), address.to_owned()));
        match clock {
            Some(Clock { left_at: Some(_), .. }) => Health::Draining,
            _ if inner.failing.contains(address) => Health::Unhealthy,
            Some(clock) if clock.healthy_at <= Instant::now() => Health::Healthy,
            _ => Health::Initial,
        }
    }

    /// The addresses that are draining in a group.
    pub(super) fn draining(&self, group: &str) -> Vec<String> {
        let inner = self.inner();
        let of_group = inner.clocks.iter().filter(|((arn, _), _)| arn == group);
        let drains = |clock: &Clock| clock.left_at.is_some_and(|left| left.elapsed() < DRAINING);
        of_group.filter(|(_, clock)| drains(clock)).map(|((_, address), _)| address.clone()).collect()
    }

    /// Remembers a moment, and judges it.
    pub(super) fn saw(&self, serves: Serves, moment: Moment) {
        let mut inner = self.inner();
        inner.serves = serves;
        inner.judge(&moment);
        if !inner.moments.last().is_some_and(|last| last.is_like(&moment)) {
            inner.moments.push(moment);
        }
    }

    pub(super) fn moments(&self) -> Vec<Moment> {
        self.inner().moments.clone()
    }

    pub(super) fn serves(&self) -> Serves {
        self.inner().serves.clone()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let until = |fault: &Fault| fault.until_ms.map_or("now".to_owned(), |until| until.to_string());
        let said = |fault: &Fault| format!("{} to {} ms: {}", fault.from_ms, until(fault), fault.text);
        self.inner().faults.iter().map(said).collect()
    }
}

impl Inner {
    /// Traffic is lost while a group gets some and has no healthy target, and another one has.
    fn judge(&mut self, moment: &Moment) {
        let count =
            |service: &String| -> usize { moment.healthy.get(service).map_or(0, |versions| versions.values().sum()) };
        let weighted = || moment.weights.iter().filter(|(_, weight)| **weight > 0);
        let somebody: usize = moment.weights.keys().map(count).sum();
        if weighted().count() > 0 && weighted().all(|(service, _)| count(service) > 0) {
            self.served_from.get_or_insert(moment.at_ms);
        }
        let loses = |service: &String| somebody > 0 && count(service) == 0;
        let mut losing: BTreeMap<String, u32> = BTreeMap::new();
        if self.served_from.is_some() {
            losing
                .extend(weighted().filter(|(service, _)| loses(service)).map(|(name, weight)| (name.clone(), *weight)));
        }
        for fault in self.faults.iter_mut().filter(|fault| fault.until_ms.is_none()) {
            if losing.remove(&fault.service).is_none() {
                fault.until_ms = Some(moment.at_ms);
            }
        }
        for (service, weight) in losing {
            let text = format!("{service} gets {weight} and has no healthy target: {moment:?}");
            eprintln!("the load balancer loses traffic: {text}");
            self.faults.push(Fault { from_ms: moment.at_ms, until_ms: None, service, text });
        }
    }
}
