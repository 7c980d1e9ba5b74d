//! Where a secret is kept.

use secrecy::SecretString;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;

/// Where a secret is kept: `{ file = "..." }` or `{ env = "..." }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum SecretSource {
    /// The whole content of a file, without the line break at its end.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
}

impl SecretSource {
    /// Reads the secret. Files are read each time, so that a rotation needs no restart.
    ///
    /// # Errors
    /// Where it was looked for and why it is not there; never what was found.
    pub fn read(&self) -> Result<SecretString, String> {
        let text = match self {
            SecretSource::File(path) => std::fs::read_to_string(path).map_err(|error| format!("{self}: {error}"))?,
            SecretSource::Env(name) => std::env::var(name).map_err(|_| format!("{self} is not set"))?,
        };
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() { Err(format!("{self} is empty")) } else { Ok(SecretString::from(text)) }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::File(path) => write!(f, "the file {}", path.display()),
            SecretSource::Env(name) => write!(f, "the environment variable {name}"),
        }
    }
}
