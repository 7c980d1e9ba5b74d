//! What a plugin declares of itself: its settings, its outputs, and what it needs permission for.
//!
//! The declaration is JSON in the custom section `bespin:settings` of the component. Its settings are a small part of
//! JSON Schema; a keyword that is not read here is refused, so that nothing is declared and then not checked.

mod kind;
mod rows;

pub use kind::Kind;
pub use rows::{OutputRow, SettingRow};
pub(crate) use rows::{bare, listed};

use crate::built_in;
use crate::mistake::plain;
use crate::permission::Ability;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The custom section's name.
pub const SECTION: &str = "bespin:settings";
/// The longest declaration, in bytes.
pub const LONGEST: usize = 64 << 10;
/// What every step has besides the outputs of its plugin.
pub(crate) const OUTCOME: &str = "outcome";
/// What a step has that a person approved.
pub(crate) const APPROVED_BY: &str = "approved_by";
/// What expressions read of a step that no plugin makes.
const OF_EVERY_STEP: [&str; 2] = [OUTCOME, APPROVED_BY];
/// How many entries a list or a map of a declaration has at most.
const MOST: usize = 200;

/// What a plugin declares of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Declaration {
    /// The schema of `with:`.
    pub(crate) settings: SettingSchema,
    /// Absent where they are not known, so that any may be named.
    #[serde(default)]
    pub(crate) outputs: Option<BTreeMap<String, OutputDeclaration>>,
    /// The setting whose keys are outputs as well.
    #[serde(default)]
    pub(crate) outputs_named_by: Option<String>,
    /// The abilities without which no step of it succeeds.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// The abilities that it asks for by what its settings say.
    #[serde(default)]
    pub(crate) may_need: Vec<String>,
}

/// What is declared of one output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputDeclaration {
    #[serde(default)]
    pub description: String,
    /// The alternative of the settings that makes it, by the text that tells it apart; absent where each of them does.
    #[serde(default)]
    pub when: Option<String>,
}

/// The part of JSON Schema that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SettingSchema {
    /// Empty where everything is taken.
    #[serde(default, rename = "type", deserialize_with = "kind::one_or_several")]
    pub kinds: Vec<Kind>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub default: Option<Value>,
    #[serde(default, rename = "enum")]
    pub choices: Vec<Value>,
    #[serde(default)]
    pub r#const: Option<Value>,
    #[serde(default)]
    pub properties: BTreeMap<String, SettingSchema>,
    #[serde(default)]
    pub required: Vec<String>,
    #[serde(default)]
    pub additional_properties: Additional,
    #[serde(default)]
    pub items: Option<Box<SettingSchema>>,
    /// Alternatives, told apart by a key that each of them demands with another `const`.
    #[serde(default)]
    pub one_of: Vec<SettingSchema>,
}

/// What is taken beside the properties that are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Additional {
    #[default]
    Anything,
    Nothing,
    Each(Box<SettingSchema>),
}

impl<'de> Deserialize<'de> for Additional {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Additional, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Additional::Anything),
            Value::Bool(false) => Ok(Additional::Nothing),
            schema => serde_json::from_value(schema).map(Box::new).map(Additional::Each).map_err(D::Error::custom),
        }
    }
}

impl Declaration {
    /// Reads a declaration.
    ///
    /// # Errors
    /// What is wrong with it, as one sentence.
    pub fn read(text: &str) -> Result<Declaration, String> {
        if text.len() > LONGEST {
            return Err(format!("it has {} bytes, over the {LONGEST} that are read", text.len()));
        }
        let failed = |error: serde_json::Error| error.to_string();
        let declaration: Declaration = serde_json::from_str(text).map_err(failed)?;
        bounded(&serde_json::from_str(text).map_err(failed)?)?;
        declaration.settings.check("settings", Alternatives::Allowed)?;
        if declaration.settings.kinds != [Kind::Object] {
            return Err("settings: `type` is not `object`, and `with` is a map".to_owned());
        }
        for ability in declaration.needs.iter().chain(&declaration.may_need) {
            if Ability::named(ability).is_none_or(Ability::is_free) {
                return Err(format!("needs: `{ability}` is nothing that a grant gives"));
            }
        }
        declaration.check_outputs()?;
        match &declaration.outputs_named_by {
            Some(by) if declaration.settings.property(by).is_none() => {
                Err(format!("outputs-named-by: there is no setting `{by}`"))
            }
            _ => Ok(declaration),
        }
    }

