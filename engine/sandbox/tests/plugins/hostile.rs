//! Each attack ends in its typed way, and an honest step beside them notices nothing.

use std::sync::Arc;
use std::time::Duration;

use sandbox::{Ability, Level, Limit, Limits, Verdict};

use crate::world::{World, limits, outputs, plugin, run, run_within, sandbox};

async fn attack(name: &str, on: &str, granted: &[(&str, &str)]) -> (Verdict, Arc<World>) {
    let world = Arc::new(World::petclinic());
    let settings = format!(r#"{{"attack":"{name}","on":"{on}"}}"#);
    let verdict = run(&world, "hostile", &settings, granted).await;
    (verdict, world)
}

#[tokio::test]
async fn what_takes_too_much_meets_its_limit() {
    for (name, limit) in [
        ("loop", Limit::Cpu),
        ("loop-with-calls", Limit::Cpu),
        ("memory", Limit::Memory),
        ("recursion", Limit::Stack),
        ("log-flood", Limit::Log),
        ("output-flood", Limit::Output),
        ("host-call-flood", Limit::HostCalls),
        ("handle-flood", Limit::Handles),
    ] {
        let (verdict, _) = attack(name, "", &[("secrets", "token")]).await;
        assert!(matches!(&verdict, Verdict::Limit { which, .. } if *which == limit), "{name}: {verdict:?}");
    }
}

#[tokio::test]
async fn what_is_not_granted_is_denied_by_its_name() {
    for (name, on, granted, grant) in [
        ("registry", "host.example/name", vec![("registry", "host.example/other")], Ability::Registry),
        ("reveal", "token", vec![("secrets", "token")], Ability::Secrets),
        ("reveal", "token", vec![], Ability::Secrets),
        ("secret-in-address", "token", vec![("secrets", "token"), ("http", "attacker.example")], Ability::Http),
        ("request", "https://attacker.example/", vec![("http", "honest.example")], Ability::Http),
        ("request", "http://169.254.169.254/latest", vec![("http", "* *.example")], Ability::Http),
        ("request", "http://honest.example/", vec![("http", "honest.example")], Ability::Http),
    ] {
        let (verdict, world) = attack(name, on, &granted).await;
        let Verdict::Denied(denied) = verdict else { panic!("{name}: {verdict:?}") };
        assert_eq!(denied.grant, grant, "{name}");
        assert!(denied.mend.starts_with("add to the step: grants: { "), "{}", denied.mend);
        assert!(!denied.to_string().contains("hunter2"), "{denied}");
        let happened = world.happened();
        assert!(happened.images.is_empty() && happened.requests.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_denial_is_not_hidden_by_an_effect_because_there_is_none() {
    let (verdict, world) = attack("registry-hidden", "host.example/name", &[]).await;
    assert_eq!(outputs(verdict)["answer"], "all is well");
    assert!(world.happened().images.is_empty());
}

#[tokio::test]
async fn there_is_nothing_outside_to_find() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (name, on, granted) in [
        ("environment", "", vec![]),
        ("file", "/etc/passwd", vec![]),
        ("file", "Cargo.toml", vec![]),
        ("socket", address.as_str(), vec![]),
        ("workspace", "../../etc/passwd", vec![]),
        ("workspace", "/etc/passwd", vec![]),
        ("header-smuggling", "https://honest.example/", vec![("http", "honest.example")]),
        ("request", "https://user:word@honest.example/", vec![("http", "honest.example")]),
        ("request", "file:///etc/passwd", vec![("http", "honest.example")]),
    ] {
        let (verdict, world) = attack(name, on, &granted).await;
        assert!(matches!(verdict, Verdict::Rejected { .. }), "{name}: {verdict:?}");
        assert!(world.happened().requests.is_empty(), "{name}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");
}

#[tokio::test]
async fn a_granted_request_is_sent() {
    let (verdict, world) = attack("request", "https://honest.example/x#y", &[("http", "honest.example")]).await;
    assert_eq!(outputs(verdict)["status"], "200");
    assert_eq!(world.happened().requests[0].1, "https://honest.example/x");
}

#[tokio::test]
async fn a_stack_that_leaves_its_memory_is_a_crash() {
    let (verdict, _) = attack("frames", "", &[]).await;
    let Verdict::Trapped { because } = verdict else { panic!("{verdict:?}") };
    assert!(because.contains("out of bounds"), "{because}");
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
    let (verdict, world) = attack("print-flood", "", &[]).await;
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
async fn an_honest_step_beside_them_still_finishes() {
    let attacks = ["loop", "memory", "log-flood", "host-call-flood", "recursion", "loop", "output-flood", "panic"];
    let hostile: Vec<_> = attacks.iter().cycle().take(32).map(|name| tokio::spawn(attack(name, "", &[]))).collect();
    for _ in 0..20 {
        let (verdict, _) = attack("none", "", &[]).await;
        assert_eq!(outputs(verdict)["answer"], "42");
    }
    for task in hostile {
        let (verdict, _) = task.await.unwrap();
        assert!(matches!(verdict, Verdict::Limit { .. } | Verdict::Trapped { .. }), "{verdict:?}");
    }
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

#[tokio::test]
async fn a_dropped_call_stops() {
    let world = Arc::new(World::petclinic());
    let limits = Limits { cpu: Duration::from_secs(3600), ..limits() };
    let call = run_within(&world, "hostile", r#"{"attack":"loop"}"#, &[], &limits);
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    // The guest holds the world until it is gone.
    let gone = async {
        while Arc::strong_count(&world) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
}
