//! Where a secret is kept.

use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;

/// What is said of a secret that is not named as it has to be: nothing of what stands there, for it may be the secret.
pub(super) const NOT_NAMED: &str = "a secret is named by where it is kept, `{ file = \"/run/secrets/hook\" }` or \
                                    `{ env = \"HOOK_SECRET\" }`, and does not stand in this file itself";

/// Where a secret is kept: `{ file = "..." }` or `{ env = "..." }`.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// The whole content of a file, without the line break at its end. A hook's may hold two, a line each.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretSource, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        enum Named {
            File(PathBuf),
            Env(String),
        }
        match Named::deserialize(deserializer) {
            Ok(Named::File(path)) => Ok(SecretSource::File(path)),
            Ok(Named::Env(name)) => Ok(SecretSource::Env(name)),
            Err(_) => Err(D::Error::custom(NOT_NAMED)),
        }
    }
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

/// A secret that lives longer than its file stands still: it is read again at each use, and the last good value
/// stays where the file is gone or empty.
pub struct KeptSecret {
    source: SecretSource,
    last: Mutex<LastGood>,
}

struct LastGood {
    secret: SecretString,
    /// Why it was not read again, as the log was told.
    trouble: Option<String>,
}

impl KeptSecret {
    /// Reads the secret for the first time.
    ///
    /// # Errors
    /// As [`SecretSource::read`].
    pub fn read(source: SecretSource) -> Result<KeptSecret, String> {
        let secret = source.read()?;
        Ok(KeptSecret { source, last: Mutex::new(LastGood { secret, trouble: None }) })
    }

    /// The secret as it is now.
    pub fn now(&self) -> SecretString {
        let read = self.source.read();
        let mut last = self.last.lock().expect("nobody panics while holding a secret");
        match read {
            Ok(secret) => {
                if last.secret.expose_secret() != secret.expose_secret() {
                    tracing::info!(secret = %self.source, "the secret has changed, and the new one counts");
                }
                *last = LastGood { secret, trouble: None };
            }
            Err(trouble) => {
                if last.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!(%trouble, "the secret cannot be read again; the last one counts until it can");
                }
                last.trouble = Some(trouble);
            }
        }
        last.secret.clone()
    }

    /// The secrets as they are now, one on each line.
    pub fn lines(&self) -> Vec<SecretString> {
        lines(&self.now()).map(SecretString::from).collect()
    }
}

impl fmt::Debug for KeptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeptSecret").field(&self.source).finish()
    }
}

/// The lines of a secret that hold something.
pub(super) fn lines(secret: &SecretString) -> impl Iterator<Item = &str> {
    secret.expose_secret().lines().filter(|line| !line.is_empty())
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::File(path) => write!(f, "the file {}", path.display()),
            SecretSource::Env(name) => write!(f, "the environment variable {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_changes_with_its_file_and_the_last_good_one_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "old\n").unwrap();
        let kept = KeptSecret::read(SecretSource::File(file.clone())).unwrap();
        let now = || kept.now().expose_secret().to_owned();
        assert_eq!(now(), "old");
        // As long as the old one, within the same moment, and by another file of the same name.
        for new in ["new", "two"] {
            std::fs::write(directory.path().join("next"), format!("{new}\n")).unwrap();
            std::fs::rename(directory.path().join("next"), &file).unwrap();
            assert_eq!(now(), new);
        }
        std::fs::write(&file, "").unwrap();
        assert_eq!(now(), "two", "it is being written");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(now(), "two", "it is being replaced");
        std::fs::write(&file, "three").unwrap();
        assert_eq!(now(), "three");
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(now(), "three", "no text is no secret");
    }

    #[test]
    fn nothing_is_kept_of_what_was_never_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        KeptSecret::read(SecretSource::File(file.clone())).unwrap_err();
        std::fs::write(&file, "\n").unwrap();
        let error = KeptSecret::read(SecretSource::File(file)).unwrap_err();
        assert!(error.ends_with("is empty"), "{error}");
    }

    #[test]
    fn two_secrets_stand_on_two_lines() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hook");
        std::fs::write(&file, "one\r\n\ntwo words \n").unwrap();
        let kept = KeptSecret::read(SecretSource::File(file)).unwrap();
        let all: Vec<_> = kept.lines().iter().map(|secret| secret.expose_secret().to_owned()).collect();
        assert_eq!(all, ["one", "two words "]);
        assert!(!format!("{kept:?}").contains("one"));
    }
}
