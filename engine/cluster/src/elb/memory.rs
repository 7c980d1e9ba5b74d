//! What is remembered of load balancers and of queries. It decides only when AWS is asked.

use super::api::ElbApi;
use super::refusal::ElbRefusal;
use decide::next::Timestamp;
use decide::outcome::Failure;
use decide::rollout::{BalancerQuery, BalancerReading, IngressReading, RouterFailure};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// For how long a good answer stands: whatever wakes a rollout in between asks nobody again.
const STANDS: Duration = Duration::from_secs(1);
/// For how long a hostname that no load balancer has is not looked for again: it may be another region's.
const MISSING: Duration = Duration::from_secs(30);
/// How many queries are remembered; more than there are Rollouts at a time.
const QUERIES: usize = 1_000;

/// The load balancers of the region by their DNS names, in lower case: one list tells all.
#[derive(Default)]
pub(super) struct DnsNames {
    arns: BTreeMap<String, String>,
    missing: BTreeMap<String, Instant>,
}

impl DnsNames {
    /// The ARNs of the load balancers of each Ingress: none, where no load balancer has its hostnames.
    pub(super) async fn find(
        &mut self,
        api: &ElbApi,
        hostnames: &BTreeMap<String, BTreeSet<String>>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, ElbRefusal> {
        self.missing.retain(|_, since| since.elapsed() < MISSING);
        let is_known = |name: &String| self.arns.contains_key(name) || self.missing.contains_key(name);
        if !hostnames.values().flatten().all(is_known) {
            self.arns = api.balancers().await?;
            let absent = hostnames.values().flatten().filter(|name| !self.arns.contains_key(*name));
            self.missing.extend(absent.map(|name| (name.clone(), Instant::now())));
        }
        let of = |names: &BTreeSet<String>| names.iter().filter_map(|name| self.arns.get(name).cloned()).collect();
        Ok(hostnames.iter().map(|(ingress, names)| (ingress.clone(), of(names))).collect())
    }

    /// The next one who asks looks again.
    pub(super) fn forget(&mut self) {
        self.arns.clear();
    }
}

/// What came of one query the last time.
#[derive(Default)]
pub(super) struct QueryMemory {
    answer: Option<(BalancerReading, Instant)>,
    /// How often in a row it has failed.
    failures: u32,
}

impl QueryMemory {
    /// The answer, for as long as it stands: a failure until AWS may be asked again.
    pub(super) fn stands(&self, now: Timestamp) -> Option<BalancerReading> {
        let (answer, since) = self.answer.as_ref()?;
        let stands = match answer {
            BalancerReading::Failed(failure) => now < failure.again,
            BalancerReading::NotAsked | BalancerReading::Read(_) => since.elapsed() < STANDS,
        };
        stands.then(|| answer.clone())
    }

    /// Keeps what came of asking, which ended at `now`.
    pub(super) fn keep(&mut self, read: Result<Vec<IngressReading>, Failure>, now: Timestamp) -> BalancerReading {
        self.failures = if read.is_ok() { 0 } else { self.failures.saturating_add(1) };
        let answer = match read {
            Ok(read) => BalancerReading::Read(read),
            Err(failure) => BalancerReading::Failed(RouterFailure::of(&failure, self.failures, now)),
        };
        self.answer = Some((answer.clone(), Instant::now()));
        answer
    }
}

/// A query by its namespace, its Ingresses and its Services.
type QueryKey = (String, Vec<String>, Vec<String>);

/// The memories of all queries.
#[derive(Default)]
pub(super) struct QueryMemories(std::sync::Mutex<BTreeMap<QueryKey, Arc<Mutex<QueryMemory>>>>);

impl QueryMemories {
    /// The memory of one query.
    pub(super) fn of(&self, namespace: &str, query: &BalancerQuery) -> Arc<Mutex<QueryMemory>> {
        let key = (namespace.to_owned(), query.ingresses.clone(), query.services.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= QUERIES && !all.contains_key(&key) {
            // Those that nobody is asking just now.
            all.retain(|_, memory| Arc::strong_count(memory) > 1);
        }
        all.entry(key).or_default().clone()
    }
}
