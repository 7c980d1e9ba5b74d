//! Whose pods the load balancer sends requests to. A pod that is ready and no healthy target yet gets none; one that is a
//! target still may get some, whatever its Service selects by now.
//!
//! Argo waits for registered targets alone, and only after the stable Service has moved (`utils/aws/aws.go`); here a
//! target counts once it is healthy, before any weight moves to it.

use super::context::{Context, is_full};
use super::observed::Set;
use super::pods::Pod;
use super::progress::ProgressState;
use super::router::Router;
use super::router::balancer::{BalancerReading, GroupTargets, IngressReading, TargetGroup, TargetHealth};
use super::router::plugin::RouterFailure;
use super::service::Service;
use super::transitions;
use crate::next::Timestamp;

/// After how long a load balancer is asked again that is on its way, in ms.
const ON_ITS_WAY_MS: u64 = 3_000;
/// The same where it serves what it is to serve: what happens there tells nobody.
const AT_REST_MS: u64 = 60_000;

/// A target of which nothing is said.
const UNSAID: TargetHealth = TargetHealth::Coming(None);

/// The ready pods of a version behind a Service, as the load balancer has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodTargets {
    /// They get requests, in each target group of the Service.
    pub healthy: u32,
    /// They are not registered yet, or not checked yet.
    pub coming: u32,
    /// Their checks fail.
    pub unhealthy: u32,
    /// Why the first of those does, or else why the first of the coming ones does not come.
    pub reason: Option<String>,
}

/// What becomes of an Ingress whose load balancer is not there, and so sends nobody anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// Nothing rises before it is there.
    Awaited,
    /// Nothing that falls waits for it.
    PassedOver,
}

impl PodTargets {
    /// How much of the traffic they can take, in percent of what all of them could that do not fail their checks.
    fn bears(&self) -> u32 {
        match self.healthy + self.coming {
            0 => 0,
            all => self.healthy * 100 / all,
        }
    }

    fn add(&mut self, health: &TargetHealth) {
        match health {
            TargetHealth::Healthy => self.healthy += 1,
            TargetHealth::Leaving => self.coming += 1,
            TargetHealth::Coming(reason) => {
                self.coming += 1;
                self.reason = self.reason.take().or_else(|| reason.clone());
            }
            TargetHealth::Unhealthy(reason) => {
                let is_first = self.unhealthy == 0;
                self.unhealthy += 1;
                self.reason = if is_first { Some(reason.clone()) } else { self.reason.take() };
            }
        }
    }
}

