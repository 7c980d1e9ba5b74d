//! A canary whose traffic is shared by a plugin of the world `route`: it walks and retreats by what the data plane says
//! it serves. While that says nothing, no pod goes; and a server that is killed in between goes on where it was.

use serde_json::Value;
use world::balancer::{Balancer, share_is};
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;
use world::watch::{Watch, distinct};
use world::weights::{Mode, Weights, sharing, ship};
use world::{has, missing};

const PAGE: &str = "rollouts/production/petclinic/was";
const SETS: &str = "/apis/apps/v1/namespaces/petclinic/replicasets";
const V55: &str = "petclinic-was:v55-f31bdcc";
const V56: &str = "petclinic-was:v56-0a1b2c3";

#[tokio::test(flavor = "multi_thread")]
async fn on_the_playground() {
    it_walks(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_real_parts() {
    if !Kind::Real.is_missing() {
        it_walks(Kind::Real).await;
    }
}

async fn it_walks(kind: Kind) {
    let (mut estate, weights, _dir) = sharing(kind, |manifest| manifest).await;
    assert_eq!(weights.of("petclinic/was"), Some(0), "the first version is the stable one");
    let sets = Watch::start(&estate.kube, SETS).await;
    ship(&estate, V55, V56).await;
    for asked in [10, 25, 50, 75] {
        if asked == 50 {
            estate = it_is_held_and_killed(estate, &weights, &sets).await;
        }
        pauses_at(&estate, asked).await;
        assert_eq!(weights.of("petclinic/was"), Some(asked));
        if !missing("haproxy", has("haproxy")) {
            let balancer = Balancer::sharing(estate.dir(), &estate.kube, asked).await;
            let image = image(&estate.rollout().await);
            share_is(asked, &balancer.ask(4_000).await, &image);
        }
        if asked == 25 {
            weights.set(Mode::Busy);
        }
        press(&estate, "promote").await;
    }
    let rollout = eventually("it is promoted", PATIENCE, || async {
        let rollout = estate.rollout().await;
        let status = &rollout["status"];
        let done = status["phase"] == "Healthy" && status["stableRS"] == status["currentPodHash"];
        let weights = &status["canary"]["weights"];
        (done && weights["verified"] == true && weights["canary"]["weight"] == 0).then_some(rollout)
    })
    .await;
    assert!(image(&rollout).ends_with(V56));
    assert_eq!(weights.of("petclinic/was"), Some(0), "the promoted version is the stable one");
    assert_eq!(weights.answered("DELETE", 200), 0, "a router in use keeps what it has made");
    recorded_as_served(&estate);
    it_is_on_the_page(&estate).await;
}

/// The data plane says nothing, and the server dies: no pod goes meanwhile. The estate afterwards.
async fn it_is_held_and_killed(mut estate: Estate, weights: &Weights, sets: &Watch) -> Estate {
    let asked = |kind: &str| estate.bespin.journal("rollout/").iter().filter(|entry| entry["kind"] == kind).count();
    eventually("50 % is promised", PATIENCE, || async { (asked("shifting") == 3).then_some(()) }).await;
    assert_eq!(condition(&estate, "RouterFailed").await["status"], "Unknown");
    estate.restart(&[]).await;
    let before = weights.answered("PUT", 503);
    eventually("the router is told again by the next server", PATIENCE, || async {
        (weights.answered("PUT", 503) >= before + 2).then_some(())
    })
    .await;
    assert_eq!(weights.of("petclinic/was"), Some(25), "nothing has changed there");
    let page = estate.dashboard().await.get(PAGE).await;
    assert_eq!((&page["rollout"]["asked"], &page["rollout"]["served"]), (&Value::from(50), &Value::Null), "{page:#}");
    let said = page["status"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("example/http fails: the router answered 503"), "{said}");
    nothing_was_scaled_down(sets);
    weights.set(Mode::Works);
    estate
}

#[tokio::test(flavor = "multi_thread")]
async fn it_retreats_once_the_traffic_has() {
    let (estate, weights, _dir) = sharing(Kind::Embedded, |manifest| manifest).await;
    let sets = Watch::start(&estate.kube, SETS).await;
    ship(&estate, V55, V56).await;
    pauses_at(&estate, 10).await;
    weights.set(Mode::Busy);
    press(&estate, "abort").await;
    let rollout = condition(&estate, "RouterFailed").await;
    assert!(rollout["message"].as_str().unwrap_or_default().contains("nothing is scaled down"), "{rollout:#}");
    let before = weights.answered("PUT", 503);
    eventually("the router is told again", PATIENCE, || async {
        (weights.answered("PUT", 503) >= before + 2).then_some(())
    })
    .await;
    assert_eq!(estate.rollout().await["status"]["phase"], "Degraded");
    nothing_was_scaled_down(&sets);
    weights.set(Mode::Works);
    eventually("the canary has no pods any more", PATIENCE, || async {
        let all = estate.kube.list(SETS).await;
        let canary = all.iter().find(|set| image(set).ends_with(V56))?;
        (canary["spec"]["replicas"] == 0).then_some(())
    })
    .await;
    assert_eq!(weights.of("petclinic/was"), Some(0));
    let rollout = estate.rollout().await;
    assert_eq!(rollout["status"]["canary"]["weights"]["verified"], true, "{:#}", rollout["status"]);
}

async fn press(estate: &Estate, action: &str) {
    let (status, answer) = estate.dashboard().await.press(&format!("{PAGE}/actions/{action}")).await;
    assert_eq!(status, 202, "{answer}");
}

async fn pauses_at(estate: &Estate, asked: u64) {
    eventually(&format!("the canary pauses at {asked} %"), PATIENCE, || async {
        let rollout = &estate.dashboard().await.get(PAGE).await["rollout"];
        (rollout["served"] == asked && rollout["phase"] == "Paused").then_some(())
    })
    .await;
}

/// The condition that says how the router stands to the weight, once it has this reason.
async fn condition(estate: &Estate, reason: &str) -> Value {
    eventually(&format!("the Rollout says {reason}"), PATIENCE, || async {
        let rollout = estate.rollout().await;
        let conditions = rollout["status"]["conditions"].as_array()?;
        conditions.iter().find(|one| one["type"] == "WeightVerified" && one["reason"] == reason).cloned()
    })
    .await
}

fn image(object: &Value) -> String {
    object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned()
}

fn nothing_was_scaled_down(sets: &Watch) {
    let all = sets.all();
    let of_was = all.iter().filter(|set| set["metadata"]["ownerReferences"][0]["kind"] == "Rollout");
    let names = of_was.filter_map(|set| set["metadata"]["name"].as_str());
    let names: std::collections::BTreeSet<&str> = names.collect();
    assert_eq!(names.len(), 2, "the stable version and the canary");
    for name in names {
        let replicas = sets.states(name).iter().map(|set| set["spec"]["replicas"].as_u64()).collect::<Vec<_>>();
        let replicas = distinct(replicas);
        assert!(replicas.is_sorted(), "{name}: {replicas:?}");
    }
}

/// Each weight was recorded as served once, after it was promised, and before the next one was.
fn recorded_as_served(estate: &Estate) {
    let entries = estate.bespin.journal("rollout/");
    let weights = |kind: &str| {
        let of = entries.iter().filter(|entry| entry["kind"] == kind);
        of.map(|entry| entry["body"]["weight"].as_u64()).collect::<Vec<_>>()
    };
    let walk = [10, 25, 50, 75, 100].map(Some);
    assert_eq!(weights("shifting"), [&walk[..], &[Some(0)]].concat());
    assert!(weights("served").starts_with(&walk), "{:?}", weights("served"));
    assert_eq!(entries.iter().filter(|entry| entry["kind"] == "routing").count(), 1);
}

/// Who runs where is on the dashboard, with what it may reach.
async fn it_is_on_the_page(estate: &Estate) {
    let page = estate.dashboard().await.get("plugins").await;
    let all = page["plugins"].as_array().expect("plugins are listed");
    let shown = all.iter().find(|plugin| plugin["uses"] == "route").unwrap_or_else(|| panic!("{page:#}"));
    assert_eq!(shown["world"], "route");
    let serves = &shown["serves"][0];
    assert_eq!((&serves["table"], &serves["name"]), (&Value::from("route"), &Value::from("example/http")));
    assert_eq!(serves["grants"]["secrets"][0], "router", "{serves:#}");
}
