//! A stand-in of the AWS load balancer, its controller and its health checks, all of them late: a rule's weights follow
//! the Ingress, and targets follow the ready pods that a Service selects.

use super::super::*;
use super::world::World;
use crate::next::Timestamp;
use crate::rollout::router::balancer::{GroupTargets, IngressReading, TargetGroup, TargetHealth};
use crate::rollout::router::plugin::{Remedy, RouterFailure};
use serde_json::Value;
use std::collections::BTreeMap;

/// How late each part is, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lag {
    /// Until a rule has the weights of its Ingress.
    pub rule: Timestamp,
    /// Until a pod is registered, or on its way out.
    pub target: Timestamp,
    /// Until a registered pod has passed its checks.
    pub check: Timestamp,
    /// Until a pod that is on its way out is gone.
    pub drain: Timestamp,
}

/// Some seconds each, as with AWS.
pub(super) const USUAL: Lag = Lag { rule: 4_000, target: 6_000, check: 10_000, drain: 20_000 };

/// Who gets the requests of the target groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetKind {
    Pods,
    Nodes,
}

/// What answers who asks the load balancer's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Answers,
    /// `Throttling: Rate exceeded`.
    Throttles,
    /// `AccessDenied`.
    Refuses,
}

/// Whether the load balancer's controller does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Runs,
    Sleeps,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct LateBalancer {
    pub lag: Lag,
    pub kind: TargetKind,
    pub api: Api,
    pub controller: Controller,
    /// The image whose pods fail their checks.
    pub fails: Option<&'static str>,
    /// The targets that are like this whatever they do, by their address.
    pub ill: BTreeMap<String, TargetHealth>,
    /// An Ingress, and how much later its load balancer is, in ms.
    pub later: (&'static str, Timestamp),
    /// An Ingress without a load balancer.
    pub absent: Option<&'static str>,
    /// The load balancers, by their Ingress.
    at: BTreeMap<String, Site>,
    /// Turns without anything happening.
    pub idle: usize,
}

/// The load balancer of an Ingress.
#[derive(Clone, Debug, Default, PartialEq)]
struct Site {
    /// The weights of its rule, by Service.
    rule: BTreeMap<String, u32>,
    /// When that has the Ingress' weights.
    due: Option<Timestamp>,
    groups: BTreeMap<String, Group>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    /// By the pod's address, the target's state and since when.
    targets: BTreeMap<String, (TargetHealth, Timestamp)>,
    /// When they are those that the Service selects.
    due: Option<Timestamp>,
}

impl World {
    /// The seed's world behind a load balancer that is as late as that.
    pub(super) fn balanced(lag: Lag) -> World {
        World::seed().behind(lag)
    }

    /// The same world behind a load balancer that is as late as that.
    pub(super) fn behind(mut self, lag: Lag) -> World {
        self.balancer = Some(LateBalancer {
            lag,
            kind: TargetKind::Pods,
            api: Api::Answers,
            controller: Controller::Runs,
            fails: None,
            ill: BTreeMap::new(),
            later: ("", 0),
            absent: None,
            at: BTreeMap::new(),
            idle: 0,
        });
        self
    }

    /// The load balancer, to be changed.
    pub(super) fn balancer(&mut self) -> &mut LateBalancer {
        let balancer = self.balancer.as_mut().expect("a world with a load balancer");
        balancer.idle = 0;
        balancer
    }

    /// What its API answers.
    pub(super) fn reading(&self) -> BalancerReading {
        let Some(balancer) = &self.balancer else { return BalancerReading::NotAsked };
        match balancer.api {
            Api::Answers => balancer.truth(),
            Api::Throttles => self.failed("Throttling: Rate exceeded", Remedy::Wait),
            Api::Refuses => self.failed("AccessDenied", Remedy::Person),
        }
    }

    fn failed(&self, because: &str, remedy: Remedy) -> BalancerReading {
        BalancerReading::Failed(RouterFailure { because: because.into(), remedy, again: self.now + 5_000 })
    }

    /// What is due by now happens; whether anything did.
    pub(super) fn balancer_follows(&mut self) -> bool {
        let Some(mut balancer) = self.balancer.take() else { return false };
        let mut changed = false;
        for ingress in &self.ingresses {
            let name = ingress["metadata"]["name"].as_str().unwrap();
            let mut site = balancer.at.remove(name).unwrap_or_default();
            if balancer.controller == Controller::Runs && balancer.absent != Some(name) {
                changed |= self.controller_follows(&balancer, name, &weights(ingress), &mut site);
            }
            for group in site.groups.values_mut() {
                changed |= self.checks(&balancer, group);
            }
            balancer.at.insert(name.to_owned(), site);
        }
        self.balancer = Some(balancer);
        if changed && self.faults.is_none() {
            self.requests_are_answered();
        }
        changed
    }

    /// The controller brings a load balancer to what its Ingress and the Services say.
    fn controller_follows(
        &self,
        balancer: &LateBalancer,
        name: &str,
        wanted: &BTreeMap<String, u32>,
        site: &mut Site,
    ) -> bool {
        let later = if balancer.later.0 == name { balancer.later.1 } else { 0 };
        let mut changed = false;
        if is_due(&mut site.due, site.rule != *wanted, self.now, balancer.lag.rule + later) {
            site.rule.clone_from(wanted);
            for service in wanted.keys() {
                site.groups.entry(service.clone()).or_default();
            }
            changed = true;
        }
        for (service, group) in &mut site.groups {
            let selected = self.selects(service);
            let stays = |(health, _): &(TargetHealth, Timestamp)| *health != TargetHealth::Leaving;
            let have: Vec<&String> = group.targets.iter().filter(|(_, it)| stays(it)).map(|(ip, _)| ip).collect();
            let differs = !have.into_iter().eq(selected.iter());
            if is_due(&mut group.due, differs, self.now, balancer.lag.target + later) {
                for (ip, target) in &mut group.targets {
                    if stays(target) && !selected.contains(ip) {
                        *target = (TargetHealth::Leaving, self.now);
                    }
                }
                for ip in selected {
                    let target = group.targets.entry(ip).or_insert((TargetHealth::Coming(None), self.now));
                    if target.0 == TargetHealth::Leaving {
                        *target = (TargetHealth::Coming(None), self.now);
                    }
                }
                changed = true;
            }
        }
        changed
    }

    /// The load balancer's own checks, and its draining.
    fn checks(&self, balancer: &LateBalancer, group: &mut Group) -> bool {
        let before = group.targets.clone();
        let fails = |ip: &String| balancer.fails.is_some_and(|image| self.is_of_image(ip, image));
        let unhealthy = || TargetHealth::Unhealthy("Target.ResponseCodeMismatch: [503]".into());
        for (ip, (health, since)) in &mut group.targets {
            let next = match health {
                _ if balancer.ill.get(ip).is_some_and(|ill| ill == health) => continue,
                _ if balancer.ill.contains_key(ip) => balancer.ill[ip].clone(),
                TargetHealth::Coming(_) if self.now >= *since + balancer.lag.check => {
                    if fails(ip) {
                        unhealthy()
                    } else {
                        TargetHealth::Healthy
                    }
                }
                TargetHealth::Healthy if fails(ip) => unhealthy(),
                TargetHealth::Unhealthy(_) if !fails(ip) => TargetHealth::Healthy,
                _ => continue,
            };
            (*health, *since) = (next, self.now);
        }
        let is_out = |health: &TargetHealth, since: Timestamp| {
            *health == TargetHealth::Leaving && self.now >= since + balancer.lag.drain
        };
        group.targets.retain(|_, (health, since)| !is_out(health, *since));
        group.targets != before
    }

    /// On to this moment, while the load balancer goes on.
    pub(super) fn wait(&mut self, until: Timestamp) {
        while let Some(due) = self.balancer.as_ref().and_then(LateBalancer::next).filter(|due| *due < until) {
            self.now = due.max(self.now);
            self.balancer_follows();
        }
        self.now = until.max(self.now);
    }

    /// The addresses of the ready pods that a Service selects.
    fn selects(&self, service: &str) -> Vec<String> {
        let service = self.services.iter().find(|known| known["metadata"]["name"] == service);
        let selector = service.and_then(|service| service["spec"]["selector"].as_object());
        let Some(selector) = selector else { return Vec::new() };
        let has = |pod: &&Value| selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
        let mut all: Vec<String> = self.pods.iter().filter(has).filter(|pod| is_ready(pod)).map(address).collect();
        all.sort();
        all
    }

    fn pod(&self, ip: &str) -> Option<&Value> {
        self.pods.iter().find(|pod| address(pod) == ip)
    }

    pub(super) fn is_of_image(&self, ip: &str, image: &str) -> bool {
        let set = self.pod(ip).map(|pod| &pod["metadata"]["ownerReferences"][0]["uid"]);
        let is = |known: &&Value| known["spec"]["template"]["spec"]["containers"][0]["image"] == image;
        self.sets.iter().filter(is).any(|known| Some(&known["metadata"]["uid"]) == set)
    }

    /// The addresses in a group that answer requests: of healthy targets whose pod is there and ready.
    fn answering<'g>(&self, group: &'g Group) -> Vec<&'g String> {
        let healthy = group.targets.iter().filter(|(_, (health, _))| *health == TargetHealth::Healthy);
        healthy.map(|(ip, _)| ip).filter(|ip| self.pod(ip).is_some_and(is_ready)).collect()
    }

    /// Fails when a group with a weight has no target that answers, while another group of its load balancer has one.
    /// Targets that fail their checks have done so by themselves.
    #[track_caller]
    pub(super) fn requests_are_answered(&self) {
        let Some(balancer) = self.balancer.as_ref().filter(|balancer| balancer.kind == TargetKind::Pods) else {
            return;
        };
        for (name, site) in &balancer.at {
            let any = site.groups.values().any(|group| !self.answering(group).is_empty());
            let is_unhealthy =
                |group: &Group| group.targets.values().any(|(health, _)| matches!(health, TargetHealth::Unhealthy(_)));
            for (service, weight) in site.rule.iter().filter(|(_, weight)| **weight > 0) {
                let group = &site.groups[service];
                assert!(
                    !any || is_unhealthy(group) || !self.answering(group).is_empty(),
                    "{service} gets {weight} % at {name}, and no target answers: {site:#?} {:?}",
                    self.said
                );
            }
        }
    }

    /// Fails when what is decided takes the targets away that requests go to, or gives weight to a group without one
    /// that answers while another has one.
    #[track_caller]
    pub(super) fn targets_stay(&self, acts: &[Act]) {
        let Some(balancer) = self.balancer.as_ref().filter(|balancer| balancer.kind == TargetKind::Pods) else {
            return;
        };
        for (name, site) in &balancer.at {
            let told_by = self.ingresses.iter().find(|ingress| ingress["metadata"]["name"] == *name).unwrap();
            let told = weights(told_by);
            let weight = |service: &str| {
                let of = |weights: &BTreeMap<String, u32>| weights.get(service).copied().unwrap_or(0);
                of(&site.rule).max(of(&told))
            };
            for act in acts {
                match act {
                    Act::Scale { set, pods, .. } => self.no_target_is_lost(site, &set.uid, *pods),
                    Act::Select { service, hash, .. } if weight(&service.name) > 0 => {
                        let Some(group) = site.groups.get(&service.name) else { continue };
                        let answers = self.answering(group);
                        let is_of = |ip: &&String| self.pod(ip).unwrap()["metadata"]["labels"][HASH] == hash.as_str();
                        assert!(
                            answers.is_empty() || answers.iter().any(is_of),
                            "{} leaves its targets: {acts:#?} {site:#?} {:?}",
                            service.name,
                            self.said
                        );
                    }
                    Act::Route { ingress, annotations } if ingress.name == *name => {
                        let next = annotations.get(&action_key(told_by)).map(|text| read(text)).unwrap_or_default();
                        let any = site.groups.values().any(|group| !self.answering(group).is_empty());
                        for (service, more) in next.iter().filter(|(service, more)| **more > weight(service)) {
                            let answers =
                                site.groups.get(service).is_some_and(|group| !self.answering(group).is_empty());
                            let is_known = balancer.api == Api::Answers;
                            assert!(
                                !any || answers || !is_known,
                                "{service} gets {more} %, and no target answers: {site:#?} {:?}",
                                self.said
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Fails when a set gets fewer pods than those that are targets of a group with a weight need.
    #[track_caller]
    fn no_target_is_lost(&self, site: &Site, uid: &str, pods: u32) {
        let set = self.sets.iter().find(|set| set["metadata"]["uid"] == uid).unwrap();
        if u64::from(pods) >= set["spec"]["replicas"].as_u64().unwrap() {
            return;
        }
        let replicas = self.rollout["spec"]["replicas"].as_u64().unwrap();
        let follows = self.rollout.pointer("/spec/strategy/canary/dynamicStableScale") == Some(&Value::Bool(true));
        for (service, weight) in site.rule.iter().filter(|(_, weight)| **weight > 0) {
            let is_its = |ip: &String| {
                self.pod(ip).is_some_and(|pod| is_ready(pod) && pod["metadata"]["ownerReferences"][0]["uid"] == uid)
            };
            let share = (replicas * u64::from(*weight)).div_ceil(100);
            let needs = if follows || service == "was-canary" { share } else { replicas };
            assert!(
                !site.groups[service].targets.keys().any(is_its) || u64::from(pods) >= needs,
                "{} loses pods at {weight} % of {service} ({pods} < {needs}): {site:#?} {:?}",
                set["metadata"]["name"],
                self.said
            );
        }
    }

    /// How many targets of a Service answer, at the load balancer where there are fewest.
    pub(super) fn answers(&self, service: &str) -> usize {
        let sites = self.balancer.iter().flat_map(|balancer| balancer.at.values());
        sites.map(|site| site.groups.get(service).map_or(0, |group| self.answering(group).len())).min().unwrap_or(0)
    }
}

impl LateBalancer {
    /// An Ingress loses its load balancer, and gets no other.
    pub(super) fn lose(&mut self, ingress: &'static str) {
        self.absent = Some(ingress);
        self.at.remove(ingress);
    }

    /// What it serves.
    pub(super) fn truth(&self) -> BalancerReading {
        let arn = |ingress: &str, service: &str| format!("arn:{ingress}:{service}");
        let group = |ingress: &str, service: &str, group: &Group| TargetGroup {
            arn: arn(ingress, service),
            service: service.to_owned(),
            targets: match self.kind {
                TargetKind::Nodes => GroupTargets::Nodes,
                TargetKind::Pods => {
                    let of = |(ip, (health, _)): (&String, &(TargetHealth, Timestamp))| (ip.clone(), health.clone());
                    GroupTargets::Pods(group.targets.iter().map(of).collect())
                }
            },
        };
        let reading = |(ingress, site): (&String, &Site)| IngressReading {
            ingress: ingress.clone(),
            unknown: None,
            groups: site.groups.iter().map(|(service, it)| group(ingress, service, it)).collect(),
            rules: vec![site.rule.iter().map(|(service, weight)| (arn(ingress, service), *weight)).collect()],
        };
        BalancerReading::Read(self.at.iter().filter(|(_, site)| !site.rule.is_empty()).map(reading).collect())
    }

    /// A person takes all targets of a Service away; the controller brings them back.
    pub(super) fn deregister(&mut self, service: &str) {
        self.at.values_mut().filter_map(|site| site.groups.get_mut(service)).for_each(|group| group.targets.clear());
    }

    /// The canary's weight as all rules have it.
    pub(super) fn weight(&self) -> Option<u32> {
        let mut weights = self.at.values().map(|site| site.rule.get("was-canary"));
        let first = weights.next()??;
        weights.all(|weight| weight == Some(first)).then_some(*first)
    }

    /// When something happens there next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let is_awake = self.controller == Controller::Runs;
        let groups = self.at.values().flat_map(|site| site.groups.values());
        let targets = groups.clone().flat_map(|group| &group.targets);
        let targets = targets.filter(|(ip, _)| !self.ill.contains_key(*ip)).map(|(_, target)| target);
        let changes = targets.filter_map(|(health, since)| match health {
            TargetHealth::Coming(_) => Some(since + self.lag.check),
            TargetHealth::Leaving => Some(since + self.lag.drain),
            TargetHealth::Healthy | TargetHealth::Unhealthy(_) => None,
        });
        let sites = self.at.iter().filter(|(name, _)| is_awake && self.absent != Some(name.as_str()));
        let due = sites.flat_map(|(_, site)| site.groups.values().filter_map(|group| group.due).chain(site.due));
        changes.chain(due).min()
    }

    /// What of it goes into what follows.
    pub(super) fn matters(&self) -> LateBalancer {
        LateBalancer { idle: 0, ..self.clone() }
    }
}

/// Whether what differs has its time by now.
fn is_due(due: &mut Option<Timestamp>, differs: bool, now: Timestamp, lag: Timestamp) -> bool {
    if !differs {
        *due = None;
        return false;
    }
    due.get_or_insert(now + lag);
    due.take_if(|at| now >= *at).is_some()
}

/// The annotation that an Ingress' backend reads.
fn action_key(ingress: &Value) -> String {
    let root = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"].as_str().unwrap();
    format!("alb.ingress.kubernetes.io/actions.{root}")
}

/// The weights that an Ingress asks for, by Service.
fn weights(ingress: &Value) -> BTreeMap<String, u32> {
    ingress["metadata"]["annotations"][action_key(ingress)].as_str().map(read).unwrap_or_default()
}

fn read(action: &str) -> BTreeMap<String, u32> {
    let action: Value = serde_json::from_str(action).unwrap();
    let groups = action["ForwardConfig"]["TargetGroups"].as_array().unwrap();
    let weight = |group: &Value| {
        let weight = u32::try_from(group["Weight"].as_u64().unwrap()).unwrap();
        (group["ServiceName"].as_str().unwrap().to_owned(), weight)
    };
    groups.iter().map(weight).collect()
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running"
}

/// A pod's address: one of its own.
pub(super) fn address(pod: &Value) -> String {
    pod["metadata"]["uid"].as_str().unwrap().to_owned()
}
