use super::*;

fn examples() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/wasm32-wasip2/plugin");
    let folder = std::env::var_os("BESPIN_COMPONENTS").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let examples = folder.join("examples");
    assert!(examples.join("health.wasm").exists(), "build the plugins first: cargo xtask plugins");
    examples
}

/// A folder with examples of the SDK, and a file that is no plugin.
pub(crate) fn extensions(dir: &std::path::Path) -> Extensions {
    let folder = dir.join("plugins");
    std::fs::create_dir(&folder).unwrap();
    for name in ["generate", "health", "misjudges"] {
        std::fs::copy(examples().join(format!("{name}.wasm")), folder.join(format!("{name}.wasm"))).unwrap();
    }
    std::fs::write(folder.join("broken.wasm"), b"\0asm").unwrap();
    Extensions::new(Plugins::of(&folder), dir.join("cache"), Settings::default())
}

#[tokio::test]
async fn a_plugin_of_the_folder_is_ready_and_of_its_world() {
    let dir = tempfile::tempdir().unwrap();
    let extensions = extensions(dir.path());
    let health = extensions.load("health", "Pod", "health", World::Health, Limits::default()).await.unwrap();
    assert_eq!(health.ready().map(|known| known.plugin.world()).ok(), Some(World::Health));
    let refused = extensions.load("generate", "g", "health", World::Generate, Limits::default()).await.err().unwrap();
    let because = "generate `g`: the plugin `health` is of the world `health`; name one of the world `generate`";
    assert_eq!(refused, because);
    let refused = extensions.load("generate", "g", "genrate", World::Generate, Limits::default()).await.err().unwrap();
    assert!(refused.starts_with("generate `g`: there is no plugin `genrate`"), "{refused}");
    assert!(refused.ends_with("there are broken, generate, health, misjudges"), "{refused}");
    assert_eq!(extensions.all().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_loaded_keeps_no_server_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let extensions = extensions(dir.path());
    let broken = extensions.load("health", "Pod", "broken", World::Health, Limits::default()).await.unwrap();
    let because = broken.ready().err().unwrap();
    assert!(because.starts_with("the plugin `broken` is not ready: cannot load the plugin `broken`"), "{because}");
    let reference = format!("ghcr.io/acme/pods@sha256:{}", "0".repeat(64));
    let remote = extensions.load("health", "Job", &reference, World::Health, Limits::default()).await.unwrap();
    assert!(remote.ready().err().unwrap().contains("takes none from registries"));
}

#[tokio::test]
async fn whoever_waits_longer_than_a_call_may_take_waits_no_longer() {
    let verdict = in_turn(Duration::from_millis(5), std::future::pending::<Verdict<()>>()).await;
    assert!(matches!(&verdict, Verdict::Limit { which: Limit::Concurrent, .. }), "{verdict:?}");
    assert_eq!(answer(verdict).unwrap_err().split(':').next_back(), Some(" it had no turn, for other calls take long"));
    let verdict = in_turn(Duration::from_secs(60), async { Verdict::Succeeded { outputs: 1 } }).await;
    assert_eq!(answer(verdict), Ok(1));
}
