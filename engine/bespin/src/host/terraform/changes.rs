//! What `terraform show -json` says of a plan.
//!
//! A word that is not known here is no "no change": the plan is refused, and nothing of it can be applied.

use sandbox::Change;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// The most changes of one plan.
const MOST: usize = 10_000;

/// What a plan comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) to_add: u32,
    pub(super) to_change: u32,
    pub(super) to_destroy: u32,
    pub(super) to_replace: u32,
    pub(super) all: Vec<Change>,
}

#[derive(Deserialize)]
struct Shown {
    format_version: String,
    #[serde(default)]
    errored: bool,
    complete: Option<bool>,
    #[serde(default)]
    resource_changes: Vec<Resource>,
    #[serde(default)]
    output_changes: BTreeMap<String, Actions>,
}

#[derive(Deserialize)]
struct Resource {
    address: String,
    previous_address: Option<String>,
    deposed: Option<String>,
    change: Actions,
}

#[derive(Deserialize)]
struct Actions {
    #[serde(deserialize_with = "few")]
    actions: Vec<String>,
    importing: Option<IgnoredAny>,
}

/// At most two words: no change has more, and what is read is bounded while it is read.
fn few<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct Few;
    impl<'de> Visitor<'de> for Few {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("at most two actions")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<Vec<String>, A::Error> {
            let mut actions = Vec::new();
            while let Some(action) = row.next_element()? {
                if actions.len() == 2 {
                    return Err(A::Error::invalid_length(3, &self));
                }
                actions.push(action);
            }
            Ok(actions)
        }
    }
    from.deserialize_seq(Few)
}

impl Changes {
    /// Reads what Terraform shows.
    ///
    /// # Errors
    /// It is not understood, or not to be applied; as a sentence.
    pub(super) fn read(json: &[u8]) -> Result<Changes, String> {
        let shown: Shown =
            serde_json::from_slice(json).map_err(|error| format!("the plan is not shown as expected: {error}"))?;
        if shown.format_version.split('.').next() != Some("1") {
            return Err(format!("the plan is shown in format {}; this Bespin reads 1", shown.format_version));
        }
        if shown.errored || shown.complete == Some(false) {
            return Err("the plan is not complete, so it cannot be applied as it is".to_owned());
        }
        let mut changes = Changes::default();
        for resource in &shown.resource_changes {
            changes.add(resource)?;
        }
        for (name, Actions { actions, .. }) in &shown.output_changes {
            match words(actions).as_slice() {
                ["no-op"] => {}
                ["create" | "update" | "delete"] | ["delete", "create"] | ["create", "delete"] => {
                    changes.all.push(Change { address: format!("output.{name}"), action: "output" });
                }
                other => return Err(unknown(&format!("output.{name}"), other)),
            }
        }
        match changes.all.len() {
            ..=MOST => Ok(changes),
            many => Err(format!("the plan has {many} changes, and {MOST} are the most; plan a smaller folder")),
        }
    }

    fn add(&mut self, resource: &Resource) -> Result<(), String> {
        let Resource { address, previous_address, deposed, change } = resource;
        let moved = previous_address.as_ref().is_some_and(|previous| previous != address);
        let (action, count) = match words(&change.actions).as_slice() {
            ["no-op"] if change.importing.is_some() => ("import", None),
            ["no-op"] if moved => ("move", None),
            ["no-op"] => return Ok(()),
            ["read"] => ("read", None),
            ["forget"] => ("forget", None),
            ["create"] => ("create", Some(&mut self.to_add)),
            ["update"] => ("update", Some(&mut self.to_change)),
            ["delete"] => ("destroy", Some(&mut self.to_destroy)),
            // What is forgotten is there no more for whoever relies on it, even if nobody destroys it.
            ["delete", "create"] | ["create", "delete"] | ["create", "forget"] => {
                ("replace", Some(&mut self.to_replace))
            }
            other => return Err(unknown(address, other)),
        };
        if let Some(count) = count {
            *count += 1;
        }
        let deposed = deposed.as_ref().map(|key| format!(" (deposed {key})")).unwrap_or_default();
        self.all.push(Change { address: format!("{address}{deposed}"), action });
        Ok(())
    }
}

fn words(actions: &[String]) -> Vec<&str> {
    actions.iter().map(String::as_str).collect()
}

fn unknown(address: &str, actions: &[&str]) -> String {
    format!("the plan wants `{}` of {address}, which this Bespin does not know; it is not kept", actions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(resources: &Value) -> Result<Changes, String> {
        let shown = json!({ "format_version": "1.2", "complete": true, "resource_changes": resources });
        Changes::read(shown.to_string().as_bytes())
    }

    fn resource(actions: &[&str]) -> Value {
        json!({ "address": "a.b", "change": { "actions": actions } })
    }

    #[test]
    fn every_known_action_is_counted_as_terraform_counts_it() {
        for (actions, counts, action) in [
            (&["create"][..], (1, 0, 0, 0), "create"),
            (&["update"], (0, 1, 0, 0), "update"),
            (&["delete"], (0, 0, 1, 0), "destroy"),
            (&["delete", "create"], (0, 0, 0, 1), "replace"),
            (&["create", "delete"], (0, 0, 0, 1), "replace"),
            (&["create", "forget"], (0, 0, 0, 1), "replace"),
            (&["forget"], (0, 0, 0, 0), "forget"),
            (&["read"], (0, 0, 0, 0), "read"),
        ] {
            let changes = read(&json!([resource(actions)])).unwrap();
            let counted = (changes.to_add, changes.to_change, changes.to_destroy, changes.to_replace);
            assert_eq!((counted, changes.all[0].action), (counts, action), "{actions:?}");
        }
        assert_eq!(read(&json!([resource(&["no-op"])])), Ok(Changes::default()));
    }

    #[test]
    fn a_plan_of_imports_moves_or_outputs_is_a_change() {
        let imports = json!([{ "address": "a.b", "change": { "actions": ["no-op"], "importing": { "id": "1" } } }]);
        let moves = json!([{ "address": "a.b", "previous_address": "a.a", "change": { "actions": ["no-op"] } }]);
        assert_eq!(read(&imports).unwrap().all[0].action, "import");
        let none = json!([{ "address": "a.b", "change": { "actions": ["no-op"], "importing": null } }]);
        assert_eq!(read(&none), Ok(Changes::default()));
        assert_eq!(read(&moves).unwrap().all[0].action, "move");
        let outputs = json!({ "format_version": "1.0", "output_changes": { "o": { "actions": ["update"] } } });
        let changes = Changes::read(outputs.to_string().as_bytes()).unwrap();
        assert_eq!(changes.all, [Change { address: "output.o".into(), action: "output" }]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for actions in [&[][..], &["evaporate"], &["update", "delete"], &["no-op", "create"]] {
            assert!(read(&json!([resource(actions)])).unwrap_err().contains("a.b"), "{actions:?}");
        }
        for shown in [
            json!({ "format_version": "2.0" }),
            json!({ "format_version": "1.2", "errored": true }),
            json!({ "format_version": "1.2", "complete": false }),
            json!({ "format_version": "1.2", "resource_changes": [{ "address": "a.b" }] }),
            json!({ "resource_changes": [] }),
            json!({ "format_version": "1.2", "resource_changes": [resource(&["create", "delete", "create"])] }),
            json!({ "format_version": "1.2", "output_changes": { "o": { "actions": ["evaporate"] } } }),
        ] {
            assert!(Changes::read(shown.to_string().as_bytes()).is_err(), "{shown}");
        }
    }
}
