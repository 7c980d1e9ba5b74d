//! What the AWS load balancer serves, as its own API says: the weights of its rules, and the targets behind them.
//!
//! Sources: ELBv2's `DescribeRules` and `DescribeTargetHealth`; the tags of the AWS Load Balancer Controller; Argo's
//! `utils/aws/aws.go`.

use super::plugin::RouterFailure;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of the load balancer's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerQuery {
    /// The Ingresses whose load balancers are asked, by name.
    pub ingresses: Vec<String>,
    /// The Services whose target groups matter, by name.
    pub services: Vec<String>,
}

/// What the load balancer's API answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BalancerReading {
    /// Nobody asked it: this server has no access to it, or the traffic is not shared by it.
    #[default]
    NotAsked,
    /// It could not be asked, or is left alone after that.
    Failed(RouterFailure),
    /// What it says, for each Ingress that has a load balancer.
    Read(Vec<IngressReading>),
}

/// What the load balancer of one Ingress serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressReading {
    /// The Ingress' name.
    pub ingress: String,
    /// Why its load balancer is not known, where it is not.
    pub unknown: Option<String>,
    /// The target groups of the versions' Services.
    pub groups: Vec<TargetGroup>,
    /// Each rule that forwards to one of those, with its weights by the groups' ARNs.
    pub rules: Vec<BTreeMap<String, u32>>,
}

/// A target group of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// The Service that it is for.
    pub service: String,
    /// Who gets its requests.
    pub targets: GroupTargets,
}

/// The targets of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupTargets {
    /// Nodes, whose own rules lead to the pods: what is registered says nothing of pods.
    Nodes,
    /// Pods, by their address.
    Pods(BTreeMap<String, TargetHealth>),
}

/// How a target is, by ELBv2's own states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetHealth {
    /// `healthy`: it gets requests.
    Healthy,
    /// `initial`, `unused`, `unavailable`, or any state that is not known: it may get none. Why, where time does not mend it.
    Coming(Option<String>),
    /// `unhealthy`: its checks fail, for this reason.
    Unhealthy(String),
    /// `draining`: it gets no new request.
    Leaving,
}

/// The canary's share as the rules of every Ingress have it, in percent; `None` while an Ingress has no rule that names
/// its target groups, or they do not agree.
pub(in crate::rollout) fn weight<'a>(
    read: &[IngressReading],
    ingresses: impl Iterator<Item = &'a String>,
    canary: &str,
    stable: &str,
) -> Option<u32> {
    let of = |name: &String| read.iter().find(|reading| reading.ingress == *name)?.weight(canary, stable);
    let mut weights = ingresses.map(of);
    let first = weights.next()??;
    weights.all(|weight| weight == Some(first)).then_some(first)
}

impl IngressReading {
    /// The rules that share requests between versions. One that leads to a single Service does so by its own path or
    /// host, whatever a canary's weight is.
    pub(in crate::rollout) fn shared_rules(&self) -> impl Iterator<Item = &BTreeMap<String, u32>> {
        let has = |rule: &BTreeMap<String, u32>, service: &str| {
            self.groups.iter().any(|group| group.service == service && rule.contains_key(&group.arn))
        };
        let services: BTreeSet<&str> = self.groups.iter().map(|group| group.service.as_str()).collect();
        self.rules.iter().filter(move |rule| services.iter().filter(|service| has(rule, service)).count() > 1)
    }

    /// The canary's share at this load balancer, in percent.
    fn weight(&self, canary: &str, stable: &str) -> Option<u32> {
        let of = |service: &str, rule: &BTreeMap<String, u32>| {
            let groups = self.groups.iter().filter(|group| group.service == service);
            let weights: Vec<u32> = groups.filter_map(|group| rule.get(&group.arn).copied()).collect();
            (!weights.is_empty()).then(|| weights.iter().map(|weight| u64::from(*weight)).sum::<u64>())
        };
        let share = |rule: &BTreeMap<String, u32>| {
            let (canary, stable) = (of(canary, rule)?, of(stable, rule)?);
            let all = rule.values().map(|weight| u64::from(*weight)).sum::<u64>();
            // What goes to other groups is nobody's share that was asked for.
            let percent = (canary + stable == all && all > 0 && canary * 100 % all == 0).then(|| canary * 100 / all);
            Some(percent.and_then(|percent| u32::try_from(percent).ok()))
        };
        let mut shares = self.shared_rules().filter_map(share);
        let first = shares.next()??;
        shares.all(|share| share == Some(first)).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_to_one_service_says_nothing_of_the_weight() {
        let group = |service: &str| TargetGroup {
            arn: format!("arn:{service}"),
            service: service.into(),
            targets: GroupTargets::Nodes,
        };
        let rule = |weights: &[(&str, u32)]| {
            weights.iter().map(|(service, weight)| (format!("arn:{service}"), *weight)).collect::<BTreeMap<_, _>>()
        };
        let of = |rules: Vec<BTreeMap<String, u32>>| IngressReading {
            ingress: "a".into(),
            unknown: None,
            groups: vec![group("new"), group("old")],
            rules,
        };
        let weigh = |rules: Vec<BTreeMap<String, u32>>| weight(&[of(rules)], ["a".to_owned()].iter(), "new", "old");
        let shared = rule(&[("new", 25), ("old", 75)]);
        assert_eq!(weigh(vec![shared.clone()]), Some(25));
        assert_eq!(weigh(vec![shared.clone(), rule(&[("new", 1)]), rule(&[("old", 1)])]), Some(25));
        assert_eq!(weigh(vec![rule(&[("new", 1)]), rule(&[("old", 1)])]), None, "no rule shares");
        assert_eq!(of(vec![shared.clone(), rule(&[("new", 1)])]).shared_rules().collect::<Vec<_>>(), [&shared]);
        assert_eq!(weigh(vec![shared, rule(&[("new", 50), ("old", 50)])]), None, "they do not agree");
        assert_eq!(weigh(vec![rule(&[("new", 25), ("old", 25), ("web", 50)])]), None);
    }
}
