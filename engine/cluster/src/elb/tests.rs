//! Readings against an API that answers as it is told, and counts.

use super::*;
use aws_sdk_elasticloadbalancingv2::config::{self, BehaviorVersion, Credentials, Region};
use decide::rollout::{Remedy, TargetHealth};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A call's name, with the status and the code that it is answered by.
type RefusedCall = (&'static str, u16, &'static str);

/// An API: which answers it gives to a call, by the call's parameters, and which calls it got.
#[derive(Clone)]
struct Scripted {
    url: String,
    calls: Arc<std::sync::Mutex<Vec<String>>>,
    /// Calls with this name are refused by this status and code.
    refused: Arc<std::sync::Mutex<Option<RefusedCall>>>,
}

impl Scripted {
    async fn start() -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let api = Scripted { url, calls: Arc::default(), refused: Arc::default() };
        let answering = api.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let api = answering.clone();
                tokio::spawn(async move {
                    let request = form(&mut stream).await;
                    let (status, body) = api.answer(&request);
                    let head =
                        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                    let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        api
    }

    fn refuse(&self, refused: Option<RefusedCall>) {
        *self.refused.lock().unwrap() = refused;
    }

    /// How many calls of a name there were.
    fn count(&self, name: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| *call == name).count()
    }

    fn answer(&self, form: &[(String, String)]) -> (u16, String) {
        let of = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let call = of("Action").unwrap();
        self.calls.lock().unwrap().push(call.to_owned());
        if let Some((name, status, code)) = *self.refused.lock().unwrap()
            && name == call
        {
            let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>told so</Message></Error>");
            return (status, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"));
        }
        let result = match call {
            "DescribeLoadBalancers" => {
                // Two pages: the one that is looked for is on the second.
                match of("Marker") {
                    None => balancers("K8s-Other", "network") + "<NextMarker>2</NextMarker>",
                    Some(_) => balancers("K8s-Web", "application"),
                }
            }
            "DescribeTargetGroups" => members("TargetGroups", ["stable", "canary", "foreign"].map(group)),
            "DescribeTags" => {
                let arns = form.iter().filter(|(key, _)| key.starts_with("ResourceArns.member."));
                members("TagDescriptions", arns.map(|(_, arn)| tags(arn)))
            }
            "DescribeTargetHealth" => members("TargetHealthDescriptions", [target(of("TargetGroupArn").unwrap())]),
            "DescribeListeners" => members(
                "Listeners",
                [format!("<ListenerArn>l</ListenerArn><DefaultActions>{}</DefaultActions>", forward("foreign"))],
            ),
            "DescribeRules" => members("Rules", [weighed(90, 10)]),
            other => panic!("nobody calls {other}"),
        };
        (200, format!("<{call}Response><{call}Result>{result}</{call}Result></{call}Response>"))
    }
}

/// The parameters of a request.
async fn form(stream: &mut tokio::net::TcpStream) -> Vec<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).await.unwrap();
        bytes.extend_from_slice(&some[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            return url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        }
    }
}

fn members(name: &str, all: impl IntoIterator<Item = String>) -> String {
    let all: String = all.into_iter().map(|one| format!("<member>{one}</member>")).collect();
    format!("<{name}>{all}</{name}>")
}

fn balancers(name: &str, kind: &str) -> String {
    let dns = format!("<DNSName>{name}.elb.amazonaws.com</DNSName>");
    members("LoadBalancers", [format!("<LoadBalancerArn>{name}</LoadBalancerArn>{dns}<Type>{kind}</Type>")])
}

fn group(name: &str) -> String {
    format!("<TargetGroupArn>{name}</TargetGroupArn><TargetType>ip</TargetType>")
}

fn tags(arn: &str) -> String {
    let value = format!("shop/web-web-{arn}:80");
    let tags = if arn == "foreign" { Vec::new() } else { vec![format!("<Key>{RESOURCE}</Key><Value>{value}</Value>")] };
    format!("<ResourceArn>{arn}</ResourceArn>{}", members("Tags", tags))
}

