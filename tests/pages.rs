//! The laws of the pages: their length, their form, and that what they name is there.

use super::{top, tracked};
use std::collections::BTreeSet;

/// The longest ARCHITECTURE.md, in words.
const ARCHITECTURE: usize = 1_500;
/// The longest record of a decision, in words.
const RECORD: usize = 250;
/// The headings of a record, in order.
const HEADINGS: [&str; 4] = ["## Status", "## Context", "## Decision", "## Consequences"];
/// Where the records are.
const RECORDS: &str = "engine/docs/decisions/";

fn read(file: &str) -> String {
    std::fs::read_to_string(top().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn pages() -> Vec<String> {
    tracked().into_iter().filter(|file| file.ends_with(".md")).collect()
}

#[test]
fn the_architecture_is_read_in_a_sitting() {
    let words = words(&read("engine/ARCHITECTURE.md"));
    assert!(words <= ARCHITECTURE, "ARCHITECTURE.md has {words} words; reasons belong into {RECORDS}");
}

#[test]
fn decisions_are_short_and_numbered_without_gaps() {
    let files: Vec<_> = pages().into_iter().filter(|file| file.starts_with(RECORDS)).collect();
    let index = read(&format!("{RECORDS}README.md"));
    let records: Vec<_> = files.iter().filter(|file| !file.ends_with("README.md")).collect();
    assert!(!records.is_empty(), "there are no records in {RECORDS}");
    for (n, file) in (1..).zip(&records) {
        let (name, text) = (&file[RECORDS.len()..], read(file));
        assert!(name.starts_with(&format!("{n:04}-")), "{name}: the next number is {n:04}");
        assert!(text.starts_with(&format!("# {n}. ")), "{name} does not begin with `# {n}. ` and its title");
        assert!(words(&text) < RECORD, "{name} has {} words; it must be below {RECORD}", words(&text));
        let headings: Vec<_> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, HEADINGS, "{name}: the headings of a record");
        assert_eq!(index.matches(&format!("({name})")).count(), 1, "{name} has one line in the index");
    }
}

#[test]
fn every_crate_says_what_it_is_for() {
    let tracked: BTreeSet<_> = tracked().into_iter().collect();
    let crates = tracked.iter().filter(|file| file.starts_with("engine/") && file.ends_with("/Cargo.toml"));
    for folder in crates.filter_map(|file| file.strip_suffix("Cargo.toml")) {
        assert!(
            tracked.contains(&format!("{folder}README.md")),
            "{folder} has no README.md: what it adapts, where to begin"
        );
    }
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&read(&page)) {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { format!("{folder}/{path}") };
            let target = top().join(target.trim_start_matches('/'));
            assert!(target.exists(), "{page}: `{link}` leads nowhere");
            if !heading.is_empty() && target.is_file() {
                let text = std::fs::read_to_string(&target).expect("a page is readable");
                let is_there = text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(is_there, "{page}: `{link}` names a heading that is not there");
            }
        }
    }
}

/// Paths of this repository in the pages for contributors: each is there.
#[test]
fn paths_that_pages_name_exist() {
    let folders = ["engine/", "plugins/", "pipelines/", "web/", "tests/", ".ci/"];
    let ours = |page: &String| page.starts_with("engine/") || !page.contains('/');
    for page in pages().into_iter().filter(ours).filter(|page| page != "CHANGELOG.md") {
        let text = read(&page);
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = folders.iter().any(|folder| name.starts_with(folder));
            let is_exact = !name.contains(['<', '*', ' ', '{', '\n']);
            let mut above = std::path::Path::new(folder).ancestors();
            let exists = above.any(|folder| top().join(folder).join(name).exists());
            assert!(!is_path || !is_exact || exists, "{page} names `{name}`, which is not there");
        }
    }
}

/// The relative links of a page, code left out.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced && !line.starts_with("    ")
    });
    let targets = prose.flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split_once(')')));
    let targets = targets.map(|(target, _)| target.to_owned());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// A heading's name in a link, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The page of the safety rules.
const SAFETY: &str = "engine/docs/rollouts.md";

#[test]
fn every_safety_rule_names_tests_that_exist() {
    let sources: String =
        tracked().iter().filter(|file| file.ends_with(".rs")).map(|file| read(file)).collect::<Vec<_>>().join("\n");
    let page = read(SAFETY);
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rule ")).collect();
    assert!(rows.len() > 20, "{SAFETY} has {} rules", rows.len());
    for row in rows {
        let tests = row.split('|').nth(2).unwrap_or_default();
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "a rule without a test: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}()")), "{SAFETY} names `{name}`, which is no test");
        }
    }
}
