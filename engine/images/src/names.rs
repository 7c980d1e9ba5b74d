//! What builds are called while an engine has them.
//!
//! An engine shows every image to every build, by its name: `FROM` reads what it can name. So a build's name is an
//! HMAC of its run and step under a key that lives beside the layout, readable by the owner alone: nobody else can
//! compute it, and no image that was given one elsewhere is taken for a build.

use crate::error::Error;
use aws_lc_rs::{hmac, rand};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// What all names begin with.
const PREFIX: &str = "bespin-building";
/// Length of the key, in bytes.
const LENGTH: usize = 32;

/// Names builds, each by its label.
pub(crate) struct Names {
    key: hmac::Key,
}

impl Names {
    /// Reads the key in this directory; made anew where there is none, or where others could have read it.
    ///
    /// # Errors
    /// It cannot be read, or not be made private.
    pub(crate) fn open(directory: &Path) -> Result<Names, Error> {
        let path = directory.join("key");
        let failed = |error| Error::file("reading the key", &path, error);
        let key = match read(&path).map_err(failed)? {
            Some(key) => key,
            None => make(directory, &path)
                .and_then(|()| read(&path)?.ok_or_else(|| std::io::Error::other("it is no private file")))
                .map_err(failed)?,
        };
        Ok(Names { key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// What the build with this label is called.
    pub(crate) fn of(&self, label: &str) -> String {
        format!("{PREFIX}:{}", hex::encode(hmac::sign(&self.key, label.as_bytes())))
    }

    /// A pattern that all names of any server meet.
    pub(crate) fn all() -> String {
        format!("{PREFIX}:*")
    }
}

fn read(path: &Path) -> std::io::Result<Option<[u8; LENGTH]>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut key = Vec::new();
    (&file).take(LENGTH as u64 + 1).read_to_end(&mut key)?;
    let is_private = file.metadata()?.permissions().mode() & 0o077 == 0;
    match <[u8; LENGTH]>::try_from(key) {
        Ok(key) if is_private => Ok(Some(key)),
        _ => {
            tracing::warn!("the key of builds' names is damaged or was readable by others; it is made anew");
            std::fs::remove_file(path)?;
            Ok(None)
        }
    }
}

/// Whole before it has its name; if another process was faster, its key counts.
fn make(directory: &Path, path: &Path) -> std::io::Result<()> {
    let mut key = [0; LENGTH];
    rand::fill(&mut key).map_err(|_| std::io::Error::other("the machine has no randomness"))?;
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    #[test]
    fn a_name_is_the_same_for_whoever_has_the_key_and_for_nobody_else() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = |directory: &Path, label: &str| Names::open(directory).unwrap().of(label);
        let first = name(ours.path(), "a/b/c/1#image");
        assert_eq!(name(ours.path(), "a/b/c/1#image"), first);
        assert_ne!(name(ours.path(), "a/b/c/2#image"), first);
        assert_ne!(name(theirs.path(), "a/b/c/1#image"), first);
        let mode = fs::metadata(ours.path().join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn a_key_that_others_could_read_or_that_is_cut_short_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        let name = || Names::open(directory.path()).unwrap().of("a");
        let first = name();
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        let second = name();
        assert_ne!(second, first);
        fs::write(&key, "short").unwrap();
        assert_ne!(name(), second);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o7777, 0o600);
    }
}
