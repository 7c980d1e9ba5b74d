//! Which rows give permissions to which runs, and what a fork's pull request never gets.

use super::{Policy, Provenance, Subject, both, covers, limits};
use crate::limits::Limits;
use crate::permission::{Permissions, Whose};
use std::collections::BTreeMap;

const REGISTRY: &str = "registry.example/was";
const MANIFESTS: &str = "https://git.example/user/manifests.git";
const MAIN: &str = "refs/heads/main";
/// Pull requests of a branch of the repository itself, of a fork, and of nothing that is known.
const OWN: Provenance<'_> = Provenance::Own { base: MAIN };
const FORK: Provenance<'_> = Provenance::Fork { base: Some(MAIN) };
const UNKNOWN: Provenance<'_> = Provenance::Fork { base: None };

fn pushed() -> Subject<'static> {
    let (repository, pipeline, provenance) = ("user/petclinic", ".bespin/was.yaml", Provenance::Reference(MAIN));
    Subject { repository, pipeline, event: "push", provenance }
}

fn asked(provenance: Provenance<'static>) -> Subject<'static> {
    Subject { event: "pull_request", provenance, ..pushed() }
}

/// A row with everything, limited by these keys.
fn row(keys: &str) -> Policy {
    let grants = format!(
        "{keys}\n[grants]\nimages = [\"build\"]\nregistry = [\"{REGISTRY}\"]\ngit = [\"git.example/user/manifests\"]\n"
    );
    toml::from_str(&grants).unwrap()
}

/// What a step that asks for everything may do, once this person has approved it: push, and bump.
fn may_after(rows: &[Policy], run: Subject<'_>, approved_by: Option<&str>) -> (bool, bool) {
    let own = BTreeMap::from([
        ("registry".to_owned(), vec![REGISTRY.to_owned()]),
        ("git".to_owned(), vec!["git.example/user/manifests".to_owned()]),
    ]);
    let grants = both(rows, &run, approved_by, Permissions::parse(Whose::Step, &own).unwrap());
    (grants.let_push(REGISTRY), grants.let_bump(MANIFESTS))
}

/// The same where nobody approved anything.
fn may(policy: &Policy, run: Subject<'_>) -> (bool, bool) {
    may_after(std::slice::from_ref(policy), run, None)
}

#[test]
fn which_rows_are_for_pull_requests() {
    let own = || asked(OWN);
    for (keys, run, expected) in [
        ("", pushed(), true),
        ("ref = \"refs/heads/main\"", pushed(), true),
        ("ref = \"refs/heads/*\"\nevent = \"push\"", pushed(), true),
        ("event = \"pull_request\"", pushed(), false),
        ("event = \"pull_request\"\nfrom-fork = true", pushed(), false),
        // Whoever can push a branch must not thereby hold a credential.
        ("", own(), false),
        ("ref = \"refs/heads/main\"", own(), false),
        ("ref = \"refs/*\"", own(), false),
        ("event = \"push\"", own(), false),
        ("event = \"*\"", own(), false),
        ("from-fork = true", own(), false),
        ("event = \"pull_request\"", own(), true),
        ("event = \"pull_request\"\nref = \"refs/heads/main\"", own(), true),
        ("event = \"pull_request\"\nref = \"refs/heads/next\"", own(), false),
        ("event = \"pull_request\"\nref = \"refs/pull/7/head\"", own(), false),
        ("event = \"pull_request\"\nrepository = \"user/other\"", own(), false),
        ("event = \"pull_request\"\npipeline = \".bespin/web.yaml\"", own(), false),
    ] {
        assert_eq!(may(&row(keys), run), (expected, expected), "{keys} for {run:?}");
    }
}

#[test]
fn a_fork_gets_nothing_that_it_could_steal_or_write_to() {
    for keys in ["", "event = \"*\"", "event = \"pull_request\"", "event = \"pull_request\"\nfrom-fork = true"] {
        assert_eq!(may(&row(keys), asked(FORK)), (false, false), "{keys}");
        assert_eq!(may(&row(keys), asked(UNKNOWN)), (false, false), "{keys}: it could be anybody's");
    }
    assert!(row("event = \"pull_request\"\nfrom-fork = true").is_for_forks());
    assert!(!row("event = \"pull_request\"").is_for_forks() && !row("from-fork = true").is_for_forks());
}

#[test]
fn a_matching_row_sets_limits_and_the_last_one_counts() {
    let limited = |keys: &str, limits: &str| Policy { limits: toml::from_str(limits).unwrap(), ..row(keys) };
    let rows = [
        limited("", "memory = \"128MiB\"\nhost-calls = \"50\""),
        limited("repository = \"user/petclinic\"", "memory = \"256MiB\""),
        limited("repository = \"user/other\"", "memory = \"1MiB\"\ncpu = \"1s\""),
    ];
    let expected = Limits { memory_bytes: 256 << 20, host_calls: 50, ..Limits::default() };
    assert_eq!(limits(&rows, &pushed(), None), expected);
    // Of a pull request, rows that were written with pushes in mind say nothing.
    assert_eq!(limits(&rows, &asked(FORK), None), Limits::default());
}

#[test]
fn a_row_that_names_people_counts_after_the_approval_of_one_of_them() {
    let both = ["approved-by = [\"ann\", \"bob\"]", "event = \"pull_request\"\napproved-by = [\"ann\", \"bob\"]"];
    for (keys, run) in both.into_iter().zip([pushed(), asked(OWN)]) {
        for (approved_by, expected) in
            [(None, false), (Some("ann"), true), (Some("bob"), true), (Some("val"), false), (Some(""), false)]
        {
            let given = may_after(&[row(keys)], run, approved_by);
            assert_eq!(given, (expected, expected), "{keys} after {approved_by:?}");
        }
    }
    let nobody = row("approved-by = []");
    assert_eq!(may_after(&[nobody], pushed(), Some("ann")), (false, false), "though the start refuses such a row");
    let elsewhere = row("repository = \"user/other\"\napproved-by = [\"ann\"]");
    assert_eq!(may_after(&[elsewhere], pushed(), Some("ann")), (false, false), "an approval widens no row");
    let (given, held) = (toml::from_str("grants = { git = [\"git.example/user/manifests\"] }").unwrap(), row(both[0]));
    assert_eq!(may_after(&[held, given], pushed(), None), (false, true), "what another row gives is given");
}

#[test]
fn an_approval_gives_a_fork_nothing_more_than_before() {
    let keys = "event = \"pull_request\"\nfrom-fork = true\napproved-by = [\"ann\"]";
    assert_eq!(may_after(&[row(keys)], asked(FORK), Some("ann")), (false, false));
}

#[test]
fn the_limits_of_a_row_wait_for_its_approval_too() {
    let written = BTreeMap::from([("host-calls".to_owned(), "50".to_owned())]);
    let rows = [Policy { limits: written, ..row("approved-by = [\"ann\"]") }];
    let raised = Limits { host_calls: 50, ..Limits::default() };
    for (approved_by, expected) in [(None, Limits::default()), (Some("bob"), Limits::default()), (Some("ann"), raised)]
    {
        assert_eq!(limits(&rows, &pushed(), approved_by), expected, "{approved_by:?}");
    }
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, value, expected) in [
        ("refs/heads/main", "refs/heads/main", true),
        ("refs/heads/main", "refs/heads/main2", false),
        ("refs/heads/*", "refs/heads/a/b", true),
        ("user/*", "other/x", false),
        ("*/petclinic", "user/petclinic", true),
        ("*", "", true),
    ] {
        assert_eq!(covers(pattern, value), expected, "{pattern} on {value}");
    }
}
