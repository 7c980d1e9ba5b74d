//! Pods go once the load balancer itself says that nobody needs them: its rule and its targets are asked, not our
//! annotation.
//!
//! Its controller is a stand-in that does late what it is told, and its API refuses in bursts. With `BESPIN_LATE=60` it
//! is late by up to a minute.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use world::alb::{Alb, Moment, Throttling};
use world::estate::{Kind, PATIENCE};
use world::process::eventually;
use world::rollouts::{ByHand, HASH, is_ready};

const OLD: &str = "v55-f31bdcc";
const PAGE: &str = "rollouts/production/petclinic/was";
const CANARY: &str = "was-canary";
const STABLE: &str = "was-stable";
/// How long an aborted canary keeps its pods.
const DELAY: Duration = Duration::from_secs(4);
/// How much earlier the server may see something than the stand-in writes down when it saw it.
const EARLIER: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn no_pod_goes_before_its_traffic_has_gone() {
    let Some(by_hand) = balanced("1s").await else { return };
    let alb = by_hand.estate.parts.alb();
    alb.throttle(Throttling::InBursts);
    let old = hash(&by_hand, "stableRS").await;
    by_hand.set_image("v56");
    eventually("the old version has no pods", patience(alb), || async {
        (alb.last()?.pods.get(&old) == Some(&0)).then_some(())
    })
    .await;
    by_hand.is("Healthy").await;
    by_hand.serves("v56", 2).await;
    let new = hash(&by_hand, "stableRS").await;
    assert_ne!(new, old);

    let moments = alb.moments();
    let is_less = |moment: &&Moment| moment.pods.get(&old).is_some_and(|pods| *pods < 2);
    let going = moments.iter().find(is_less).expect("the old version's pods have gone");
    assert_eq!(going.weight(CANARY), Some(0), "the rule had moved before they went: {going:#?}");
    let of_new = BTreeMap::from([(new, 2)]);
    assert_eq!(going.healthy.get(STABLE), Some(&of_new), "the new pods served before the old ones went: {going:#?}");
    for asked in [10, 25, 50, 75, 100, 0] {
        assert!(moments.iter().any(|moment| moment.weight(CANARY) == Some(asked)), "{asked} % was served");
    }
    is_verified_as_served(&moments);
    assert!(alb.throttled() > 0, "nothing was refused");
    lost_nothing(alb);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_take_turns_lead_to_one_version_each() {
    let Some(by_hand) = balanced("1s").await else { return };
    let alb = by_hand.estate.parts.alb();
    let turns = json!({
        "canaryService": null, "stableService": null,
        "pingPong": { "pingService": CANARY, "pongService": STABLE },
        "trafficRouting": { "alb": { "rootService": STABLE } },
    });
    by_hand.edit(&json!({ "spec": { "strategy": { "canary": turns } } })).await;
    by_hand.is("Healthy").await;
    let old = hash(&by_hand, "stableRS").await;
    by_hand.set_image("v56");
    eventually("the old version has no pods", patience(alb), || async {
        (alb.last()?.pods.get(&old) == Some(&0)).then_some(())
    })
    .await;
    by_hand.is("Healthy").await;
    assert_eq!(by_hand.behind(CANARY).await.len(), 2);
    let new = hash(&by_hand, "stableRS").await;
    let moments = alb.moments();
    let leads_to_new = |moment: &Moment| moment.healthy.get(STABLE).is_some_and(|pods| pods.contains_key(&new));
    assert!(!moments.iter().any(leads_to_new), "the new pods are targets of one group only: {moments:#?}");
    let last = moments.last().expect("something is served");
    assert_eq!(last.weight(CANARY), Some(100), "the Service that was the canary's is the stable one: {last:#?}");
    assert_eq!(by_hand.status("canary").await["stablePingPong"], "ping");
    lost_nothing(alb);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_on_while_the_controller_sleeps() {
    let Some(by_hand) = balanced("1h").await else { return };
    let alb = by_hand.estate.parts.alb();
    let deadline = with_a_deadline(&by_hand).await;
    by_hand.at_ten("v56").await;

    alb.sleeps();
    by_hand.argo.run(&["promote", "was"]);
    says(&by_hand, "does not serve 25 %").await;
    stays(&by_hand, 1, 10, deadline + deadline / 2).await;
    alb.wakes();
    for weight in [25, 50, 75] {
        by_hand.paused_at(weight).await;
        if weight < 75 {
            by_hand.argo.run(&["promote", "was"]);
        }
    }

    // All the traffic is asked for, and every pod is there: only the load balancer is missing.
    alb.sleeps();
    by_hand.argo.run(&["promote", "was"]);
    says(&by_hand, "does not serve 100 %").await;
    stays(&by_hand, 4, 75, deadline + deadline / 2).await;
    alb.wakes();
    by_hand.serves("v56", 2).await;
    by_hand.is("Healthy").await;
    is_verified_as_served(&alb.moments());
    lost_nothing(alb);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_canary_keeps_its_pods_from_when_the_rule_says_nothing() {
    let Some(by_hand) = balanced("1h").await else { return };
    let alb = by_hand.estate.parts.alb();
    by_hand.at_ten("v56").await;
    let canary = hash(&by_hand, "currentPodHash").await;
    alb.sleeps();
    let before = alb.moments().len();
    by_hand.argo.run(&["abort", "was"]);
    by_hand.went_back().await;

    // Longer than the delay: the rule still sends it requests.
    let aborted = Instant::now();
    while aborted.elapsed() < DELAY * 2 {
        let moment = alb.last().expect("something is served");
        assert_eq!((moment.weight(CANARY), moment.pods.get(&canary)), (Some(10), Some(&1)), "{moment:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    alb.wakes();
    eventually("the canary has given its pods back", patience(alb), || async {
        (alb.last()?.pods.get(&canary) == Some(&0)).then_some(())
    })
    .await;
    let moments = alb.moments();
    let first = |is: &dyn Fn(&Moment) -> bool| {
        let at = moments[before..].iter().find(|moment| is(moment)).map(|moment| moment.at_ms);
        Duration::from_millis(at.expect("it was seen"))
    };
    let left = first(&|moment| moment.weight(CANARY) == Some(0));
    let went = first(&|moment| moment.pods.get(&canary) == Some(&0));
    assert!(went + EARLIER >= left + DELAY, "its pods went {went:?}, and its traffic {left:?}");
    by_hand.serves(OLD, 2).await;
    is_verified_as_served(&moments);
    lost_nothing(alb);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_the_load_balancer_holds_for_unhealthy_gets_nothing() {
    let Some(by_hand) = balanced("1h").await else { return };
    let alb = by_hand.estate.parts.alb();
    with_a_deadline(&by_hand).await;
    // Until it is known who shall be unhealthy, nobody is registered.
    alb.sleeps();
    let before = alb.moments().len();
    by_hand.set_image("v56");
    let addresses = eventually("the canary's pod is ready", PATIENCE, || async {
        let hash = by_hand.status("currentPodHash").await;
        let of_canary = |pod: &&Value| pod["metadata"]["labels"][HASH] == hash && is_ready(pod);
        let pods = by_hand.pods().await;
        let addresses: Vec<String> = pods.iter().filter(of_canary).filter_map(address).collect();
        (by_hand.status("stableRS").await != hash && !addresses.is_empty()).then_some(addresses)
    })
    .await;
    alb.fail(addresses.clone());
    alb.wakes();
    let rollout = eventually("it is sent back", patience(alb), || async {
        let rollout = by_hand.estate.rollout().await;
        (rollout["status"]["abort"] == true).then_some(rollout)
    })
    .await;
    let said = rollout["status"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("no progress") && said.contains("Health checks failed"), "{said}");
    by_hand.went_back().await;
    by_hand.serves(OLD, 2).await;
    let moments = alb.moments();
    // What was seen last before it fell asleep goes on.
    let seen = &moments[before.saturating_sub(1)..];
    assert!(seen.iter().all(|moment| moment.weight(CANARY) == Some(0)), "no weight rose: {seen:#?}");
    assert!(addresses.iter().all(|address| !serves(alb, address)), "{addresses:?}");
    lost_nothing(alb);
}

/// The sample behind a load balancer, whose replaced version keeps its pods for a second only.
async fn balanced(pause: &str) -> Option<ByHand> {
    let by_hand = ByHand::on(Kind::Balanced, pause).await?;
    let canary = json!({ "scaleDownDelaySeconds": 1, "abortScaleDownDelaySeconds": DELAY.as_secs() });
    by_hand.edit(&json!({ "spec": { "strategy": { "canary": canary } } })).await;
    by_hand.is("Healthy").await;
    Some(by_hand)
}

/// A progress deadline that the lags themselves do not exceed.
async fn with_a_deadline(by_hand: &ByHand) -> Duration {
    let deadline = by_hand.estate.parts.alb().latest() * 2 + Duration::from_secs(15);
    by_hand.edit(&json!({ "spec": { "progressDeadlineSeconds": deadline.as_secs() } })).await;
    by_hand.is("Healthy").await;
    deadline
}

/// How long a walk may take; a dozen of lags is more than it has.
fn patience(alb: &Alb) -> Duration {
    PATIENCE + alb.latest() * 12
}

/// Waits until the dashboard says these words of the rollout.
async fn says(by_hand: &ByHand, words: &str) {
    eventually(&format!("it says: {words}"), PATIENCE, || async {
        let page = by_hand.estate.dashboard().await.get(PAGE).await;
        page["status"]["message"].as_str()?.contains(words).then_some(())
    })
    .await;
}

/// For so long it is at this step without a pause, nobody sends it back, the rule has this weight, and no pod goes.
async fn stays(by_hand: &ByHand, step: u64, weight: u32, long: Duration) {
    let alb = by_hand.estate.parts.alb();
    let pods = eventually("every pod is asked for", PATIENCE, || async {
        let pods = alb.last()?.pods;
        let all: u64 = pods.values().sum();
        (all as usize == by_hand.pods().await.len()).then_some(pods)
    })
    .await;
    // The dashboard knows before the status is written.
    eventually("the status has come to this step", PATIENCE, || async {
        (by_hand.estate.rollout().await["status"]["currentStepIndex"] == step).then_some(())
    })
    .await;
    let began = Instant::now();
    while began.elapsed() < long {
        let status = by_hand.estate.rollout().await["status"].clone();
        assert_eq!((&status["currentStepIndex"], &status["abort"]), (&json!(step), &Value::Null), "{status:#}");
        assert_eq!(status["pauseConditions"], Value::Null, "the pause has begun: {status:#}");
        let moment = alb.last().expect("something is served");
        assert_eq!((moment.weight(CANARY), &moment.pods), (Some(weight), &pods), "{moment:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The status says of a weight that it is verified once the rule has had it, and not before.
fn is_verified_as_served(moments: &[Moment]) {
    let mut since = 0;
    for (n, moment) in moments.iter().enumerate() {
        let Some((asked, verified)) = moment.said else { continue };
        let before = n.checked_sub(1).and_then(|before| moments[before].said);
        if before.map(|(asked, _)| asked) != Some(asked) {
            since = n;
        }
        let had = |one: &Moment| one.weight(CANARY).map(u64::from) == Some(asked);
        assert!(!verified || moments[since..=n].iter().any(had), "{asked} % is said to be verified: {moment:#?}");
    }
}

fn lost_nothing(alb: &Alb) {
    assert!(alb.faults().is_empty(), "{:#?}", alb.faults());
}

/// Whether an address is a healthy target of a group.
fn serves(alb: &Alb, address: &str) -> bool {
    alb.serves().targets.values().any(|targets| targets.contains(address))
}

fn address(pod: &Value) -> Option<String> {
    pod["status"]["podIP"].as_str().map(str::to_owned)
}

/// A hash that the status names.
async fn hash(by_hand: &ByHand, field: &str) -> String {
    by_hand.status(field).await.as_str().unwrap_or_else(|| panic!("{field} is no hash")).to_owned()
}
