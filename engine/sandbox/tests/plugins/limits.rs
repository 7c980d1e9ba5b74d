//! Every limit is a verdict of its own, by its own number.

use std::sync::Arc;
use std::time::Duration;

use pipeline::limits::{Limit, Limits};
use pipeline::permission::Permissions;
use sandbox::bench;
use sandbox::{Abilities, Sandbox, Settings, Verdict};

use crate::world::{World, component, example, limits, run_within};

/// What the plugin `hostile` runs into when one limit is as small as this.
async fn hostile(attack: &str, limits: &Limits) -> Verdict {
    let world = Arc::new(World::petclinic());
    let settings = format!(r#"{{"attack":"{attack}","on":""}}"#);
    run_within(&world, "hostile", &settings, &[("secrets", "token")], limits).await
}

#[tokio::test]
async fn each_limit_says_its_name_and_its_number() {
    for (attack, limits, which, because) in [
        ("memory", Limits { memory_bytes: 8 << 20, ..limits() }, Limit::Memory, "8 MiB"),
        ("none", Limits { table_elements: 1, ..limits() }, Limit::Tables, "1 elements"),
        ("loop", Limits { cpu: Duration::from_millis(70), ..limits() }, Limit::Cpu, "70ms"),
        ("output-flood", Limits { output_bytes: 99, ..limits() }, Limit::Output, "99 are allowed"),
        ("log-flood", Limits { log_bytes: 7_000, ..limits() }, Limit::Log, "7000 bytes"),
        ("host-call-flood", Limits { host_calls: 3, ..limits() }, Limit::HostCalls, "3 calls"),
        ("handle-flood", Limits { handles: 5, ..limits() }, Limit::Handles, "5 open handles"),
    ] {
        match hostile(attack, &limits).await {
            Verdict::Limit { which: met, because: said } => {
                assert!(met == which && said.contains(because), "{attack}: {met}: {said}");
            }
            other => panic!("{attack}: {other:?}"),
        }
    }
    let verdict = hostile("sleep", &Limits { wall: Duration::from_millis(50), ..limits() }).await;
    assert_eq!(verdict, Verdict::TimedOut { after: Duration::from_millis(50) });
}

/// Two calls of one run that has one place and one that may wait: a third is refused by name, and the rest goes on.
#[tokio::test]
async fn a_run_has_so_many_calls_at_once_and_so_many_that_wait() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Arc::new(Sandbox::open(dir.path(), Settings::default()).unwrap());
    let plugin = sandbox.load_file("hostile", &component("hostile")).await.unwrap();
    let wall = Duration::from_secs(60);
    let limits = Limits { concurrent: 1, waiting: 1, wall, cpu: wall, ..limits() };
    let call = |attack: &str, run: &str| {
        let (sandbox, plugin, limits) = (Arc::clone(&sandbox), plugin.clone(), limits.clone());
        let settings = format!(r#"{{"attack":"{attack}","on":""}}"#);
        let world = Arc::new(World { run: Some(run.to_owned()), ..World::petclinic() }) as Arc<dyn Abilities>;
        async move { sandbox.run(&plugin, &settings, &Permissions::none(), &limits, world).await }
    };
    let mut first = Box::pin(call("sleep", "a"));
    let mut second = Box::pin(call("none", "a"));
    for waiting in [&mut first, &mut second] {
        assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err(), "nothing ends it yet");
    }
    let third = call("none", "a").await;
    let Verdict::Limit { which: Limit::Concurrent, because } = &third else { panic!("{third:?}") };
    assert!(because.contains("1 calls of this run"), "{because}");
    assert!(matches!(call("none", "b").await, Verdict::Succeeded { .. }), "another run is not concerned");
    drop(first);
    assert!(matches!(second.await, Verdict::Succeeded { .. }));
}

#[tokio::test]
async fn the_server_has_so_many_calls_that_wait() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { concurrent: 1, waiting: 2, ..Settings::default() };
    let sandbox = Arc::new(Sandbox::open(dir.path(), settings).unwrap());
    let plugin = sandbox.load_file("nothing", &example("nothing")).await.unwrap();
    bench::at_once(&sandbox, &plugin, "{}", 3).await.expect("one runs, two wait");
    let refused = bench::alive(&sandbox, &plugin, r#"{"ask":true}"#, 4, || ()).await;
    assert!(matches!(refused, Err(Verdict::Limit { which: Limit::Concurrent, .. })), "{refused:?}");
}

/// The one thread of this test is the caller's: whoever kept it would keep everything else from going on.
#[tokio::test(flavor = "current_thread")]
async fn a_plugin_that_was_brief_until_it_spins_leaves_its_callers_thread() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(dir.path(), Settings::default()).unwrap();
    let plugin = sandbox.load_file("hostile", &component("hostile")).await.unwrap();
    let limits = Limits { wall: Duration::from_secs(600), cpu: Duration::from_secs(600), ..limits() };
    let call = |attack: &str| {
        let (sandbox, plugin, limits) = (&sandbox, &plugin, limits.clone());
        let settings = format!(r#"{{"attack":"{attack}","on":""}}"#);
        async move {
            let world = Arc::new(World::petclinic());
            sandbox.run(plugin, &settings, &Permissions::none(), &limits, world).await
        }
    };
    for _ in 0..5 {
        assert!(matches!(call("none").await, Verdict::Succeeded { .. }));
    }
    let honest = async {
        for _ in 0..5 {
            assert!(matches!(call("none").await, Verdict::Succeeded { .. }));
        }
    };
    tokio::select! {
        biased;
        ended = call("loop") => panic!("nothing ends it: {ended:?}"),
        () = honest => {}
    }
}
