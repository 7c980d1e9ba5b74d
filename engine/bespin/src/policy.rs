//! The server's key: what the administrator lets a run's plugins do.

use crate::config::Policy;
use decide::run::Opened;
use sandbox::{Grants, Whose};
use std::collections::BTreeMap;

/// The leave that the policy gives to a run: everything that a matching row gives.
pub fn leave(policy: &[Policy], run: &Opened) -> Grants {
    let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in policy.iter().filter(|row| matches(row, run)) {
        for (ability, values) in &row.grants {
            written.entry(ability.clone()).or_default().extend(values.iter().cloned());
        }
    }
    // The configuration was checked at the start; a row that does not parse gives nothing.
    Grants::parse(Whose::Policy, &written).unwrap_or_else(|_| Grants::none())
}

fn matches(row: &Policy, run: &Opened) -> bool {
    let pairs = [
        (&row.repository, &run.repository),
        (&row.pipeline, &run.pipeline_file),
        (&row.reference, &run.event.reference),
        (&row.event, &run.event.kind),
    ];
    pairs.iter().all(|(pattern, value)| pattern.as_deref().is_none_or(|pattern| covers(pattern, value)))
}

/// `*` stands for any text; everything else for itself.
fn covers(pattern: &str, value: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == value,
        Some((start, rest)) => value.strip_prefix(start).is_some_and(|left| {
            left.char_indices().map(|(at, _)| at).chain([left.len()]).any(|at| covers(rest, &left[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

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
}
