//! The hostile collection: each attack of `plugins/hostile/attacks.toml` ends as its row says, beside honest steps.
//!
//! `UPDATE=1 cargo test -p sandbox --test plugins collection` writes `plugins/hostile/README.md` anew.

mod made;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pipeline::limits::Limits;
use pipeline::permission::{Permissions, Whose};
use sandbox::{Abilities, Verdict};
use serde_json::json;
use table::{By, Row};

use crate::world::{World, component, grants, limits, outputs, plugin, sandbox};

/// What a row's attack came to.
struct Ended {
    /// As the table writes it.
    verdict: String,
    /// All that it says.
    text: String,
    world: Arc<World>,
}

#[tokio::test]
async fn every_attack_ends_as_the_table_says_and_honest_steps_beside_them_succeed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    plugin("hostile").await;
    let over = Arc::new(AtomicBool::new(false));
    let honest = tokio::spawn(honest(Arc::clone(&over)));
    let rows = table::read().into_iter().filter(|row| matches!(row.by, By::Guest | By::Core | By::Bytes));
    let attacks: Vec<_> = rows.map(|row| tokio::spawn(carry_out(row, address.clone()))).collect();
    let mut wrong = Vec::new();
    for attack in attacks {
        wrong.extend(attack.await.unwrap().err());
    }
    over.store(true, Ordering::SeqCst);
    assert!(honest.await.unwrap() > 0, "no honest step ran beside them");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");
}