    fn check_outputs(&self) -> Result<(), String> {
        let choices = self.settings.choices();
        for (name, output) in self.outputs.iter().flatten() {
            if OF_EVERY_STEP.contains(&name.as_str()) {
                return Err(format!(
                    "outputs: every step has `{name}` from the run, which takes the place of the plugin's"
                ));
            }
            if let Some(when) = output.when.as_deref().filter(|when| !choices.contains(when)) {
                return Err(format!("outputs.{name}: no alternative of the settings is told apart by `{when}`"));
            }
        }
        Ok(())
    }

    /// The abilities that it asks permission for, always or by what its settings say.
    pub fn abilities(&self) -> impl Iterator<Item = &str> {
        self.needs.iter().chain(&self.may_need).map(String::as_str)
    }
}

/// Refuses what nobody can read in one look, or what a terminal would obey.
fn bounded(json: &Value) -> Result<(), String> {
    let text = |text: &str| match text.contains(char::is_control) {
        true => Err("a text has a control character in it".to_owned()),
        false => Ok(()),
    };
    let count = |many: usize| match many > MOST {
        true => Err(format!("a list or a map has {many} entries, over the {MOST} that are read")),
        false => Ok(()),
    };
    match json {
        Value::String(value) => text(value),
        Value::Array(items) => count(items.len()).and_then(|()| items.iter().try_for_each(bounded)),
        Value::Object(entries) => count(entries.len())
            .and_then(|()| entries.iter().try_for_each(|(key, value)| text(key).and_then(|()| bounded(value)))),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Whether a schema may have alternatives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alternatives {
    Allowed,
    None,
}

impl SettingSchema {
    fn check(&self, place: &str, alternatives: Alternatives) -> Result<(), String> {
        if let Some(name) = self.required.iter().find(|name| !self.properties.contains_key(*name)) {
            return Err(format!("{place}: `{name}` is required, and is none of the properties"));
        }
        if !self.one_of.is_empty() {
            if alternatives == Alternatives::None {
                return Err(format!("{place}: `oneOf` stands at the top of the settings only"));
            }
            if !self.properties.is_empty() || self.told_apart_by().is_none() {
                return Err(format!(
                    "{place}: `oneOf` stands alone, and each of its schemas requires the same key with another `const`"
                ));
            }
        }
        let properties = self.properties.iter().map(|(name, schema)| (name.as_str(), schema));
        let additional = match &self.additional_properties {
            Additional::Each(schema) => Some(("additionalProperties", &**schema)),
            Additional::Anything | Additional::Nothing => None,
        };
        let items = self.items.as_deref().map(|items| ("items", items));
        let inner = properties.chain(additional).chain(items).chain(self.one_of.iter().map(|schema| ("oneOf", schema)));
        inner.into_iter().try_for_each(|(name, schema)| schema.check(&format!("{place}.{name}"), Alternatives::None))
    }

    /// The key that tells the alternatives apart.
    pub(crate) fn told_apart_by(&self) -> Option<&str> {
        let (first, rest) = self.one_of.split_first()?;
        let tells = |name: &&String| {
            let text =
                |schema: &SettingSchema| schema.properties.get(*name)?.r#const.as_ref()?.as_str().map(str::to_owned);
            let mut texts: Vec<_> = self.one_of.iter().filter_map(text).collect();
            texts.sort();
            texts.dedup();
            texts.len() == self.one_of.len() && rest.iter().all(|schema| schema.required.contains(*name))
        };
        first.required.iter().find(tells).map(String::as_str)
    }

    /// The texts that tell the alternatives apart.
    fn choices(&self) -> Vec<&str> {
        let Some(key) = self.told_apart_by() else { return Vec::new() };
        let texts = self.one_of.iter().map(|schema| schema.properties.get(key)?.r#const.as_ref()?.as_str());
        texts.flatten().collect()
    }

    /// A property, of whichever alternative.
    pub(crate) fn property(&self, name: &str) -> Option<&SettingSchema> {
        let inner = || self.one_of.iter().find_map(|schema| schema.properties.get(name));
        self.properties.get(name).or_else(inner)
    }
}

/// What is known of a plugin's declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// It was read.
    Known(Arc<Declaration>),
    /// There is none to check by.
    Unchecked {
        /// Why, as a sentence's part, such as `it declares none`.
        because: String,
    },
}

impl Declared {
    /// What a component's section says, if it has one.
    pub fn of(section: Option<&[u8]>) -> Declared {
        let Some(bytes) = section else { return Declared::Unchecked { because: "it declares none".to_owned() } };
        let read = std::str::from_utf8(bytes).map_err(|error| error.to_string()).and_then(Declaration::read);
        match read {
            Ok(declaration) => Declared::Known(Arc::new(declaration)),
            Err(why) => Declared::Unchecked { because: plain(format!("its declaration cannot be read: {why}")) },
        }
    }

    /// The declaration, if it was read.
    pub fn known(&self) -> Option<&Declaration> {
        match self {
            Declared::Known(declaration) => Some(declaration),
            Declared::Unchecked { .. } => None,
        }
    }
}

/// What is known of the plugins that steps use, by what they use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declarations(BTreeMap<String, Declared>);

impl Declarations {
    /// Nothing is known, and nothing is said of it.
    pub const NONE: Declarations = Declarations(BTreeMap::new());

    /// Those of the plugins that come with this version of Bespin.
    pub fn built_in() -> Declarations {
        let read = |(name, text): (&str, &str)| (name.to_owned(), Declared::of(Some(text.as_bytes())));
        Declarations(built_in::DECLARED.into_iter().map(read).collect())
    }

    /// What is known of a plugin.
    pub fn of(&self, uses: &str) -> Option<&Declared> {
        self.0.get(uses)
    }
}

impl FromIterator<(String, Declared)> for Declarations {
    fn from_iter<I: IntoIterator<Item = (String, Declared)>>(all: I) -> Declarations {
        Declarations(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_with_bespin_declares_itself() {
        for (name, text) in built_in::DECLARED {
            let read = Declaration::read(text);
            assert!(read.is_ok(), "{name}: {read:?}");
        }
        let names = built_in::DECLARED.map(|(name, _)| name);
        assert_eq!(names, built_in::BUILT_IN);
    }

    #[test]
    fn what_is_not_read_is_refused() {
        let object = |more: &str| format!(r#"{{ "settings": {{ "type": "object"{more} }} }}"#);
        for (text, because) in [
            ("{}".to_owned(), "missing field `settings`"),
            (object(r#", "pattern": "a" "#), "unknown field `pattern`"),
            (object(r#", "additionalProperties": { "minimum": 1 }"#), "unknown field `minimum`"),
            (object(r#", "type": "text""#), "duplicate field `type`"),
            (r#"{ "settings": { "type": "text" } }"#.to_owned(), "unknown variant `text`"),
            (r#"{ "settings": { "type": "array" } }"#.to_owned(), "`with` is a map"),
            (object(r#", "required": ["a"]"#), "settings: `a` is required"),
            (object(r#", "oneOf": [{}, {}]"#), "requires the same key with another `const`"),
            (object(r#", "properties": { "a": { "oneOf": [{}] } }"#), "settings.a: `oneOf` stands at the top"),
            (r#"{ "settings": { "type": "object" }, "needs": ["log"] }"#.to_owned(), "`log` is nothing that a grant"),
            (
                r#"{ "settings": { "type": "object" }, "outputs": { "outcome": {} } }"#.to_owned(),
                "every step has `outcome`",
            ),
            (
                r#"{ "settings": { "type": "object" }, "outputs": { "a": { "when": "plan" } } }"#.to_owned(),
                "outputs.a: no alternative of the settings is told apart by `plan`",
            ),
            (
                r#"{ "settings": { "type": "object" }, "outputs-named-by": "outputs" }"#.to_owned(),
                "no setting `outputs`",
            ),
            (" ".repeat(LONGEST + 1), "over the 65536"),
            (object(r#", "description": "\u001b[1A""#), "a control character"),
            (object(r#", "properties": { "a\nb": {} }"#), "a control character"),
            (object(&format!(r#", "enum": [{}0]"#, "0,".repeat(200))), "has 201 entries"),
        ] {
            let refused = Declaration::read(&text).expect_err(because);
            assert!(refused.contains(because), "{refused}");
        }
    }

    #[test]
    fn what_is_not_there_or_unreadable_is_said_to_be_unchecked() {
        let because = |section: Option<&[u8]>| match Declared::of(section) {
            Declared::Known(_) => panic!("it is known"),
            Declared::Unchecked { because } => because,
        };
        assert_eq!(because(None), "it declares none");
        assert!(because(Some(b"\xff")).starts_with("its declaration cannot be read: invalid utf-8"));
        assert!(because(Some(b"{}")).contains("missing field `settings`"));
    }
}
