//! Plugins from registries: whose may run, and the store of those that were fetched.
//!
//! A plugin is fetched by its digest, and only from a source of the
//! configuration; it runs if one of that source's keys signed it. What was
//! fetched is kept on disk with its manifest and its signatures, and is
//! checked from the ground up each time that it is read.

use super::Error;
use crate::config::PluginSource;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use images::Registries;
use images::plugin::Pulled;
use images::signature::{Form, PublicKey, Signature, signer};
use pipeline::{Digest, ImageRef};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Mutex;

/// All kept plugins together, in bytes; the least recently used go first.
const KEPT: u64 = 1 << 30;

/// The plugins of the configuration's sources.
pub struct Remote {
    registries: Arc<Registries>,
    sources: Vec<(PluginSource, Vec<PublicKey>)>,
    dir: PathBuf,
    /// One is fetched at a time.
    fetching: Mutex<()>,
}

/// A plugin that may run.
pub struct Trusted {
    /// It, with its digests.
    pub plugin: Pulled,
    /// The key that signed it, as people tell keys apart.
    pub signer: String,
}

/// The first line of a kept file; the component follows it.
#[derive(Serialize, Deserialize)]
struct Head {
    manifest: String,
    /// Payloads and signatures, in base64.
    signatures: Vec<(String, String)>,
    /// Statements and signatures, in base64.
    #[serde(default)]
    statements: Vec<(String, String)>,
}

impl Remote {
    /// Reads the sources' keys, and makes the store's folder.
    ///
    /// # Errors
    /// A key cannot be read, or the folder cannot be made.
    pub fn new(dir: PathBuf, registries: Arc<Registries>, sources: &[PluginSource]) -> Result<Remote, String> {
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let read = |source: &PluginSource| {
            let keys = source.keys.iter().map(crate::config::KeyFile::read).collect::<Result<_, _>>();
            let keys = keys.map_err(|mistake| format!("plugin-source `{}`: {mistake}", source.pattern))?;
            Ok((source.clone(), keys))
        };
        let sources = sources.iter().map(read).collect::<Result<_, String>>()?;
        Ok(Remote { registries, sources, dir, fetching: Mutex::default() })
    }

    /// A plugin by its digest, from the store or else from its registry.
    ///
    /// # Errors
    /// It is of no source, none of the source's keys signed it, it is damaged or absent, or the registry cannot be
    /// asked.
    pub async fn get(&self, reference: &ImageRef) -> Result<Trusted, Error> {
        let keys = self.keys(reference)?;
        let Some(digest) = &reference.digest else {
            let help = "run `bespin plugin lock` and commit `.bespin/plugins.lock`";
            return Err(Error::Refused(format!("{reference} is not pinned to a digest; {help}")));
        };
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(kept) = self.kept(reference, digest, &keys).await {
            return Ok(kept);
        }
        let registry = self.registries.of(&reference.host)?;
        let plugin = registry.pull_plugin(reference, sandbox::inspect::LONGEST).await?;
        let signatures = registry.signatures(reference, digest).await?;
        let signer = signed(reference, digest, &signatures, &keys)?;
        let (path, entry) = (self.path(reference, digest), entry(&plugin, &signatures));
        let dir = self.dir.clone();
        let kept = tokio::task::spawn_blocking(move || keep(&dir, &path, &entry)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, "a fetched plugin is not kept; it will be fetched again after a restart");
        }
        Ok(Trusted { plugin, signer })
    }

    /// The keys that may have signed a plugin.
    fn keys(&self, reference: &ImageRef) -> Result<Vec<PublicKey>, Error> {
        let name = reference.name();
        let rows = self.sources.iter().filter(|(source, _)| source.covers(&name));
        let keys: Vec<_> = rows.flat_map(|(_, keys)| keys.clone()).collect();
        if keys.is_empty() {
            return Err(Error::Refused(format!(
                "{name} is of no source that this server takes plugins from; its administrator can add \
                 [[plugin-source]] with match = \"{name}\" and the keys that sign it"
            )));
        }
        Ok(keys)
    }

    /// What the store has, if every digest and a signature hold.
    async fn kept(&self, reference: &ImageRef, digest: &Digest, keys: &[PublicKey]) -> Option<Trusted> {
        let path = self.path(reference, digest);
        let bytes = tokio::fs::read(&path).await.ok()?;
        let found = read(reference, &bytes).and_then(|(plugin, signatures)| {
            let signer = signed(reference, digest, &signatures, keys).ok()?;
            Some(Trusted { plugin, signer })
        });
        match &found {
            Some(_) => {
                // Only the order of use depends on it.
                let used = std::fs::File::options().append(true).open(&path);
                let _unimportant = used.and_then(|file| file.set_modified(SystemTime::now()));
            }
            None => tracing::warn!(%reference, "a kept plugin is damaged, or not signed by a known key; fetched anew"),
        }
        found
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The same content under another name is another entry: whether it may run must not hang on what ran before.
    fn path(&self, reference: &ImageRef, digest: &Digest) -> PathBuf {
        path(&self.dir, reference, digest)
    }
}

