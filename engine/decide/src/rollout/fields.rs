//! Reads JSON field by field, noting each mistake with its path and its help.

use serde_json::{Map, Value};
use std::fmt;
use std::ops::RangeInclusive;

/// Something in a Rollout that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where, such as `spec.strategy.canary.steps[0].setWeight`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Where the canary's part of a spec is.
pub(super) const CANARY: &str = "spec.strategy.canary";

pub(super) type Mistakes = Vec<Mistake>;

impl Mistake {
    pub(super) fn new(path: &str, message: &str, help: &str) -> Mistake {
        Mistake { path: path.to_owned(), message: message.to_owned(), help: help.to_owned() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (help: {})", self.path, self.message, self.help)
    }
}

/// An object whose fields are taken one after the other, so that what is left
/// over at the end is known not to be understood.
pub(super) struct Fields<'a> {
    path: String,
    left: Map<String, Value>,
    all: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The fields of an object; a mistake when it is none.
    pub(super) fn of(value: &'a Value, path: &str, mistakes: &mut Mistakes) -> Option<Fields<'a>> {
        let Some(all) = value.as_object() else {
            mistakes.push(Mistake::new(path, "is not an object", "write key: value lines below it"));
            return None;
        };
        Some(Fields { path: path.to_owned(), left: all.clone(), all })
    }

    /// Takes a field; null counts as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<&'a Value> {
        self.left.remove(key);
        self.all.get(key).filter(|value| !value.is_null())
    }

    /// Whether a field is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.all.get(key).is_some_and(|value| !value.is_null())
    }

    /// Takes a whole number within a range.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>, mistakes: &mut Mistakes) -> Option<u32> {
        let value = self.take(key)?;
        let number =
            value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number));
        if number.is_none() {
            let said = format!("`{value}` is no whole number from {} to {}", range.start(), range.end());
            mistakes.push(Mistake::new(&self.path_of(key), &said, "write such a number"));
        }
        number
    }

    /// Takes a piece of text.
    pub(super) fn text(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<String> {
        let value = self.take(key)?;
        let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if text.is_none() {
            mistakes.push(Mistake::new(&self.path_of(key), &format!("`{value}` is no name"), "write a name"));
        }
        text
    }

    /// Takes a yes or no; no when absent.
    pub(super) fn flag(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<bool> {
        let value = self.take(key)?;
        if value.as_bool().is_none() {
            mistakes.push(Mistake::new(
                &self.path_of(key),
                &format!("`{value}` is not true or false"),
                "write true or false",
            ));
        }
        value.as_bool()
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Where a field is.
    pub(super) fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Refuses all that is left: what Argo knows by name, and what nobody knows.
    pub(super) fn refuse(self, argos: &[&str], mistakes: &mut Mistakes) {
        for key in self.left.keys() {
            let (said, help) = match argos.contains(&key.as_str()) {
                true => (
                    "is Argo's, and not supported by this version of Bespin",
                    "remove it, or leave this Rollout to Argo Rollouts",
                ),
                false => ("is not a known field", "remove it, or correct its spelling"),
            };
            mistakes.push(Mistake::new(&self.path_of(key), said, help));
        }
    }
}
