//! Compiled plugins on disk.
//!
//! An entry is machine code that will run in this process, so that it is
//! trusted only if this installation wrote it: each begins with an HMAC under
//! a key that lives beside the entries, readable by the owner alone. An entry
//! that is damaged, foreign, or of another engine or CPU is as good as absent.

use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Length of an HMAC-SHA256, and of the key, in bytes.
const MAC: usize = 32;

/// A directory of compiled plugins.
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; MAC],
    /// Engine version, settings and CPU, as a hash.
    compatibility: String,
    at_most: u64,
}

impl Cache {
    /// Opens or makes the directory and its key.
    ///
    /// # Errors
    ///
    /// It cannot be made, or made private.
    pub(crate) fn open(dir: &Path, engine: &Engine, at_most: u64) -> io::Result<Cache> {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        let key = read_or_make_key(&dir.join("key"))?;
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hex::encode(&hasher.0.finalize()[..8]);
        Ok(Cache { dir: dir.to_owned(), key, compatibility, at_most })
    }

    /// A compiled component by its digest, if there is one that can be trusted.
    pub(crate) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let name = self.name(digest);
        let mut file = File::open(self.dir.join(&name)).ok()?;
        let mut entry = Vec::new();
        file.read_to_end(&mut entry).ok()?;
        let (mac, code) = entry.split_at_checked(MAC)?;
        if self.mac(&name, code).verify_slice(mac).is_err() {
            tracing::warn!(entry = name, "a compiled plugin in the cache is damaged or foreign, and is compiled anew");
            return None;
        }
        // Only the order of use depends on it.
        let _unimportant = File::options()
            .append(true)
            .open(self.dir.join(&name))
            .and_then(|file| file.set_modified(SystemTime::now()));
        // SAFETY: the bytes are machine code that this engine will run as it is. They come from `put` of an
        // installation that had the key, under the very name of this component, engine and CPU, since the HMAC
        // covers both; and what was verified is what is loaded, because both are this one copy in memory.
        #[expect(unsafe_code, reason = "there is no other way to load native code; the HMAC stands for its origin")]
        let loaded = unsafe { Component::deserialize(engine, code) };
        loaded.inspect_err(|error| tracing::warn!(entry = name, %error, "a cached plugin cannot be loaded")).ok()
    }

    /// Keeps a compiled component, and lets the least recently used go when the cache is full.
    ///
    /// # Errors
    ///
    /// The disk says no. The component works all the same.
    pub(crate) fn put(&self, digest: &str, component: &Component) -> io::Result<()> {
        let code = component.serialize().map_err(io::Error::other)?;
        let name = self.name(digest);
        let mac = self.mac(&name, &code).finalize().into_bytes();
        // Written aside and renamed: a reader sees all of it or nothing.
        let aside = self.dir.join(format!("{name}.{:016x}", rand::random::<u64>()));
        let written = create_private(&aside)
            .and_then(|mut file| file.write_all(&mac).and_then(|()| file.write_all(&code)))
            .and_then(|()| fs::rename(&aside, self.dir.join(&name)));
        if written.is_err() {
            let _already_gone = fs::remove_file(&aside);
        }
        written?;
        self.evict(&name)
    }

    /// Removes the least recently used entries until the rest fits. The one just written stays.
    fn evict(&self, newest: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name() != "key" {
                let meta = entry.metadata()?;
                entries.push((meta.modified()?, meta.len(), entry.file_name()));
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, length, _)| length).sum();
        for (_, length, name) in entries {
            if total <= self.at_most {
                break;
            }
            if name != newest {
                fs::remove_file(self.dir.join(name))?;
                total -= length;
            }
        }
        Ok(())
    }

    fn name(&self, digest: &str) -> String {
        format!("{digest}-{}.cwasm", self.compatibility)
    }

    fn mac(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(name.as_bytes());
        mac.update(code);
        mac
    }
}

/// The key, made anew when there is none or when others could have read it.
fn read_or_make_key(path: &Path) -> io::Result<[u8; MAC]> {
    if let Some(key) = read_key(path)? {
        return Ok(key);
    }
    // Whole before it has its name; if another process was faster, its key counts.
    let aside = path.with_file_name(format!("key.{:016x}", rand::random::<u64>()));
    create_private(&aside)?.write_all(&rand::random::<[u8; MAC]>())?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    read_key(path)?.ok_or_else(|| io::Error::other(format!("{} is no private file of {MAC} bytes", path.display())))
}

fn read_key(path: &Path) -> io::Result<Option<[u8; MAC]>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut key = Vec::new();
    file.read_to_end(&mut key)?;
    let private = file.metadata()?.permissions().mode() & 0o077 == 0;
    match <[u8; MAC]>::try_from(key) {
        Ok(key) if private => Ok(Some(key)),
        _ => {
            tracing::warn!("the key of the plugin cache is damaged or was readable by others; it is made anew");
            fs::remove_file(path)?;
            Ok(None)
        }
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Lets anything that is `Hash` feed a SHA-256: the engine offers no other view of itself.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::Config;

    #[test]
    fn what_another_engine_compiled_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let engine = |epochs| Engine::new(Config::new().epoch_interruption(epochs)).unwrap();
        let (ours, theirs) = (engine(true), engine(false));
        let (our_cache, their_cache) =
            (Cache::open(dir.path(), &ours, 1 << 20).unwrap(), Cache::open(dir.path(), &theirs, 1 << 20).unwrap());
        let empty = Component::new(&theirs, b"\0asm\x0d\0\x01\0").unwrap();
        their_cache.put("digest", &empty).unwrap();
        assert!(their_cache.get(&theirs, "digest").is_some());
        assert!(our_cache.get(&ours, "digest").is_none(), "it has another name");
        // Under our name it would be found, and is not trusted: the name is part of what the HMAC is over.
        fs::rename(dir.path().join(their_cache.name("digest")), dir.path().join(our_cache.name("digest"))).unwrap();
        assert!(our_cache.get(&ours, "digest").is_none());
    }
}
