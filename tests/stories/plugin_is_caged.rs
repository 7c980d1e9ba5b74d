//! A pipeline of hostile plugins in the real server: each step ends in its typed way, an honest run beside it succeeds,
//! the server stays up, and nothing of a planted secret is anywhere afterwards.
//!
//! The attacks are rows of `plugins/hostile/attacks.toml`; the sandbox's own tests carry out the rest of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use world::bespin::plugins;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;

/// The secret that the attacks are after: it can be a name of every kind.
const PLANTED: &str = "tr0ub4dor-and-three-l33t-horses";

/// Rows that are carried out here beside those that only the server itself can carry out.
const SAMPLE: [&str; 23] = [
    "loop",
    "sleep",
    "memory",
    "recursion",
    "frames",
    "output-flood",
    "host-call-flood",
    "handle-flood",
    "giant-text",
    "environment",
    "file",
    "clock",
    "path-parent",
    "registry",
    "container",
    "git",
    "host-ungranted",
    "metadata",
    "metadata-decimal",
    "header-smuggling",
    "secret-revealed",
    "secret-in-artifact",
    "panic",
];

/// The columns of the table that matter here.
#[derive(Default, Deserialize)]
struct Row {
    name: String,
    verdict: String,
    #[serde(default)]
    says: String,
    #[serde(default)]
    by: String,
    attack: Option<String>,
    #[serde(default)]
    with: BTreeMap<String, String>,
    #[serde(default)]
    grants: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Table {
    attack: Vec<Row>,
}

#[tokio::test]
async fn a_hostile_plugin_takes_nothing_and_nobody_with_it() {
    let rows = rows();
    let folder = tempfile::tempdir().expect("a folder");
    let estate = estate(folder.path()).await;
    let before = resident(estate.bespin.id());
    estate.application().link("hostile/link", "/etc/passwd");
    let files = [
        (".bespin/hostile.yaml", pipeline(&rows)),
        (".bespin/honest.yaml", honest()),
        ("hostile/file", "anything".to_owned()),
    ];
    let commit = estate.push(&files, "Try everything").await.after;
    let runs = ended(&estate, &commit).await;
    let (hostile, honest) = (&runs["hostile"], &runs["honest"]);
    assert_eq!(honest["state"], "succeeded", "{honest:#}");
    assert_eq!(hostile["state"], "failed", "{hostile:#}");
    let id = hostile["id"].as_str().expect("a run has an id");
    let entries = estate.bespin.journal(&format!("run/{id}"));
    let broken = Row {
        name: "broken".into(),
        verdict: "rejected".into(),
        says: "cannot load the plugin `broken`: it is no component, or a damaged one".into(),
        ..Row::default()
    };
    let wrong: Vec<_> = rows.iter().chain([&broken]).filter_map(|row| differs(row, &entries)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let dashboard = estate.dashboard().await;
    assert!(dashboard.get("home").await.is_object(), "the server is up");
    let after = resident(estate.bespin.id());
    assert!(after < before + (512 << 20), "the server had {before} bytes resident, and has {after} after the attacks");
    let mut told =
        vec![dashboard.get("runs").await.to_string(), dashboard.get(&format!("runs/{id}")).await.to_string()];
    told.extend(estate.bespin.journal("").iter().map(Value::to_string));
    told.push(estate.bespin.last_words());
    for text in &told {
        assert_eq!(secret_in(text.as_bytes()), None, "{text}");
    }
    // The logs, the journal's own files and whatever else the server has written.
    let mut files = Vec::new();
    all_files(&estate.dir().join("data"), &mut files);
    assert!(files.iter().any(|file| file.extension().is_some_and(|extension| extension == "ndjson")), "there are logs");
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert_eq!(secret_in(&bytes), None, "{}", file.display());
    }
}

fn rows() -> Vec<Row> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/hostile/attacks.toml");
    let table: Table = toml::from_str(&std::fs::read_to_string(file).expect("the table is there")).expect("it is TOML");
    let here = |row: &Row| matches!(row.by.as_str(), "leak" | "story") || SAMPLE.contains(&row.name.as_str());
    let rows: Vec<_> = table.attack.into_iter().filter(here).collect();
    let names: BTreeSet<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert!(SAMPLE.iter().all(|name| names.contains(name)), "a row of the sample is gone: {names:?}");
    rows
}

/// A server with the hostile plugin among its own, and half of it as another one. Only the steps' own grants
/// narrow what it may do.
async fn estate(folder: &Path) -> Estate {
    let built = plugins().parent().expect("the plugins stand in the target folder").join("wasm32-wasip2/plugin");
    let component = std::fs::read(built.join("plugin_hostile.wasm")).expect("the hostile plugin is built");
    let own = folder.join("plugins");
    std::fs::create_dir(&own).expect("a folder can be made");
    std::fs::write(own.join("hostile.wasm"), &component).expect("a file can be written");
    std::fs::write(own.join("broken.wasm"), &component[..component.len() / 2]).expect("a file can be written");
    let secret = folder.join("token");
    std::fs::write(&secret, PLANTED).expect("a file can be written");
    let permission = format!(
        r#"
[secret.token]
file = "{}"

[[policy]]
repository = "user/petclinic"
plugins = ["sha256:{}"]
[policy.grants]
secrets = ["read:token"]
http = ["* honest.example", "* http://*.example"]
registry = ["host.example/*"]
"#,
        secret.display(),
        hex::encode(Sha256::digest(&component)),
    );
    Estate::configured(Kind::Embedded, "1s", |config| config.plugins(&own).with(&permission)).await
}

