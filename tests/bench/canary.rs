//! How soon crashing pods lose their traffic, and how many decisions about a rollout there are in a second.

use super::{Better, Figure, median};
use decide::by::By;
use decide::next::Timestamp;
use decide::rollout::{BalancerReading, Entry, Objects, Observed, State, decide, spec};
use reqwest::Method;
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use world::estate::{Estate, INGRESSES, Kind, NAMESPACE, PATIENCE, REPLICASETS, ROLLOUT};
use world::process::eventually;
use world::rollouts::{HASH, image, is_ready, left_alone};
use world::watch::{Watch, weight};

/// The canary's Service.
const CANARY: &str = "was-canary";
/// How many canaries are aborted.
const ABORTS: usize = 15;
/// How long decisions are made, and how often.
const DECIDING: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;

/// From the moment in which the canary's pods are seen to crash until its weight is written as 0; and apart from that,
/// until the load balancer's rule says so, where the parts for one are there.
pub(crate) async fn abort() {
    let kind = if Kind::Balanced.is_missing() { Kind::Embedded } else { Kind::Balanced };
    let estate = left_alone(kind, "1h").await;
    let change = json!({ "spec": { "template": { "spec": { "containers": [container(&estate, "v56").await] } } } });
    estate.kube.merge(ROLLOUT, &change).await;
    let (mut each, mut lags) = (Vec::new(), Vec::new());
    for _ in 0..ABORTS {
        paused_at_ten(&estate).await;
        let watch = Watch::start(&estate.kube, INGRESSES).await;
        let pods = canary_pods(&estate).await;
        for pod in &pods {
            crash(&estate, pod).await;
        }
        let begin = Instant::now();
        let is_written = || watch.states("petclinic-ingress").last().and_then(weight) == Some(0);
        while !is_written() {
            assert!(begin.elapsed() < PATIENCE, "it is not aborted:\n{}", estate.bespin.last_words());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        each.push(begin.elapsed().as_secs_f64());
        if kind == Kind::Balanced {
            let written = Instant::now();
            let alb = estate.parts.alb();
            eventually("the rule says so", PATIENCE, || async {
                (alb.last()?.weight(CANARY) == Some(0)).then_some(())
            })
            .await;
            lags.push(written.elapsed().as_secs_f64());
        }
        again(&estate, &pods).await;
    }
    let n = each.len();
    let figure = |bench, ours| Figure { bench, ours, peer: None, better: Better::Lower, unit: "s", n }.print();
    figure("canary-abort", median(each));
    if !lags.is_empty() {
        figure("canary-abort/balancer", median(lags));
    }
}

/// The Rollout's container with another image.
async fn container(estate: &Estate, tag: &str) -> Value {
    let mut container = estate.rollout().await["spec"]["template"]["spec"]["containers"][0].clone();
    container["image"] = json!(image(tag));
    container
}

async fn paused_at_ten(estate: &Estate) {
    eventually("the canary pauses at 10 %", PATIENCE, || async {
        let ingress = estate.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await?;
        let ready = canary_pods(estate).await.iter().any(is_ready);
        (ready && weight(&ingress) == Some(10) && estate.rollout().await["status"]["phase"] == "Paused").then_some(())
    })
    .await;
}

async fn canary_pods(estate: &Estate) -> Vec<Value> {
    let hash = estate.rollout().await["status"]["currentPodHash"].clone();
    let pods = estate.kube.list(&format!("{NAMESPACE}/pods")).await;
    pods.into_iter().filter(|pod| pod["metadata"]["labels"][HASH] == hash).collect()
}

/// The kubelet says that a pod has crashed again.
async fn crash(estate: &Estate, pod: &Value) {
    let name = pod["metadata"]["name"].as_str().expect("it has a name");
    let waiting = json!({ "reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container" });
    let mut status = pod["status"].clone();
    status["containerStatuses"][0]["ready"] = json!(false);
    status["containerStatuses"][0]["restartCount"] = json!(2);
    status["containerStatuses"][0]["state"] = json!({ "waiting": waiting });
    for condition in status["conditions"].as_array_mut().expect("it has conditions") {
        if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
            condition["status"] = json!("False");
        }
    }
    estate.kube.merge(&format!("{NAMESPACE}/pods/{name}/status"), &json!({ "status": status })).await;
}

