//! The lock file: which digest each plugin's reference by tag stands for.
//!
//! A tag moves, and what runs with a step's grants must not move with it. The
//! file is committed beside the pipelines, so that a change of a plugin is a
//! change of the repository, seen and reviewed like any other.

use crate::mistake::{Mistake, SourceText};
use crate::{BadReference, Digest, ImageRef};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The file's place in a repository.
pub const LOCK: &str = ".bespin/plugins.lock";

/// The one version of the format.
const VERSION: &str = "1";
/// The largest file, in bytes.
const LARGEST: usize = 256 << 10;
/// How many mistakes are worth a person's while; each is looked for in the whole file.
const MOST: usize = 100;
const HELP: &str = "write the file anew by `bespin plugin lock --update`, which asks the registries again";

/// References by tag, and the digests that they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    pins: BTreeMap<String, Digest>,
}

/// What is known about the lock while a pipeline is read.
#[derive(Clone, Copy, Debug)]
pub enum Pins<'a> {
    /// The file was read, and this is what it pins.
    Known(&'a Lock),
    /// It has mistakes, which are told by themselves: references stay as they are written.
    Unreadable,
}

impl Lock {
    /// The lock of a repository that has no lock file.
    pub const EMPTY: Lock = Lock { pins: BTreeMap::new() };

    /// Reads the file.
    ///
    /// # Errors
    /// Every mistake in it, in the file's order.
    pub fn read(file: &str, text: &str) -> Result<Lock, Vec<Mistake>> {
        let source = SourceText { file, text };
        if text.len() > LARGEST {
            let message = format!("the file has {} bytes, over the {LARGEST} that are read", text.len());
            return Err(vec![source.mistake(0..1, message, HELP)]);
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        let broken = |error: toml::de::Error| {
            let at = error.span().unwrap_or(0..1);
            source.mistake(at, format!("it is no TOML: {}", error.message()), HELP)
        };
        let mut found: Vec<Mistake> = errors.into_iter().take(MOST).map(broken).collect();
        let mut lock = Lock::EMPTY;
        if found.is_empty() {
            lock.take(source, root.get_ref(), &mut found);
        }
        found.sort_by_key(|mistake| (mistake.line, mistake.column));
        if found.is_empty() { Ok(lock) } else { Err(found) }
    }

    fn take(&mut self, source: SourceText<'_>, root: &DeTable<'_>, found: &mut Vec<Mistake>) {
        let mut wrong = |at: Range<usize>, message: String, help: &str| {
            if found.len() < MOST {
                found.push(source.mistake(at, message, help));
            }
        };
        match root.get("version") {
            None => wrong(0..1, "it does not say its version".into(), "begin with `version = 1`"),
            Some(version) if source.slice(&version.span()).trim() != VERSION => {
                wrong(version.span(), "its version is not 1, the only one that this Bespin reads".into(), HELP);
            }
            Some(_) => {}
        }
        for (key, _) in root.iter().filter(|(key, _)| !matches!(key.get_ref().as_ref(), "version" | "plugins")) {
            wrong(key.span(), format!("it has no key `{}`", key.get_ref()), "it has `version` and `[plugins]`");
        }
        let Some(plugins) = root.get("plugins") else { return };
        let DeValue::Table(plugins) = plugins.get_ref() else {
            wrong(plugins.span(), "`plugins` is a table".into(), HELP);
            return;
        };
        for (key, value) in plugins.iter() {
            match (reference(key.get_ref()), digest(value)) {
                (Ok(reference), Ok(digest)) => {
                    self.pins.insert(reference.to_string(), digest);
                }
                (reference, digest) => {
                    if let Err((message, help)) = reference {
                        wrong(key.span(), message, &help);
                    }
                    if let Err(message) = digest {
                        wrong(value.span(), message, HELP);
                    }
                }
            }
        }
    }

    /// What a reference by tag stands for.
    pub fn digest(&self, reference: &ImageRef) -> Option<&Digest> {
        self.pins.get(&reference.to_string())
    }

    /// Sets the digest that a reference means from now on.
    pub fn pin(&mut self, reference: &ImageRef, digest: Digest) {
        self.pins.insert(reference.to_string(), digest);
    }
}

/// The whole file, as `bespin plugin lock` writes it.
impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `bespin plugin lock`, and read with the pipelines at the pushed commit: commit it.")?;
        writeln!(f, "version = {VERSION}\n\n[plugins]")?;
        self.pins.iter().try_for_each(|(reference, digest)| writeln!(f, "\"{reference}\" = \"{digest}\""))
    }
}

