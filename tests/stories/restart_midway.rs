//! The server kills itself after every append of a push's way, the receipt included, and after every act, also of turns
//! that record nothing. Each time it is started again, and each time the ending is the same: one image, one commit, one
//! rollout, nothing twice.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use world::bespin::Bespin;
use world::dashboard::Dashboard;
use world::estate::{INGRESSES, PATIENCE, ROLLOUT};
use world::lane::{Lane, World};
use world::process::eventually;
use world::watch::weight;

/// The environment variables that name the number of an append or of an act, and the files that count them.
const APPENDS: &str = "BESPIN_FAULT_AFTER_APPEND";
const ACTS: &str = "BESPIN_FAULT_AFTER_ACT";
/// Names the folder where the server counts its appends and acts.
const COUNTS: &str = "BESPIN_FAULT_COUNTS";

/// How many worlds run beside one another; most of their time is the canary's pauses.
const LANES: u32 = 3;

/// When the server dies.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// Right after its n-th append.
    AfterAppend(u32),
    /// Right after its n-th act, whichever stage's.
    AfterAct(u32),
}

impl Point {
    fn number(self) -> u32 {
        match self {
            Point::AfterAppend(n) | Point::AfterAct(n) => n,
        }
    }

    fn environment(self) -> (String, String) {
        match self {
            Point::AfterAppend(n) => (APPENDS.into(), n.to_string()),
            Point::AfterAct(n) => (ACTS.into(), n.to_string()),
        }
    }
}

/// What the server came to.
#[derive(PartialEq, Eq)]
enum Ending {
    Died,
    /// It reached the end before its fault, after so many events of the fault's kind.
    Lived(u32),
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ending_is_the_same_wherever_it_dies() {
    // Every point is a death; `BESPIN_EVERY=3` looks at each third one only, and says so.
    let every: u32 = std::env::var("BESPIN_EVERY").ok().and_then(|n| n.parse().ok()).unwrap_or(1).max(1);
    if every > 1 {
        eprintln!("NOT CHECKED: only every {every}th point of a push's way is a death");
    }
    let mut lanes = Vec::new();
    for lane in (0..LANES).map(|_| tokio::spawn(begin())).collect::<Vec<_>>() {
        lanes.push(lane.await.expect("the sample comes to its beginning"));
    }
    let least = undisturbed(&lanes[0]).await;
    let (lanes, appends) = deaths(lanes, Point::AfterAppend, every, least.appends).await;
    let (_, acts) = deaths(lanes, Point::AfterAct, every, least.acts).await;
    for (what, Points { died, ended_before }, least) in
        [("append", &appends, least.appends), ("act", &acts, least.acts)]
    {
        let asked = (1..=least).step_by(every as usize);
        let skipped: Vec<_> = asked.filter(|n| !died.contains(n) && !ended_before.contains(n)).collect();
        assert!(skipped.is_empty(), "a push has {least} {what}s; it did not die after these: {skipped:?}");
        let are_late = ended_before.iter().all(|n| n * 3 > least * 2);
        assert!(
            are_late,
            "a push has {least} {what}s; these ways had fewer than their death asks for: {ended_before:?}"
        );
        eprintln!("the server died after {} {what}s of a push's way, and skipped none of {least}", died.len());
    }
}

/// What came of the deaths that were asked for.
#[derive(Default)]
struct Points {
    /// The server died after the event of this number.
    died: BTreeSet<u32>,
    /// The way had fewer events than this. Ways differ by up to a third, for some are made of looks that find nothing yet.
    ended_before: BTreeSet<u32>,
}

/// How many appends and acts a push has that nothing disturbs.
struct Least {
    appends: u32,
    acts: u32,
}

/// Counts those of a push that nothing disturbs, until its run has ended.
async fn undisturbed(lane: &Lane) -> Least {
    lane.reset();
    let world = lane.open().await;
    let counts = tempfile::tempdir().expect("a folder");
    let commit = world.change(1).await;
    let environment = (COUNTS.to_owned(), counts.path().display().to_string());
    let server = world.serve(&[environment]).await.expect("the server starts");
    world.deliver(&server, &commit).await.expect("a delivery is accepted");
    let dashboard = Dashboard::login(&server.dashboard).await;
    eventually("the run ended", PATIENCE, || async {
        state(&dashboard, &commit.after).await.filter(|state| state != "open")
    })
    .await;
    let least = Least { appends: counted(counts.path(), APPENDS), acts: counted(counts.path(), ACTS) };
    assert!(least.appends > 10 && least.acts > 10, "a push has more appends and acts; were faults built in?");
    drop(server);
    world.close().await;
    least
}

/// How many events were counted in this file.
fn counted(folder: &Path, file: &str) -> u32 {
    let length = std::fs::metadata(folder.join(file)).map_or(0, |file| file.len());
    u32::try_from(length).expect("a push has few events")
}

/// Sends pushes, each with the next death, up to the `least` and on until one comes to its end before its death.
async fn deaths(lanes: Vec<Lane>, point: fn(u32) -> Point, every: u32, least: u32) -> (Vec<Lane>, Points) {
    let (next, end) = (Arc::new(AtomicU32::new(1)), Arc::new(AtomicU32::new(u32::MAX)));
    let points = Arc::new(Mutex::new(Points::default()));
    let walks = lanes.into_iter().map(|lane| {
        let (next, end, points) = (next.clone(), end.clone(), points.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(every, Ordering::SeqCst);
                if n > least && n > end.load(Ordering::SeqCst) {
                    return lane;
                }
                let ending = walk(&lane, point(n)).await;
                let mut points = points.lock().expect("no walk panics while it holds the points");
                match ending {
                    Ending::Died => drop(points.died.insert(n)),
                    Ending::Lived(reached) => {
                        eprintln!("{:?}: this way ended after {reached} of them", point(n));
                        points.ended_before.insert(n);
                        end.fetch_min(n, Ordering::SeqCst);
                    }
                }
            }
        })
    });
    let mut back = Vec::new();
    for walk in walks.collect::<Vec<_>>() {
        back.push(walk.await.expect("every ending is the same"));
    }
    let points = std::mem::take(&mut *points.lock().expect("no walk panics while it holds the points"));
    (back, points)
}

