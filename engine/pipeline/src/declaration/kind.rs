//! The kinds of values that a schema tells apart, and their words.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A kind of value, by JSON Schema's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A text.
    String,
    /// A number, whole or not.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// A map.
    Object,
    /// Nothing, as a key without a value has it.
    Null,
}

impl Kind {
    /// Whether a value is of this kind.
    pub(crate) fn fits(self, value: &Value) -> bool {
        match self {
            Kind::String => value.is_string(),
            Kind::Number => value.is_number(),
            Kind::Integer => value.is_i64() || value.is_u64(),
            Kind::Boolean => value.is_boolean(),
            Kind::Array => value.is_array(),
            Kind::Object => value.is_object(),
            Kind::Null => value.is_null(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::String => "a text",
            Kind::Number => "a number",
            Kind::Integer => "a whole number",
            Kind::Boolean => "true or false",
            Kind::Array => "a list",
            Kind::Object => "a map",
            Kind::Null => "nothing",
        }
    }
}

/// What is taken, in words: `a text or a list`. What is taken as a text is one, however YAML reads it.
pub(super) fn words(kinds: &[Kind]) -> String {
    let as_text = kinds.contains(&Kind::String);
    let is_told = |kind: &&Kind| match kind {
        Kind::Null => false,
        Kind::Number | Kind::Integer | Kind::Boolean => !as_text,
        Kind::String | Kind::Array | Kind::Object => true,
    };
    let words: Vec<_> = kinds.iter().filter(is_told).map(|kind| kind.word()).collect();
    if words.is_empty() { "anything".to_owned() } else { words.join(" or ") }
}

/// JSON Schema's `type`: one name, or a list of them.
pub(super) fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Kind>, D::Error> {
    let value = match Value::deserialize(deserializer)? {
        Value::Array(several) => Value::Array(several),
        one => Value::Array(vec![one]),
    };
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}
