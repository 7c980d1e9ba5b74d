//! The routers that are plugins: the table `[[route]]`.

use super::extensions::{mistakes, unusable};
use super::{PluginSource, SecretSource};
use pipeline::permission::covers;
use pipeline::permission::{Permissions, Whose};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Who shares the traffic of the Rollouts that name it in `trafficRouting.plugins`, and what it may reach.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RoutePlugin {
    /// The name that Rollouts use, such as `argoproj-labs/gatewayAPI`.
    pub name: String,
    /// A plugin of the world `route`: a name in the folder of plugins, or `host/name@sha256:...`.
    pub plugin: String,
    /// The Rollouts that it serves, as a policy row's `canary` names them; without it, whichever names it.
    pub rollouts: Option<Vec<String>>,
    /// The hosts that it may ask, as a policy row's `http` names them.
    #[serde(default)]
    pub http: Vec<String>,
    /// The secrets that it may use.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Other limits of a call than the usual ones, such as `{ wall = "30s" }`.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
}

impl RoutePlugin {
    /// What it may do. This row is all the permission that it needs: there is no step whose own grants would narrow it.
    ///
    /// # Errors
    /// Every value that its ability cannot have.
    pub fn grants(&self) -> Result<Permissions, Vec<String>> {
        Permissions::parse(Whose::Policy, &self.written())
    }

    /// The same as it is written, by ability.
    pub fn written(&self) -> BTreeMap<String, Vec<String>> {
        let written = [("http", &self.http), ("secrets", &self.secrets)].into_iter();
        let given = written.filter(|(_, values)| !values.is_empty());
        given.map(|(ability, values)| (ability.to_owned(), values.clone())).collect()
    }

    /// Whether it serves a Rollout, by its `cluster/namespace/name`: the author of one chooses what it is told.
    pub fn serves(&self, rollout: &str) -> bool {
        let matches = |pattern: &String| {
            let is_as_long = pattern.matches('/').count() == rollout.matches('/').count();
            is_as_long && pattern.split('/').zip(rollout.split('/')).all(|(pattern, part)| covers(pattern, part))
        };
        self.rollouts.as_ref().is_none_or(|patterns| patterns.iter().any(matches))
    }

    /// What is wrong with the row; `known` are the secrets that there are.
    pub(super) fn check(
        &self,
        sources: &[PluginSource],
        known: &BTreeMap<String, SecretSource>,
        found: &mut Vec<String>,
    ) {
        let mut wrong = Vec::new();
        let parts: Vec<&str> = self.name.split('/').collect();
        if !matches!(parts.as_slice(), [vendor, name] if !vendor.is_empty() && !name.is_empty()) {
            wrong.push(format!("`{}` is no name of a router; write vendor/name, as Rollouts do", self.name));
        }
        wrong.extend(unusable(&self.plugin, sources));
        wrong.extend(self.grants().err().into_iter().flatten());
        wrong.extend(mistakes(&self.limits));
        if let Some(rollouts) = &self.rollouts {
            if rollouts.is_empty() {
                wrong
                    .push("rollouts: the list is empty, so the row is for none; name one, or leave the key out".into());
            }
            let canary = BTreeMap::from([("canary".to_owned(), rollouts.clone())]);
            let found = Permissions::parse(Whose::Policy, &canary).err().into_iter().flatten();
            wrong.extend(found.map(|mistake| mistake.replacen("grants: canary", "rollouts", 1)));
        }
        let missing = self.secrets.iter().filter(|secret| !known.contains_key(*secret));
        wrong.extend(missing.map(|secret| format!("there is no secret `{secret}`; add it to [secret]")));
        found.extend(wrong.into_iter().map(|what| format!("route `{}`: {what}", self.name)));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(rows: &str) -> Result<Config, String> {
        Config::parse("bespin.toml", &format!("[server]\ndata = \"d\"\n{rows}")).map_err(|all| all.to_string())
    }

    #[test]
    fn a_router_names_its_plugin_and_its_reach() {
        let config = parse(
            "[secret]\nrouter = { file = \"Cargo.toml\" }\n\
             [[route]]\nname = \"argoproj-labs/gatewayAPI\"\nplugin = \"gateway\"\n\
             rollouts = [\"production/petclinic/*\", \"*/shop/w*\"]\n\
             http = [\"PUT,GET api.example.com\"]\nsecrets = [\"router\"]\n",
        );
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(config.route[0].name, "argoproj-labs/gatewayAPI");
        assert!(config.route[0].grants().is_ok());
        for (rollout, served) in [
            ("production/petclinic/was", true),
            ("test/shop/web", true),
            ("test/petclinic/was", false),
            ("production/petclinic-2/was", false),
            ("production/petclinic/was/x", false),
            ("test/shop/api", false),
        ] {
            assert_eq!(config.route[0].serves(rollout), served, "{rollout}");
        }
        let all = parse("[[route]]\nname = \"a/b\"\nplugin = \"p\"\n").unwrap();
        assert!(all.route[0].serves("production/petclinic/was"));
    }

    #[test]
    fn every_mistake_has_its_place_and_its_help() {
        let mistakes = parse(
            "[[route]]\nname = \"gateway\"\nplugin = \"\"\n\
             [[route]]\nname = \"a/b\"\nplugin = \"p\"\nhttp = [\"*\"]\nsecrets = [\"router\"]\n\
             [[route]]\nname = \"a/b\"\nplugin = \"ghcr.io/acme/p:1\"\nrollouts = [\"petclinic/*\"]\n\
             [[route]]\nname = \"a/c\"\nplugin = \"p\"\nrollouts = []\nlimits = { waiting = \"1\" }\n",
        )
        .expect_err("it is full of mistakes");
        for part in [
            "route `gateway`: `gateway` is no name of a router; write vendor/name",
            "route `gateway`: `plugin` is empty",
            "route `a/b`: grants: http: `*`",
            "route `a/b`: there is no secret `router`; add it to [secret]",
            "route `a/b`: `ghcr.io/acme/p:1` is a tag",
            "route `a/b`: rollouts: `petclinic/*`: write `cluster/namespace/name`",
            "route `a/c`: rollouts: the list is empty",
            "route `a/c`: limits: waiting: `1`: there is no such limit",
            "route: `a/b` stands there twice",
        ] {
            assert!(mistakes.contains(part), "{part} is not in:\n{mistakes}");
        }
        let typo = parse("[[route]]\nname = \"a/b\"\nplugin = \"p\"\ngit = [\"x\"]\n").expect_err("no such ability");
        assert!(typo.contains("line 6") && typo.contains("git"), "{typo}");
    }
}