/// The pods are mended, and somebody tries again.
async fn again(estate: &Estate, pods: &[Value]) {
    eventually("it is aborted", PATIENCE, || async {
        (estate.rollout().await["status"]["phase"] == "Degraded").then_some(())
    })
    .await;
    for pod in pods {
        let path = format!("{NAMESPACE}/pods/{}", pod["metadata"]["name"].as_str().expect("it has a name"));
        estate.kube.send(Method::DELETE, &path, "application/json", None).await;
    }
    let (status, answer) = estate.dashboard().await.press("rollouts/production/petclinic/was/actions/retry").await;
    assert_eq!(status, 202, "{answer}");
}

/// Decisions about the sample's canary in its pause, with all that there is to read, on every core.
pub(crate) async fn decisions() {
    let estate = left_alone(Kind::Embedded, "1h").await;
    let change = json!({ "spec": { "template": { "spec": { "containers": [container(&estate, "v56").await] } } } });
    estate.kube.merge(ROLLOUT, &change).await;
    paused_at_ten(&estate).await;
    let (state, observed) = (recorded(&estate), observed(&estate).await);
    let now = now_ms();
    let next = decide(&state, &observed, now);
    assert!(next.record.is_empty(), "it is at rest: {next:?}");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let made: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(|| deciding(&state, &observed, now))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no decision panics")).sum()
        });
        rates.push(made as f64 / DECIDING.as_secs_f64());
    }
    let n = ROUNDS;
    Figure { bench: "canary-decide", ours: median(rates), peer: None, better: Better::Higher, unit: "1/s", n }.print();
}

/// How many decisions one core makes.
fn deciding(state: &State, observed: &Observed, now: Timestamp) -> usize {
    let begin = Instant::now();
    let mut made = 0;
    while begin.elapsed() < DECIDING {
        drop(black_box(decide(black_box(state), black_box(observed), black_box(now))));
        made += 1;
    }
    made
}

/// What the journal says of the Rollout.
fn recorded(estate: &Estate) -> State {
    let entries = estate.bespin.journal("rollout/");
    let entries: Vec<(Timestamp, By, Entry)> = entries.into_iter().map(read).collect();
    State::fold(entries.iter().map(|(at, by, entry)| (*at, by, entry)))
}

fn read(entry: Value) -> (Timestamp, By, Entry) {
    let at = entry["at_ms"].as_u64().expect("an entry has a time");
    let by = serde_json::from_value(entry["by"].clone()).expect("somebody caused it");
    let said = json!({ "kind": entry["kind"], "body": entry["body"] });
    (at, by, serde_json::from_value(said).expect("it is an entry of a rollout"))
}

/// The Rollout's corner of the cluster.
async fn observed(estate: &Estate) -> Observed {
    let kube = &estate.kube;
    let versioned = format!("?labelSelector={HASH}");
    let mut services = Vec::new();
    for name in ["was-stable", "was-canary"] {
        services.extend(kube.get(&format!("{NAMESPACE}/services/{name}")).await);
    }
    let rollout = estate.rollout().await;
    let ingresses: Vec<Value> = kube.get(&format!("{INGRESSES}/petclinic-ingress")).await.into_iter().collect();
    Observed::read(Objects {
        served: spec::served(&rollout, &ingresses, &BalancerReading::NotAsked),
        rollout: Some(rollout),
        sets: kube.list(&format!("{REPLICASETS}{versioned}")).await,
        pods: kube.list(&format!("{NAMESPACE}/pods{versioned}")).await,
        services,
        ingresses,
        cluster: "production".to_owned(),
        ..Objects::default()
    })
}

fn now_ms() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    since.as_millis().try_into().expect("it fits for long")
}