fn target(group: &str) -> String {
    let id = if group == "canary" { "10.0.0.2" } else { "10.0.0.1" };
    let health = "<TargetHealth><State>healthy</State></TargetHealth>";
    format!("<Target><Id>{id}</Id><Port>80</Port></Target>{health}")
}

fn forward(group: &str) -> String {
    format!("<member><Type>forward</Type><TargetGroupArn>{group}</TargetGroupArn></member>")
}

fn weighed(stable: u32, canary: u32) -> String {
    let tuple = |name: &str, weight: u32| format!("<TargetGroupArn>{name}</TargetGroupArn><Weight>{weight}</Weight>");
    let tuples = members("TargetGroups", [tuple("stable", stable), tuple("canary", canary)]);
    let action = format!("<member><Type>forward</Type><ForwardConfig>{tuples}</ForwardConfig></member>");
    format!("<RuleArn>r</RuleArn><IsDefault>false</IsDefault><Actions>{action}</Actions>")
}

/// An adapter of that API with credentials of its own, by this clock.
fn elb(api: &Scripted, now: fn() -> Timestamp) -> Elb {
    let settings = ElbSettings { region: Some("eu-central-1".into()), endpoint: Some(api.url.clone()) };
    let elb = Elb::new("test", settings.clone(), now).unwrap();
    let config = config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    *elb.api.try_lock().unwrap() = Some(ElbApi::of(config, &settings));
    elb
}

fn query() -> BalancerQuery {
    BalancerQuery { ingresses: vec!["web".into()], services: vec!["web-canary".into(), "web-stable".into()] }
}

fn ingress(hostname: &str) -> Value {
    named("web", hostname)
}

fn named(name: &str, hostname: &str) -> Value {
    let points = json!([{ "hostname": hostname }]);
    json!({
        "metadata": { "name": name, "namespace": "shop" },
        "status": { "loadBalancer": { "ingress": points } },
    })
}

fn failure(reading: &BalancerReading) -> &decide::rollout::RouterFailure {
    let BalancerReading::Failed(failure) = reading else { panic!("{reading:?}") };
    failure
}

#[tokio::test]
async fn a_reading_has_the_groups_the_targets_and_the_rules() {
    let api = Scripted::start().await;
    let elb = elb(&api, || 0);
    let ingresses = [ingress("k8s-web.elb.amazonaws.com")];
    let read = elb.read(&query(), &ingresses).await;
    let group = |name: &str, address: &str| TargetGroup {
        arn: name.into(),
        service: format!("web-{name}"),
        targets: GroupTargets::Pods(BTreeMap::from([(address.to_owned(), TargetHealth::Healthy)])),
    };
    let expected = IngressReading {
        ingress: "web".into(),
        unknown: None,
        groups: vec![group("stable", "10.0.0.1"), group("canary", "10.0.0.2")],
        // The listener's own default is another's.
        rules: vec![BTreeMap::from([("stable".to_owned(), 90), ("canary".to_owned(), 10)])],
    };
    assert_eq!(read, BalancerReading::Read(vec![expected]));
    assert_eq!(elb.read(&query(), &ingresses).await, read);
    let calls = ["DescribeLoadBalancers", "DescribeTargetGroups", "DescribeTags", "DescribeTargetHealth"];
    assert_eq!(calls.map(|call| api.count(call)), [2, 1, 1, 2], "the second one was answered from memory");
    // Another query of the same load balancer needs neither names nor tags of what is known, but for the foreign one.
    let other = BalancerQuery { services: vec!["web-stable".into()], ..query() };
    elb.read(&other, &ingresses).await;
    assert_eq!(calls.map(|call| api.count(call)), [2, 2, 2, 3]);
}

