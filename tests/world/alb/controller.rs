//! The stand-in of the AWS Load Balancer Controller: turn by turn it brings moto's ELBv2 to what the Ingresses ask for,
//! late, and looks at what is served then.

use super::super::dice::Dice;
use super::super::kube::Kube;
use super::super::process::ANSWER;
use super::api::{Api, Parameters, REGION, all, first, parameter};
use super::late::Late;
use super::model::{GroupName, Looked, Model, Shares};
use super::state::{Health, Moment, Serves, State, now_ms};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long it rests between its turns.
const REST: Duration = Duration::from_millis(150);
/// The name by which the cluster's things are tagged.
const CLUSTER: &str = "production";
/// The same lags in each run.
const SEED: u64 = 20_260_101;

/// The stand-in and what it has made.
pub(super) struct Controller {
    kube: Kube,
    api: Api,
    state: Arc<State>,
    dice: Dice,
    /// The longest lag.
    latest: Duration,
    network: Option<Network>,
    balancers: BTreeMap<(String, String), LoadBalancer>,
    groups: BTreeMap<GroupName, Group>,
    /// The error that it goes on after.
    trouble: Option<String>,
}

#[derive(Clone)]
struct Network {
    vpc: String,
    subnets: Vec<String>,
}

struct LoadBalancer {
    host: String,
    listener: String,
    /// By the path.
    rules: BTreeMap<String, Rule>,
}

struct Rule {
    arn: Option<String>,
    priority: usize,
    late: Late<Shares>,
    told: Option<Shares>,
}

struct Group {
    arn: String,
    late: Late<BTreeSet<String>>,
    registered: BTreeSet<String>,
}

impl Controller {
    pub(super) fn new(kube: &Kube, api: Api, state: Arc<State>, latest: Duration) -> Controller {
        let (balancers, groups) = (BTreeMap::new(), BTreeMap::new());
        let (kube, dice) = (kube.clone(), Dice::seeded(SEED));
        Controller { kube, api, state, dice, latest, network: None, balancers, groups, trouble: None }
    }

