//! Plugins that the server's own stages call: the tables `[[health]]` and `[[generate]]`.
//!
//! They are named by the configuration alone, so that no pipeline and no manifest decides what code judges a cluster.

use super::PluginSource;
use decide::health::Kind;
use pipeline::limits::{Limits, Overrides};
use pipeline::lock::plugin_reference;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Whose judgement counts for the objects of a kind, instead of our own rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthPlugin {
    /// The kind, as `group/Kind`; a kind of the core has no group.
    pub kind: String,
    /// A plugin of the world `health`: a name in the folder of plugins, or `host/name@sha256:...`.
    pub plugin: String,
    /// Other limits of a call than the usual ones, such as `{ wall = "10s" }`.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
}

/// Who makes the manifests of the Applications that name it in `spec.source.plugin.name`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Generator {
    /// The name that Applications use.
    pub name: String,
    /// A plugin of the world `generate`: a name in the folder of plugins, or `host/name@sha256:...`.
    pub plugin: String,
    /// Other limits of a call than the usual ones, such as `{ wall = "10s" }`.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
}

impl HealthPlugin {
    /// How mistakes call the row.
    pub fn place(&self) -> String {
        format!("health `{}`", self.kind)
    }

    /// What is wrong with the row.
    pub(super) fn check(&self, sources: &[PluginSource], found: &mut Vec<String>) {
        let kind = self.kind.parse::<Kind>().map(drop);
        let wrong = kind.err().into_iter().chain(unusable(&self.plugin, sources)).chain(mistakes(&self.limits));
        found.extend(wrong.map(|what| format!("{}: {what}", self.place())));
    }
}

impl Generator {
    /// How mistakes call the row.
    pub fn place(&self) -> String {
        format!("generate `{}`", self.name)
    }

    /// What is wrong with the row.
    pub(super) fn check(&self, sources: &[PluginSource], found: &mut Vec<String>) {
        let wrong = unusable(&self.plugin, sources).into_iter().chain(mistakes(&self.limits));
        found.extend(wrong.map(|what| format!("{}: {what}", self.place())));
    }
}

/// The limits of a row's calls: the usual ones, but where the row says otherwise.
pub fn limited(row: &BTreeMap<String, String>, usual: Limits) -> Limits {
    // The configuration was checked at the start; what does not parse changes nothing.
    Overrides::of_stages(row).unwrap_or_default().over(usual)
}

/// What is wrong with a row's limits.
pub(super) fn mistakes(limits: &BTreeMap<String, String>) -> Vec<String> {
    Overrides::of_stages(limits).err().unwrap_or_default()
}

/// Why no stage can ever use a plugin that the configuration names like this, with the help.
pub(super) fn unusable(plugin: &str, sources: &[PluginSource]) -> Option<String> {
    if plugin.is_empty() {
        return Some("`plugin` is empty; name a plugin of the folder, or `host/name@sha256:...`".into());
    }
    if !plugin.contains(['/', ':', '@']) {
        return None;
    }
    let reference = match plugin_reference(plugin) {
        Ok(reference) => reference,
        Err((what, help)) => return Some(format!("{what}; {help}")),
    };
    if reference.digest.is_none() {
        return Some(format!(
            "`{plugin}` is a tag, which can move; write `{}@sha256:...` with the digest that `bespin plugin inspect \
             {plugin}` shows",
            reference.name()
        ));
    }
    let name = reference.name();
    let help = format!("add [[plugin-source]] with match = \"{name}\" and the keys that sign it");
    (!sources.iter().any(|source| source.covers(&name))).then(|| format!("no source is for `{name}`; {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::time::Duration;

    fn parse(rows: &str) -> Result<Config, String> {
        Config::parse("bespin.toml", &format!("[server]\ndata = \"d\"\n{rows}")).map_err(|all| all.to_string())
    }

    #[test]
    fn a_kind_and_a_generator_name_their_plugins() {
        let config = parse(
            "[[health]]\nkind = \"cert-manager.io/Certificate\"\nplugin = \"certificates\"\n\
             [[health]]\nkind = \"Pod\"\nplugin = \"pods\"\n\
             [[generate]]\nname = \"envsubst\"\nplugin = \"envsubst\"\nlimits = { wall = \"2m\" }\n",
        );
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!((config.health.len(), config.generate.len()), (2, 1));
        let limits = limited(&config.generate[0].limits, Limits::default());
        assert_eq!(limits, Limits { wall: Duration::from_secs(120), ..Limits::default() });
    }

    #[test]
    fn every_mistake_has_its_place_and_its_help() {
        let digest = "0".repeat(64);
        let rows = format!(
            "[[registry]]\nhost = \"ghcr.io\"\n\
             [[health]]\nkind = \"cert-manager.io_Certificate\"\nplugin = \"a\"\n\
             [[health]]\nkind = \"apps/v1/Deployment\"\nplugin = \"\"\n\
             [[health]]\nkind = \"pod\"\nplugin = \"ghcr.io/acme/pods:1\"\n\
             [[health]]\nkind = \"Pod\"\nplugin = \"ghcr.io/acme/pods@sha256:{digest}\"\n\
             [[health]]\nkind = \"Pod\"\nplugin = \"pods:latest\"\nlimits = {{ concurrent = \"9\" }}\n\
             [[generate]]\nname = \"g\"\nplugin = \"ghcr.io/acme/g\"\n\
             [[generate]]\nname = \"g\"\nplugin = \"g\"\nlimits = {{ wall = \"5\" }}\n"
        );
        let mistakes = parse(&rows).expect_err("it is full of mistakes");
        for part in [
            "health `cert-manager.io_Certificate`: `cert-manager.io_Certificate` is no kind; write \
             `cert-manager.io/Certificate`",
            "health `apps/v1/Deployment`: `apps/v1/Deployment` names a version; write `apps/Deployment`",
            "health `apps/v1/Deployment`: `plugin` is empty",
            "health `pod`: `pod` is no kind; write",
            "health `pod`: `ghcr.io/acme/pods:1` is a tag, which can move; write `ghcr.io/acme/pods@sha256:...`",
            "health `Pod`: no source is for `ghcr.io/acme/pods`; add [[plugin-source]]",
            "health `Pod`: `pods:latest` does not name its registry",
            "health `Pod`: limits: concurrent: `9`: there is no such limit; there are memory, tables, cpu, wall",
            "health: `Pod` stands there twice",
            "generate `g`: limits: wall: `5`: write a time, such as 30s",
            "generate `g`: `ghcr.io/acme/g` names no tag and no digest",
            "generate: `g` stands there twice",
        ] {
            assert!(mistakes.contains(part), "{part} is not in:\n{mistakes}");
        }
        let typo = parse("[[health]]\nkind = \"Pod\"\nplugins = \"a\"\n").expect_err("a typo");
        assert!(typo.contains("line 5") && typo.contains("plugins"), "{typo}");
    }
}
