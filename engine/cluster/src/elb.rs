//! AWS load balancers: what they really serve of a canary, as ELBv2's API says it.
//!
//! A reading goes from an Ingress' hostname to its load balancer, from there to the target groups that the AWS Load
//! Balancer Controller made for the versions' Services, and to the rules that forward to them. What is remembered
//! here decides only when AWS is asked.

mod api;
mod memory;
mod read;
mod refusal;
#[cfg(test)]
mod tests;

use crate::connect::ElbSettings;
use crate::traffic::Balancer;
use api::{ElbApi, LISTENERS, RULES, TAGS, TARGET_GROUPS, TARGET_HEALTH};
use aws_sdk_elasticloadbalancingv2::types::{TargetGroup as GroupOfTargets, TargetTypeEnum};
use decide::next::Timestamp;
use decide::outcome::Failure;
use decide::retry::Retry;
use decide::rollout::{BalancerQuery, BalancerReading, GroupTargets, IngressReading, TargetGroup};
use futures::future::{BoxFuture, try_join_all};
use memory::{DnsNames, QueryMemories};
use read::{OwnedGroup, RESOURCE, ReadBalancer};
use refusal::ElbRefusal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// How long one reading may take, with the wait for its turn.
const READING: Duration = Duration::from_secs(10);
/// How many readings of one cluster's load balancers are on their way at once.
const AT_ONCE: usize = 4;
/// How many target groups are remembered by their tag.
const GROUPS: usize = 1_000;

/// The load balancers before one cluster.
pub struct Elb {
    settings: ElbSettings,
    now: fn() -> Timestamp,
    /// Kept, for it keeps the credentials.
    api: Mutex<Option<ElbApi>>,
    turns: Semaphore,
    names: Mutex<DnsNames>,
    /// Whose the target groups are, by their ARNs. A tag of the controller stays as it is.
    owners: std::sync::Mutex<BTreeMap<String, String>>,
    memories: QueryMemories,
}

impl Elb {
    /// Binds the settings of a cluster's row; nothing is asked yet. `now` is the clock of whoever is told when a failure
    /// is asked about again.
    ///
    /// # Errors
    /// A build that cannot ask load balancers; this one can.
    pub fn new(_cluster: &str, settings: ElbSettings, now: fn() -> Timestamp) -> crate::Result<Elb> {
        Ok(Elb {
            settings,
            now,
            api: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
            names: Mutex::default(),
            owners: std::sync::Mutex::default(),
            memories: QueryMemories::default(),
        })
    }