/// A lane whose beginning is the sample, synced and healthy at v55.
async fn begin() -> Lane {
    let lane = Lane::new();
    let world = lane.open().await;
    let mut server = world.serve(&[]).await.expect("the server starts");
    world.furnish("1s").await;
    let dashboard = Dashboard::login(&server.dashboard).await;
    eventually("the sample is synced and healthy", PATIENCE, || async {
        let (apps, rollouts) = (dashboard.get("apps").await, dashboard.get("rollouts").await);
        let synced = apps[0]["sync"] == "synced" && apps[0]["health"] == "Healthy";
        (synced && rollouts[0]["phase"] == "Healthy").then_some(())
    })
    .await;
    server.process().stop(Duration::from_secs(60)).await;
    world.close().await;
    lane.keep();
    lane
}

/// One push from the beginning, with a death on the way.
async fn walk(lane: &Lane, point: Point) -> Ending {
    lane.reset();
    let world = lane.open().await;
    let (before, tags) = (world.manifests().head(), world.images.tags("petclinic-was").await);
    let commit = world.change(1).await;
    let counts = tempfile::tempdir().expect("a folder");
    let first = world.serve(&[point.environment(), (COUNTS.to_owned(), counts.path().display().to_string())]).await;
    let ending = match first {
        None => Ending::Died,
        Some(mut server) => {
            // A death may be quicker than the delivery; then the sender has no answer, and delivers again.
            let _answer = world.deliver(&server, &commit).await;
            match dies_or_ends(&mut server, &commit.after).await {
                Ending::Died => Ending::Died,
                Ending::Lived(_) => match counted(counts.path(), &point.environment().0) {
                    reached if reached < point.number() => Ending::Lived(reached),
                    // The event came while the end was looked at, so that the server is dying.
                    _ => {
                        let has_died = || {
                            let has_ended = server.process().has_ended();
                            async move { has_ended.then_some(()) }
                        };
                        eventually(&format!("{point:?} is a death"), Duration::from_secs(10), has_died).await;
                        Ending::Died
                    }
                },
            }
        }
    };
    let server = world.serve(&[]).await.unwrap_or_else(|| panic!("{point:?}: the server does not start again"));
    let answer = world.deliver(&server, &commit).await;
    answer.unwrap_or_else(|error| panic!("{point:?}: a repeated delivery is harmless: {error}"));
    same_ending(&world, &server, point, &commit.after, &before, &tags).await;
    drop(server);
    world.close().await;
    ending
}

