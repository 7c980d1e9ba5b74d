//! The journal is lost after a few deployments, and what is put in its place knows less of them or nothing: no run is
//! opened for what is there already, and the next push has a number of its own and deploys.

use serde_json::Value;
use world::bespin::run;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn is_no_reason_to_count_again() {
    let mut estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    assert_eq!(deployed(&estate, 1).await, 56);
    let backup = estate.dir().join("backup").display().to_string();
    let data = estate.dir().join("data").display().to_string();
    let (code, said) = run(&["journal", "backup", "--data", &data, &backup]);
    assert_eq!(code, 0, "{said}");
    for n in 2..=3 {
        assert_eq!(deployed(&estate, n).await, 55 + u64::from(n));
    }

    lose(&mut estate).await;
    let (code, said) = run(&["journal", "restore", "--data", &data, &backup]);
    assert_eq!(code, 0, "{said}");
    estate.restart(&[]).await;
    looked(&estate).await;
    assert_eq!(runs(&estate), ["56"], "what moved since the backup is not built again");
    assert_eq!(deployed(&estate, 4).await, 59);

    lose(&mut estate).await;
    estate.restart(&[]).await;
    looked(&estate).await;
    assert!(runs(&estate).is_empty(), "an empty journal opens no run for what is there");
    assert_eq!(deployed(&estate, 5).await, 60, "the configuration knows of 55 alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_middle_of_a_canary_takes_nothing_back() {
    let mut estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    deployed(&estate, 1).await;
    let pushed = estate.push_change(2).await;
    eventually("the canary has traffic", PATIENCE, || async {
        let rollout = estate.rollout().await;
        let served = rollout["status"]["canary"]["weights"]["canary"]["weight"].as_u64();
        (rollout["status"]["phase"] == "Paused" && served.is_some_and(|served| served > 0)).then_some(())
    })
    .await;
    let backup = estate.dir().join("backup").display().to_string();
    let data = estate.dir().join("data").display().to_string();
    let (code, said) = run(&["journal", "backup", "--data", &data, &backup]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(estate.ended(&pushed.after).await["state"], "succeeded");
    let more = runs_since();
    for n in 3..3 + more {
        deployed(&estate, n).await;
    }

    let before = estate.rollout().await;
    let pods = stable_pods(&estate, &before).await;
    lose(&mut estate).await;
    let (code, said) = run(&["journal", "restore", "--data", &data, &backup]);
    assert_eq!(code, 0, "{said}");
    estate.restart(&[]).await;
    let middle = estate.ended(&pushed.after).await;
    let said = middle["status"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("took its place before it was promoted"), "a canary that is over by now: {middle:#}");
    let adopted = eventually("the rollout's status is adopted", PATIENCE, || async {
        estate.bespin.journal("rollout/").into_iter().rfind(|entry| entry["kind"] == "adopted")
    });
    assert_eq!(adopted.await["body"]["stable"], before["status"]["stableRS"]);
    estate.settled().await;
    let now = estate.rollout().await;
    assert_eq!(now["status"]["stableRS"], before["status"]["stableRS"]);
    assert_eq!(stable_pods(&estate, &now).await, pods, "the versions before it may give theirs back meanwhile");
    let last = 3 + more;
    assert_eq!(deployed(&estate, last).await, 55 + u64::from(last));
    let weights = estate.bespin.journal("rollout/");
    let since = weights.iter().rposition(|entry| entry["kind"] == "adopted").expect("it was adopted");
    let began = weights[since..].iter().filter(|entry| entry["kind"] == "began").count();
    assert_eq!(began, 1, "only what was pushed since the restore has begun: {:#?}", &weights[since..]);
}

/// How many pods of the stable version are available.
async fn stable_pods(estate: &Estate, rollout: &Value) -> Value {
    let hash = rollout["status"]["stableRS"].as_str().expect("there is a stable version");
    let path = "/apis/apps/v1/namespaces/petclinic/replicasets";
    let sets = estate.kube.list(&format!("{path}?labelSelector=rollouts-pod-template-hash%3D{hash}")).await;
    assert_eq!(sets.len(), 1, "one set has the stable version: {sets:#?}");
    sets[0]["status"]["availableReplicas"].clone()
}

/// How many runs follow the backup.
fn runs_since() -> u32 {
    std::env::var("BESPIN_RUNS_SINCE_BACKUP").map_or(3, |number| number.parse().expect("a number"))
}

/// Pushes a change and waits until its run has succeeded; the run's number.
async fn deployed(estate: &Estate, n: u32) -> u64 {
    let pushed = estate.push_change(n).await;
    let run = estate.ended(&pushed.after).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    run["number"].as_u64().expect("a run has a number")
}

async fn lose(estate: &mut Estate) {
    estate.bespin.process().kill();
    std::fs::remove_dir_all(estate.dir().join("data/journal")).expect("the disk is lost");
}

/// Waits until the repository's heads were looked at since the start.
async fn looked(estate: &Estate) {
    let before = estate.application().head();
    eventually("the heads were looked at", PATIENCE, || async {
        let entries = estate.bespin.journal("heads/");
        let newest = entries.iter().rfind(|entry| entry["kind"] == "looked")?;
        (newest["body"]["heads"]["refs/heads/main"] == before.as_str()).then_some(())
    })
    .await;
}

/// The numbers of the runs that the journal knows.
fn runs(estate: &Estate) -> Vec<String> {
    let entries = estate.bespin.journal("run/");
    let opened = entries.iter().filter(|entry| entry["kind"] == "opened");
    opened.map(|entry: &Value| entry["body"]["run"]["number"].to_string()).collect()
}
