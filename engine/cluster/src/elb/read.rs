//! What the API's answers mean: whose a target group is, what a rule forwards, and how targets are.
//!
//! Sources: ELBv2's API reference; the AWS Load Balancer Controller's `pkg/ingress/model_build_target_group.go`, which
//! tags a group by `<namespace>/<ingress>-<service>:<port>`.

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, TargetHealth as HealthOfTarget, TargetHealthDescription, TargetHealthStateEnum,
};
use decide::object;
use decide::rollout::{BalancerQuery, IngressReading, TargetGroup, TargetHealth};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The tag by which the controller says whose a target group is.
pub(super) const RESOURCE: &str = "ingress.k8s.aws/resource";

/// A target group of one of the Ingresses of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnedGroup {
    /// The Ingress' name.
    pub(super) ingress: String,
    /// The group, with its targets.
    pub(super) group: TargetGroup,
}

/// What one load balancer serves of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadBalancer {
    /// The target groups that the query is about.
    pub(super) groups: Vec<OwnedGroup>,
    /// What every rule of its listeners forwards, by the groups' ARNs.
    pub(super) rules: Vec<BTreeMap<String, u32>>,
}

/// The Ingresses of a query that have a load balancer, each with its hostnames in lower case, and their namespace.
pub(super) fn hostnames(query: &BalancerQuery, ingresses: &[Value]) -> (String, BTreeMap<String, BTreeSet<String>>) {
    let asked = || ingresses.iter().filter(|one| query.ingresses.iter().any(|name| *name == object::name(one)));
    let of = |ingress: &Value| {
        let points = ingress.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).into_iter().flatten();
        let names = points.filter_map(|point| point.get("hostname")?.as_str());
        names.filter(|name| !name.is_empty()).map(str::to_lowercase).collect::<BTreeSet<_>>()
    };
    let named = asked().map(|ingress| (object::name(ingress).to_owned(), of(ingress)));
    let namespace = asked().next().and_then(|first| first.pointer("/metadata/namespace")?.as_str());
    (namespace.unwrap_or_default().to_owned(), named.filter(|(_, names)| !names.is_empty()).collect())
}

/// The Ingress and the Service of a query that a target group is for, by its tag; `None` where it is for others.
///
/// # Errors
/// The tag fits two of them, as `a-b-c` does for `a` with `b-c` and for `a-b` with `c`.
pub(super) fn owner<'a>(
    resource: &str,
    namespace: &str,
    query: &'a BalancerQuery,
) -> Result<Option<(&'a str, &'a str)>, String> {
    let of_namespace = resource.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('/'));
    let Some((name, _port)) = of_namespace.and_then(|rest| rest.split_once(':')) else { return Ok(None) };
    let mut fitting = BTreeSet::new();
    for ingress in &query.ingresses {
        let service = name.strip_prefix(ingress.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let services = query.services.iter().filter(|known| service == Some(known.as_str()));
        fitting.extend(services.map(|service| (ingress.as_str(), service.as_str())));
    }
    let first = fitting.pop_first();
    match (first, fitting.pop_first()) {
        (Some((ingress, service)), Some((other, others))) => Err(format!(
            "the target group of `{resource}` may be for Service {service} of Ingress {ingress} as well as for Service \
             {others} of Ingress {other}; rename one of them"
        )),
        (first, _) => Ok(first),
    }
}

/// What a rule forwards, by the ARNs of the groups: a group that stands alone has no weight, and gets everything.
pub(super) fn forwarded(actions: &[Action]) -> BTreeMap<String, u32> {
    let mut weights = BTreeMap::new();
    for action in actions.iter().filter(|action| action.r#type() == Some(&ActionTypeEnum::Forward)) {
        let tuples = action.forward_config().map(|config| config.target_groups()).unwrap_or_default();
        let alone = action.target_group_arn().filter(|_| tuples.is_empty()).map(|arn| (arn, 1));
        let weighed = tuples.iter().filter_map(|tuple| Some((tuple.target_group_arn()?, tuple.weight().unwrap_or(1))));
        for (arn, weight) in weighed.chain(alone) {
            *weights.entry(arn.to_owned()).or_default() += u32::try_from(weight).unwrap_or(0);
        }
    }
    weights
}

