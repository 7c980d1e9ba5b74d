//! A declaration as rows, for people who look at a plugin.

use super::{Declaration, SettingSchema, kind};
use serde_json::Value;

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingRow {
    /// The key in `with`.
    pub name: String,
    /// What is taken, in words, such as `a text` or `hold or abort`.
    pub takes: String,
    /// Whether a step must have it.
    pub required: bool,
    /// What it is when absent, as JSON, where it is something.
    pub default: Option<String>,
    /// What it is for; may be empty.
    pub description: String,
    /// The setting and its value without which it is none, such as `action: plan`.
    pub when: Option<String>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputRow {
    /// Its name, as in `${{ steps.<id>.<name> }}`.
    pub name: String,
    /// What it is; may be empty.
    pub description: String,
    /// The alternative of which it is one, where there are several, such as `action: plan`.
    pub when: Option<String>,
}

impl Declaration {
    /// The settings: those that a step must have first, then by name; each alternative by itself.
    pub fn setting_rows(&self) -> Vec<SettingRow> {
        if self.settings.one_of.is_empty() {
            return rows(&self.settings, None);
        }
        let Some(key) = self.settings.told_apart_by() else { return Vec::new() };
        let choice = |schema: &SettingSchema| schema.properties.get(key).and_then(|property| property.r#const.clone());
        let choices: Vec<Value> = self.settings.one_of.iter().filter_map(choice).collect();
        let description = self.settings.property(key).map(|schema| schema.description.clone()).unwrap_or_default();
        let mut all = vec![row(key, &SettingSchema { choices, description, ..SettingSchema::default() }, true, None)];
        for schema in &self.settings.one_of {
            let when = choice(schema).as_ref().and_then(Value::as_str).map(|value| format!("{key}: {value}"));
            all.extend(rows(schema, when.as_deref()).into_iter().filter(|row| row.name != key));
        }
        all
    }

    /// The outputs that are known by name.
    pub fn output_rows(&self) -> Vec<OutputRow> {
        let key = self.settings.told_apart_by().unwrap_or_default();
        let row = |(name, output): (&String, &super::OutputDeclaration)| OutputRow {
            name: name.clone(),
            description: output.description.clone(),
            when: output.when.as_ref().map(|when| format!("{key}: {when}")),
        };
        self.outputs.iter().flatten().map(row).collect()
    }

    /// The setting whose keys are outputs as well, if there is one.
    pub fn outputs_named_by(&self) -> Option<&str> {
        self.outputs_named_by.as_deref()
    }
}

impl SettingSchema {
    /// What is taken, in words.
    pub(crate) fn takes(&self) -> String {
        let choices: Vec<_> = self.choices.iter().chain(&self.r#const).filter(|choice| !choice.is_null()).collect();
        if choices.is_empty() { kind::words(&self.kinds) } else { listed(&choices) }
    }
}

/// A few choices: `hold`, `abort` or `retreat`.
pub(crate) fn listed(choices: &[&Value]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<_> = choices.iter().take(SHOWN).map(|choice| format!("`{}`", bare(choice))).collect();
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A text without its quotes, anything else as JSON.
pub(crate) fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn rows(schema: &SettingSchema, when: Option<&str>) -> Vec<SettingRow> {
    let is_required = |name: &String| schema.required.contains(name);
    let mut rows: Vec<_> =
        schema.properties.iter().map(|(name, inner)| row(name, inner, is_required(name), when)).collect();
    rows.sort_by_key(|row| !row.required);
    rows
}

fn row(name: &str, schema: &SettingSchema, required: bool, when: Option<&str>) -> SettingRow {
    SettingRow {
        name: name.to_owned(),
        takes: schema.takes().replace('`', ""),
        required,
        default: schema.default.as_ref().filter(|default| **default != "").map(bare),
        description: schema.description.clone(),
        when: when.map(str::to_owned),
    }
}