/// Runs honest steps until the attacks are over; says how many there were, all of which succeeded.
async fn honest(over: Arc<AtomicBool>) -> usize {
    let sync = plugin("sync").await;
    let granted = grants(&[("cluster", "*/*/*")]);
    let mut ran = 0;
    while !over.load(Ordering::SeqCst) {
        let world = Arc::new(World::petclinic()) as Arc<dyn Abilities>;
        let verdict = sandbox().run(&sync, r#"{"application":"a"}"#, &granted, &limits(), world).await;
        assert_eq!(outputs(verdict)["revision"], "head");
        ran += 1;
    }
    ran
}

/// Carries out one attack.
///
/// # Errors
///
/// It did not end as its row says.
async fn carry_out(row: Row, address: String) -> Result<(), String> {
    let ended = match row.by {
        By::Guest => guest(&row, &address).await,
        By::Core => load_and_run(&row, &made::core(&row)).await,
        By::Bytes => load_and_run(&row, &made::bytes(&row.name)).await,
        By::Test | By::Story | By::Terraform | By::Egress | By::Leak => unreachable!("they are carried out elsewhere"),
    };
    let (name, happened) = (&row.name, ended.world.happened());
    let expected = row.says.as_deref().unwrap_or_default();
    if ended.verdict != row.verdict || !ended.text.contains(expected) {
        return Err(format!("{name}: expected {} ({expected}), but {}: {}", row.verdict, ended.verdict, ended.text));
    }
    let effects = [
        happened.builds.len(),
        happened.images.len(),
        happened.manifests.len(),
        happened.synced.len(),
        happened.followed.len(),
        happened.requests.len(),
        happened.containers.len(),
        happened.applied.len(),
    ];
    if effects.iter().any(|effects| *effects > 0) {
        return Err(format!("{name}: it had an effect: {effects:?}"));
    }
    let logged: Vec<_> = happened.log.iter().map(|(_, line)| line.as_str()).collect();
    let told = [ended.text.as_str(), &logged.join("\n")].concat();
    if told.contains("hunter2") || ended.text.len() > 16 << 10 {
        return Err(format!("{name}: it told a secret, or more than anybody reads: {} bytes", ended.text.len()));
    }
    Ok(())
}

async fn guest(row: &Row, address: &str) -> Ended {
    let mut settings = json!(row.with);
    settings["attack"] = json!(row.attack.as_ref().unwrap_or(&row.name));
    if row.name == "socket" {
        settings["on"] = json!(address);
    }
    let settings = match row.name.as_str() {
        "settings-deep" => format!(r#"{{"attack":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)),
        _ => settings.to_string(),
    };
    run(row, &plugin("hostile").await, &settings).await
}

async fn load_and_run(row: &Row, bytes: &[u8]) -> Ended {
    match sandbox().load(&row.name, bytes).await {
        Ok(plugin) => run(row, &plugin, "{}").await,
        Err(refused) => {
            let text = refused.to_string();
            assert!(text.starts_with(&format!("cannot load the plugin `{}`: ", row.name)), "{text}");
            Ended { verdict: "not loaded".to_owned(), text, world: Arc::default() }
        }
    }
}

async fn run(row: &Row, plugin: &sandbox::Plugin, settings: &str) -> Ended {
    let world = Arc::new(World::petclinic());
    let granted = Permissions::parse(Whose::Step, &row.grants).unwrap();
    // What another limit shall end must reach it on a slow machine, too.
    let cpu = if row.verdict == "limit: cpu" { limits().cpu } else { Duration::from_secs(30) };
    let limits = Limits { cpu, wall: row.wall_ms.map_or(limits().wall, Duration::from_millis), ..limits() };
    let abilities = Arc::clone(&world) as Arc<dyn Abilities>;
    let (verdict, text) = told(sandbox().run(plugin, settings, &granted, &limits, abilities).await);
    Ended { verdict, text, world }
}

/// A verdict in the table's words, and all that it says.
fn told(verdict: Verdict) -> (String, String) {
    match verdict {
        Verdict::Succeeded { outputs } => {
            let all: Vec<_> = outputs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let verdict = if outputs.contains_key("stolen") { "STOLEN" } else { "harmless" };
            (verdict.to_owned(), all.join(" "))
        }
        Verdict::Rejected { because } => ("rejected".to_owned(), because),
        Verdict::Transient { because } => ("transient".to_owned(), because),
        Verdict::Denied(denied) => {
            assert!(denied.help.starts_with("add to the step: grants: { "), "{}", denied.help);
            (format!("denied: {}", denied.grant), denied.to_string())
        }
        Verdict::Limit { which, because } => (format!("limit: {which}"), because),
        Verdict::TimedOut { .. } => ("timed out".to_owned(), String::new()),
        Verdict::Trapped { because } => ("trapped".to_owned(), because),
    }
}

#[test]
fn the_readme_has_the_table() {
    table::is_written(&table::read()).unwrap();
}

#[test]
fn no_row_is_left_to_nobody() {
    let rows = table::read();
    let names: BTreeSet<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert!(rows.len() >= 40 && names.len() == rows.len(), "{} rows, {} names", rows.len(), names.len());
    let by = |by: By| rows.iter().filter(|row| row.by == by).map(|row| row.name.as_str()).collect::<Vec<_>>();
    assert_eq!(by(By::Test), ["cancel", "thousands", "cache-forged"], "each of them is a test below");
    assert_eq!(by(By::Story), ["path-link"], "tests/stories/plugin_is_caged.rs has it");
    let terraform = ["terraform-link", "terraform-other-run", "terraform-altered"];
    assert_eq!(by(By::Terraform), terraform, "tests/stories/terraform_asks_first.rs has them");
}

#[tokio::test]
async fn cancel() {
    let world = Arc::new(World::petclinic());
    let spins = plugin("hostile").await;
    let forever = Limits { cpu: Duration::from_secs(3600), ..limits() };
    let abilities = Arc::clone(&world) as Arc<dyn Abilities>;
    let none = Permissions::none();
    let call = sandbox().run(&spins, r#"{"attack":"loop"}"#, &none, &forever, abilities);
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    // The guest holds the world until it is gone.
    let gone = async {
        while Arc::strong_count(&world) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
}

#[tokio::test]
async fn thousands() {
    let names = [
        "recursion",
        "frames",
        "handle-flood",
        "environment",
        "file",
        "registry",
        "secret-revealed",
        "metadata",
        "panic",
        "header-smuggling",
    ];
    let rows: BTreeMap<_, _> = table::read().into_iter().map(|row| (row.name.clone(), row)).collect();
    let call = |n: usize| tokio::spawn(carry_out(rows[names[n % names.len()]].clone(), String::new()));
    let calls: Vec<_> = (0..2000).map(call).collect();
    let mut wrong = Vec::new();
    for call in calls {
        wrong.extend(call.await.unwrap().err());
    }
    assert!(wrong.is_empty(), "{} of 2000, such as {}", wrong.len(), wrong[0]);
}

/// What a forger would want to run is the code of another plugin: here the honest step's, under the name of `push`.
#[tokio::test]
async fn cache_forged() {
    let dir = tempfile::tempdir().unwrap();
    let open = || sandbox::Sandbox::open(dir.path(), sandbox::Settings::default()).unwrap();
    let entry = |digest: &str| {
        let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut named = names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(digest));
        named.next().unwrap()
    };
    let (hostile, sync) = {
        let sandbox = open();
        let hostile = sandbox.load_file("hostile", &component("hostile")).await.unwrap();
        let sync = sandbox.load_file("sync", &component("sync")).await.unwrap();
        (entry(hostile.digest()), entry(sync.digest()))
    };
    let forged = std::fs::read(hostile).unwrap();
    std::fs::write(&sync, &forged).unwrap();
    let sandbox = open();
    let plugin = sandbox.load_file("sync", &component("sync")).await.unwrap();
    let world = Arc::new(World::petclinic()) as Arc<dyn Abilities>;
    let granted = grants(&[("cluster", "*/*/*")]);
    let verdict = sandbox.run(&plugin, r#"{"application":"a"}"#, &granted, &limits(), world).await;
    assert_eq!(outputs(verdict)["revision"], "head", "it is the plugin that it was");
    assert_ne!(std::fs::read(&sync).unwrap(), forged, "it was compiled anew");
}
