//! What a load balancer serves, as moto's ELBv2 API says it.
#![cfg(feature = "elb")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../../tests/world/port.rs"]
mod port;

use aws_sdk_elasticloadbalancingv2::config::{self, BehaviorVersion, Credentials, Region};
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, ProtocolEnum, Tag, TargetDescription, TargetGroupTuple, TargetTypeEnum,
};
use aws_sdk_elasticloadbalancingv2::{Client, operation::create_load_balancer::CreateLoadBalancerOutput};
use cluster::{Balancer, Elb, ElbSettings};
use decide::rollout::{BalancerQuery, BalancerReading, GroupTargets, IngressReading, TargetGroup, TargetHealth};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const REGION: &str = "eu-central-1";
const PATIENCE: Duration = Duration::from_secs(60);

/// moto's server, which ends with this value.
struct Moto {
    process: Child,
    url: String,
}

impl Moto {
    /// Starts the program.
    async fn start(program: &Path) -> Moto {
        let port = port::free_port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut moto = Moto { process, url: format!("http://127.0.0.1:{port}") };
        let end = Instant::now() + PATIENCE;
        while reqwest::get(format!("{}/moto-api/", moto.url)).await.is_err() {
            assert!(moto.process.try_wait().unwrap().is_none(), "moto has ended");
            assert!(Instant::now() < end, "moto is not ready after a minute");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        moto
    }

    /// Asks EC2's API, and answers what stands between the first of these tags.
    async fn ec2(&self, parameters: &[(&str, &str)], tag: &str) -> String {
        let scope = format!("test/20260101/{REGION}/ec2/aws4_request");
        let signed = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let request = reqwest::Client::new().post(&self.url).header("authorization", signed);
        let answer = request.form(parameters).query(&[("Version", "2016-11-15")]).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let (_, rest) = text.split_once(&format!("<{tag}>")).unwrap_or_else(|| panic!("no {tag} in {text}"));
        rest.split('<').next().unwrap().to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _status = self.process.wait();
    }
}

/// A load balancer with a listener that shares between two groups.
struct Made {
    client: Client,
    balancer: CreateLoadBalancerOutput,
    listener: String,
    stable: String,
    canary: String,
}

impl Made {
    async fn start(moto: &Moto) -> Made {
        let config = config::Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&moto.url)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"));
        let client = Client::from_conf(config.build());
        let vpc = moto.ec2(&[("Action", "CreateVpc"), ("CidrBlock", "10.0.0.0/16")], "vpcId").await;
        let mut subnets = Vec::new();
        for (block, zone) in [("10.0.1.0/24", "eu-central-1a"), ("10.0.2.0/24", "eu-central-1b")] {
            let asked = [("Action", "CreateSubnet"), ("VpcId", &vpc), ("CidrBlock", block), ("AvailabilityZone", zone)];
            subnets.push(moto.ec2(&asked, "subnetId").await);
        }
        let balancer = client.create_load_balancer().name("K8s-Shop").set_subnets(Some(subnets)).send().await.unwrap();
        let stable = group(&client, &vpc, "stable", TargetTypeEnum::Ip, "shop/web-ingress-web-stable:80").await;
        let canary = group(&client, &vpc, "canary", TargetTypeEnum::Ip, "shop/web-ingress-web-canary:80").await;
        let arn = balancer.load_balancers()[0].load_balancer_arn().unwrap();
        let listener = client.create_listener().load_balancer_arn(arn).protocol(ProtocolEnum::Http).port(80);
        let listener = listener.default_actions(forward(&[(&stable, 90), (&canary, 10)])).send().await.unwrap();
        let listener = listener.listeners()[0].listener_arn().unwrap().to_owned();
        for (group, addresses) in [(&stable, ["10.0.1.4", "10.0.1.5"].as_slice()), (&canary, &["10.0.2.4"])] {
            let targets = addresses.iter().map(|address| TargetDescription::builder().id(*address).port(8080).build());
            let targets = client.register_targets().target_group_arn(group).set_targets(Some(targets.collect()));
            targets.send().await.unwrap();
        }
        Made { client, balancer, listener, stable, canary }
    }

    fn hostname(&self) -> &str {
        self.balancer.load_balancers()[0].dns_name().unwrap()
    }

    /// The canary's group and the stable one's, as they were made.
    fn groups(&self) -> [TargetGroup; 2] {
        let group = |arn: &str, service: &str, addresses: &[&str]| {
            let pods = addresses.iter().map(|address| ((*address).to_owned(), TargetHealth::Healthy));
            TargetGroup {
                arn: arn.to_owned(),
                service: service.to_owned(),
                targets: GroupTargets::Pods(pods.collect()),
            }
        };
        [group(&self.canary, "web-canary", &["10.0.2.4"]), group(&self.stable, "web-stable", &["10.0.1.4", "10.0.1.5"])]
    }

