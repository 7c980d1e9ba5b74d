//! Where in git an application stands: a commit of each of its sources.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The commits that an application is made of.
///
/// An application of one source stands at one commit, which entries hold as a plain string. One of several stands at
/// as many commits, in the order of its sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Revision {
    /// The full commit id of the only source; empty where it does not matter which.
    One(String),
    /// The full commit id of each source, in their order.
    Several(Vec<String>),
}

impl Revision {
    /// Its commits as people say them: each by its first seven characters.
    pub fn short(&self) -> String {
        let commits: Vec<&str> = self.commits().iter().map(|commit| commit.get(..7).unwrap_or(commit)).collect();
        commits.join(" and ")
    }

    /// The full commit ids, in the order of the sources.
    pub fn commits(&self) -> &[String] {
        match self {
            Revision::One(commit) => std::slice::from_ref(commit),
            Revision::Several(commits) => commits,
        }
    }
}

/// The full commit ids, a comma between two of them: a step's output is one text.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.commits().join(","))
    }
}

/// Nothing has been read yet.
impl Default for Revision {
    fn default() -> Revision {
        Revision::One(String::new())
    }
}

impl From<String> for Revision {
    fn from(commit: String) -> Revision {
        Revision::One(commit)
    }
}

impl From<&str> for Revision {
    fn from(commit: &str) -> Revision {
        Revision::One(commit.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Cause, Entry, Outcome};
    use serde_json::json;

    #[test]
    fn one_source_is_a_plain_string_on_disk() {
        let journal = [
            (json!({ "revision": "c1", "parameters": "p", "cause": "automated" }), "syncing"),
            (
                json!({ "revision": "c1", "parameters": "p", "outcome": { "outcome": "superseded", "by": "c2" } }),
                "synced",
            ),
        ];
        let written = journal.map(|(body, kind)| json!({ "kind": kind, "body": body }));
        let (revision, parameters) = (Revision::from("c1"), "p".to_owned());
        let by = Revision::from("c2");
        let entries = [
            Entry::Syncing { revision: revision.clone(), parameters: parameters.clone(), cause: Cause::Automated },
            Entry::Synced { revision, parameters, outcome: Outcome::Superseded { by } },
        ];
        for (written, entry) in written.into_iter().zip(entries) {
            assert_eq!(serde_json::to_value(&entry).unwrap(), written);
            assert_eq!(serde_json::from_value::<Entry>(written).unwrap(), entry);
        }
    }

    #[test]
    fn several_sources_keep_their_order() {
        let several = Revision::Several(vec!["0123456789".into(), "abcdef0123".into()]);
        assert_eq!(serde_json::to_value(&several).unwrap(), json!(["0123456789", "abcdef0123"]));
        assert_eq!(serde_json::from_value::<Revision>(json!(["0123456789", "abcdef0123"])).unwrap(), several);
        assert_eq!(several.short(), "0123456 and abcdef0");
        assert_eq!(several.to_string(), "0123456789,abcdef0123");
    }
}
