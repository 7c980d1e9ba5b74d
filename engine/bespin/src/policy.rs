//! The server's key: what the administrator lets a run's plugins do.

use crate::config::{FromFork, Policy};
use decide::delivery::Origin;
use decide::run::{Event, Opened};
use sandbox::{Ability, Grants, Limits, Overrides, Whose};
use std::collections::BTreeMap;

/// Both keys of a step: its own grants, and everything that a matching row of the policy gives to its run.
/// Of a fork's pull request the policy speaks first, so that nobody is told to add what would not help.
/// `approved_by` is who approved the step in this run.
pub fn both(policy: &[Policy], run: &Opened, approved_by: Option<&str>, own: Grants) -> Grants {
    let whose = whose(&run.event);
    let leave = leave(policy, run, approved_by, whose);
    if whose == Whose::Fork { leave.within(&own) } else { own.within(&leave) }
}

/// The limits of a step's calls: the usual ones, but where a matching row says otherwise.
pub fn limits(policy: &[Policy], run: &Opened, approved_by: Option<&str>) -> Limits {
    let rows = policy.iter().filter(|row| matches(row, run) && row.counts(approved_by));
    // The configuration was checked at the start; a row that does not parse changes nothing.
    rows.filter_map(|row| Overrides::of_steps(&row.limits).ok()).fold(Limits::default(), |limits, own| own.over(limits))
}

fn leave(policy: &[Policy], run: &Opened, approved_by: Option<&str>, whose: Whose) -> Grants {
    let matching = policy.iter().filter(|row| matches(row, run));
    let (given, held): (Vec<_>, Vec<_>) = matching.partition(|row| row.counts(approved_by));
    held.into_iter().fold(written(&given, whose), |leave, row| {
        leave.once_approved(row.approved_by.as_deref().unwrap_or_default(), written(&[row], whose))
    })
}

/// What rows say together, as far as it may be given.
fn written(rows: &[&Policy], whose: Whose) -> Grants {
    let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        // Whatever a row says: this is where a fork's pull request is cut.
        let may = |name: &str| Ability::named(name).is_some_and(|ability| whose.may_give(ability));
        for (ability, values) in row.grants.iter().filter(|(name, _)| may(name)) {
            written.entry(ability.clone()).or_default().extend(values.iter().cloned());
        }
    }
    // The configuration was checked at the start; a row that does not parse gives nothing.
    Grants::parse(whose, &written).unwrap_or_else(|_| Grants::none())
}

fn whose(event: &Event) -> Whose {
    match event.origin() {
        Some(Origin::Own) => Whose::PullRequest,
        Some(Origin::Fork) => Whose::Fork,
        None => Whose::Policy,
    }
}

/// Whether a row is for a run, whatever its plugins.
pub fn matches(row: &Policy, run: &Opened) -> bool {
    // Of a pull request, the reference is the branch that it asks to change: its own may be called anything.
    let reference = match (whose(&run.event), &run.event.pull_request) {
        (Whose::Step | Whose::Policy, _) => &run.event.reference,
        (Whose::PullRequest, Some(asked)) if row.event.as_deref() == Some(Event::PULL_REQUEST) => &asked.base,
        (Whose::Fork, Some(asked)) if row.is_for_forks() => &asked.base,
        // A row that does not name the event was written with pushes in mind.
        (Whose::PullRequest | Whose::Fork, _) => return false,
    };
    let pairs = [
        (&row.repository, &run.repository),
        (&row.pipeline, &run.pipeline_file),
        (&row.reference, reference),
        (&row.event, &run.event.kind),
    ];
    pairs.iter().all(|(pattern, value)| pattern.as_deref().is_none_or(|pattern| covers(pattern, value)))
}

impl Policy {
    /// Whether the row is for a step that this person approved in its run: always where it names nobody.
    pub fn counts(&self, approved_by: Option<&str>) -> bool {
        let named = |people: &Vec<String>| people.iter().any(|name| Some(name.as_str()) == approved_by);
        self.approved_by.as_ref().is_none_or(named)
    }

    /// Whether forks' pull requests are meant: both the event and the forks are named.
    pub fn is_for_forks(&self) -> bool {
        self.event.as_deref() == Some(Event::PULL_REQUEST) && self.from_fork == FromFork::Yes
    }
}

/// `*` stands for any text; everything else for itself.
pub fn covers(pattern: &str, value: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == value,
        Some((start, rest)) => value.strip_prefix(start).is_some_and(|left| {
            left.char_indices().map(|(at, _)| at).chain([left.len()]).any(|at| covers(rest, &left[at..]))
        }),
    }
}

#[cfg(test)]
mod tests;
