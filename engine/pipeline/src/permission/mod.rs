//! Permissions: what a plugin may do, checked before the host is asked.
//!
//! A plugin's import list is one key, permission is the other. Permissions come in
//! layers (the step's own `grants:`, the server's policy), and each of them has
//! to agree: a layer can only narrow the others. Absent means none.

mod ability;
mod denied;
mod http;
mod policy;
mod value;

use std::collections::{BTreeMap, BTreeSet};

pub use ability::Ability;
pub use denied::Denied;
pub use http::{HostReach, Target};
pub use policy::{FromFork, Policy, Provenance, Subject, both, covers, limits};
pub use value::{git_value, registry_value, terraform_value};

/// What one call of a plugin may do.
#[derive(Clone, Debug)]
pub struct Permissions {
    layers: Vec<PermissionLayer>,
}

/// Who gave a layer of permissions, and so who can widen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The pipeline file, in the step's `grants:`.
    Step,
    /// The server's policy, which only its administrator changes.
    Policy,
    /// The policy, for a pull request whose head is a branch of the repository itself.
    PullRequest,
    /// The policy, for a pull request that anybody may have made.
    Fork,
}

impl Whose {
    /// Whether this ability can be given at all. What a fork's pull request can be given holds no
    /// credential and writes nowhere that outlives it; everything else is refused, what comes later as well.
    pub fn may_give(self, ability: Ability) -> bool {
        match self {
            Whose::Step | Whose::Policy | Whose::PullRequest => true,
            Whose::Fork => matches!(ability, Ability::Images | Ability::Containers | Ability::Http),
        }
    }
}

#[derive(Clone, Debug)]
struct PermissionLayer {
    whose: Whose,
    http: Vec<http::HttpRule>,
    /// Patterns of every other ability.
    patterns: BTreeMap<Ability, Vec<String>>,
    /// What it would give after an approval. It gives nothing; it only improves the help of denials.
    held: Vec<HeldLayer>,
}

#[derive(Clone, Debug)]
struct HeldLayer {
    /// Who may approve the step.
    by: Vec<String>,
    layer: PermissionLayer,
}

impl Permissions {
    /// No permission at all, but for what is free.
    pub fn none() -> Self {
        Permissions { layers: vec![PermissionLayer::empty(Whose::Step)] }
    }

    /// Reads permissions as they are written: an ability's name and its values.
    ///
    /// # Errors
    ///
    /// Every mistake at once: an unknown ability, or a value that its ability cannot have.
    pub fn parse(whose: Whose, written: &BTreeMap<String, Vec<String>>) -> Result<Self, Vec<String>> {
        let mut layer = PermissionLayer::empty(whose);
        let mut mistakes = Vec::new();
        for (name, values) in written {
            let Some(ability) = Ability::named(name) else {
                let known = Ability::ALL.map(Ability::name).join(", ");
                mistakes.push(format!("`{name}` is no ability; there are {known}"));
                continue;
            };
            for value in values {
                if let Err(mistake) = layer.add(ability, value) {
                    mistakes.push(format!("grants: {ability}: `{value}`: {mistake}"));
                }
            }
        }
        if mistakes.is_empty() { Ok(Permissions { layers: vec![layer] }) } else { Err(mistakes) }
    }

    /// Narrowed by other permissions: both have to agree from now on.
    #[must_use]
    pub fn within(mut self, other: &Permissions) -> Self {
        self.layers.extend(other.layers.iter().cloned());
        self
    }

    /// The same permissions: what else there would be, had one of these people approved the step, only improves the help of its denials.
    #[must_use]
    pub fn once_approved(mut self, by: &[String], more: Permissions) -> Self {
        for layer in &mut self.layers {
            layer.held.extend(more.layers.iter().map(|more| HeldLayer { by: by.to_vec(), layer: more.clone() }));
        }
        self
    }

    /// Whether a registry's repository, `host/name`, may be pushed to.
    pub fn let_push(&self, to: &str) -> bool {
        registry_value(to).is_ok_and(|to| self.covers(Ability::Registry, to).is_ok())
    }

    /// Whether a git repository may be written to, by its address.
    pub fn let_bump(&self, address: &str) -> bool {
        git_value(address).is_ok_and(|repository| self.covers(Ability::Git, &repository).is_ok())
    }

    /// Whether anything at all may be done with an ability.
    ///
    /// # Errors
    ///
    /// The permission that is missing, for what the plugin wanted to do.
    pub fn holds(&self, ability: Ability, wanted: &str) -> Result<(), Denied> {
        match self.layers.iter().find(|layer| !layer.holds(ability)) {
            Some(layer) if !ability.is_free() => Err(layer.denies(ability, wanted, |held| held.holds(ability))),
            _ => Ok(()),
        }
    }

    /// Whether an ability may be used with this value. Not for `http`, which is judged by method and address.
    ///
    /// # Errors
    ///
    /// The permission that is missing.
    pub fn covers(&self, ability: Ability, value: &str) -> Result<(), Denied> {
        match self.layers.iter().find(|layer| !layer.covers(ability, value)) {
            Some(layer) if !ability.is_free() => Err(layer.denies(ability, value, |held| held.covers(ability, value))),
            _ => Ok(()),
        }
    }

