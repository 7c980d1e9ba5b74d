//! Argo CD's `spec.source.plugin`: a plugin that makes manifests of a folder.
//!
//! Source: argo-cd docs/operator-manual/config-management-plugins.md. What a
//! sidecar is given in its environment, ours is given as one JSON object.

use super::application::unknown;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most bytes that everything which an Application says to its generator may have.
const MOST_BYTES: usize = 256 << 10;

/// What makes an Application's manifests, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    /// Its name, as the server's configuration has it.
    pub name: String,
    /// The values of `env`, by name.
    pub env: BTreeMap<String, String>,
    /// `parameters`, by name: each a text, a list of texts, or a map of texts.
    pub parameters: BTreeMap<String, Value>,
}

/// Where a generator works, as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The Application's name, within its namespace.
    pub application: &'a str,
    /// The namespace of objects that name none.
    pub namespace: &'a str,
    /// The full id of the commit that is read.
    pub revision: &'a str,
    /// The folder; empty for the root.
    pub path: &'a str,
}

impl Generator {
    /// What it is asked: the JSON object that `plugins/wit/generate.wit` describes. The same for the same, to the byte.
    pub fn asked(&self, place: Place<'_>) -> String {
        let application = json!({ "name": place.application, "namespace": place.namespace,
            "revision": place.revision, "path": place.path });
        let mut asked = json!({ "application": application, "env": self.env, "parameters": self.parameters });
        asked.sort_all_objects();
        asked.to_string()
    }
}

/// Reads `spec.source.plugin`.
///
/// # Errors
/// What cannot be told to a generator, with the help.
pub(super) fn read(plugin: &Value, warnings: &mut Vec<String>) -> Result<Generator, String> {
    const PLACE: &str = "spec.source.plugin";
    unknown(plugin, &["name", "env", "parameters"], PLACE, warnings);
    let name = plugin["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(format!(
            "{PLACE} names no plugin, and this version finds none by itself: write `name` as in the server's [[generate]]"
        ));
    }
    if plugin.to_string().len() > MOST_BYTES {
        return Err(format!("{PLACE} has more than {MOST_BYTES} bytes: put what is long into a file of the folder"));
    }
    let (mut env, mut parameters) = (BTreeMap::new(), BTreeMap::new());
    for (name, item) in named(&plugin["env"], &format!("{PLACE}.env"))? {
        let value = match &item["value"] {
            Value::Null => String::new(),
            Value::String(value) => value.clone(),
            _ => return Err(format!("{PLACE}.env `{name}`: its value is no text: quote it")),
        };
        env.insert(name, value);
    }
    for (name, item) in named(&plugin["parameters"], &format!("{PLACE}.parameters"))? {
        let value = parameter(item).map_err(|because| format!("{PLACE}.parameters `{name}`: {because}"))?;
        parameters.insert(name, value);
    }
    Ok(Generator { name, env, parameters })
}

/// The items of a list by their names.
fn named<'a>(list: &'a Value, place: &str) -> Result<Vec<(String, &'a Value)>, String> {
    let items = match list {
        Value::Null => &[][..],
        Value::Array(items) => items,
        _ => return Err(format!("{place} is no list: write `- name: ...` for each")),
    };
    let mut found: Vec<(String, &Value)> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let name = item["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(format!("{place}[{at}] has no name: give it one"));
        }
        if found.iter().any(|(known, _)| *known == name) {
            return Err(format!("{place} names `{name}` twice: keep one"));
        }
        found.push((name, item));
    }
    Ok(found)
}

/// One value of the three that a parameter may have.
fn parameter(item: &Value) -> Result<Value, String> {
    let is_text = |value: &Value| value.is_string();
    let given: Vec<&str> = ["string", "array", "map"].into_iter().filter(|key| !item[*key].is_null()).collect();
    let [key] = given[..] else {
        return Err("give it one of `string`, `array` and `map`".into());
    };
    let value = &item[key];
    let fits = match key {
        "string" => is_text(value),
        "array" => value.as_array().is_some_and(|all| all.iter().all(is_text)),
        _ => value.as_object().is_some_and(|all| all.values().all(is_text)),
    };
    if fits { Ok(value.clone()) } else { Err(format!("its `{key}` is not of texts: quote numbers and truth values")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(plugin: Value) -> Result<Generator, String> {
        let mut warnings = Vec::new();
        let generator = read(&plugin, &mut warnings);
        assert_eq!(warnings, Vec::<String>::new());
        generator
    }

    #[test]
    fn it_is_told_what_the_application_says_and_always_in_the_same_order() {
        let plugin = json!({ "name": "envsubst",
            "env": [{ "name": "STAGE", "value": "test" }, { "name": "EMPTY" }],
            "parameters": [
                { "name": "replicas", "string": "3" },
                { "name": "files", "array": ["a.yaml", "b.yaml"] },
                { "name": "images", "map": { "was": "was:2", "db": "db:1" } },
            ] });
        let generator = generator(plugin).unwrap();
        let place = Place { application: "petclinic", namespace: "pets", revision: "c0ffee", path: "was" };
        assert_eq!(
            generator.asked(place),
            "{\"application\":{\"name\":\"petclinic\",\"namespace\":\"pets\",\"path\":\"was\",\"revision\":\"c0ffee\"},\
             \"env\":{\"EMPTY\":\"\",\"STAGE\":\"test\"},\
             \"parameters\":{\"files\":[\"a.yaml\",\"b.yaml\"],\"images\":{\"db\":\"db:1\",\"was\":\"was:2\"},\
             \"replicas\":\"3\"}}"
        );
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_the_help() {
        for (plugin, because) in [
            (json!({}), "spec.source.plugin names no plugin"),
            (json!({ "name": "" }), "write `name` as in the server's [[generate]]"),
            (json!({ "name": "x", "env": { "A": "1" } }), "spec.source.plugin.env is no list"),
            (json!({ "name": "x", "env": [{ "value": "1" }] }), "spec.source.plugin.env[0] has no name"),
            (json!({ "name": "x", "env": [{ "name": "A" }, { "name": "A" }] }), "env names `A` twice"),
            (json!({ "name": "x", "env": [{ "name": "A", "value": 1 }] }), "env `A`: its value is no text"),
            (json!({ "name": "x", "parameters": [{ "name": "A" }] }), "parameters `A`: give it one of"),
            (json!({ "name": "x", "parameters": [{ "name": "A", "string": "", "array": [] }] }), "give it one of"),
            (json!({ "name": "x", "parameters": [{ "name": "A", "string": 3 }] }), "its `string` is not of texts"),
            (json!({ "name": "x", "parameters": [{ "name": "A", "array": [3] }] }), "its `array` is not of texts"),
            (json!({ "name": "x", "parameters": [{ "name": "A", "map": [] }] }), "its `map` is not of texts"),
            (json!({ "name": "x", "env": [{ "name": "A", "value": "x".repeat(MOST_BYTES) }] }), "262144 bytes"),
        ] {
            let refused = generator(plugin).unwrap_err();
            assert!(refused.contains(because), "{refused}");
        }
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let mut warnings = Vec::new();
        read(&json!({ "name": "x", "parameter": [] }), &mut warnings).unwrap();
        assert_eq!(warnings, ["spec.source.plugin.parameter is not known to this version and has no effect"]);
    }
}
