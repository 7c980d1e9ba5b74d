//! The laws of the house, as tests. Each failure says what to do about it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

mod circles;
mod fuzz;
mod names;
mod pages;
mod readme;

/// Which of our crates may name which: the whole dependency law.
const LAW: [(&str, &[&str]); 12] = [
    ("pipeline", &[]),
    ("decide", &["pipeline"]),
    ("playground", &[]),
    ("journal", &["decide"]),
    ("forge", &["decide"]),
    ("sandbox", &["pipeline"]),
    ("images", &["decide", "pipeline"]),
    ("cluster", &["decide"]),
    ("devkit", &["pipeline", "sandbox", "images"]),
    ("api", &["pipeline", "decide", "journal"]),
    (
        "bespin",
        &["pipeline", "decide", "journal", "forge", "sandbox", "images", "cluster", "api", "devkit", "playground"],
    ),
    ("xtask", &[]),
];

/// Dependencies that exactly one crate may hold.
const OWNERS: [(&str, &[&str]); 9] = [
    ("pipeline", &["minijinja"]),
    ("journal", &["sled", "redb", "sqlx"]),
    ("forge", &["git2"]),
    ("sandbox", &["wasmtime", "wasmtime-wasi", "wasmparser"]),
    ("images", &["bollard", "oci-client", "aws-sdk-ecr"]),
    ("cluster", &["kube", "k8s-openapi", "aws-sigv4", "aws-sdk-sts", "aws-sdk-elasticloadbalancingv2"]),
    ("devkit", &["similar"]),
    ("api", &["axum", "axum-extra", "tower-http", "argon2"]),
    ("bespin-sdk", &["wit-bindgen"]),
];

/// What `pipeline` may use: nothing that can read, wait or fail by itself.
const PIPELINE_MAY_USE: [&str; 11] = [
    "hex",
    "minijinja",
    "schemars",
    "serde",
    "serde-saphyr",
    "serde_json",
    "sha2",
    "thiserror",
    "toml",
    "unicode-width",
    "url",
];

/// What `decide` may use, by the same rule.
const DECIDE_MAY_USE: [&str; 15] = [
    "base64",
    "hex",
    "jaq-core",
    "jaq-json",
    "jaq-std",
    "jiff",
    "json-patch",
    "pipeline",
    "saphyr",
    "serde",
    "serde-saphyr",
    "serde_json",
    "sha2",
    "thiserror",
    "url",
];

/// The longest file, in lines without its tests.
const LONGEST: usize = 400;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stands below the top").to_owned()
}

fn packages() -> Vec<Value> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(top())
        .output();
    let metadata: Value = serde_json::from_slice(&cargo.expect("cargo runs").stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("a list").clone()
}

/// Normal dependencies by crate; those of tests and build scripts are left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().expect("a list").clone();
        all.iter().filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    packages().iter().map(|package| (name(package), normal(package))).collect()
}

#[test]
fn crates_depend_as_the_law_says() {
    let dependencies = dependencies();
    let ours: BTreeSet<_> = dependencies.keys().cloned().collect();
    for (name, may) in LAW {
        let used: BTreeSet<_> = dependencies[name].intersection(&ours).map(String::as_str).collect();
        let may: BTreeSet<_> = may.iter().copied().collect();
        let more: Vec<_> = used.difference(&may).collect();
        assert!(more.is_empty(), "{name} must not depend on {more:?}; adapters never know each other");
    }
    for plugin in ours.iter().filter(|name| name.starts_with("plugin-")) {
        let used: Vec<_> = dependencies[plugin].intersection(&ours).collect();
        assert!(used.iter().all(|name| *name == "bespin-sdk"), "{plugin} knows only the sdk, not {used:?}");
    }
}

#[test]
fn each_adapters_libraries_are_its_own() {
    for (owner, owned) in OWNERS {
        for (name, uses) in dependencies() {
            let foreign: Vec<_> = owned.iter().filter(|crate_| uses.contains(**crate_)).collect();
            assert!(name == owner || foreign.is_empty(), "{name} uses {foreign:?}, which only {owner} may");
        }
    }
}

#[test]
fn what_decides_can_neither_read_nor_wait() {
    for (name, may_use) in [("pipeline", &PIPELINE_MAY_USE[..]), ("decide", &DECIDE_MAY_USE[..])] {
        let used = &dependencies()[name];
        let more: Vec<_> = used.iter().filter(|used| !may_use.contains(&used.as_str())).collect();
        assert!(more.is_empty(), "{name} must not use {more:?}; what they bring is an argument there");
    }
    let bans = |name: &str| std::fs::read_to_string(top().join("engine").join(name).join("clippy.toml"));
    let (pipeline, decide) = (bans("pipeline").expect("it is there"), bans("decide").expect("it is there"));
    assert_eq!(pipeline, decide, "what may not be called in `decide` may not be called in `pipeline`");
}

