//! The laws of fuzzing: every target is whole, its corpus is small, and its body is tried at every test.

use super::{dependencies, top, tracked};
use std::collections::BTreeSet;

/// The most that a target's corpus may have, in bytes.
const CORPUS: u64 = 64 << 10;

fn read(file: &str) -> String {
    std::fs::read_to_string(top().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names of the targets, by their files.
fn targets() -> BTreeSet<String> {
    let name = |file: &String| Some(file.strip_prefix("engine/fuzz/targets/")?.strip_suffix(".rs")?.to_owned());
    let targets: BTreeSet<String> = tracked().iter().filter_map(name).collect();
    assert!(targets.len() > 10, "only {} targets were found", targets.len());
    targets
}

#[test]
fn every_target_is_built_and_said_what_it_reads() {
    let manifest = read("engine/fuzz/Cargo.toml");
    let built = manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""));
    let built: BTreeSet<String> = built.map(str::to_owned).collect();
    assert_eq!(built, targets(), "each target has a `[[bin]]` in engine/fuzz/Cargo.toml");
    let page = read("engine/fuzz/README.md");
    let unsaid: Vec<_> = targets().into_iter().filter(|target| !page.contains(&format!("`{target}`"))).collect();
    assert!(unsaid.is_empty(), "engine/fuzz/README.md does not say what {unsaid:?} read");
}

#[test]
fn every_targets_corpus_is_small_and_tried_at_every_test() {
    let files = tracked();
    let tests: Vec<String> = files
        .iter()
        .filter(|file| file.ends_with(".rs") && !file.starts_with("engine/fuzz/"))
        .map(|file| read(file))
        .collect();
    for target in targets() {
        let of: Vec<&String> =
            files.iter().filter(|file| file.starts_with(&format!("engine/fuzz/corpus/{target}/"))).collect();
        let bytes: u64 = of.iter().map(|file| std::fs::metadata(top().join(file)).map_or(0, |file| file.len())).sum();
        assert!(!of.is_empty() && bytes <= CORPUS, "engine/fuzz/corpus/{target} has {} files, {bytes} bytes", of.len());
        let body = format!("fuzz/src/{target}.rs\"]");
        let corpus = format!("(\"{target}\", ");
        let is_held = |test: &String| test.contains(&body);
        let is_tried = |test: &String| test.contains(&corpus) && test.contains("corpus::hold(");
        let both = tests.iter().any(is_held) && tests.iter().any(is_tried);
        assert!(both, "no test holds the body of `{target}` and looks at its corpus");
    }
}

#[test]
fn fuzzing_is_in_no_other_tree() {
    assert!(!dependencies().contains_key("fuzz"), "engine/fuzz is a workspace of its own");
    assert!(!read("Cargo.lock").contains("libfuzzer"), "libFuzzer belongs to engine/fuzz alone");
}
