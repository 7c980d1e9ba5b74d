//! A secret that is read whenever it is used: it may have been changed since.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::sync::Arc;

/// A secret that is read whenever it is used; what is shown of it is that it is one.
#[derive(Clone)]
pub struct GitSecret(Arc<dyn Fn() -> SecretString + Send + Sync>);

impl GitSecret {
    /// Asks `read` at each use. It is to be quick, and to answer the last good value where there is no other.
    pub fn read_by(read: impl Fn() -> SecretString + Send + Sync + 'static) -> GitSecret {
        GitSecret(Arc::new(read))
    }

    /// The secret as it is now.
    pub fn now(&self) -> SecretString {
        (self.0)()
    }
}

impl From<SecretString> for GitSecret {
    fn from(secret: SecretString) -> GitSecret {
        GitSecret::read_by(move || secret.clone())
    }
}

impl From<&str> for GitSecret {
    fn from(secret: &str) -> GitSecret {
        SecretString::from(secret).into()
    }
}

impl From<String> for GitSecret {
    fn from(secret: String) -> GitSecret {
        SecretString::from(secret).into()
    }
}

impl fmt::Debug for GitSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GitSecret([REDACTED])")
    }
}

impl<'de> Deserialize<'de> for GitSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GitSecret, D::Error> {
        SecretString::deserialize(deserializer).map(GitSecret::from)
    }
}
