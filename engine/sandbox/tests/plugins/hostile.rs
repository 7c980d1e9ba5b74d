//! What attacks leave behind: a denial without effects, a log that is cut off, a panic in its own words.

use std::sync::Arc;
use std::time::Duration;

use pipeline::limits::Limits;
use sandbox::{Level, Verdict};

use crate::world::{World, limits, outputs, plugin, run, run_within, sandbox};

async fn attack(name: &str, on: &str, granted: &[(&str, &str)]) -> (Verdict, Arc<World>) {
    let world = Arc::new(World::petclinic());
    let settings = format!(r#"{{"attack":"{name}","on":"{on}"}}"#);
    let verdict = run(&world, "hostile", &settings, granted).await;
    (verdict, world)
}

#[tokio::test]
async fn a_denial_is_not_hidden_by_an_effect_because_there_is_none() {
    let (verdict, world) = attack("registry-hidden", "host.example/name", &[]).await;
    assert_eq!(outputs(verdict)["answer"], "all is well");
    assert!(world.happened().images.is_empty());
}

#[tokio::test]
async fn a_granted_request_is_sent() {
    let (verdict, world) = attack("request", "https://honest.example/x#y", &[("http", "honest.example")]).await;
    assert_eq!(outputs(verdict)["status"], "200");
    assert_eq!(world.happened().requests[0].1, "https://honest.example/x");
}

#[tokio::test]
async fn a_panic_is_told_in_its_own_words() {
    let (verdict, world) = attack("panic", "", &[]).await;
    let Verdict::Trapped { because } = verdict else { panic!("{verdict:?}") };
    assert!(because.contains("the plugin panics as it was asked to"), "{because}");
    assert!(world.happened().log.iter().any(|(level, line)| *level == Level::Warn && line.contains("panics")));
}

#[tokio::test]
async fn printing_is_cut_off_and_harms_nobody() {
    let world = Arc::new(World::petclinic());
    // How much is printed is what ends it here, and not how long a busy machine takes over it.
    let limits = Limits { wall: Duration::from_secs(60), cpu: Duration::from_secs(60), ..limits() };
    let verdict = run_within(&world, "hostile", r#"{"attack":"print-flood"}"#, &[], &limits).await;
    assert_eq!(outputs(verdict)["answer"], "42");
    let log = world.happened().log;
    let length: usize = log.iter().map(|(_, line)| line.len()).sum();
    assert!(length <= Limits::default().log_bytes, "{length}");
    assert!(log.last().unwrap().1.contains("prints too much"));
}

#[tokio::test]
async fn a_sleeper_runs_out_of_time() {
    let world = Arc::new(World::petclinic());
    let limits = Limits { wall: Duration::from_millis(100), ..limits() };
    let verdict = run_within(&world, "hostile", r#"{"attack":"sleep"}"#, &[], &limits).await;
    assert_eq!(verdict, Verdict::TimedOut { after: Duration::from_millis(100) });
}

#[tokio::test]
async fn waiting_for_the_host_is_no_cpu_time() {
    let world = Arc::new(World::petclinic());
    let limits = Limits { wall: Duration::from_millis(600), cpu: Duration::from_millis(200), ..limits() };
    let verdict = run_within(&world, "hostile", r#"{"attack":"sleep"}"#, &[], &limits).await;
    assert!(matches!(verdict, Verdict::TimedOut { .. }), "{verdict:?}");
}

#[tokio::test]
async fn more_calls_than_places_wait_for_one() {
    let calls: Vec<_> = (0..200).map(|_| tokio::spawn(attack("none", "", &[]))).collect();
    for call in calls {
        assert_eq!(outputs(call.await.unwrap().0)["answer"], "42");
    }
}

#[tokio::test]
async fn calls_can_be_timed_for_the_benches() {
    let plugin = plugin("hostile").await;
    let took = sandbox::bench::calls(sandbox(), &plugin, r#"{"attack":"none"}"#, 200).await.unwrap();
    assert_eq!(took.len(), 200);
    let failed = sandbox::bench::calls(sandbox(), &plugin, r#"{"attack":"panic"}"#, 1).await;
    assert!(matches!(failed, Err(Verdict::Trapped { .. })), "{failed:?}");
}
