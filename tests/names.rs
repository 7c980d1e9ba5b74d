//! The law on names: two types of the engine share a name by the house's pattern alone, or by the list of those
//! that have not been named apart yet. The playground is counted by itself, since it shares no logic with what it judges.

use super::{code, engine};
use std::collections::{BTreeMap, BTreeSet};

/// What a stage, a crate or a command calls its own, wherever it stands: the module says whose it is.
const PATTERN: &[&str] = &["Act", "Entry", "Error", "Observed", "Options", "Recorded", "Settings", "State"];

/// Names that two types or more still bear. One that is named apart must leave the list.
const LEFT: &[(&str, &[&str])] = &[
    (
        "one in each crate, for its own side of the matter: adapters do not know each other, and what decides knows none of them",
        &[
            "Bound",
            "Bounds",
            "Cli",
            "Commit",
            "Containers",
            "Credentials",
            "Event",
            "Generator",
            "Head",
            "Key",
            "Length",
            "Limits",
            "Login",
            "Mistakes",
            "Network",
            "Node",
            "Output",
            "Phase",
            "Progress",
            "Registry",
            "Remote",
            "Scope",
            "Session",
            "Shown",
            "Source",
            "Stand",
            "Start",
            "Stream",
            "User",
            "Whose",
        ],
    ),
    (
        "several in one crate, and not named apart yet",
        &[
            "Approval",
            "Asked",
            "Cause",
            "Change",
            "Changed",
            "Command",
            "Context",
            "Ended",
            "File",
            "Health",
            "Identity",
            "Index",
            "Kind",
            "Known",
            "Memory",
            "Mistake",
            "Part",
            "Place",
            "Plan",
            "PullRequest",
            "Push",
            "Reach",
            "Reader",
            "Refused",
            "Request",
            "Response",
            "Split",
            "Status",
            "Step",
            "Tag",
            "Verdict",
        ],
    ),
    (
        "two stages that each have one, and that are not named apart yet",
        &["ActKey", "Branch", "Intent", "Move", "Objects", "Operation", "Origin", "Outcome", "Reply", "Standing"],
    ),
    (
        "what a plugin asks for, beside what the server makes of it: the sandbox knows pipelines, and no stage",
        &[
            "Answer",
            "Build",
            "Bump",
            "Failure",
            "Found",
            "Listed",
            "ListedKind",
            "Named",
            "Names",
            "OnTimeout",
            "Plugin",
            "Pushed",
            "Read",
            "Saved",
        ],
    ),
    ("within the binary, and not named apart yet", &["Attempt", "Host", "Server", "Terraform"]),
];

#[test]
fn two_types_share_a_name_by_the_pattern_alone() {
    let mut bearers: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    // What stands in for a part that a build leaves out bears the part's name.
    for (crate_name, path, text) in engine().into_iter().filter(|(_, path, _)| !path.ends_with("/absent.rs")) {
        for name in types(&code(&text)) {
            bearers.entry((crate_name == "playground", name)).or_default().push(format!("{crate_name}/{path}"));
        }
    }
    let all: usize = bearers.values().map(Vec::len).sum();
    let names: BTreeSet<_> = bearers.keys().map(|(_, name)| name).collect();
    eprintln!("{all} types carry {} names", names.len());
    let mut shared: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for ((_, name), of) in bearers.iter().filter(|(_, of)| of.len() > 1) {
        if !PATTERN.contains(&name.as_str()) {
            shared.entry(name).or_default().extend(of);
        }
    }
    let listed: BTreeSet<&str> = LEFT.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let new: Vec<_> = shared.iter().filter(|(name, _)| !listed.contains(**name)).collect();
    assert!(new.is_empty(), "these types share a name: name each by what sets it apart: {new:#?}");
    let gone: Vec<_> = listed.iter().filter(|name| !shared.contains_key(**name)).collect();
    assert!(gone.is_empty(), "these names are borne once: take them out of the list: {gone:?}");
}

/// The names of the types that a file declares at its top level.
fn types(code: &str) -> Vec<String> {
    let name = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        let is_type = ["struct", "enum", "trait", "type", "union"].contains(&words.next()?);
        let name = words.next().filter(|_| is_type && !line.starts_with(' '))?;
        name.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)
    };
    code.lines().filter_map(name).collect()
}
