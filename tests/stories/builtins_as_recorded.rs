//! The plugins that have recorded cases are tested as an author tests one: by `bespin plugin test`. So are cases that
//! are wrong: what does not come out as recorded is told, and so are mistakes.

use std::path::Path;
use world::bespin::{plugins, run};
use world::given;

/// The worlds that have an example beside `step`, and how many cases each has.
const WORLDS: [(&str, usize); 4] = [("health", 4), ("generate", 3), ("measure", 5), ("route", 5)];

/// What `bespin plugin test` says of a component and a folder of cases.
fn outcome(component: &Path, cases: &Path, cache: &Path) -> (i32, String) {
    let paths = [component, cases, cache].map(|path| path.display().to_string());
    let [component, cases, cache] = &paths;
    run(&["plugin", "test", component, "--cases", cases, "--cache", cache])
}

#[test]
fn each_case_comes_out_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let cache = tempfile::tempdir().expect("a folder");
    let mut tested = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the plugins are there").flatten() {
        let (name, cases) = (entry.file_name().to_string_lossy().into_owned(), entry.path().join("tests"));
        if !cases.is_dir() {
            continue;
        }
        let (code, printed) = outcome(&plugins().join(format!("{name}.wasm")), &cases, cache.path());
        assert_eq!(code, 0, "{name}:\n{printed}");
        tested.push(name);
    }
    tested.sort();
    assert_eq!(tested, ["http", "scan", "terraform"], "every built-in with cases is named here");
}

#[test]
fn each_world_is_tested_by_its_own_cases() {
    let examples = given("BESPIN_COMPONENTS").expect("BESPIN_COMPONENTS names the components").join("examples");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples/worlds");
    let dir = tempfile::tempdir().expect("a folder");
    for (world, cases) in WORLDS {
        let component = examples.join(format!("{world}.wasm"));
        let (code, printed) = outcome(&component, &folder.join(world).join("tests"), dir.path());
        assert_eq!((code, printed.matches("same    ").count()), (0, cases), "{world}:\n{printed}");
    }

    // A health that is told otherwise, a case of another world, and mistakes in two files at once.
    let health = examples.join("health.wasm");
    let case =
        |name: &str, text: &str| std::fs::write(dir.path().join("cases").join(name), text).expect("it is written");
    std::fs::create_dir(dir.path().join("cases")).expect("a folder can be made");
    let wrong = "object: { kind: Certificate }\nexpect: { verdict: succeeded, health: { status: healthy } }\n";
    case("one.yaml", wrong);
    let (code, printed) = outcome(&health, &dir.path().join("cases"), dir.path());
    assert_eq!(code, 1, "{printed}");
    for line in
        ["DIFFERS one", "-   status: healthy", "+   status: progressing", "    message: it has no condition yet"]
    {
        assert!(printed.contains(line), "{line} is not in:\n{printed}");
    }
    case("one.yaml", "with: {}\nexpect: { verdict: rejected }\n");
    case("two.yaml", &wrong.replace("healthy", "fine"));
    let (code, printed) = outcome(&health, &dir.path().join("cases"), dir.path());
    assert_eq!(code, 1, "{printed}");
    for line in
        ["one.yaml:1:7: `with` is for a plugin of the world `step`", "two.yaml:2:49: `fine`", "help: ", "2 mistakes"]
    {
        assert!(printed.contains(line), "{line} is not in:\n{printed}");
    }
}

/// A plugin that counts the runs of a branch: the fifth, the first, and a step that reads the count.
const COUNTS: [(&str, &str); 3] = [
    (
        "fifth.yaml",
        r#"with: { act: count }
calls:
  - { ask: cache.save, with: { key: count-5, archive: "5" }, answer: saved }
  - { ask: artifacts.put, with: { name: count, content: "5" }, answer: {} }
  - ask: cache.restore
    with: { key: count, prefixes: [count-] }
    answer: { key: count-4, archive: { base64: NA== } }
expect: { verdict: succeeded, outputs: { count: "5" } }
"#,
    ),
    (
        "first.yaml",
        r#"with: { act: count }
calls:
  - { ask: cache.restore, with: { key: count, prefixes: [count-] }, answer: null }
  - { ask: cache.save, with: { key: count-1, archive: "1" }, answer: read-only }
  - { ask: artifacts.put, with: { name: count, content: "1" }, fault: { transient: the disk is full } }
expect: { verdict: transient, because: the disk is full }
"#,
    ),
    (
        "reads.yaml",
        r#"with: { act: read, provider: prometheus }
artifacts: { count: "7" }
grants: { metrics: [prometheus] }
calls: [{ ask: metrics.query, with: { provider: prometheus, query: up }, answer: [{ value: 1 }] }]
expect: { verdict: succeeded, outputs: { count: "7", up: "1" } }
"#,
    ),
];

#[test]
fn what_a_plugin_keeps_is_recorded_like_all_else() {
    let keep = given("BESPIN_COMPONENTS").expect("BESPIN_COMPONENTS names the components").join("examples/keep.wasm");
    let dir = tempfile::tempdir().expect("a folder");
    let cases = dir.path().join("cases");
    std::fs::create_dir(&cases).expect("a folder can be made");
    for (name, text) in COUNTS {
        std::fs::write(cases.join(name), text).expect("a file can be written");
    }
    let (code, printed) = outcome(&keep, &cases, dir.path());
    assert_eq!((code, printed.matches("same    ").count()), (0, 3), "{printed}");

    // Another count is found, so that what is saved then was not recorded, and what was recorded was not asked.
    let (name, text) = COUNTS[0];
    std::fs::write(cases.join(name), text.replace("NA==", "Nw==")).expect("a file can be written");
    let (code, printed) = outcome(&keep, &cases, dir.path());
    assert_eq!(code, 1, "{printed}");
    for line in ["+ verdict: rejected", "+     \"archive\": \"8\"", "-     \"archive\": \"5\""] {
        assert!(printed.contains(line), "{line} is not in:\n{printed}");
    }
}
