//! The store of built images: an OCI image layout on disk.
//!
//! The layout is the specification's own
//! (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>),
//! so that any tool can read it. A build is found by the annotation
//! `dev.bespin.build` of its entry in `index.json`.

use crate::blobs::{Digested, Layer, LayerWriter};
use crate::error::Error;
use decide::image::build_id;
use decide::request::Key;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use pipeline::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock, RwLockReadGuard};
use tempfile::NamedTempFile;

/// The annotation and label by which a build is found again.
pub(crate) const BUILD: &str = "dev.bespin.build";

/// A directory of blobs and an index of the builds among them. One process uses it at a time.
pub struct Layout {
    root: PathBuf,
    index: Mutex<()>,
    /// Held shared while blobs are written that no manifest names yet; pruning takes it alone.
    writing: RwLock<()>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: String,
    /// The builds in the layout, the oldest first.
    manifests: Vec<Indexed>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Indexed {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Leave to write blobs that no manifest names yet.
pub struct Writing<'a> {
    layout: &'a Layout,
    _shared: RwLockReadGuard<'a, ()>,
}

impl Layout {
    /// Opens the layout in this directory, and makes it where there is none.
    ///
    /// # Errors
    /// The directory cannot be written to, or holds an index that is not one.
    pub fn open(root: &Path) -> Result<Layout, Error> {
        let layout = Layout { root: root.to_owned(), index: Mutex::default(), writing: RwLock::default() };
        let scratch = layout.scratch();
        if scratch.exists() {
            // What a killed build left behind.
            fs::remove_dir_all(&scratch).map_err(|error| Error::file("clearing", &scratch, error))?;
        }
        for directory in [layout.root.join("blobs/sha256"), scratch] {
            fs::create_dir_all(&directory).map_err(|error| Error::file("making", &directory, error))?;
        }
        layout.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let _valid = layout.read_index()?;
        Ok(layout)
    }

    /// The digest of the image that was built for this key, if it is whole.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn find(&self, key: &Key) -> Result<Option<Digest>, Error> {
        let label = build_id::label(key);
        let index = self.read_index()?;
        let entry = index.manifests.iter().rev().find(|entry| entry.annotations.get(BUILD) == Some(&label));
        Ok(entry.map(|entry| entry.digest.clone()).filter(|digest| self.holds(digest)))
    }

    /// Whether this image can be pushed: its manifest and every blob are there.
    pub fn holds(&self, digest: &Digest) -> bool {
        let Ok((_, manifest)) = self.manifest(digest) else { return false };
        let mut blobs = manifest.layers.iter().chain([&manifest.config]);
        blobs.all(|blob| blob.digest.parse().is_ok_and(|digest: Digest| self.blob(&digest).exists()))
    }

    /// An image's manifest, as bytes and as what they say.
    ///
    /// # Errors
    /// It is not there, or is no manifest of an image.
    pub fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, OciImageManifest), Error> {
        let path = self.blob(digest);
        let bytes = fs::read(&path).map_err(|error| Error::file("reading", &path, error))?;
        let manifest = serde_json::from_slice(&bytes).map_err(|error| Error::file("reading", &path, error))?;
        Ok((bytes, manifest))
    }

    /// Where a blob is, or would be.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Where unfinished files may be put; on the same file system as the blobs.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// Begins to write an image's blobs. Nothing is pruned until the answer is dropped.
    pub fn write(&self) -> Writing<'_> {
        let shared = self.writing.read().expect("nobody panics while pruning");
        Writing { layout: self, _shared: shared }
    }

    /// Forgets all but the newest `keep` builds, and the blobs that only they had.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn prune(&self, keep: usize) -> Result<(), Error> {
        let _alone = self.writing.write().expect("nobody panics while writing blobs");
        let _index = self.index.lock().expect("nobody panics while holding the index");
        let mut index = self.read_index()?;
        let surplus = index.manifests.len().saturating_sub(keep);
        if surplus == 0 {
            return Ok(());
        }
        index.manifests.drain(..surplus);
        self.write_index(&index)?;
        let mut kept = BTreeSet::new();
        for entry in &index.manifests {
            kept.insert(entry.digest.hex().to_owned());
            // A manifest that cannot be read names nothing to keep.
            let Ok((_, manifest)) = self.manifest(&entry.digest) else { continue };
            let blobs = manifest.layers.iter().chain([&manifest.config]);
            kept.extend(blobs.filter_map(|blob| blob.digest.split_once(':').map(|(_, hex)| hex.to_owned())));
        }
        let blobs = self.root.join("blobs/sha256");
        for entry in fs::read_dir(&blobs).map_err(|error| Error::file("reading", &blobs, error))?.flatten() {
            if !kept.contains(entry.file_name().to_string_lossy().as_ref()) {
                fs::remove_file(entry.path()).map_err(|error| Error::file("removing", &entry.path(), error))?;
            }
        }
        Ok(())
    }

    fn read_index(&self) -> Result<Index, Error> {
        let path = self.root.join("index.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::file("reading", &path, error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Index {
                schema_version: 2,
                media_type: "application/vnd.oci.image.index.v1+json".into(),
                manifests: Vec::new(),
            }),
            Err(error) => Err(Error::file("reading", &path, error)),
        }
    }

    fn write_index(&self, index: &Index) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(index).expect("an index is plain data");
        self.replace("index.json", &bytes)
    }

    /// Replaces a file at once: a reader sees the old text or the new one.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.root.join(name);
        let mut file = self.scratch_file()?;
        file.write_all(bytes).map_err(|error| Error::file("writing", &path, error))?;
        persist(file, &path)
    }

    fn scratch_file(&self) -> Result<NamedTempFile, Error> {
        let scratch = self.scratch();
        NamedTempFile::new_in(&scratch).map_err(|error| Error::file("writing in", &scratch, error))
    }
}