    /// Whether a request may be sent, and how far its name may reach. A denial shows the target as `shown`.
    ///
    /// # Errors
    ///
    /// The permission that is missing.
    pub fn reach(&self, target: &Target, shown: &str) -> Result<HostReach, Denied> {
        let mut reach = HostReach::Local;
        for layer in &self.layers {
            let denied = || layer.denies(Ability::Http, shown, |held| held.reach(target).is_some());
            reach = reach.min(layer.reach(target).ok_or_else(denied)?);
        }
        Ok(reach)
    }
}

impl PermissionLayer {
    fn empty(whose: Whose) -> Self {
        PermissionLayer { whose, http: Vec::new(), patterns: BTreeMap::new(), held: Vec::new() }
    }

    fn add(&mut self, ability: Ability, value: &str) -> Result<(), String> {
        if !self.whose.may_give(ability) {
            return Err("a fork's pull request never gets it; give it in a row without `from-fork`".to_owned());
        }
        if ability == Ability::Http {
            self.http.push(http::HttpRule::parse(value)?);
            return Ok(());
        }
        value::check_pattern(ability, value)?;
        self.patterns.entry(ability).or_default().push(value.to_owned());
        Ok(())
    }

    fn holds(&self, ability: Ability) -> bool {
        match ability {
            Ability::Http => !self.http.is_empty(),
            _ => self.patterns.get(&ability).is_some_and(|patterns| !patterns.is_empty()),
        }
    }

    fn covers(&self, ability: Ability, value: &str) -> bool {
        // Permission to read a secret's value includes permission to use it unseen.
        let matches = |pattern: &String| match (ability, pattern.strip_prefix("read:")) {
            (Ability::Secrets, Some(name)) => value::matches(name, value.strip_prefix("read:").unwrap_or(value)),
            _ => value::matches(pattern, value),
        };
        self.patterns.get(&ability).is_some_and(|patterns| patterns.iter().any(matches))
    }

    /// How far a request may reach, by the widest rule that is for it.
    fn reach(&self, target: &Target) -> Option<HostReach> {
        self.http.iter().filter_map(|rule| rule.reach(target)).max()
    }

    /// A denial, with its help: whose approval where that is all that is missing, else the grant to add.
    fn denies(&self, grant: Ability, value: &str, gives: impl Fn(&PermissionLayer) -> bool) -> Denied {
        let held = self.held.iter().filter(|held| gives(&held.layer)).flat_map(|held| &held.by);
        let people: BTreeSet<&str> = held.map(String::as_str).collect();
        let help = if people.is_empty() { self.help(grant, value) } else { approval_by(people) };
        Denied { grant, value: value.to_owned(), help }
    }

    fn help(&self, grant: Ability, value: &str) -> String {
        let line = format!("{grant} = [\"{value}\"]");
        let policy = "the server's policy does not allow it; its administrator can add";
        match self.whose {
            Whose::Step => format!("add to the step: grants: {{ {grant}: [\"{value}\"] }}"),
            Whose::Policy => format!("{policy}: {line}"),
            Whose::PullRequest => format!("{policy}, to a row with `event = \"pull_request\"`: {line}"),
            Whose::Fork if self.whose.may_give(grant) => {
                format!("{policy}, to a row with `event = \"pull_request\"` and `from-fork = true`: {line}")
            }
            Whose::Fork => format!("a fork's pull request never gets `{grant}`"),
        }
    }
}