#[test]
fn the_api_only_reads_the_journal() {
    let api: Vec<_> = engine().into_iter().filter(|(name, ..)| name == "api").collect();
    assert!(api.len() > 20, "only {} files of the API were found", api.len());
    for (_, path, text) in api {
        let writes = [".append(", "journal.remove(", "journal::restore", "Store for"]
            .iter()
            .find(|call| code(&text).contains(*call));
        assert_eq!(writes, None, "engine/api/src/{path}: what people cause is a method of `Commands`");
    }
}

#[test]
fn no_crate_is_a_drawer() {
    for name in dependencies().keys() {
        assert!(!["core", "common", "types", "utils", "util"].contains(&name.as_str()), "`{name}` names no role");
    }
}

#[test]
fn the_top_level_is_as_the_user_fixed_it() {
    let allowed = ["Cargo.toml", "Cargo.lock", "engine", "pipelines", "plugins", "tests", "web"];
    let pages = ["README.md", "LICENSE", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
    let tools = ["clippy.toml", "deny.toml", "rustfmt.toml"];
    for file in tracked() {
        let first = file.split('/').next().expect("a name");
        let known = [allowed.as_slice(), &pages, &tools].iter().any(|names| names.contains(&first));
        let known = known || first.starts_with('.');
        assert!(known, "`{first}` does not belong at the top level");
    }
}

/// The parser's own tests hold it to the text of this refusal.
#[test]
fn a_refusal_names_every_plugin_that_comes_with_bespin() {
    let folders = std::fs::read_dir(top().join("plugins")).expect("the plugins stand there");
    let names = folders.map(|entry| entry.expect("a folder can be read").file_name().to_string_lossy().into_owned());
    let others = ["sdk", "hostile", "examples", "wit"];
    let built_in: BTreeSet<String> = names.filter(|name| !others.contains(&name.as_str())).collect();
    let refused =
        std::fs::read_to_string(top().join("pipelines/rejected/from-github-actions.txt")).expect("it is there");
    let named = refused.lines().find_map(|line| line.strip_prefix("help: the plugins that come with Bespin are "));
    let named: BTreeSet<String> = named.expect("they are named").split(", ").map(str::to_owned).collect();
    assert_eq!(named, built_in, "correct `BUILT_IN` in engine/pipeline/src/plugin.rs, and the refusal");
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for file in sources() {
        let text = std::fs::read_to_string(top().join(&file)).expect("a tracked file is readable");
        if file.ends_with(".rs") {
            assert!(text.starts_with("//!"), "{file} does not open with `//!`: say in a line what it is");
            let allow = ["[", "allow("].concat();
            assert!(!text.contains(&allow), "{file}: use #[expect(.., reason)]");
        }
        let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]" || !file.ends_with(".rs")).count();
        assert!(lines <= LONGEST, "{file} has {lines} lines without its tests; {LONGEST} is the most");
    }
}

/// Sources that people wrote: no tests, no generated files.
fn sources() -> Vec<String> {
    let is_source = |file: &String| [".rs", ".ts", ".tsx"].iter().any(|ending| file.ends_with(ending));
    let is_test = |file: &String| {
        file.contains("/tests/") || file.ends_with("tests.rs") || file.ends_with("_tests.rs") || file.contains(".test.")
    };
    let is_generated = |file: &String| file == "web/src/api/types.ts";
    tracked().into_iter().filter(|file| is_source(file) && !is_test(file) && !is_generated(file)).collect()
}

/// The engine's own sources, without tests: the crate's folder, the path below its `src`, and the text.
fn engine() -> Vec<(String, String, String)> {
    let parted = |file: &String| {
        let (name, path) = file.strip_prefix("engine/")?.split_once("/src/")?;
        let text = std::fs::read_to_string(top().join(file)).expect("a tracked file is readable");
        Some((name.to_owned(), path.to_owned(), text))
    };
    let rust: Vec<_> = sources().into_iter().filter(|file| file.ends_with(".rs")).collect();
    let all: Vec<_> = rust.iter().filter_map(parted).collect();
    assert!(all.len() > 100, "only {} sources were found", all.len());
    all
}

/// A file's code without its tests and its comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn tracked() -> Vec<String> {
    let git = Command::new("git").args(["ls-files"]).current_dir(top()).output().expect("git runs");
    assert!(git.status.success(), "the laws are checked on a checkout of git");
    let existing = |file: &&str| top().join(file).exists();
    String::from_utf8(git.stdout).expect("names are UTF-8").lines().filter(existing).map(str::to_owned).collect()
}
