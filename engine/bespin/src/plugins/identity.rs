//! Who a plugin is, to the person who gives it permission.

use pipeline::Digest;
use pipeline::permission::Policy;

/// A plugin, as the policy can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name or the reference that the step uses.
    pub uses: String,
    /// The digest of the component's bytes.
    pub component: Digest,
    /// Where it was taken from a registry, its manifest's digest and the key that signed it.
    pub pulled: Option<(Digest, String)>,
}

impl Identity {
    /// The rows of the policy that may be for it.
    pub fn rows(&self, policy: &[Policy]) -> Vec<Policy> {
        policy.iter().filter(|row| self.is_named(row)).cloned().collect()
    }

    /// Whether a row is for it: all plugins where it names none.
    pub fn is_named(&self, row: &Policy) -> bool {
        let manifest = self.pulled.as_ref().map(|(manifest, _)| manifest.as_str());
        let is_mine = |name: &String| {
            // A built-in is known by its name: its file stands where only the server's administrator writes.
            let by_name = self.pulled.is_none() && *name == self.uses;
            by_name || name == self.component.as_str() || Some(name.as_str()) == manifest
        };
        row.plugins.as_ref().is_none_or(|plugins| plugins.iter().any(is_mine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_names_plugins_is_for_no_others() {
        let (component, manifest) = (Digest::of(b"component"), Digest::of(b"manifest"));
        let built_in = Identity { uses: "slack".into(), component: component.clone(), pulled: None };
        let pulled = Identity {
            uses: format!("ghcr.io/acme/slack:1@{manifest}"),
            component: component.clone(),
            pulled: Some((manifest.clone(), "ed25519 abc".into())),
        };
        let named_slack = Identity { uses: "slack".into(), ..pulled.clone() };
        let row = |plugins: &str| toml::from_str::<Policy>(&format!("{plugins}\ngrants = {{}}")).unwrap();
        for (plugins, built_in_is, pulled_is) in [
            (String::new(), true, true),
            ("plugins = [\"slack\"]".into(), true, false),
            (format!("plugins = [\"{component}\"]"), true, true),
            (format!("plugins = [\"{manifest}\"]"), false, true),
            ("plugins = [\"other\"]".into(), false, false),
        ] {
            let row = row(&plugins);
            assert_eq!((built_in.is_named(&row), pulled.is_named(&row)), (built_in_is, pulled_is), "{plugins}");
            assert_eq!(named_slack.is_named(&row), pulled_is, "what comes from a registry has no name here");
        }
    }
}