/// Every attack as a step of its own that waits for none of the others.
fn pipeline(rows: &[Row]) -> String {
    let mut text = "name: hostile\non:\n  push: { branches: [main], paths: [\"hostile/**\"] }\nsteps:\n".to_owned();
    for row in rows {
        let mut with = json!(row.with);
        with["attack"] = json!(row.attack.as_ref().unwrap_or(&row.name));
        let timeout = if row.name == "sleep" { "2s" } else { "10m" };
        let (id, grants) = (&row.name, json!(row.grants));
        writeln!(
            text,
            "  - id: {id}\n    uses: hostile\n    needs: []\n    timeout: {timeout}\n    with: {with}\n    grants: {grants}"
        )
        .expect("a text grows");
    }
    text + "  - id: broken\n    uses: broken\n    needs: []\n"
}

/// Steps that do nothing wrong, one after the other, while the others are at it.
fn honest() -> String {
    let mut text = "name: honest\non:\n  push: { branches: [main], paths: [\"hostile/**\"] }\nsteps:\n".to_owned();
    for n in 0..10 {
        writeln!(text, "  - id: s{n}\n    uses: hostile\n    with: {{ attack: none }}").expect("a text grows");
    }
    text
}

/// The runs of a commit by the name of their pipeline, once all have ended.
async fn ended(estate: &Estate, commit: &str) -> BTreeMap<String, Value> {
    let dashboard = estate.dashboard().await;
    let ended = || async {
        let page = dashboard.get("runs").await;
        let rows = page["runs"].as_array().cloned().unwrap_or_default();
        let runs = rows.into_iter().map(|row| row["run"].clone()).filter(|run| run["sha"] == commit);
        let name = |run: &Value| run["id"].as_str()?.split('/').nth(2).map(str::to_owned);
        let runs: BTreeMap<_, _> = runs.filter_map(|run| Some((name(&run)?, run))).collect();
        (runs.len() == 2 && runs.values().all(|run| run["state"] != "open")).then_some(runs)
    };
    eventually("both runs ended", PATIENCE, ended).await
}

/// What differs between how a step has to end and how the journal says that it ended.
fn differs(row: &Row, entries: &[Value]) -> Option<String> {
    let ended = entries.iter().find(|entry| entry["kind"] == "ended" && entry["body"]["step"] == row.name.as_str());
    let Some(ended) = ended else { return Some(format!("{}: it has not ended", row.name)) };
    let outcome = &ended["body"]["outcome"];
    let because = outcome["because"].as_str().unwrap_or_default();
    let (verdict, text) = match outcome["is"].as_str().unwrap_or_default() {
        "succeeded" => {
            let outputs = outcome["outputs"].as_object().cloned().unwrap_or_default();
            let told: Vec<_> =
                outputs.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
            ("harmless".to_owned(), told.join(" "))
        }
        "limit" => (format!("limit: {}", outcome["which"].as_str().unwrap_or_default()), because.to_owned()),
        "timed-out" => ("timed out".to_owned(), String::new()),
        "rejected" | "failed" => match because.strip_prefix("not granted: ").and_then(|rest| rest.split(' ').next()) {
            Some(grant) => (format!("denied: {grant}"), because.to_owned()),
            None if because.starts_with("the plugin crashed: ") => ("trapped".to_owned(), because.to_owned()),
            None => ("rejected".to_owned(), because.to_owned()),
        },
        other => (other.to_owned(), because.to_owned()),
    };
    let as_expected = verdict == row.verdict && text.contains(&row.says) && !text.contains("stolen");
    (!as_expected).then(|| format!("{}: expected {} ({}), but {verdict}: {text}", row.name, row.verdict, row.says))
}

/// Which form of the planted secret is in a text, if any is.
fn secret_in(text: &[u8]) -> Option<String> {
    let encoded = STANDARD_NO_PAD.encode(format!("a:{PLANTED}"));
    let forms = [
        PLANTED.to_owned(),
        PLANTED.chars().rev().collect(),
        hex::encode(PLANTED),
        // What the secret alone decides, wherever it begins.
        encoded[4..encoded.len() - 4].to_owned(),
    ];
    forms.into_iter().find(|form| text.windows(form.len()).any(|part| part == form.as_bytes()))
}

/// Bytes of memory that a process has resident.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}

fn all_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all_files(&entry.path(), found),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}