#[tokio::test]
async fn whoever_asks_at_once_and_ingresses_that_share_a_load_balancer_ask_once() {
    let api = Scripted::start().await;
    let elb = elb(&api, || 0);
    let hostname = "k8s-web.elb.amazonaws.com";
    let ingresses = [named("web", hostname), named("web-2", hostname)];
    let query = BalancerQuery { ingresses: vec!["web".into(), "web-2".into()], ..query() };
    let all = futures::future::join_all((0..20).map(|_| elb.read(&query, &ingresses))).await;
    let BalancerReading::Read(first) = &all[0] else { panic!("{all:?}") };
    let told: Vec<_> = first.iter().map(|one| (one.ingress.as_str(), one.groups.len(), one.rules.len())).collect();
    assert_eq!(told, [("web", 2, 1), ("web-2", 0, 0)]);
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    let calls = ["DescribeTargetGroups", "DescribeTargetHealth", "DescribeListeners", "DescribeRules"];
    assert_eq!(calls.map(|call| api.count(call)), [1, 2, 1, 1]);
}

#[tokio::test]
async fn an_api_that_takes_a_call_and_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = Scripted { url, calls: Arc::default(), refused: Arc::default() };
    let read = elb(&api, || 0).read(&query(), &[ingress("k8s-web.elb.amazonaws.com")]).await;
    let told = failure(&read);
    assert_eq!(told.remedy, Remedy::Wait, "{told:?}");
    assert!(told.because.starts_with("elasticloadbalancing:DescribeLoadBalancers is not answered"), "{told:?}");
}

#[tokio::test]
async fn a_hostname_that_no_load_balancer_has_is_not_looked_for_again_at_once() {
    let api = Scripted::start().await;
    let elb = elb(&api, || 0);
    for hostname in ["gone.elb.amazonaws.com", "K8s-Other.elb.amazonaws.com"] {
        let ingresses = [ingress(hostname)];
        let other = BalancerQuery { services: vec![hostname.into()], ..query() };
        for query in [&query(), &other] {
            let read = elb.read(query, &ingresses).await;
            let BalancerReading::Read(readings) = &read else { panic!("{hostname}: {read:?}") };
            let unknown = readings[0].unknown.as_deref().unwrap_or_default();
            assert!(unknown.contains("has the hostname of its status; name its region"), "{hostname}: {unknown}");
        }
    }
    // The answer about the second hostname is the first query's, which stands; the other query asked about it.
    assert_eq!(api.count("DescribeLoadBalancers"), 4, "a list of two pages for each hostname");
    assert_eq!(api.count("DescribeTargetGroups"), 0);
}