/// Where a store keeps what a reference by digest names.
fn path(dir: &Path, reference: &ImageRef, digest: &Digest) -> PathBuf {
    dir.join(Digest::of(reference.pinned(digest).to_string().as_bytes()).hex())
}

/// The component that a store has under a reference, if its digests hold. Whether it may run is not asked.
pub(super) fn stored(dir: &Path, reference: &ImageRef) -> io::Result<Option<Vec<u8>>> {
    let Some(digest) = &reference.digest else { return Ok(None) };
    match std::fs::read(path(dir, reference, digest)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        kept => Ok(read(reference, &kept?).map(|(plugin, _)| plugin.wasm.to_vec())),
    }
}

fn signed(
    reference: &ImageRef,
    digest: &Digest,
    signatures: &[Signature],
    keys: &[PublicKey],
) -> Result<String, Error> {
    if let Some(key) = signer(digest, signatures, keys) {
        return Ok(key.to_string());
    }
    let known = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let found = match signatures.len() {
        0 => "is not signed".to_owned(),
        1 => "has a signature by another key".to_owned(),
        more => format!("has {more} signatures, all by other keys"),
    };
    Err(Error::Unsigned(format!(
        "{reference} {found}, and it must be signed by one of: {known}; sign it by `bespin plugin sign {} --key ...` \
         or `cosign sign --key ...`",
        reference.name()
    )))
}

fn entry(plugin: &Pulled, signatures: &[Signature]) -> Vec<u8> {
    let all = |form| {
        let all = signatures.iter().filter(move |one| one.form == form);
        all.map(|one| (BASE64.encode(&one.payload), BASE64.encode(&one.signature))).collect()
    };
    let (signatures, statements) = (all(Form::Payload), all(Form::Statement));
    let head = Head { manifest: BASE64.encode(&plugin.manifest_bytes), signatures, statements };
    let mut entry = serde_json::to_vec(&head).expect("texts are plain JSON");
    entry.push(b'\n');
    entry.extend_from_slice(&plugin.wasm);
    entry
}

fn read(reference: &ImageRef, entry: &[u8]) -> Option<(Pulled, Vec<Signature>)> {
    let end = entry.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&entry[..end]).ok()?;
    let decode = |text: &String| BASE64.decode(text).ok();
    let all = [(Form::Payload, &head.signatures), (Form::Statement, &head.statements)];
    let all = all.into_iter().flat_map(|(form, all)| all.iter().map(move |one| (form, one)));
    let one = |(form, (payload, signature)): (Form, &(String, String))| {
        Some(Signature { form, payload: decode(payload)?, signature: decode(signature)? })
    };
    let signatures = all.filter_map(one).collect();
    let wasm = entry[end + 1..].to_vec();
    Some((Pulled::kept(reference, decode(&head.manifest)?.into(), wasm.into()).ok()?, signatures))
}

/// Writes aside and renames, so that a reader sees all of it or nothing, and lets the oldest go.
fn keep(dir: &Path, path: &Path, entry: &[u8]) -> io::Result<()> {
    let mut aside = tempfile::NamedTempFile::new_in(dir)?;
    io::Write::write_all(&mut aside, entry)?;
    aside.persist(path).map_err(|error| error.error)?;
    let mut files = Vec::new();
    for file in std::fs::read_dir(dir)? {
        let (file, meta) = file.and_then(|file| Ok((file.path(), file.metadata()?)))?;
        files.push((meta.modified()?, meta.len(), file));
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, file) in files.iter().filter(|(_, _, file)| file != path) {
        if total <= KEPT {
            break;
        }
        std::fs::remove_file(file)?;
        total -= length;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
