//! Values that a pipeline gives as a text or as the name of a secret.

use serde::Deserialize;
use std::collections::BTreeMap;

use crate::secrets::{Part, Secret};
use crate::{Result, Text, secrets};

/// A text, or `{ secret: name }`, whose value the plugin never sees.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or `{ secret: name }`")]
pub enum Given {
    /// As it stands.
    Text(Text),
    /// The name of a secret.
    Secret(Named),
}

/// `{ secret: name }`, and no list of one text, which is read as a struct of one field elsewhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Named {
    /// The name under which the server keeps it.
    pub secret: String,
}

impl TryFrom<BTreeMap<String, String>> for Named {
    type Error = &'static str;

    fn try_from(mut map: BTreeMap<String, String>) -> core::result::Result<Named, &'static str> {
        match (map.remove("secret"), map.is_empty()) {
            (Some(secret), true) => Ok(Named { secret }),
            _ => Err("expected `{ secret: name }`"),
        }
    }
}

/// A value that was found.
pub enum Found {
    /// As it stands.
    Text(String),
    /// A handle to a secret.
    Secret(Secret),
}

impl Given {
    /// Finds the secret, where it is one.
    ///
    /// # Errors
    ///
    /// There is none of that name, or it is not granted.
    pub fn find(self) -> Result<Found> {
        match self {
            Given::Text(text) => Ok(Found::Text(text.0)),
            Given::Secret(named) => Ok(Found::Secret(secrets::get(&named.secret)?)),
        }
    }
}

impl Found {
    /// For the host to put together.
    pub fn part(&self) -> Part<'_> {
        match self {
            Found::Text(text) => Part::Text(text.clone()),
            Found::Secret(secret) => Part::Secret(secret),
        }
    }
}
