//! What a step leaves for later steps.

use serde_json::{Map, Value};

/// A flat set of names and texts, read as `${{ steps.<id>.<name> }}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs(Map<String, Value>);

impl Outputs {
    /// None yet.
    pub fn new() -> Self {
        Outputs::default()
    }

    /// One more; a second of the same name takes the place of the first.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), Value::String(value.into()));
        self
    }

    /// As the contract wants it.
    pub(crate) fn into_json(self) -> String {
        Value::Object(self.0).to_string()
    }
}