/// The pods of a group by their address. One that stands there with several ports is as the worst of those that stay:
/// an old port on its way out neither takes anything from a new one, nor gives it anything.
pub(super) fn pods(targets: &[TargetHealthDescription]) -> BTreeMap<String, TargetHealth> {
    let mut pods: BTreeMap<String, TargetHealth> = BTreeMap::new();
    for description in targets {
        let Some(address) = description.target().and_then(|target| target.id()) else { continue };
        // An address of version 6 may be written in several ways.
        let address = address.parse::<IpAddr>().map_or_else(|_| address.to_owned(), |address| address.to_string());
        let health = health(description.target_health());
        match pods.get(&address) {
            Some(known) if badness(known) >= badness(&health) => {}
            _ => {
                pods.insert(address, health);
            }
        }
    }
    pods
}

/// Which of two ports counts: the higher one.
fn badness(health: &TargetHealth) -> u8 {
    match health {
        TargetHealth::Leaving => 0,
        TargetHealth::Healthy => 1,
        TargetHealth::Coming(_) => 2,
        TargetHealth::Unhealthy(_) => 3,
    }
}

fn health(health: Option<&HealthOfTarget>) -> TargetHealth {
    let said = |health: &HealthOfTarget| {
        let reason = health.reason().map(|reason| reason.as_str());
        health.description().filter(|text| !text.is_empty()).or(reason).map(str::to_owned)
    };
    let failing =
        |health: &HealthOfTarget| TargetHealth::Unhealthy(said(health).unwrap_or_else(|| "its checks fail".into()));
    match health.map(|health| (health, health.state())) {
        Some((_, Some(TargetHealthStateEnum::Healthy))) => TargetHealth::Healthy,
        Some((_, Some(TargetHealthStateEnum::Draining))) => TargetHealth::Leaving,
        Some((health, Some(TargetHealthStateEnum::Unhealthy | TargetHealthStateEnum::UnhealthyDraining))) => {
            failing(health)
        }
        Some((_, Some(TargetHealthStateEnum::Initial))) | None => TargetHealth::Coming(None),
        // `unused`, `unavailable`, and whatever AWS adds: time alone may not mend it.
        Some((health, _)) => TargetHealth::Coming(said(health)),
    }
}