fn approval_by(people: BTreeSet<&str>) -> String {
    let people: Vec<&str> = people.into_iter().collect();
    let (who, by) = (people.join(" or "), people.join(", "));
    format!("this permission needs an approval by {who}: add approval: {{ ask: ..., by: [{by}] }} to the step")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(whose: Whose, ability: &str, values: &[&str]) -> Permissions {
        let values = values.iter().map(|&v| v.to_owned()).collect();
        Permissions::parse(whose, &BTreeMap::from([(ability.to_owned(), values)])).unwrap()
    }

    #[test]
    fn absent_means_none_but_for_what_is_free() {
        let none = Permissions::none();
        for ability in Ability::ALL {
            assert_eq!(none.covers(ability, "x/y/z").is_ok(), ability.is_free(), "{ability}");
            assert_eq!(none.holds(ability, "").is_ok(), ability.is_free(), "{ability}");
        }
    }

    #[test]
    fn a_denial_names_the_line_to_add() {
        let denied = grants(Whose::Step, "registry", &["host/a"]).covers(Ability::Registry, "host/b").unwrap_err();
        assert_eq!(denied.help, r#"add to the step: grants: { registry: ["host/b"] }"#);
        assert_eq!(denied.grant, Ability::Registry);
    }

    #[test]
    fn what_waits_for_an_approval_is_not_given_and_says_whose_is_missing() {
        let policy = |ability: &str, values: &[&str]| grants(Whose::Policy, ability, values);
        let by = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let held = policy("git", &["github.com/user/a"])
            .once_approved(&by(&["ann", "bob"]), policy("git", &["github.com/user/b", "github.com/user/c"]))
            .once_approved(&by(&["bob", "carol"]), policy("git", &["github.com/user/c"]))
            .once_approved(&by(&["ann"]), policy("http", &["POST example.com"]));
        assert!(held.covers(Ability::Git, "github.com/user/a").is_ok());
        let help = |value: &str| held.covers(Ability::Git, value).unwrap_err().help;
        let waits =
            "this permission needs an approval by ann or bob: add approval: { ask: ..., by: [ann, bob] } to the step";
        assert_eq!(help("github.com/user/b"), waits);
        assert!(help("github.com/user/c").contains("by ann or bob or carol: "), "each of them would do");
        assert!(help("github.com/user/d").contains("its administrator can add"), "nobody's approval would give it");
        let post = Target::of("POST", &url::Url::parse("https://example.com/x").unwrap()).unwrap();
        let denied = held.reach(&post, "POST https://example.com/x").unwrap_err();
        assert!(denied.help.starts_with("this permission needs an approval by ann: "), "{}", denied.help);
        assert!(held.holds(Ability::Http, "").unwrap_err().help.contains("by: [ann]"));
        let narrowed = grants(Whose::Step, "git", &["github.com/user/a"]).within(&held);
        let own = narrowed.covers(Ability::Git, "github.com/user/b").unwrap_err().help;
        assert!(own.starts_with("add to the step: grants:"), "the step's own grant comes first: {own}");
    }

    #[test]
    fn patterns_do_not_cross_a_slash() {
        let own = grants(Whose::Step, "cluster", &["production/petclinic/*"]);
        assert!(own.covers(Ability::Cluster, "production/petclinic/web").is_ok());
        assert!(own.covers(Ability::Cluster, "production/other/web").is_err());
        assert!(own.covers(Ability::Cluster, "production/petclinic/a/b").is_err());
        assert!(own.covers(Ability::Canary, "production/petclinic/web").is_err());
    }

    #[test]
    fn a_policy_only_narrows() {
        let step = grants(Whose::Step, "git", &["github.com/user/a", "github.com/user/b"]);
        let policy = grants(Whose::Policy, "git", &["github.com/user/b", "github.com/user/c"]);
        let both = step.within(&policy);
        assert!(both.covers(Ability::Git, "github.com/user/b").is_ok());
        assert!(both.covers(Ability::Git, "github.com/user/a").unwrap_err().help.contains("administrator"));
        assert!(both.covers(Ability::Git, "github.com/user/c").unwrap_err().help.starts_with("add to the step"));
    }

    #[test]
    fn a_fork_is_never_given_more_than_what_holds_nothing() {
        for ability in Ability::ALL {
            let given = matches!(ability, Ability::Http | Ability::Containers | Ability::Images);
            assert_eq!(Whose::Fork.may_give(ability), given, "{ability}");
        }
        let written = |ability: &str| BTreeMap::from([(ability.to_owned(), vec!["token".to_owned()])]);
        let refused = Permissions::parse(Whose::Fork, &written("secrets")).unwrap_err();
        assert!(refused[0].contains("a fork's pull request never gets it"), "{refused:?}");
        let nothing = Permissions::parse(Whose::Fork, &BTreeMap::new()).unwrap();
        let never = nothing.covers(Ability::Secrets, "token").unwrap_err();
        assert_eq!(never.help, "a fork's pull request never gets `secrets`");
        let unasked = nothing.covers(Ability::Images, "build").unwrap_err();
        assert!(unasked.help.ends_with(r#"and `from-fork = true`: images = ["build"]"#), "{}", unasked.help);
        let own = Permissions::parse(Whose::PullRequest, &written("secrets")).unwrap();
        assert!(own.covers(Ability::Secrets, "token").is_ok());
        let other = own.covers(Ability::Secrets, "other").unwrap_err();
        assert!(other.help.ends_with(r#"`event = "pull_request"`: secrets = ["other"]"#), "{}", other.help);
    }

    #[test]
    fn a_secret_that_may_be_used_may_not_be_read() {
        let unseen = grants(Whose::Step, "secrets", &["token"]);
        assert!(unseen.covers(Ability::Secrets, "token").is_ok());
        assert!(unseen.covers(Ability::Secrets, "read:token").is_err());
        let seen = grants(Whose::Step, "secrets", &["read:token"]);
        assert!(seen.covers(Ability::Secrets, "token").is_ok());
        assert!(seen.covers(Ability::Secrets, "read:token").is_ok());
        assert!(seen.covers(Ability::Secrets, "read:other").is_err());
    }

    #[test]
    fn every_mistake_is_reported() {
        let written = BTreeMap::from([
            ("registri".to_owned(), vec!["a/b".to_owned()]),
            ("cluster".to_owned(), vec!["petclinic".to_owned()]),
            ("images".to_owned(), vec!["build".to_owned(), "destroy".to_owned()]),
            ("http".to_owned(), vec!["FTP x y".to_owned()]),
        ]);
        let mistakes = Permissions::parse(Whose::Step, &written).unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    }
}