impl Writing<'_> {
    /// A layer that is written as a stream.
    pub fn layer(&self) -> Result<LayerWriter<NamedTempFile>, Error> {
        self.layout.scratch_file().map(LayerWriter::new)
    }

    /// Puts a finished layer among the blobs.
    pub fn keep(&self, layer: LayerWriter<NamedTempFile>) -> Result<Layer, Error> {
        let (file, layer) = layer.finish().map_err(|error| Error::disk("writing a layer", error))?;
        self.keep_file(file, &layer.blob.digest)?;
        Ok(layer)
    }

    /// Puts a finished file among the blobs, under the digest that it has.
    pub fn keep_file(&self, file: NamedTempFile, digest: &Digest) -> Result<(), Error> {
        persist(file, &self.layout.blob(digest))
    }

    /// Puts bytes among the blobs.
    pub fn bytes(&self, bytes: &[u8]) -> Result<Digested, Error> {
        let digest = Digest::of(bytes);
        let path = self.layout.blob(&digest);
        let mut file = self.layout.scratch_file()?;
        file.write_all(bytes).map_err(|error| Error::file("writing", &path, error))?;
        persist(file, &path)?;
        Ok(Digested { digest, size: bytes.len() as u64 })
    }

    /// An unfinished file, for a blob whose digest is not known yet.
    pub fn file(&self) -> Result<NamedTempFile, Error> {
        self.layout.scratch_file()
    }

    /// Writes the manifest of an image whose blobs are there, and remembers it as this key's build.
    pub fn image(&self, key: &Key, config: Digested, layers: Vec<OciDescriptor>) -> Result<Digest, Error> {
        let manifest = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.into()),
            config: descriptor(oci_client::manifest::IMAGE_CONFIG_MEDIA_TYPE, &config),
            layers,
            ..OciImageManifest::default()
        };
        let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain data");
        let manifest = self.bytes(&bytes)?;
        let label = build_id::label(key);
        let _index = self.layout.index.lock().expect("nobody panics while holding the index");
        let mut index = self.layout.read_index()?;
        index.manifests.retain(|entry| entry.annotations.get(BUILD) != Some(&label));
        index.manifests.push(Indexed {
            media_type: OCI_IMAGE_MEDIA_TYPE.into(),
            digest: manifest.digest.clone(),
            size: manifest.size,
            annotations: BTreeMap::from([(BUILD.into(), label)]),
        });
        self.layout.write_index(&index)?;
        Ok(manifest.digest)
    }
}

/// The descriptor of a blob.
pub(crate) fn descriptor(media_type: &str, blob: &Digested) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.into(),
        digest: blob.digest.to_string(),
        size: i64::try_from(blob.size).expect("no blob has 2^63 bytes"),
        ..OciDescriptor::default()
    }
}

/// Moves a file to its place once its bytes are on the disk.
fn persist(file: NamedTempFile, path: &Path) -> Result<(), Error> {
    let kept = file.as_file().sync_all().and_then(|()| file.persist(path).map_err(|error| error.error));
    let file: File = kept.map_err(|error| Error::file("writing", path, error))?;
    drop(file);
    Ok(())
}