impl<'a> Context<'a> {
    /// What the load balancer's API says, where it shares the traffic.
    fn balancer(&self) -> &'a BalancerReading {
        match self.router() {
            Some(Router::Alb(_)) => &self.observed.balancer,
            Some(Router::Plugin(_)) | None => &BalancerReading::NotAsked,
        }
    }

    fn readings(&self) -> Option<&'a [IngressReading]> {
        if let BalancerReading::Read(readings) = self.balancer() { Some(readings) } else { None }
    }

    /// Why the load balancer's API did not answer, where it did not.
    pub(super) fn unread(&self) -> Option<&'a RouterFailure> {
        if let BalancerReading::Failed(failure) = self.balancer() { Some(failure) } else { None }
    }

    /// Whether the load balancer shares the traffic, and nobody asks it what it serves.
    pub(super) fn is_unverified(&self) -> bool {
        matches!(self.router(), Some(Router::Alb(_))) && *self.balancer() == BalancerReading::NotAsked
    }

    /// Why the load balancer of an Ingress is not known, where it is not.
    fn lost_balancer(&self) -> Option<String> {
        let readings = self.readings()?;
        let lost = |name: &String| match readings.iter().find(|reading| reading.ingress == *name) {
            Some(reading) => reading.unknown.clone(),
            None => Some("no hostname is in its status; look whether the AWS Load Balancer Controller runs".into()),
        };
        let mut ingresses = self.router().into_iter().flat_map(Router::ingresses);
        ingresses.find_map(|name| Some(format!("Ingress {name}: {}", lost(name)?)))
    }

    /// The ready pods of a version that a Service selects, as targets; `None` where nothing says how they are.
    fn targets(&self, service: Option<&Service>, set: Option<&Set>, absent: Absent) -> Option<PodTargets> {
        let (readings, service, set) = (self.readings()?, service?, set?);
        let ingresses = self.router().into_iter().flat_map(Router::ingresses);
        let is_of = |group: &&TargetGroup| group.service == service.guard.name;
        let mut groups = Vec::new();
        for name in ingresses {
            let reading = readings.iter().find(|reading| reading.ingress == *name);
            let its: Vec<&TargetGroup> =
                reading.iter().flat_map(|reading| reading.groups.iter().filter(is_of)).collect();
            if its.is_empty() && absent == Absent::Awaited {
                groups.push(None);
            }
            groups.extend(its.into_iter().map(Some));
        }
        // Behind nodes the pods are found by their Service, within moments.
        groups.retain(|group| group.is_none_or(|group| matches!(group.targets, GroupTargets::Pods(_))));
        if groups.is_empty() {
            return None;
        }
        let named = service.hash.as_ref().is_none_or(|hash| *hash == set.hash);
        let ready = set.members.iter().filter(|pod| pod.is_ready() && pod.has(&service.selector));
        let mut targets = PodTargets::default();
        for pod in ready {
            let health = groups.iter().map(|group| group.map_or(&UNSAID, |group| health(group, pod)));
            targets.add(health.max_by_key(|health| badness(health)).filter(|_| named).unwrap_or(&UNSAID));
        }
        Some(targets)
    }

    /// The canary's targets behind its Service.
    pub(super) fn canary_targets(&self) -> Option<PodTargets> {
        let (canary, _) = self.routing()?;
        self.targets(self.service(Some(canary)), self.canary(), Absent::Awaited)
    }

    /// Whether no target of the canary is healthy, though its pods are ready.
    pub(super) fn canary_has_no_target(&self) -> bool {
        let Some((canary, _)) = self.routing().filter(|_| self.canary_is_selected()) else { return false };
        let targets = self.targets(self.service(Some(canary)), self.canary(), Absent::PassedOver);
        targets.is_some_and(|targets| targets.healthy == 0)
    }

    /// What the load balancer lacks before the canary can get a weight, as a sentence.
    pub(super) fn awaited_targets(&self, pods: u32) -> Option<String> {
        if let Some(failure) = self.unread() {
            return Some(format!("the load balancer cannot be asked: {}", failure.because));
        }
        // Until its Service selects it, that is what is awaited.
        let targets = self.canary_targets().filter(|targets| self.canary_is_selected() && targets.healthy < pods)?;
        let healthy = targets.healthy;
        let reason = self.lost_balancer().or(targets.reason).map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("{healthy} of {pods} canary pods are healthy targets at the load balancer{reason}"))
    }

    /// How much of the traffic the stable Service's targets can take, in percent.
    ///
    /// Where both Services lead to one version, at the end of a walk, that is as many of them as are healthy. A version
    /// that goes back has had its part of the requests served by the stable targets all along: there, one that is healthy
    /// can have them all, whatever is still to be registered. Where nobody can be asked, what had traffic can have all of
    /// it, and what had none gets none, unless its Service has not moved. A canary without targets bears nothing either.
    pub(super) fn borne_by_targets(&self) -> u32 {
        let Some((canary, stable)) = self.routing() else { return 100 };
        let (canary, stable) = (self.service(Some(canary)), self.service(Some(stable)));
        let behind = stable.and_then(|service| self.observed.set(service.hash.as_ref()?));
        let behind = behind.or_else(|| self.observed.set(self.stable_hash()));
        let is_one_version = canary.is_some_and(|service| service.hash.as_deref() == Some(self.stable_hash()));
        if self.unread().is_some() {
            let is_unmoved = !is_one_version && self.stable_is_selected() && behind.is_some_and(is_full);
            return if self.state.asked < 100 || is_unmoved { 100 } else { 0 };
        }
        let serves = self.targets(canary, self.behind_canary(), Absent::Awaited);
        if serves.is_some_and(|serves| serves.healthy + serves.coming == 0) {
            return 100;
        }
        match self.targets(stable, behind, Absent::PassedOver) {
            None => 100,
            Some(targets) if is_one_version || self.state.asked == 100 => targets.bears(),
            Some(targets) if targets.healthy > 0 => 100,
            Some(_) => 0,
        }
    }

    /// Whether the stable version's targets of a Service can take all of the traffic.
    pub(super) fn bears_all(&self, service: &Service) -> bool {
        let targets = self.targets(Some(service), self.observed.set(self.stable_hash()), Absent::PassedOver);
        self.unread().is_none() && targets.is_none_or(|targets| targets.bears() == 100)
    }

    /// Whether the stable version gets everything by the canary's Service, until its own names it.
    pub(super) fn is_between(&self) -> bool {
        let Some((canary, _)) = self.routing() else { return false };
        let service = self.service(Some(canary)).filter(|service| service.hash.as_deref() == Some(self.stable_hash()));
        self.state.asked == 100 && !self.stable_is_selected() && service.is_some_and(|service| service.serves())
    }

    /// Whether some of a set's pods are targets of a group that has a weight, of one Service or of any. What is not known
    /// counts as one.
    pub(super) fn is_target(&self, set: &Set, service: Option<&str>) -> bool {
        if self.unread().is_some() {
            return true;
        }
        let is_of = |group: &TargetGroup| service.is_none_or(|name| group.service == name);
        let known = |group: &TargetGroup| match &group.targets {
            GroupTargets::Nodes => false,
            GroupTargets::Pods(pods) => {
                let runs = set.members.iter().filter(|pod| !pod.has_ended());
                runs.filter_map(|pod| pod.ip.as_ref()).any(|ip| pods.contains_key(ip))
            }
        };
        self.weighty().any(|group| is_of(group) && known(group))
    }

    /// The groups that get requests.
    fn weighty(&self) -> impl Iterator<Item = &'a TargetGroup> {
        let has_weight = |reading: &IngressReading, group: &TargetGroup| {
            reading.shared_rules().any(|rule| rule.get(&group.arn).is_some_and(|weight| *weight > 0))
        };
        let of =
            move |reading: &'a IngressReading| reading.groups.iter().filter(move |group| has_weight(reading, group));
        self.readings().unwrap_or_default().iter().flat_map(of)
    }

    /// How a pod is as a target of the groups that get requests and are for its version; `None` where there is none.
    pub(super) fn target_health(&self, set: &Set, pod: &Pod) -> Option<&'a TargetHealth> {
        if self.unread().is_some() {
            return Some(&UNSAID);
        }
        let is_of = |group: &&TargetGroup| {
            let service = self.observed.services.get(&group.service);
            service.and_then(|service| service.hash.as_ref()) == Some(&set.hash)
        };
        let known = self.weighty().filter(is_of).filter(|group| matches!(group.targets, GroupTargets::Pods(_)));
        known.map(|group| health(group, pod)).max_by_key(|health| badness(health))
    }

    /// Whether a Service's pods can be others at once: a load balancer that knows pods has to register them first.
    pub(super) fn swaps_at_once(&self) -> bool {
        *self.balancer() == BalancerReading::NotAsked
    }

    /// Whether the stable version's requests do not all come by its own Service yet, as far as the load balancer's API
    /// says; until they do, what it has replaced keeps its pods.
    pub(super) fn is_handing_over(&self) -> bool {
        let service = self.routing().and_then(|(canary, _)| self.service(Some(canary)));
        let is_stable = service.is_some_and(|service| service.hash.as_deref() == Some(self.stable_hash()));
        let has_all = self.state.asked == 0 && self.stable_is_selected() && self.is_verified();
        let is_arriving = self.progress.state == ProgressState::Promoted && !has_all;
        !self.swaps_at_once() && (is_arriving || is_stable && self.canary_gets_requests())
    }

    /// Whether the load balancer is on its way, which is no version's fault: the canary's pods are there, and it serves
    /// another weight than it was told, or has pods to register or to check, or cannot be asked.
    pub(super) fn is_balancer_late(&self) -> bool {
        // What says why it does not come may never come.
        let is_late = |targets: PodTargets| targets.coming > 0 && targets.reason.is_none();
        let is_there = self.canary().is_some_and(|set| set.available >= self.goal().canary);
        !self.swaps_at_once() && is_there && (!self.is_verified() || self.canary_targets().is_some_and(is_late))
    }

    /// When the load balancer is asked again.
    pub(super) fn balancer_wake(&self) -> Option<Timestamp> {
        match self.balancer() {
            BalancerReading::NotAsked => None,
            BalancerReading::Failed(failure) => Some(failure.again.max(self.now + 1)),
            BalancerReading::Read(_) => {
                Some(self.now + if self.is_verified() && self.at_rest() { AT_REST_MS } else { ON_ITS_WAY_MS })
            }
        }
    }

    /// Whether nothing is on its way: one version has all of the traffic, and no other has pods.
    pub(super) fn at_rest(&self) -> bool {
        let kept = |set: &Set| set.hash == self.stable_hash() || set.spec == 0;
        self.state.asked == 0 && !self.is_underway() && self.observed.sets.iter().all(kept)
            || transitions::is_settled(self)
    }
}

fn health<'g>(group: &'g TargetGroup, pod: &Pod) -> &'g TargetHealth {
    let pods = if let GroupTargets::Pods(pods) = &group.targets { Some(pods) } else { None };
    let known = pods.zip(pod.ip.as_ref()).and_then(|(pods, ip)| pods.get(ip));
    known.unwrap_or(&UNSAID)
}

/// A pod is in all groups as it is in the worst of them.
fn badness(health: &TargetHealth) -> u8 {
    match health {
        TargetHealth::Healthy => 0,
        TargetHealth::Coming(_) | TargetHealth::Leaving => 1,
        TargetHealth::Unhealthy(_) => 2,
    }
}
