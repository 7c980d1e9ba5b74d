//! From the step's `with:` to typed settings.

use std::fmt;

use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{Failure, Outputs, Result};

/// A text that YAML may have read as a number or a truth value: `tag: 17` is the tag `17`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub String);

/// Reads the settings, runs the step and writes the outputs. What [`crate::step!`] exports.
///
/// # Errors
///
/// Those of the step, and settings that do not fit, by the key that is wrong.
pub fn run<S: DeserializeOwned>(settings: &str, step: fn(S) -> Result<Outputs>) -> Result<String> {
    step(parse("with", settings)?).map(Outputs::into_json)
}

/// A value as JSON, for the body of a request.
///
/// # Errors
///
/// The value is none that JSON can write, such as a map whose keys are no texts.
pub fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Failure::Rejected(format!("cannot write JSON: {error}")))
}

/// Reads JSON from the host; mistakes begin with what it is.
pub(crate) fn parse<S: DeserializeOwned>(what: &str, text: &str) -> Result<S> {
    // By way of a value, since a line and a column of the host's JSON would mislead the reader.
    let value: Value = serde_json::from_str(text).map_err(|e| Failure::Rejected(format!("{what}: {e}")))?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        Failure::Rejected(if path == "." { format!("{what}: {inner}") } else { format!("{what}: {path}: {inner}") })
    })
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct AsText;
        impl Visitor<'_> for AsText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: Error>(self, v: &str) -> std::result::Result<Text, E> {
                Ok(Text(v.to_owned()))
            }
            fn visit_bool<E: Error>(self, v: bool) -> std::result::Result<Text, E> {
                Ok(Text(v.to_string()))
            }
            fn visit_i64<E: Error>(self, v: i64) -> std::result::Result<Text, E> {
                Ok(Text(v.to_string()))
            }
            fn visit_u64<E: Error>(self, v: u64) -> std::result::Result<Text, E> {
                Ok(Text(v.to_string()))
            }
            fn visit_f64<E: Error>(self, v: f64) -> std::result::Result<Text, E> {
                Ok(Text(v.to_string()))
            }
        }
        deserializer.deserialize_any(AsText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Settings {
        to: String,
        tag: Text,
        #[serde(default)]
        build_args: std::collections::BTreeMap<String, Text>,
    }

    fn refused(settings: &str) -> String {
        match parse::<Settings>("with", settings).unwrap_err() {
            Failure::Rejected(because) => because,
            Failure::Transient(because) => panic!("{because}"),
        }
    }

    #[test]
    fn a_number_is_a_text_too() {
        let settings: Settings =
            parse("with", r#"{ "to": "host/name", "tag": 17, "build-args": { "TESTS": true, "JAVA": 21 } }"#).unwrap();
        assert_eq!((settings.to.as_str(), settings.tag.0.as_str()), ("host/name", "17"));
        assert_eq!(settings.build_args["TESTS"].0, "true");
    }

    #[test]
    fn a_mistake_names_its_key() {
        for (settings, because) in [
            (r#"{ "tag": "v1" }"#, "with: missing field `to`"),
            (r#"{ "to": 3, "tag": "v1" }"#, "with: to: invalid type: integer `3`, expected a string"),
            (r#"{ "to": "x", "tag": {} }"#, "with: tag: invalid type: map, expected a text"),
            (
                r#"{ "to": "x", "tag": "v1", "build-args": { "A": [1] } }"#,
                "with: build-args.A: invalid type: sequence, expected a text",
            ),
        ] {
            assert_eq!(refused(settings), because);
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_known_ones() {
        assert_eq!(
            refused(r#"{ "to": "x", "tga": "v1" }"#),
            "with: tga: unknown field `tga`, expected one of `to`, `tag`, `build-args`"
        );
    }
}