async fn dies_or_ends(server: &mut Bespin, commit: &str) -> Ending {
    let mut dashboard = None;
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        if server.process().has_ended() {
            return Ending::Died;
        }
        if dashboard.is_none() {
            dashboard = Dashboard::try_login(&server.dashboard).await.ok();
        }
        if let Some(dashboard) = &dashboard
            && is_at_rest(dashboard, commit).await
        {
            return if server.process().has_ended() { Ending::Died } else { Ending::Lived(0) };
        }
        assert!(std::time::Instant::now() < end, "it neither died nor ended:\n{}", server.last_words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether the commit's run has ended and its application and rollout have said their last words about it.
async fn is_at_rest(dashboard: &Dashboard, commit: &str) -> bool {
    let ended = state(dashboard, commit).await.is_some_and(|state| state != "open");
    let (Ok(apps), Ok(rollouts)) = (dashboard.try_get("apps").await, dashboard.try_get("rollouts").await) else {
        return false;
    };
    let synced = apps[0]["sync"] == "synced" && apps[0]["health"] == "Healthy";
    ended && synced && rollouts[0]["phase"] == "Healthy"
}

/// How the commit's run stands; nothing while the server is dying.
async fn state(dashboard: &Dashboard, commit: &str) -> Option<String> {
    let runs = dashboard.try_get("runs").await.ok()?;
    let rows = runs["runs"].as_array()?;
    let run = rows.iter().map(|row| &row["run"]).find(|run| run["sha"] == commit)?;
    run["state"].as_str().map(str::to_owned)
}

async fn same_ending(world: &World, server: &Bespin, point: Point, commit: &str, before: &str, tags: &[String]) {
    let dashboard = Dashboard::login(&server.dashboard).await;
    let what = format!("{point:?}: the run ended");
    let run = eventually(&what, PATIENCE, || async {
        let runs = dashboard.get("runs").await;
        let rows = runs["runs"].as_array().cloned().unwrap_or_default();
        assert!(rows.len() <= 1, "{point:?}: one push opened {} runs", rows.len());
        rows.into_iter().map(|row| row["run"].clone()).find(|run| run["sha"] == commit && run["state"] != "open")
    })
    .await;
    let told = || format!("{point:?}: {run:#}\n{}", server.last_words());
    assert_eq!(run["state"], "succeeded", "{}", told());
    let now = world.images.tags("petclinic-was").await;
    let new: Vec<_> = now.iter().filter(|tag| !tags.contains(tag)).collect();
    assert_eq!(new, [&format!("v56-{}", &commit[..7])], "{}", told());
    let commits = world.manifests().since(before);
    assert_eq!(commits.len(), 1, "{commits:?}: {}", told());
    assert!(commits[0].1.contains("Bespin-Run: user/petclinic/petclinic-was/56"), "{}", told());
    let rollout = eventually(&format!("{point:?}: the rollout is promoted"), PATIENCE, || async {
        let rollout = world.kube.get(ROLLOUT).await?;
        let status = &rollout["status"];
        (status["phase"] == "Healthy" && status["stableRS"] == status["currentPodHash"]).then_some(rollout)
    })
    .await;
    one_rollout(world, &rollout, point).await;
}

/// The old version and the new one, and no other was ever made.
async fn one_rollout(world: &World, rollout: &Value, point: Point) {
    let sets = world.list("/apis/apps/v1/namespaces/petclinic/replicasets").await;
    let of_was = sets.iter().filter(|set| set["metadata"]["ownerReferences"][0]["kind"] == "Rollout");
    let revision = "rollout.argoproj.io/revision";
    let mut revisions: Vec<_> = of_was.map(|set| set["metadata"]["annotations"][revision].clone()).collect();
    revisions.sort_by_key(Value::to_string);
    assert_eq!(revisions, ["1", "2"], "{point:?}");
    let ingress = world.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await.expect("the Ingress is there");
    assert_eq!(weight(&ingress), Some(0), "{point:?}: {rollout:#}");
}
