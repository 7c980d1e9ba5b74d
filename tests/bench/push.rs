//! How soon a push is a canary, and what the server weighs when it has nothing to do.

use super::{Better, Figure, median};
use std::time::{Duration, Instant};
use world::dashboard::Dashboard;
use world::estate::{Estate, Kind, PATIENCE, ROLLOUT};
use world::lane::Lane;
use world::process::eventually;
use world::watch::Watch;

/// How many pushes are measured.
const PUSHES: u32 = 7;
/// How often the memory is read.
const LOOKS: usize = 20;

/// From the delivery to the canary's first ReplicaSet, without the user's own build.
pub(crate) async fn push_to_canary() {
    let estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    let mut each = Vec::new();
    for n in 1..=PUSHES {
        let watch = Watch::start(&estate.kube, "/apis/apps/v1/namespaces/petclinic/replicasets").await;
        let sets = || {
            let all = watch.all();
            let of_was = all.iter().filter(|set| set["metadata"]["ownerReferences"][0]["kind"] == "Rollout");
            of_was.map(|set| set["metadata"]["uid"].to_string()).collect::<std::collections::BTreeSet<_>>().len()
        };
        let before = sets();
        let commit = estate.change(n).await;
        let begin = Instant::now();
        estate.deliver(&commit).await.expect("the push is accepted");
        while sets() == before {
            assert!(begin.elapsed() < PATIENCE, "there is no canary:\n{}", estate.bespin.last_words());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = begin.elapsed().as_secs_f64();
        let run = estate.ended(&commit.after).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        each.push(took - build(&estate, run["id"].as_str().expect("an id")));
        estate.settled().await;
    }
    let n = each.len();
    Figure { bench: "push-to-canary", ours: median(each), peer: None, better: Better::Lower, unit: "s", n }.print();
}

/// How long the build took, in s.
fn build(estate: &Estate, run: &str) -> f64 {
    let entries = estate.bespin.journal(&format!("run/{run}"));
    let at = |kind: &str| {
        let entry = entries.iter().find(|entry| entry["kind"] == kind && entry["body"]["step"] == "image");
        entry.and_then(|entry| entry["at_ms"].as_u64()).expect("the image was built")
    };
    (at("ended") - at("started")) as f64 / 1000.0
}

/// The resident memory of the server alone, after the demo's push.
pub(crate) async fn idle() {
    let lane = Lane::new();
    let world = lane.open().await;
    let server = world.serve(&[]).await.expect("the server starts");
    world.furnish("1s").await;
    let dashboard = Dashboard::login(&server.dashboard).await;
    let healthy = || async {
        let rollouts = dashboard.get("rollouts").await;
        (rollouts[0]["phase"] == "Healthy").then_some(())
    };
    eventually("the sample is healthy", PATIENCE, healthy).await;
    let commit = world.change(1).await;
    world.deliver(&server, &commit).await.expect("the push is accepted");
    eventually("the canary is promoted", PATIENCE, || async {
        let rollout = world.kube.get(ROLLOUT).await?;
        let image = rollout["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
        let status = &rollout["status"];
        let is_new = image.contains(":v56-") && status["stableRS"] == status["currentPodHash"];
        (is_new && status["phase"] == "Healthy").then_some(())
    })
    .await;
    let mut each = Vec::new();
    for _ in 0..LOOKS {
        tokio::time::sleep(Duration::from_millis(500)).await;
        each.push(resident(server.id()));
    }
    Figure { bench: "idle", ours: median(each), peer: None, better: Better::Lower, unit: "MiB", n: LOOKS }.print();
    drop(server);
    world.close().await;
}

/// The resident memory of a process, in MiB.
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells the memory");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}
