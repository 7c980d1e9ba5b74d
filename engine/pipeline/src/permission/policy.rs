//! The server's key: what the administrator lets a run's plugins do.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::{Ability, Permissions, Whose};
use crate::limits::{Limits, Overrides};

/// The kind of a pull request's runs, as a row names it.
const PULL_REQUEST: &str = "pull_request";

/// What pipelines may do. A missing key matches everything; `*` matches any part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// The repository as `owner/name`; absent means every one.
    #[serde(default)]
    pub repository: Option<String>,
    /// The pipeline's file, such as `.bespin/was.yaml`.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// The full reference, such as `refs/heads/main`; of a pull request, the branch that it asks to change.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
    /// `push`, `tag`, `pull_request` or `manual`. A row is for pull requests only where it says `pull_request`.
    #[serde(default)]
    pub event: Option<String>,
    /// Whether forks' pull requests are meant as well. Theirs are `images`, `containers` and `http` at most.
    #[serde(default)]
    pub from_fork: FromFork,
    /// The plugins that the row is for, by digest, or by name where they are built in; all when absent. A row that
    /// grants a secret names them.
    #[serde(default)]
    pub plugins: Option<Vec<String>>,
    /// Operators: the row counts only for a step that one of them approved in the same run. Its pipeline asks them, by
    /// `approval`.
    #[serde(default)]
    pub approved_by: Option<Vec<String>>,
    /// Abilities and their values.
    pub grants: BTreeMap<String, Vec<String>>,
    /// Other limits than the usual ones, such as `{ memory = "128MiB" }`. Of several rows, the last counts.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
}

/// Whether a row is for the pull requests of forks as well: `from-fork = true`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "bool")]
pub enum FromFork {
    /// Only events of the repository itself.
    #[default]
    No,
    /// Events from forks as well.
    Yes,
}

impl From<bool> for FromFork {
    fn from(said: bool) -> FromFork {
        if said { FromFork::Yes } else { FromFork::No }
    }
}

/// A run, as the rows of the policy see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The repository as `owner/name`.
    pub repository: &'a str,
    /// The pipeline's file, such as `.bespin/was.yaml`.
    pub pipeline: &'a str,
    /// The event's kind, such as `push`.
    pub event: &'a str,
    /// Where the commit comes from.
    pub provenance: Provenance<'a>,
}

/// Where a run's commit comes from, and so who could have written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance<'a> {
    /// A branch or tag of the repository itself, by its full reference. Also of a run that a person started.
    Reference(&'a str),
    /// A pull request whose head is a branch of the repository itself.
    Own {
        /// The full reference of the branch that it asks to change.
        base: &'a str,
    },
    /// A pull request that anybody may have made.
    Fork {
        /// The full reference of the branch that it asks to change; `None` where nothing is known of it.
        base: Option<&'a str>,
    },
}

impl Provenance<'_> {
    /// Who speaks for such a run in the policy.
    fn whose(self) -> Whose {
        match self {
            Provenance::Reference(_) => Whose::Policy,
            Provenance::Own { .. } => Whose::PullRequest,
            Provenance::Fork { .. } => Whose::Fork,
        }
    }
}

/// Both keys of a step: its own grants, and everything that a matching row of the policy gives to its run.
/// Of a fork's pull request the policy speaks first, so that nobody is told to add what would not help.
/// `approved_by` is who approved the step in this run.
pub fn both(policy: &[Policy], run: &Subject<'_>, approved_by: Option<&str>, own: Permissions) -> Permissions {
    let whose = run.provenance.whose();
    let permissions = permissions(policy, run, approved_by, whose);
    if whose == Whose::Fork { permissions.within(&own) } else { own.within(&permissions) }
}

/// The limits of a step's calls: the usual ones, but where a matching row says otherwise.
pub fn limits(policy: &[Policy], run: &Subject<'_>, approved_by: Option<&str>) -> Limits {
    let rows = policy.iter().filter(|row| row.matches(run) && row.counts(approved_by));
    // The configuration was checked at the start; a row that does not parse changes nothing.
    rows.filter_map(|row| Overrides::of_steps(&row.limits).ok()).fold(Limits::default(), |limits, own| own.over(limits))
}

fn permissions(policy: &[Policy], run: &Subject<'_>, approved_by: Option<&str>, whose: Whose) -> Permissions {
    let matching = policy.iter().filter(|row| row.matches(run));
    let (given, held): (Vec<_>, Vec<_>) = matching.partition(|row| row.counts(approved_by));
    held.into_iter().fold(written(&given, whose), |permissions, row| {
        permissions.once_approved(row.approved_by.as_deref().unwrap_or_default(), written(&[row], whose))
    })
}

/// What rows say together, as far as it may be given.
fn written(rows: &[&Policy], whose: Whose) -> Permissions {
    let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        // Whatever a row says: this is where a fork's pull request is cut.
        let may = |name: &str| Ability::named(name).is_some_and(|ability| whose.may_give(ability));
        for (ability, values) in row.grants.iter().filter(|(name, _)| may(name)) {
            written.entry(ability.clone()).or_default().extend(values.iter().cloned());
        }
    }
    // The configuration was checked at the start; a row that does not parse gives nothing.
    Permissions::parse(whose, &written).unwrap_or_else(|_| Permissions::none())
}

impl Policy {
    /// Whether the row is for a run, whatever its plugins.
    pub fn matches(&self, run: &Subject<'_>) -> bool {
        // Of a pull request, the reference is the branch that it asks to change: its own may be called anything.
        let reference = match run.provenance {
            Provenance::Reference(reference) => reference,
            Provenance::Own { base } if self.event.as_deref() == Some(PULL_REQUEST) => base,
            Provenance::Fork { base: Some(base) } if self.is_for_forks() => base,
            // A row that does not name the event was written with pushes in mind.
            Provenance::Own { .. } | Provenance::Fork { .. } => return false,
        };
        let pairs = [
            (&self.repository, run.repository),
            (&self.pipeline, run.pipeline),
            (&self.reference, reference),
            (&self.event, run.event),
        ];
        pairs.iter().all(|(pattern, value)| pattern.as_deref().is_none_or(|pattern| covers(pattern, value)))
    }

    /// Whether the row is for a step that this person approved in its run: always where it names nobody.
    pub fn counts(&self, approved_by: Option<&str>) -> bool {
        let named = |people: &Vec<String>| people.iter().any(|name| Some(name.as_str()) == approved_by);
        self.approved_by.as_ref().is_none_or(named)
    }

    /// Whether forks' pull requests are meant: both the event and the forks are named.
    pub fn is_for_forks(&self) -> bool {
        self.event.as_deref() == Some(PULL_REQUEST) && self.from_fork == FromFork::Yes
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