    /// Turns until it is aborted. What fails is tried again in the next turn.
    pub(super) async fn run(mut self) {
        loop {
            match (self.turn().await, self.trouble.take()) {
                (Ok(()), None) => {}
                (Ok(()), Some(before)) => {
                    eprintln!("the load balancer's controller goes on; it failed before: {before}")
                }
                (Err(error), before) => {
                    if before.as_ref() != Some(&error) {
                        eprintln!("the load balancer's controller tries again: {error}");
                    }
                    self.trouble = Some(error);
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn turn(&mut self) -> Result<(), String> {
        let looked = Looked::at(&self.kube).await?;
        let reconciled = if self.state.is_asleep() { Ok(()) } else { self.reconcile(&looked).await };
        self.look(&looked).await?;
        reconciled
    }

    async fn reconcile(&mut self, looked: &Looked) -> Result<(), String> {
        for model in looked.models() {
            let key = (model.namespace.clone(), model.ingress.clone());
            if !self.balancers.contains_key(&key) {
                let balancer = self.balancer(&model).await?;
                self.balancers.insert(key.clone(), balancer);
            }
            self.address(&model, &key).await?;
            for (path, shares) in &model.rules {
                for (name, _) in shares {
                    self.group(name).await?;
                }
                self.rule(&key, path, shares).await?;
            }
        }
        self.register(looked).await
    }

    /// Makes the load balancer of an Ingress with a listener that answers 404.
    async fn balancer(&mut self, model: &Model) -> Result<LoadBalancer, String> {
        let network = self.network().await?;
        let number = self.balancers.len() + 1;
        let name = format!("k8s-{}-{}-{number}", short(&model.namespace), short(&model.ingress));
        let mut parameters = vec![parameter("Name", name), parameter("Scheme", "internet-facing")];
        for (subnet, n) in network.subnets.iter().zip(1..) {
            parameters.push(parameter(&format!("Subnets.member.{n}"), subnet));
        }
        let stack = format!("{}/{}", model.namespace, model.ingress);
        parameters.extend(tags(&stack, "LoadBalancer"));
        let made = self.api.elb("CreateLoadBalancer", parameters).await?;
        let (arn, host) = (first(&made, "LoadBalancerArn")?, first(&made, "DNSName")?);
        let parameters = vec![
            parameter("LoadBalancerArn", &arn),
            parameter("Protocol", "HTTP"),
            parameter("Port", 80),
            parameter("DefaultActions.member.1.Type", "fixed-response"),
            parameter("DefaultActions.member.1.FixedResponseConfig.StatusCode", 404),
            parameter("DefaultActions.member.1.FixedResponseConfig.ContentType", "text/plain"),
        ];
        let listener = first(&self.api.elb("CreateListener", parameters).await?, "ListenerArn")?;
        Ok(LoadBalancer { host, listener, rules: BTreeMap::new() })
    }

    /// The VPC with a subnet in each of two zones.
    async fn network(&mut self) -> Result<Network, String> {
        if let Some(network) = &self.network {
            return Ok(network.clone());
        }
        let made = self.api.ec2("CreateVpc", vec![parameter("CidrBlock", "10.0.0.0/16")]).await?;
        let vpc = first(&made, "vpcId")?;
        let mut subnets = Vec::new();
        for (zone, block) in [("a", "10.0.1.0/24"), ("b", "10.0.2.0/24")] {
            let zone = parameter("AvailabilityZone", format!("{REGION}{zone}"));
            let parameters = vec![parameter("VpcId", &vpc), parameter("CidrBlock", block), zone];
            subnets.push(first(&self.api.ec2("CreateSubnet", parameters).await?, "subnetId")?);
        }
        Ok(self.network.insert(Network { vpc, subnets }).clone())
    }

    /// Writes the load balancer's name into the status of its Ingress.
    async fn address(&self, model: &Model, key: &(String, String)) -> Result<(), String> {
        let Some(balancer) = self.balancers.get(key) else { return Ok(()) };
        if model.address.as_ref() == Some(&balancer.host) {
            return Ok(());
        }
        let (namespace, name) = key;
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}/status");
        let patch: Value = json!({ "status": { "loadBalancer": { "ingress": [{ "hostname": balancer.host }] } } });
        let request = self.kube.request(reqwest::Method::PATCH, &path).timeout(ANSWER).body(patch.to_string());
        let answer = request.header("content-type", "application/merge-patch+json").send().await;
        let answer = answer.map_err(|error| format!("{path}: {error}"))?;
        // An Ingress that is gone by now needs no address.
        match answer.status().as_u16() {
            200..300 | 404 => Ok(()),
            status => Err(format!("{path}: {status}")),
        }
    }

    async fn group(&mut self, name: &GroupName) -> Result<(), String> {
        if self.groups.contains_key(name) {
            return Ok(());
        }
        let vpc = self.network().await?.vpc;
        let called = format!("k8s-{}-{}-{}", short(&name.namespace), short(&name.service), self.groups.len() + 1);
        let mut parameters = vec![
            parameter("Name", called),
            parameter("Protocol", "HTTP"),
            parameter("Port", &name.port),
            parameter("VpcId", vpc),
            parameter("TargetType", "ip"),
        ];
        parameters.extend(tags(&format!("{}/{}", name.namespace, name.ingress), &name.resource()));
        let arn = first(&self.api.elb("CreateTargetGroup", parameters).await?, "TargetGroupArn")?;
        self.groups.insert(name.clone(), Group { arn, late: Late::default(), registered: BTreeSet::new() });
        Ok(())
    }

    /// Brings the weights of a path to what has come by now.
    async fn rule(&mut self, key: &(String, String), path: &str, shares: &Shares) -> Result<(), String> {
        let Some(balancer) = self.balancers.get_mut(key) else { return Ok(()) };
        let priority = balancer.rules.len() + 1;
        let anew = || Rule { arn: None, priority, late: Late::default(), told: None };
        let rule = balancer.rules.entry(path.to_owned()).or_insert_with(anew);
        rule.late.see(shares, || lag(&mut self.dice, self.latest));
        let Some(reached) = rule.late.reached().filter(|reached| rule.told.as_ref() != Some(*reached)).cloned() else {
            return Ok(());
        };
        let forward = forward(&reached, &self.groups);
        match &rule.arn {
            Some(arn) => {
                let parameters = [vec![parameter("RuleArn", arn)], forward].concat();
                self.api.elb("ModifyRule", parameters).await?;
            }
            None => {
                let mut parameters =
                    vec![parameter("ListenerArn", &balancer.listener), parameter("Priority", rule.priority)];
                parameters.extend(condition(path));
                parameters.extend(forward);
                rule.arn = Some(first(&self.api.elb("CreateRule", parameters).await?, "RuleArn")?);
            }
        }
        rule.told = Some(reached);
        Ok(())
    }

    /// Registers the ready pods, and deregisters the others.
    async fn register(&mut self, looked: &Looked) -> Result<(), String> {
        for (name, group) in &mut self.groups {
            let ready = looked.ready(&name.namespace, &name.service);
            group.late.see(&ready, || lag(&mut self.dice, self.latest));
            let Some(reached) = group.late.reached().cloned() else { continue };
            let comes: Vec<String> = reached.difference(&group.registered).cloned().collect();
            if !comes.is_empty() {
                self.api.elb("RegisterTargets", targets(&group.arn, &comes, &name.port)).await?;
                for address in comes {
                    self.state.came(&group.arn, &address, initial(&mut self.dice, self.latest));
                    group.registered.insert(address);
                }
            }
            let goes: Vec<String> = group.registered.difference(&reached).cloned().collect();
            if !goes.is_empty() {
                // It drains from before it is gone, so that nobody is told in between that it is healthy.
                goes.iter().for_each(|address| self.state.left(&group.arn, address));
                self.api.elb("DeregisterTargets", targets(&group.arn, &goes, &name.port)).await?;
                group.registered = reached;
            }
        }
        Ok(())
    }

    /// Asks moto what is served, and remembers it.
    async fn look(&self, looked: &Looked) -> Result<(), String> {
        let rules = self.balancers.values().flat_map(|balancer| balancer.rules.values());
        let shared = |rule: &&Rule| rule.told.as_ref().is_some_and(|told| told.len() > 1);
        let Some(rule) = rules.filter(shared).find_map(|rule| rule.arn.as_ref()) else { return Ok(()) };
        let xml = self.api.elb("DescribeRules", vec![parameter("RuleArns.member.1", rule)]).await?;
        let mut serves = Serves::default();
        for member in all(&xml, "TargetGroups").into_iter().flat_map(|groups| all(groups, "member")) {
            let (arn, weight) = (first(member, "TargetGroupArn")?, first(member, "Weight")?);
            let Some((name, group)) = self.groups.iter().find(|(_, group)| group.arn == arn) else { continue };
            let weighed = weight.parse::<u32>().map_err(|error| format!("the weight {weight}: {error}"))?;
            serves.weights.insert(name.service.clone(), weighed);
            let xml = self.api.elb("DescribeTargetHealth", vec![parameter("TargetGroupArn", &group.arn)]).await?;
            let registered = all(&xml, "Id").into_iter();
            let healthy = registered.filter(|address| self.state.health(&group.arn, address) == Health::Healthy);
            serves.targets.insert(name.service.clone(), healthy.map(str::to_owned).collect());
        }
        let moment = moment(looked, &serves);
        self.state.saw(serves, moment);
        Ok(())
    }
}

/// A target counts while its pod is there.
fn moment(looked: &Looked, serves: &Serves) -> Moment {
    let versions = looked.versions();
    let mut healthy: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for (service, addresses) in &serves.targets {
        let counted = healthy.entry(service.clone()).or_default();
        for version in addresses.iter().filter_map(|address| versions.get(address)) {
            *counted.entry(version.clone()).or_default() += 1;
        }
    }
    let (pods, said) = (looked.wanted(), looked.said(&serves.weights));
    Moment { at_ms: now_ms(), pods, said, weights: serves.weights.clone(), healthy }
}

/// How long something takes to get to the load balancer.
fn lag(dice: &mut Dice, latest: Duration) -> Duration {
    let end = u64::try_from(latest.as_millis()).expect("it is a short time");
    Duration::from_millis(dice.below(end + 1))
}

/// How long a target takes to become healthy; never no time.
fn initial(dice: &mut Dice, latest: Duration) -> Duration {
    Duration::from_millis(500) + lag(dice, latest) / 2
}

/// The first letters of a name, of those that a name at AWS may have.
fn short(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).take(8).collect()
}

/// The tags of the real controller.
fn tags(stack: &str, resource: &str) -> Parameters {
    let all =
        [("elbv2.k8s.aws/cluster", CLUSTER), ("ingress.k8s.aws/stack", stack), ("ingress.k8s.aws/resource", resource)];
    let tag = |((key, value), n): ((&str, &str), usize)| {
        [parameter(&format!("Tags.member.{n}.Key"), key), parameter(&format!("Tags.member.{n}.Value"), value)]
    };
    all.into_iter().zip(1..).flat_map(tag).collect()
}

/// The condition of a path and all below it.
fn condition(path: &str) -> Parameters {
    let below = format!("{}/*", path.trim_end_matches('/'));
    let values = if path == "/" { vec![below] } else { vec![path.to_owned(), below] };
    let mut parameters = vec![parameter("Conditions.member.1.Field", "path-pattern")];
    for (value, n) in values.iter().zip(1..) {
        parameters.push(parameter(&format!("Conditions.member.1.PathPatternConfig.Values.member.{n}"), value));
    }
    parameters
}

/// The action that shares requests between groups.
fn forward(shares: &Shares, groups: &BTreeMap<GroupName, Group>) -> Parameters {
    let mut parameters = vec![parameter("Actions.member.1.Type", "forward")];
    for ((name, weight), n) in shares.iter().zip(1..) {
        let place = format!("Actions.member.1.ForwardConfig.TargetGroups.member.{n}");
        let arn = groups.get(name).map_or("", |group| group.arn.as_str());
        parameters.push(parameter(&format!("{place}.TargetGroupArn"), arn));
        parameters.push(parameter(&format!("{place}.Weight"), weight));
    }
    parameters
}

fn targets(group: &str, addresses: &[String], port: &str) -> Parameters {
    let mut parameters = vec![parameter("TargetGroupArn", group)];
    for (address, n) in addresses.iter().zip(1..) {
        parameters.push(parameter(&format!("Targets.member.{n}.Id"), address));
        parameters.push(parameter(&format!("Targets.member.{n}.Port"), port));
    }
    parameters
}
