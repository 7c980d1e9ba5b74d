//! Where plugins may come from, besides the built-in folder.

use images::signature::PublicKey;
use serde::Deserialize;
use std::path::PathBuf;

/// Whose plugins may run: whatever no row is for, is refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PluginSource {
    /// The plugins that it is for, as `host/name`; a `*` at the end stands for any text.
    #[serde(rename = "match")]
    pub pattern: String,
    /// The public keys, one of which must have signed the plugin.
    pub keys: Vec<KeyFile>,
}

/// A public key in a PEM file: ed25519, or ECDSA on P-256 as cosign's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeyFile {
    /// The component's file, `<name>.wasm`.
    pub file: PathBuf,
}

impl KeyFile {
    /// Reads the key.
    ///
    /// # Errors
    /// The file and what is wrong with it, with the help.
    pub fn read(&self) -> Result<PublicKey, String> {
        let said = |what: &dyn std::fmt::Display| format!("the file {}: {what}", self.file.display());
        let pem = std::fs::read_to_string(&self.file).map_err(|error| said(&error))?;
        PublicKey::from_pem(&pem).map_err(|what| said(&what))
    }
}

impl PluginSource {
    /// What is wrong with the row; `hosts` are the registries that are known.
    pub(super) fn check(&self, hosts: &[&str], found: &mut Vec<String>) {
        let mut wrong = |what: String| found.push(format!("plugin-source `{}`: {what}", self.pattern));
        let (host, name) = self.pattern.split_once('/').unwrap_or((&self.pattern, ""));
        let starless = self.pattern.strip_suffix('*').unwrap_or(&self.pattern);
        if name.is_empty() || starless.contains('*') {
            wrong("`match` is `host/name`, and a `*` stands at its end only".into());
        } else if !hosts.contains(&host) {
            wrong(format!("there is no [[registry]] with host = \"{host}\"; add it, that the server knows how to ask"));
        }
        if self.keys.is_empty() {
            wrong("it names no key, so nothing could run; add keys = [{ file = \"...\" }]".into());
        }
        for mistake in self.keys.iter().filter_map(|key| key.read().err()) {
            wrong(mistake);
        }
    }

    /// Whether it is for a plugin, by its `host/name`.
    pub fn covers(&self, name: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == self.pattern,
        }
    }
}

/// What is wrong with the plugins that a row of the policy names, if anything.
pub(super) fn check_named(plugins: Option<&[String]>, grants_secrets: bool, found: &mut Vec<String>) {
    let named = plugins.unwrap_or_default();
    if plugins.is_some_and(<[String]>::is_empty) {
        found.push("plugins: the list is empty, so the row is for nothing; name a plugin, or leave the key out".into());
    }
    if plugins.is_none() && grants_secrets {
        found.push(
            "it grants secrets and does not name the plugins that it is for; add plugins = [\"sha256:...\"] with the \
             digest that `bespin plugin inspect` shows, or the name of a built-in"
                .into(),
        );
    }
    for name in named.iter().filter(|name| !is_digest(name) && name.contains(['/', ':', '*'])) {
        found.push(format!("plugins: `{name}` is neither a digest (sha256:...) nor the name of a built-in"));
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && text.parse::<pipeline::Digest>().is_ok())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn every_mistake_of_a_source_is_said() {
        let text = r#"
            [server]
            data = "d"
            [[registry]]
            host = "ghcr.io"
            [[plugin-source]]
            match = "ghcr.io/acme/*"
            keys = [{ file = "/nowhere/key.pub" }]
            [[plugin-source]]
            match = "elsewhere.example/acme/*"
            keys = []
            [[plugin-source]]
            match = "ghcr.io/*/lint"
            keys = []
            [[policy]]
            grants = { secrets = ["token"] }
            [[policy]]
            plugins = ["ghcr.io/acme/lint:1"]
            grants = { secrets = ["token"] }
        "#;
        let mistakes = Config::parse("bespin.toml", text).expect_err("it is full of mistakes").to_string();
        for part in [
            "plugin-source `ghcr.io/acme/*`: the file /nowhere/key.pub",
            "plugin-source `elsewhere.example/acme/*`: there is no [[registry]] with host = \"elsewhere.example\"",
            "plugin-source `elsewhere.example/acme/*`: it names no key",
            "plugin-source `ghcr.io/*/lint`: `match` is `host/name`",
            "policy 1: it grants secrets and does not name the plugins",
            "policy 2: plugins: `ghcr.io/acme/lint:1` is neither a digest",
        ] {
            assert!(mistakes.contains(part), "{part} is not in:\n{mistakes}");
        }
    }
}