/// What each Ingress' load balancers serve; `balancers` are the ARNs of each Ingress'. Of one without any, that is said.
pub(super) fn readings(
    balancers: &BTreeMap<String, BTreeSet<String>>,
    read: &BTreeMap<String, ReadBalancer>,
    region: &str,
) -> Vec<IngressReading> {
    let of = |(ingress, arns): (&String, &BTreeSet<String>)| {
        let mut reading = IngressReading { ingress: ingress.clone(), ..IngressReading::default() };
        reading.unknown = arns.is_empty().then(|| {
            format!(
                "no application load balancer that these credentials see in {region} has the hostname of its status; \
                 name its region in `elb` at the cluster, or log in to its account"
            )
        });
        for balancer in arns.iter().filter_map(|arn| read.get(arn)) {
            let groups = balancer.groups.iter().filter(|owned| owned.ingress == *ingress);
            let groups: Vec<TargetGroup> = groups.map(|owned| owned.group.clone()).collect();
            let names_one = |rule: &&BTreeMap<String, u32>| groups.iter().any(|group| rule.contains_key(&group.arn));
            reading.rules.extend(balancer.rules.iter().filter(names_one).cloned());
            reading.groups.extend(groups);
        }
        reading
    };
    balancers.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_elasticloadbalancingv2::types::{
        ForwardActionConfig, TargetDescription, TargetGroupTuple, TargetHealthReasonEnum,
    };
    use decide::rollout::GroupTargets;
    use serde_json::json;

    fn query(ingresses: &[&str], services: &[&str]) -> BalancerQuery {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        BalancerQuery { ingresses: owned(ingresses), services: owned(services) }
    }

    #[test]
    fn an_ingress_has_the_hostnames_of_its_status() {
        let ingress = |name: &str, points: Value| json!({ "metadata": { "name": name, "namespace": "shop" }, "status": { "loadBalancer": { "ingress": points } } });
        let all = [
            ingress("web", json!([{ "hostname": "K8s-Web-1.elb.amazonaws.com" }, { "ip": "10.0.0.1" }])),
            ingress("new", json!([])),
            ingress("other", json!([{ "hostname": "other.elb.amazonaws.com" }])),
            json!({ "metadata": { "name": "bare", "namespace": "shop" } }),
        ];
        let (namespace, names) = hostnames(&query(&["web", "new", "bare", "gone"], &[]), &all);
        assert_eq!(namespace, "shop");
        let web = ("web".to_owned(), BTreeSet::from(["k8s-web-1.elb.amazonaws.com".to_owned()]));
        assert_eq!(names, BTreeMap::from([web]));
    }

    #[test]
    fn a_group_is_for_exactly_this_namespace_ingress_and_service() {
        let query = query(&["web-ingress", "web"], &["web-canary", "web-stable"]);
        let owner = |resource: &str| owner(resource, "shop", &query).expect("it fits one");
        assert_eq!(owner("shop/web-ingress-web-canary:80"), Some(("web-ingress", "web-canary")));
        assert_eq!(owner("shop/web-web-stable:http"), Some(("web", "web-stable")));
        for foreign in [
            "shop/web-ingress-web-canary",
            "shop/web-ingress-web-canary-2:80",
            "shop/web-ingress-2-web-canary:80",
            "shop/my-web-ingress-web-canary:80",
            "shop/web-ingressweb-canary:80",
            "shop/web-ingress-:80",
            "shop-2/web-ingress-web-canary:80",
            "web-ingress-web-canary:80",
            "",
        ] {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_group_that_may_be_for_two_is_nobodys() {
        let two = query(&["a", "a-b"], &["c", "b-c"]);
        let told = owner("shop/a-b-c:80", "shop", &two).expect_err("it fits two");
        assert!(told.contains("Service b-c of Ingress a ") && told.contains("Service c of Ingress a-b"), "{told}");
        let same = query(&["a"], &["c", "c"]);
        assert_eq!(owner("shop/a-c:80", "shop", &same), Ok(Some(("a", "c"))), "it is one Service under two names");
    }

    fn tuple(arn: &str, weight: Option<i32>) -> TargetGroupTuple {
        TargetGroupTuple::builder().target_group_arn(arn).set_weight(weight).build()
    }

    fn weights(rule: &[(&str, u32)]) -> BTreeMap<String, u32> {
        rule.iter().map(|(arn, weight)| ((*arn).to_owned(), *weight)).collect()
    }

    #[test]
    fn a_rule_forwards_by_weights_or_to_one_group() {
        let forward = || Action::builder().r#type(ActionTypeEnum::Forward);
        let config =
            |tuples: Vec<TargetGroupTuple>| ForwardActionConfig::builder().set_target_groups(Some(tuples)).build();
        let weighed = forward().forward_config(config(vec![tuple("a", Some(90)), tuple("b", Some(10))])).build();
        assert_eq!(forwarded(&[weighed]), weights(&[("a", 90), ("b", 10)]));
        let none = forward().forward_config(config(vec![tuple("a", Some(100)), tuple("b", Some(0))])).build();
        assert_eq!(forwarded(&[none]), weights(&[("a", 100), ("b", 0)]));
        let alone = forward().target_group_arn("a").build();
        assert_eq!(forwarded(&[alone]), weights(&[("a", 1)]));
        // The API repeats a group that stands alone.
        let twice = forward().target_group_arn("a").forward_config(config(vec![tuple("a", None)])).build();
        assert_eq!(forwarded(&[twice]), weights(&[("a", 1)]));
        let login = Action::builder().r#type(ActionTypeEnum::AuthenticateOidc).build();
        let behind = [login, forward().target_group_arn("a").build()];
        assert_eq!(forwarded(&behind), weights(&[("a", 1)]));
        let redirect = Action::builder().r#type(ActionTypeEnum::Redirect).target_group_arn("a").build();
        assert_eq!(forwarded(&[redirect]), weights(&[]));
    }

    fn target(address: &str, port: i32, state: &str) -> TargetHealthDescription {
        let health = HealthOfTarget::builder().state(TargetHealthStateEnum::from(state));
        let health = health.reason(TargetHealthReasonEnum::Timeout).build();
        let target = TargetDescription::builder().id(address).port(port).build();
        TargetHealthDescription::builder().target(target).target_health(health).build()
    }

    #[test]
    fn a_target_is_as_its_state_says() {
        for (state, expected) in [
            ("healthy", TargetHealth::Healthy),
            ("initial", TargetHealth::Coming(None)),
            ("unused", TargetHealth::Coming(Some("Target.Timeout".into()))),
            ("unavailable", TargetHealth::Coming(Some("Target.Timeout".into()))),
            ("something-new", TargetHealth::Coming(Some("Target.Timeout".into()))),
            ("draining", TargetHealth::Leaving),
            ("unhealthy", TargetHealth::Unhealthy("Target.Timeout".into())),
            ("unhealthy.draining", TargetHealth::Unhealthy("Target.Timeout".into())),
        ] {
            let found = pods(&[target("10.0.0.1", 80, state)]);
            assert_eq!(found, BTreeMap::from([("10.0.0.1".to_owned(), expected)]), "{state}");
        }
        assert_eq!(health(None), TargetHealth::Coming(None));
        let told =
            HealthOfTarget::builder().state(TargetHealthStateEnum::Unhealthy).description("codes: [503]").build();
        assert_eq!(health(Some(&told)), TargetHealth::Unhealthy("codes: [503]".into()));
    }

    #[test]
    fn an_address_is_as_the_worst_of_its_ports_that_stay() {
        let both = |one: &str, other: &str| {
            let found = pods(&[target("10.0.0.1", 80, one), target("10.0.0.1", 81, other)]);
            let turned = pods(&[target("10.0.0.1", 81, other), target("10.0.0.1", 80, one)]);
            assert_eq!(found, turned, "{one} {other}");
            found["10.0.0.1"].clone()
        };
        let unhealthy = TargetHealth::Unhealthy("Target.Timeout".into());
        assert_eq!(both("healthy", "unhealthy"), unhealthy);
        assert_eq!(both("initial", "unhealthy"), unhealthy);
        assert_eq!(both("healthy", "initial"), TargetHealth::Coming(None));
        assert_eq!(both("healthy", "draining"), TargetHealth::Healthy, "it gets requests");
        assert_eq!(both("initial", "draining"), TargetHealth::Coming(None));
        assert_eq!(both("draining", "draining"), TargetHealth::Leaving);
    }

    #[test]
    fn an_address_of_version_6_is_written_as_kubernetes_writes_it() {
        let found = pods(&[target("2600:1F13:0:0::0001", 80, "healthy")]);
        assert_eq!(found.into_keys().collect::<Vec<_>>(), ["2600:1f13::1"]);
    }

    #[test]
    fn ingresses_that_share_a_load_balancer_have_their_own_rules() {
        let owned = |ingress: &str, arn: &str| OwnedGroup {
            ingress: ingress.into(),
            group: TargetGroup { arn: arn.into(), service: "web".into(), targets: GroupTargets::Nodes },
        };
        let rules = vec![weights(&[("a", 1), ("x", 1)]), weights(&[("b", 1)]), weights(&[("x", 1)])];
        let read = ReadBalancer { groups: vec![owned("one", "a"), owned("two", "b")], rules };
        let arns = || BTreeSet::from(["arn".to_owned()]);
        let balancers = BTreeMap::from([("one".to_owned(), arns()), ("two".to_owned(), arns())]);
        let found = readings(&balancers, &BTreeMap::from([("arn".to_owned(), read)]), "eu-central-1");
        let told = |reading: &IngressReading| {
            let groups: Vec<_> = reading.groups.iter().map(|group| group.arn.clone()).collect();
            (reading.ingress.clone(), groups, reading.rules.clone())
        };
        assert_eq!(
            found.iter().map(told).collect::<Vec<_>>(),
            [
                ("one".to_owned(), vec!["a".to_owned()], vec![weights(&[("a", 1), ("x", 1)])]),
                ("two".to_owned(), vec!["b".to_owned()], vec![weights(&[("b", 1)])]),
            ]
        );
    }
}
