//! Whether the weight that is asked is the weight that is served, and whether a request fails on the way: over a walk, an
//! abort and a kill -9, behind a data plane that does late what it is told: that of the load balancer, or of a router where
//! the parts for that are missing.

use super::{Better, Figure};
use std::collections::BTreeMap;
use std::time::Duration;
use world::dataplane::{DataPlane, Sharing};
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;
use world::weights::{balanced, sharing, ship};

const STEPS: [u64; 6] = [1, 5, 10, 25, 50, 75];
/// Requests at each step.
const REQUESTS: usize = 10_000;
/// How late a router serves the weights, and knows the pods.
const WEIGHTS_LATE: Duration = Duration::from_millis(500);
const PODS_LATE: Duration = Duration::from_millis(200);

const PAGE: &str = "rollouts/production/petclinic/was";

/// What was served so far.
#[derive(Default)]
struct Served {
    /// The sum of chi-squared, and of how many steps.
    distance: f64,
    steps: u32,
    requests: usize,
    failed: BTreeMap<String, usize>,
}

pub(crate) async fn measure() {
    let steps: String = STEPS.map(|weight| format!("        - setWeight: {weight}\n        - pause: {{}}\n")).concat();
    let with_steps = |manifest: String| {
        let (head, rest) = manifest.split_once("      steps:\n").expect("it has steps");
        let rest = &rest[rest.find("  template:").expect("it has a template")..];
        format!("{head}      steps:\n{steps}{rest}")
    };
    if Kind::Balanced.is_missing() {
        let (mut estate, weights, _dir) = sharing(Kind::Embedded, with_steps).await;
        weights.lag(WEIGHTS_LATE);
        let plane = DataPlane::start(&estate.kube, Sharing::Told(weights, PODS_LATE)).await;
        return walk(&mut estate, &plane).await;
    }
    let mut estate = balanced(with_steps).await;
    let plane = DataPlane::start(&estate.kube, Sharing::Balanced(estate.parts.alb().follower())).await;
    walk(&mut estate, &plane).await;
}

/// The data plane ends before the estate that it reads.
async fn walk(estate: &mut Estate, plane: &DataPlane) {
    let asking = plane.keep_asking();
    let mut served = Served::default();
    ship(estate, "petclinic-was:v55-f31bdcc", "petclinic-was:v56").await;
    for weight in &STEPS[..3] {
        at(estate, plane, *weight, &mut served).await;
        press(estate, if *weight == 10 { "abort" } else { "resume" }).await;
    }
    eventually("it has gone back", PATIENCE, || async { (plane.weight() == Some(0)).then_some(()) }).await;
    press(estate, "retry").await;
    for weight in STEPS {
        at(estate, plane, weight, &mut served).await;
        press(estate, "resume").await;
        if weight == 25 {
            estate.restart(&[]).await;
        }
    }
    eventually("it is promoted", PATIENCE, || async {
        (estate.rollout().await["status"]["phase"] == "Healthy").then_some(())
    })
    .await;
    for (why, number) in asking.stop() {
        *served.failed.entry(why).or_default() += number;
    }
    served.print();
}

/// Once it pauses at a weight, requests are sent and counted.
async fn at(estate: &Estate, plane: &DataPlane, weight: u64, served: &mut Served) {
    eventually(&format!("it pauses at {weight} %"), PATIENCE, || async {
        let page = estate.dashboard().await.get(PAGE).await["rollout"].clone();
        (page["served"] == weight && page["phase"] == "Paused").then_some(())
    })
    .await;
    served.count(weight, &plane.ask(REQUESTS).await);
}

async fn press(estate: &Estate, action: &str) {
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/{action}")).await;
    assert_eq!(status, 202, "{action}: {answer}");
}

impl Served {
    fn count(&mut self, weight: u64, answers: &BTreeMap<String, usize>) {
        for (why, number) in answers.iter().filter(|(answer, _)| answer.starts_with("failed: ")) {
            *self.failed.entry(why.clone()).or_default() += number;
        }
        let answered = |is: fn(&str) -> bool| -> usize {
            answers.iter().filter(|(answer, _)| is(answer)).map(|(_, number)| number).sum()
        };
        let canary = answered(|answer| answer.ends_with(":v56")) as f64;
        let all = answered(|answer| !answer.starts_with("failed: ")) as f64;
        let expected = all * weight as f64 / 100.0;
        let cell = |got: f64, expected: f64| (got - expected).powi(2) / expected;
        self.distance += cell(canary, expected) + cell(all - canary, all - expected);
        self.steps += 1;
        self.requests += answers.values().sum::<usize>();
        eprintln!("asked {weight} %, served {:.2} %", canary / all * 100.0);
    }

    fn print(&self) {
        let n = self.requests;
        let failed: usize = self.failed.values().sum();
        for (why, number) in &self.failed {
            eprintln!("{number} requests failed: {why}");
        }
        let p = tail(self.distance, self.steps);
        let figure = |bench, ours, better, unit| Figure { bench, ours, peer: None, better, unit, n }.print();
        figure("canary-accuracy/p", p, Better::Higher, "p");
        figure("canary-accuracy/failed", failed as f64, Better::Lower, "requests");
    }
}

/// How likely chi-squared is as large as this by chance: Wilson and Hilferty's approximation, which is good to three digits
/// from a few degrees of freedom on.
fn tail(distance: f64, freedom: u32) -> f64 {
    let k = f64::from(freedom);
    let spread = 2.0 / (9.0 * k);
    let z = ((distance / k).cbrt() - (1.0 - spread)) / spread.sqrt();
    normal_tail(z)
}

/// The upper tail of the normal distribution. Source: Abramowitz and Stegun, 26.2.17.
fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let polynomial = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    polynomial * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}
