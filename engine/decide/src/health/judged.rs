//! What plugins say of the kinds that the configuration leaves to them.

use super::{Health, Status, counts};
use crate::sync::object;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// A kind of object, in any version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: String,
    /// The kind that the row is for.
    pub kind: String,
}

impl Kind {
    /// The kind of an object.
    pub fn of(object: &Value) -> Kind {
        let (group, _) = object::group_version(object::api_version(object));
        Kind { group: group.to_owned(), kind: object::kind(object).to_owned() }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => f.write_str(&self.kind),
            group => write!(f, "{group}/{}", self.kind),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    /// Reads `group/Kind`, or `Kind` for a kind of the core.
    ///
    /// # Errors
    /// It is none, as a sentence with the help.
    fn from_str(text: &str) -> Result<Kind, String> {
        let is_kind = |kind: &str| {
            kind.starts_with(|first: char| first.is_ascii_uppercase())
                && kind.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let is_group = |group: &str| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
            !group.is_empty() && group.bytes().all(allowed)
        };
        let is_version = |text: &str| {
            text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        };
        let no_kind = |help: String| Err(format!("`{text}` is no kind; write {help}"));
        match text.split('/').collect::<Vec<_>>()[..] {
            [kind] if is_kind(kind) => Ok(Kind { group: String::new(), kind: kind.to_owned() }),
            [version, kind] if is_version(version) && is_kind(kind) => {
                Err(format!("`{text}` names a version; write `{kind}`"))
            }
            [group, kind] if is_group(group) && is_kind(kind) => {
                Ok(Kind { group: group.to_owned(), kind: kind.to_owned() })
            }
            [group, _, kind] if is_group(group) && is_kind(kind) => {
                Err(format!("`{text}` names a version; write `{group}/{kind}`"))
            }
            // The key of Argo CD's `resource.customizations.health.<group>_<kind>`.
            _ => match text.split_once('_') {
                Some((group, kind)) if is_group(group) && is_kind(kind) => no_kind(format!("`{group}/{kind}`")),
                _ => {
                    no_kind("`group/Kind`, such as `cert-manager.io/Certificate`, or `Pod` for one of the core".into())
                }
            },
        }
    }
}

/// Who judges an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// A rule of ours, if there is one.
    Rule,
    /// A plugin of the configuration.
    Plugin,
}

/// The kinds that plugins judge, and what they said of the live objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The kinds. Our own rules say nothing of these.
    pub kinds: BTreeSet<Kind>,
    /// What was said, by the object's uid.
    pub answers: BTreeMap<String, Health>,
}

impl Judged {
    /// Who judges an object.
    pub fn judge(&self, object: &Value) -> Judge {
        // Most servers have none, and a look has many objects.
        match !self.kinds.is_empty() && self.kinds.contains(&Kind::of(object)) {
            true => Judge::Plugin,
            false => Judge::Rule,
        }
    }

    /// Whether a plugin has to be asked about a live object at all.
    pub fn asks_about(&self, live: &Value) -> bool {
        self.judge(live) == Judge::Plugin && counts(live) && !object::is_going(live)
    }

    /// What is known of an object that a plugin judges. No answer is never a good one.
    pub(super) fn answer(&self, live: &Value) -> Option<Health> {
        if self.judge(live) == Judge::Rule {
            return None;
        }
        let unknown = || Health::new(Status::Unknown, "its plugin was not asked yet");
        Some(self.answers.get(object::uid(live)).cloned().unwrap_or_else(unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health;
    use serde_json::json;

    fn deployment(uid: &str) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": uid, "uid": uid },
            "spec": { "replicas": 0 }, "status": { "replicas": 0 } })
    }

    fn judged(answers: &[(&str, Status)]) -> Judged {
        let answers = answers.iter().map(|(uid, status)| ((*uid).to_owned(), Health::new(*status, "so it says")));
        Judged { kinds: BTreeSet::from(["apps/Deployment".parse().unwrap()]), answers: answers.collect() }
    }

    #[test]
    fn a_plugins_word_stands_in_place_of_ours() {
        let of = |live: &Value, judged: &Judged| health::of(live, judged).map(|health| health.status);
        let live = deployment("u1");
        assert_eq!(of(&live, &Judged::default()), Some(Status::Healthy));
        assert_eq!(of(&live, &judged(&[("u1", Status::Degraded)])), Some(Status::Degraded));
        assert_eq!(of(&live, &judged(&[("u2", Status::Healthy)])), Some(Status::Unknown), "no answer is no good one");
        let pod =
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "uid": "u1" }, "status": { "phase": "Failed" } });
        assert_eq!(of(&pod, &judged(&[("u1", Status::Healthy)])), Some(Status::Degraded), "it is of another kind");
    }

    #[test]
    fn what_goes_or_asks_to_be_left_out_is_not_asked_about() {
        let judged = judged(&[("u1", Status::Healthy)]);
        let mut going = deployment("u1");
        assert!(judged.asks_about(&going));
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!judged.asks_about(&going));
        assert_eq!(health::of(&going, &judged).map(|health| health.status), Some(Status::Progressing));
        let mut ignored = deployment("u1");
        ignored["metadata"]["annotations"] = json!({ "argocd.argoproj.io/ignore-healthcheck": "true" });
        assert!(!judged.asks_about(&ignored));
        assert_eq!(health::of(&ignored, &judged), None);
    }

    #[test]
    fn a_kind_is_written_as_it_is_read() {
        for text in ["Pod", "apps/Deployment", "cert-manager.io/Certificate"] {
            assert_eq!(text.parse::<Kind>().map(|kind| kind.to_string()).as_deref(), Ok(text));
        }
        for (text, help) in [
            ("", "write `group/Kind`"),
            ("pod", "write `group/Kind`"),
            ("apps/", "write `group/Kind`"),
            ("/Pod", "write `group/Kind`"),
            ("*/Pod", "write `group/Kind`"),
            ("apps_Deployment", "write `apps/Deployment`"),
            ("apps/v1/Deployment", "write `apps/Deployment`"),
            ("v1/Pod", "write `Pod`"),
        ] {
            let refused = text.parse::<Kind>().unwrap_err();
            assert!(refused.contains(help), "{refused}");
        }
    }
}