#[tokio::test]
async fn an_ingress_without_a_load_balancer_asks_nobody() {
    let api = Scripted::start().await;
    let elb = elb(&api, || 0);
    let bare = json!({ "metadata": { "name": "web", "namespace": "shop" } });
    assert_eq!(elb.read(&query(), &[bare]).await, BalancerReading::Read(Vec::new()));
    assert!(api.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_throttled_api_is_left_alone_and_longer_each_time() {
    static NOW: AtomicU64 = AtomicU64::new(1_000_000);
    let api = Scripted::start().await;
    let elb = elb(&api, || NOW.load(Ordering::SeqCst));
    let ingresses = [ingress("k8s-web.elb.amazonaws.com")];
    api.refuse(Some(("DescribeTargetGroups", 400, "Throttling")));
    let first = elb.read(&query(), &ingresses).await;
    let told = failure(&first);
    assert_eq!(told.remedy, Remedy::Wait);
    assert!(told.because.contains("elasticloadbalancing:DescribeTargetGroups"), "{told:?}");
    assert_eq!(told.again, 1_001_000);
    NOW.store(told.again - 1, Ordering::SeqCst);
    assert_eq!(elb.read(&query(), &ingresses).await, first);
    assert_eq!(api.count("DescribeTargetGroups"), 1);
    let mut pauses = Vec::new();
    let mut again = told.again;
    for _ in 0..9 {
        NOW.store(again, Ordering::SeqCst);
        let next = failure(&elb.read(&query(), &ingresses).await).again;
        pauses.push(next - again);
        again = next;
    }
    assert!(pauses.is_sorted() && pauses.last() > Some(&20_000), "{pauses:?}");
    api.refuse(None);
    NOW.store(again, Ordering::SeqCst);
    let read = elb.read(&query(), &ingresses).await;
    assert!(matches!(&read, BalancerReading::Read(read) if read.len() == 1), "{read:?}");
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let api = Scripted::start().await;
    for call in [
        "DescribeLoadBalancers",
        "DescribeTargetGroups",
        "DescribeTags",
        "DescribeTargetHealth",
        "DescribeListeners",
        "DescribeRules",
    ] {
        api.refuse(Some((call, 403, "AccessDenied")));
        let read = elb(&api, || 0).read(&query(), &[ingress("k8s-web.elb.amazonaws.com")]).await;
        let told = failure(&read);
        assert_eq!(told.remedy, Remedy::Person, "{told:?}");
        assert!(told.because.contains(&format!("elasticloadbalancing:{call} is answered by 403")), "{told:?}");
        let refused = elb(&api, || 0).reach().await.unwrap_err();
        assert!(refused.message.contains(&format!("elasticloadbalancing:{call} is answered by 403")), "{refused:?}");
    }
    api.refuse(Some(("DescribeLoadBalancers", 403, "InvalidClientTokenId")));
    let refused = elb(&api, || 0).reach().await.unwrap_err();
    assert!(refused.message.ends_with("correct the server's credentials of AWS"), "{refused:?}");
    api.refuse(None);
    assert_eq!(elb(&api, || 0).reach().await, Ok(Vec::new()));
}

#[tokio::test]
async fn what_nobody_serves_waits() {
    let api = Scripted { url: "http://127.0.0.1:1".into(), calls: Arc::default(), refused: Arc::default() };
    let read = elb(&api, || 0).read(&query(), &[ingress("k8s-web.elb.amazonaws.com")]).await;
    let told = failure(&read);
    assert_eq!(told.remedy, Remedy::Wait, "{told:?}");
    assert!(told.because.starts_with("elasticloadbalancing:DescribeLoadBalancers is not answered"), "{told:?}");
}

#[tokio::test]
async fn a_load_balancer_that_went_is_looked_for_again() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let api = Scripted::start().await;
    let elb = elb(&api, || NOW.load(Ordering::SeqCst));
    let ingresses = [ingress("k8s-web.elb.amazonaws.com")];
    api.refuse(Some(("DescribeTargetGroups", 400, "LoadBalancerNotFound")));
    let read = elb.read(&query(), &ingresses).await;
    assert_eq!(failure(&read).remedy, Remedy::Wait);
    assert_eq!(api.count("DescribeLoadBalancers"), 2);
    api.refuse(None);
    NOW.store(failure(&read).again, Ordering::SeqCst);
    assert!(matches!(elb.read(&query(), &ingresses).await, BalancerReading::Read(_)));
    assert_eq!(api.count("DescribeLoadBalancers"), 4, "its name is another's by now");
}

#[tokio::test]
async fn a_load_balancer_without_target_groups_serves_nothing() {
    let api = Scripted::start().await;
    api.refuse(Some(("DescribeTargetGroups", 400, "TargetGroupNotFound")));
    let read = elb(&api, || 0).read(&query(), &[ingress("k8s-web.elb.amazonaws.com")]).await;
    let expected = IngressReading { ingress: "web".into(), ..IngressReading::default() };
    assert_eq!(read, BalancerReading::Read(vec![expected]));
}

#[tokio::test]
async fn a_list_without_an_end_is_not_read_for_ever() {
    let ask = |_: Option<String>| async { Ok((vec![1], Some("again".to_owned()))) };
    let refused = api::pages("DescribeRules", ask).await.unwrap_err();
    assert!(refused.failure.message.contains("more than 20 pages"), "{refused:?}");
}
