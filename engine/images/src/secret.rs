//! A secret that is read whenever it is used: it may have been changed since.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::sync::Arc;

/// A secret that is read whenever it is used; what is shown of it is that it is one.
#[derive(Clone)]
pub struct RegistrySecret(Arc<dyn Fn() -> SecretString + Send + Sync>);

impl RegistrySecret {
    /// Asks `read` at each use. It is to be quick, and to answer the last good value where there is no other.
    pub fn read_by(read: impl Fn() -> SecretString + Send + Sync + 'static) -> RegistrySecret {
        RegistrySecret(Arc::new(read))
    }

    /// The secret as it is now.
    pub fn now(&self) -> SecretString {
        (self.0)()
    }
}

impl From<SecretString> for RegistrySecret {
    fn from(secret: SecretString) -> RegistrySecret {
        RegistrySecret::read_by(move || secret.clone())
    }
}

impl From<&str> for RegistrySecret {
    fn from(secret: &str) -> RegistrySecret {
        SecretString::from(secret).into()
    }
}

impl From<String> for RegistrySecret {
    fn from(secret: String) -> RegistrySecret {
        SecretString::from(secret).into()
    }
}

impl fmt::Debug for RegistrySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistrySecret([REDACTED])")
    }
}

impl<'de> Deserialize<'de> for RegistrySecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RegistrySecret, D::Error> {
        SecretString::deserialize(deserializer).map(RegistrySecret::from)
    }
}