    fn shared(&self, stable: u32, canary: u32) -> BTreeMap<String, u32> {
        BTreeMap::from([(self.stable.clone(), stable), (self.canary.clone(), canary)])
    }
}

async fn group(client: &Client, vpc: &str, name: &str, targets: TargetTypeEnum, resource: &str) -> String {
    let tag = Tag::builder().key("ingress.k8s.aws/resource").value(resource).build();
    let group = client.create_target_group().name(name).vpc_id(vpc).protocol(ProtocolEnum::Http).port(80);
    let made = group.target_type(targets).tags(tag).send().await.unwrap();
    made.target_groups()[0].target_group_arn().unwrap().to_owned()
}

fn forward(weights: &[(&String, i32)]) -> Action {
    let tuple = |(arn, weight): &(&String, i32)| {
        TargetGroupTuple::builder().target_group_arn(arn.as_str()).weight(*weight).build()
    };
    let config = ForwardActionConfig::builder().set_target_groups(Some(weights.iter().map(tuple).collect())).build();
    Action::builder().r#type(ActionTypeEnum::Forward).forward_config(config).build()
}

fn ingress(name: &str, hostname: Option<&str>) -> Value {
    let points: Vec<Value> = hostname.iter().map(|hostname| json!({ "hostname": hostname })).collect();
    json!({
        "metadata": { "name": name, "namespace": "shop" },
        "status": { "loadBalancer": { "ingress": points } },
    })
}

fn sorted(mut reading: IngressReading) -> IngressReading {
    reading.groups.sort_by(|one, other| one.service.cmp(&other.service));
    reading
}

/// The path of moto's server, or `None`, said loudly; a failure where every real part is demanded.
fn moto() -> Option<PathBuf> {
    let named = std::env::var_os("BESPIN_MOTO").map(PathBuf::from).filter(|path| path.exists());
    let on_path = || {
        let all = std::env::var_os("PATH")?;
        std::env::split_paths(&all).map(|dir| dir.join("moto_server")).find(|path| path.exists())
    };
    let found = named.or_else(on_path);
    if found.is_none() {
        assert!(std::env::var_os("BESPIN_REAL").is_none(), "moto is missing, and every real part is demanded");
        eprintln!("NOT CHECKED: moto_server is missing on this machine");
    }
    found
}

/// The SDK looks for credentials in the environment, which a test must not change under the others.
fn again_with_credentials(test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

#[tokio::test]
async fn a_load_balancer_says_what_it_serves() {
    let Some(program) = moto() else { return };
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
        return again_with_credentials("a_load_balancer_says_what_it_serves");
    }
    let moto = Moto::start(&program).await;
    let made = Made::start(&moto).await;
    let settings = ElbSettings { region: Some(REGION.into()), endpoint: Some(moto.url.clone()) };
    let elb = Elb::new("test", settings, || 0).unwrap();
    assert_eq!(elb.reach().await, Ok(Vec::new()));

    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let query = BalancerQuery {
        ingresses: owned(&["web-ingress", "web-new", "web-away"]),
        services: owned(&["web-canary", "web-stable"]),
    };
    let ingresses = [
        ingress("web-ingress", Some(&made.hostname().to_uppercase())),
        ingress("web-new", None),
        ingress("web-away", Some("elsewhere-1.us-east-1.elb.amazonaws.com")),
    ];
    let read = async || match elb.read(&query, &ingresses).await {
        BalancerReading::Read(read) => read.into_iter().map(sorted).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let expected = |rules| {
        let found =
            IngressReading { ingress: "web-ingress".into(), unknown: None, groups: made.groups().into(), rules };
        let unknown = Some(
            "no application load balancer that these credentials see in eu-central-1 has the hostname of its status; \
             name its region in `elb` at the cluster, or log in to its account"
                .to_owned(),
        );
        [IngressReading { ingress: "web-away".into(), unknown, ..IngressReading::default() }, found]
    };
    assert_eq!(read().await, expected(vec![made.shared(90, 10)]));

    // Another path has a rule of its own, to the stable group alone.
    let path = aws_sdk_elasticloadbalancingv2::types::RuleCondition::builder().field("path-pattern").values("/a/*");
    let alone = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(&made.stable).build();
    let rule = made.client.create_rule().listener_arn(&made.listener).priority(1).conditions(path.build());
    rule.actions(alone).send().await.unwrap();
    let moved = made.client.modify_listener().listener_arn(&made.listener);
    moved.default_actions(forward(&[(&made.stable, 0), (&made.canary, 100)])).send().await.unwrap();
    let alone = BTreeMap::from([(made.stable.clone(), 1)]);
    let end = Instant::now() + PATIENCE;
    loop {
        // An answer stands for a second.
        let [_, found] = read().await.try_into().unwrap();
        let rules = [&alone, &made.shared(0, 100)];
        if found.rules.len() == 2 && rules.iter().all(|rule| found.rules.contains(rule)) {
            return;
        }
        assert!(Instant::now() < end, "{found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