/// A plugin's reference, with a tag or a digest. The host must be written: there is no registry that is meant by none.
///
/// # Errors
/// What is wrong with it, and the help.
pub fn plugin_reference(text: &str) -> Result<ImageRef, (String, String)> {
    let reference: ImageRef = text.parse().map_err(|bad: BadReference| {
        (format!("`{text}` is no plugin's reference: at character {}, {}", bad.at, bad.message), bad.help)
    })?;
    if !text.starts_with(&reference.host) {
        return Err((format!("`{text}` does not name its registry"), format!("write it out: `{reference}`")));
    }
    match (&reference.tag, &reference.digest) {
        (None, None) => {
            Err((format!("`{text}` names no tag and no digest"), format!("write `{text}:1` or `{text}@sha256:...`")))
        }
        _ => Ok(reference),
    }
}

fn reference(text: &str) -> Result<ImageRef, (String, String)> {
    let reference = plugin_reference(text)?;
    if reference.digest.is_some() {
        return Err((format!("`{text}` is pinned as it stands"), "leave it out: only tags are locked".into()));
    }
    Ok(reference)
}

fn digest(value: &Spanned<DeValue<'_>>) -> Result<Digest, String> {
    let wrong = || "a plugin is pinned to `sha256:` and 64 hexadecimal digits".to_owned();
    let DeValue::String(text) = value.get_ref() else { return Err(wrong()) };
    text.parse().ok().filter(|digest: &Digest| digest.as_str().starts_with("sha256:")).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut lock = Lock::EMPTY;
        let reference = plugin_reference("localhost:5000/acme/lint:1").unwrap();
        lock.pin(&reference, hex("a").parse().unwrap());
        let again = Lock::read(LOCK, &lock.to_string()).unwrap();
        assert_eq!(again, lock);
        assert_eq!(again.digest(&reference).unwrap().as_str(), hex("a"));
        assert_eq!(again.digest(&plugin_reference("localhost:5000/acme/lint:2").unwrap()), None);
    }

    #[test]
    fn every_mistake_has_its_place_and_its_help() {
        let text = format!(
            "version = 2\n[plugins]\n\"acme/lint:1\" = \"{}\"\n\"ghcr.io/acme/lint\" = \"latest\"\n\
             \"ghcr.io/acme/a@{}\" = 3\n[plugin]\n",
            hex("a"),
            hex("b"),
        );
        let mistakes = Lock::read(LOCK, &text).unwrap_err();
        let all = crate::lint(&mistakes);
        for part in [
            ".bespin/plugins.lock:1:11: its version is not 1",
            ".bespin/plugins.lock:3:1: `acme/lint:1` does not name its registry",
            "help: write it out: `docker.io/acme/lint:1`",
            ".bespin/plugins.lock:4:1: `ghcr.io/acme/lint` names no tag",
            ".bespin/plugins.lock:4:23: a plugin is pinned to `sha256:`",
            "is pinned as it stands",
            ".bespin/plugins.lock:6:2: it has no key `plugin`",
            "7 mistakes",
        ] {
            assert!(all.contains(part), "{part} is not in:\n{all}");
        }
        let broken = Lock::read(LOCK, "version = 1\n[plugins\n").unwrap_err();
        assert!(broken[0].to_string().contains("it is no TOML") && broken[0].line == 2, "{}", broken[0]);
    }
}