    /// Tries each call of a reading at one load balancer: whether the API answers, and takes the credentials. Returns the
    /// calls that could not be tried, for there is nothing to ask about.
    ///
    /// # Errors
    /// It does not answer, or refuses one of them.
    pub async fn reach(&self) -> Result<Vec<&'static str>, Failure> {
        let asked = async {
            let api = self.api().await?;
            let Some(balancer) = api.balancers().await?.into_values().next() else {
                return Ok(vec![TARGET_GROUPS, TAGS, LISTENERS, RULES, TARGET_HEALTH]);
            };
            let tagged = std::slice::from_ref(&balancer);
            let asked = futures::try_join!(api.groups(&balancer), api.rules(&balancer), api.tagged(tagged, RESOURCE));
            let (groups, rules, _) = asked?;
            let group = groups.iter().find_map(GroupOfTargets::target_group_arn);
            if let Some(group) = group {
                api.targets(group).await?;
            }
            let untried = [(rules.is_empty(), RULES), (group.is_none(), TARGET_HEALTH)];
            Ok(untried.into_iter().filter(|(is_untried, _)| *is_untried).map(|(_, call)| call).collect())
        };
        bounded(asked).await.map_err(|refusal| refusal.failure)
    }

    /// What the load balancers of these hostnames serve: from memory, or by asking.
    async fn answer(
        &self,
        namespace: &str,
        query: &BalancerQuery,
        hostnames: &BTreeMap<String, BTreeSet<String>>,
    ) -> BalancerReading {
        let memory = self.memories.of(namespace, query);
        // One at a time asks; the others take its answer.
        let mut memory = memory.lock().await;
        if let Some(known) = memory.stands((self.now)()) {
            return known;
        }
        let reading = async {
            let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
            self.read_all(namespace, query, hostnames).await
        };
        let read = bounded(reading).await;
        if let Err(refusal) = &read {
            self.forget(refusal);
        }
        memory.keep(read.map_err(|refusal| refusal.failure), (self.now)())
    }

    async fn read_all(
        &self,
        namespace: &str,
        query: &BalancerQuery,
        hostnames: &BTreeMap<String, BTreeSet<String>>,
    ) -> Result<Vec<IngressReading>, ElbRefusal> {
        let api = self.api().await?;
        let arns = self.names.lock().await.find(&api, hostnames).await?;
        // Ingresses may share one.
        let each: BTreeSet<&String> = arns.values().flatten().collect();
        let api = &api;
        let each = each.into_iter().map(|arn| async move {
            Ok::<_, ElbRefusal>((arn.clone(), self.read_one(api, arn, namespace, query).await?))
        });
        let read = try_join_all(each).await?.into_iter().collect();
        Ok(read::readings(&arns, &read, &api.region()))
    }

    async fn read_one(
        &self,
        api: &ElbApi,
        balancer: &str,
        namespace: &str,
        query: &BalancerQuery,
    ) -> Result<ReadBalancer, ElbRefusal> {
        let groups = api.groups(balancer).await?;
        let owners = self.owners(api, &groups).await?;
        let mut reads = Vec::new();
        for group in &groups {
            let Some(resource) = group.target_group_arn().and_then(|arn| owners.get(arn)) else { continue };
            let owner = read::owner(resource, namespace, query);
            let owner = owner.map_err(|message| ElbRefusal::new(message, Retry::NeedsPerson))?;
            reads.extend(owner.map(|(ingress, service)| owned(api, group, ingress, service)));
        }
        if reads.is_empty() {
            return Ok(ReadBalancer::default());
        }
        let (groups, rules) = futures::try_join!(try_join_all(reads), api.rules(balancer))?;
        Ok(ReadBalancer { groups, rules: rules.iter().map(|actions| read::forwarded(actions)).collect() })
    }

    /// What the tags of these groups say, by their ARNs.
    async fn owners(&self, api: &ElbApi, groups: &[GroupOfTargets]) -> Result<BTreeMap<String, String>, ElbRefusal> {
        let mut known = self.owners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let arns = groups.iter().filter_map(GroupOfTargets::target_group_arn);
        let unknown: Vec<String> = arns.filter(|arn| !known.contains_key(*arn)).map(str::to_owned).collect();
        if unknown.is_empty() {
            return Ok(known);
        }
        let found = api.tagged(&unknown, RESOURCE).await?;
        known.extend(found.clone());
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() + found.len() > GROUPS {
            owners.clear();
        }
        owners.extend(found);
        Ok(known)
    }

    async fn api(&self) -> Result<ElbApi, ElbRefusal> {
        let mut kept = self.api.lock().await;
        match &*kept {
            Some(api) => Ok(api.clone()),
            None => Ok(kept.insert(ElbApi::bind(&self.settings).await?).clone()),
        }
    }

    /// What was remembered may be what is wrong: a load balancer has gone, credentials were exchanged. What another
    /// reading holds is being learnt anew.
    fn forget(&self, refusal: &ElbRefusal) {
        if let Ok(mut names) = self.names.try_lock() {
            names.forget();
        }
        if refusal.failure.retry == Retry::NeedsPerson
            && let Ok(mut api) = self.api.try_lock()
        {
            *api = None;
        }
    }
}

impl Balancer for Elb {
    fn read<'a>(&'a self, query: &'a BalancerQuery, ingresses: &'a [Value]) -> BoxFuture<'a, BalancerReading> {
        Box::pin(async move {
            let (namespace, hostnames) = read::hostnames(query, ingresses);
            if hostnames.is_empty() {
                return BalancerReading::Read(Vec::new());
            }
            self.answer(&namespace, query, &hostnames).await
        })
    }
}

/// A group with its targets. Whatever is no pod's address says nothing of pods.
async fn owned(api: &ElbApi, group: &GroupOfTargets, ingress: &str, service: &str) -> Result<OwnedGroup, ElbRefusal> {
    let arn = group.target_group_arn().unwrap_or_default();
    let targets = match group.target_type() {
        Some(TargetTypeEnum::Ip) => GroupTargets::Pods(read::pods(&api.targets(arn).await?)),
        _ => GroupTargets::Nodes,
    };
    let group = TargetGroup { arn: arn.to_owned(), service: service.to_owned(), targets };
    Ok(OwnedGroup { ingress: ingress.to_owned(), group })
}

/// Waits for as long as a reading may take.
async fn bounded<T>(reading: impl Future<Output = Result<T, ElbRefusal>>) -> Result<T, ElbRefusal> {
    let late = |_| {
        let message = format!("the API of the load balancers did not answer within {} s", READING.as_secs());
        Err(ElbRefusal::new(message, Retry::PASSING))
    };
    tokio::time::timeout(READING, reading).await.unwrap_or_else(late)
}
