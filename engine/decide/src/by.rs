//! Who caused an entry.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who caused an entry; written with every one of them as `kind:name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum By {
    /// The server itself, by one of its decisions.
    Server,
    /// A person, by the name of their login.
    Person(String),
    /// A webhook delivery, by its id.
    Delivery(String),
    /// A step of a run, as `run-id#step`.
    Run(String),
    /// An alert, as `name#fingerprint`.
    Alert(String),
    /// Written by a version that knows more kinds than this one.
    Other(String),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Server => f.write_str("server"),
            By::Person(name) => write!(f, "person:{name}"),
            By::Delivery(id) => write!(f, "delivery:{id}"),
            By::Run(id) => write!(f, "run:{id}"),
            By::Alert(alert) => write!(f, "alert:{alert}"),
            By::Other(text) => f.write_str(text),
        }
    }
}

impl From<By> for String {
    fn from(by: By) -> String {
        by.to_string()
    }
}

impl From<String> for By {
    fn from(text: String) -> By {
        match text.split_once(':') {
            None if text == "server" => By::Server,
            Some(("person", name)) => By::Person(name.into()),
            Some(("delivery", id)) => By::Delivery(id.into()),
            Some(("run", id)) => By::Run(id.into()),
            Some(("alert", alert)) => By::Alert(alert.into()),
            _ => By::Other(text),
        }
    }
}
