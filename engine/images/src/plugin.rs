//! Plugins in registries, in the layout that the CNCF gives to WebAssembly
//! (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>),
//! and their signatures where cosign keeps them: under the tag `sha256-<hex>.sig`,
//! or in bundles of their own.

use crate::error::Error;
use crate::fetch::{Got, MANIFEST};
use crate::registry::Registry;
use crate::signature::{Form, Signature, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use oci_client::RegistryOperation;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use pipeline::{Digest, ImageRef};
use serde_json::json;
use std::collections::BTreeMap;

/// The media type of the configuration.
pub const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the one layer.
pub const LAYER: &str = "application/wasm";
/// The media type of a signature's payload.
const SIGNED: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation that holds a signature, in base64.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The longest payload of a signature, and the longest bundle, in bytes.
pub(crate) const PAYLOAD: usize = 64 << 10;
/// How many signatures of one artifact are looked at.
pub(crate) const SIGNATURES: usize = 32;

/// A plugin as a registry has it; every digest in it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The digest of the manifest: what a reference by digest names, and what is signed.
    pub manifest: Digest,
    /// The manifest, byte for byte as the digest is over it.
    pub manifest_bytes: Bytes,
    /// The digest of the component.
    pub component: Digest,
    /// The WebAssembly component, byte for byte.
    pub wasm: Bytes,
}

/// A plugin to push.
#[derive(Clone, Debug)]
pub struct New {
    /// The WebAssembly component to push, byte for byte.
    pub wasm: Bytes,
    /// What it imports and exports, by full names, for those who only look.
    pub imports: Vec<String>,
    /// The interfaces that it exports, by full names.
    pub exports: Vec<String>,
}

/// What becomes of a tag that names another artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// It stays, and the push is refused.
    Stays,
    /// It moves to the new artifact.
    Moves,
}

impl Pulled {
    /// Puts together what was kept of a plugin; `from` names it by its digest.
    ///
    /// # Errors
    /// The manifest or the component is not the one that the digest stands for.
    pub fn kept(from: &ImageRef, manifest_bytes: Bytes, wasm: Bytes) -> Result<Pulled, Error> {
        let (manifest, read) = checked(from, &manifest_bytes)?;
        if from.digest.is_none() {
            return Err(damaged(from, "it is not named by its digest"));
        }
        let component = component(from, plugin_layer(from, &read)?, &wasm)?;
        Ok(Pulled { manifest, manifest_bytes, component, wasm })
    }
}

impl Registry {
    /// Fetches a plugin by its tag or digest. `at_most` is the longest component, in bytes.
    ///
    /// # Errors
    /// There is none, it is no plugin, it is too long, its digests are not those of its bytes, or the registry
    /// cannot be asked.
    pub async fn pull_plugin(&self, from: &ImageRef, at_most: u64) -> Result<Pulled, Error> {
        let (manifest, manifest_bytes, read) = self.manifest_of(from).await?.ok_or_else(|| absent(from))?;
        let layer = plugin_layer(from, &read)?;
        let digest = layer.digest.parse().map_err(|_| damaged(from, "its layer's digest is malformed"))?;
        if u64::try_from(layer.size).map_or(true, |size| size > at_most) {
            return Err(too_long(from, at_most));
        }
        let limit = usize::try_from(at_most).unwrap_or(usize::MAX);
        let wasm = match self.fetch_blob(from, &digest, limit).await? {
            Got::Whole(wasm) => wasm,
            Got::Absent => return Err(damaged(from, "the registry has lost its layer")),
            Got::TooLong => return Err(too_long(from, at_most)),
        };
        let component = component(from, layer, &wasm)?;
        Ok(Pulled { manifest, manifest_bytes, component, wasm })
    }

    /// Pushes a plugin, and returns its manifest's digest. The same file always gives the same digest.
    ///
    /// # Errors
    /// The tag names another artifact and stays, or the registry refuses or cannot be reached.
    pub async fn push_plugin(&self, to: &ImageRef, plugin: &New, tag: Tag) -> Result<Digest, Error> {
        let layer = descriptor(LAYER, &plugin.wasm);
        let config = json!({
            // Nothing of the moment enters.
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer.digest],
            "component": { "imports": plugin.imports, "exports": plugin.exports },
        });
        let config = Bytes::from(config.to_string());
        let manifest = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.into()),
            config: descriptor(CONFIG, &config),
            layers: vec![layer],
            ..OciImageManifest::default()
        };
        let bytes = Bytes::from(serde_json::to_vec(&manifest).expect("a manifest is plain JSON"));
        let digest = Digest::of(&bytes);
        match self.digest(to).await? {
            Some(other) if other != digest && tag == Tag::Stays => {
                return Err(Error::Taken(format!(
                    "{to} names {other} already; push under another tag, or let this one move with --move-tag"
                )));
            }
            _ => {}
        }
        self.put_blob(to, &config).await?;
        self.put_blob(to, &plugin.wasm).await?;
        self.put_manifest(to, bytes).await?;
        Ok(digest)
    }

    /// Adds a signature of an artifact to those that the registry has.
    ///
    /// # Errors
    /// The registry refuses or cannot be reached.
    pub async fn sign_plugin(&self, artifact: &ImageRef, digest: &Digest, key: &SigningKey) -> Result<(), Error> {
        let signature = key.sign_artifact(artifact, digest);
        let to = signatures_of(artifact, digest);
        let before = self.manifest_of(&to).await?.map(|(_, _, manifest)| manifest);
        let config = Bytes::from_static(br#"{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}"#);
        let mut manifest = before.unwrap_or_else(|| OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.into()),
            config: descriptor("application/vnd.oci.image.config.v1+json", &config),
            ..OciImageManifest::default()
        });
        let payload = Bytes::from(signature.payload);
        let encoded = BTreeMap::from([(SIGNATURE.to_owned(), BASE64.encode(signature.signature))]);
        let layer = OciDescriptor { annotations: Some(encoded), ..descriptor(SIGNED, &payload) };
        let same = |old: &OciDescriptor| old.digest == layer.digest && old.annotations == layer.annotations;
        if manifest.layers.iter().any(same) {
            return Ok(());
        }
        manifest.layers.push(layer);
        self.put_blob(&to, &config).await?;
        self.put_blob(&to, &payload).await?;
        let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain JSON");
        self.put_manifest(&to, bytes.into()).await.map(|_| ())
    }

    /// The signatures that the registry has of an artifact; whose they are was not looked at.
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn signatures(&self, artifact: &ImageRef, digest: &Digest) -> Result<Vec<Signature>, Error> {
        let mut signatures = self.attached(artifact, digest).await?;
        signatures.extend(self.bundled(artifact, digest).await?);
        Ok(signatures)
    }

    /// The signatures under an artifact's own tag.
    async fn attached(&self, artifact: &ImageRef, digest: &Digest) -> Result<Vec<Signature>, Error> {
        let from = signatures_of(artifact, digest);
        let Some((_, _, manifest)) = self.manifest_of(&from).await? else { return Ok(Vec::new()) };
        let mut signatures = Vec::new();
        for layer in manifest.layers.iter().filter(|layer| layer.media_type == SIGNED).take(SIGNATURES) {
            let encoded = layer.annotations.as_ref().and_then(|annotations| annotations.get(SIGNATURE));
            let signature = encoded.and_then(|encoded| BASE64.decode(encoded).ok());
            let (Some(signature), Ok(blob)) = (signature, layer.digest.parse::<Digest>()) else { continue };
            // What is damaged proves nothing, and hides nothing: the other signatures still count.
            if let Got::Whole(payload) = self.fetch_blob(&from, &blob, PAYLOAD).await?
                && Digest::of(&payload) == blob
            {
                signatures.push(Signature { form: Form::Payload, payload: payload.into(), signature });
            }
        }
        Ok(signatures)
    }

    /// A manifest with its digest; `None` where there is none.
    pub(crate) async fn manifest_of(
        &self,
        image: &ImageRef,
    ) -> Result<Option<(Digest, Bytes, OciImageManifest)>, Error> {
        match self.fetch_manifest(image, MANIFEST).await? {
            Got::Whole(bytes) => checked(image, &bytes).map(|(digest, manifest)| Some((digest, bytes, manifest))),
            Got::Absent => Ok(None),
            Got::TooLong => Err(too_long(image, MANIFEST as u64)),
        }
    }

    pub(crate) async fn put_blob(&self, to: &ImageRef, blob: &Bytes) -> Result<(), Error> {
        let (reference, digest) = (&self.located(to)?, Digest::of(blob));
        let digest = digest.as_str();
        self.ask(|client, auth| async move {
            client.auth(reference, &auth, RegistryOperation::Pull).await?;
            if client.blob_exists(reference, digest).await? {
                return Ok(());
            }
            client.auth(reference, &auth, RegistryOperation::Push).await?;
            client.push_blob(reference, blob.clone(), digest).await.map(|_| ())
        })
        .await
    }

    async fn put_manifest(&self, to: &ImageRef, bytes: Bytes) -> Result<(), Error> {
        let reference = &self.reference(to)?;
        let kind = reqwest::header::HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        self.ask(|client, auth| {
            let (bytes, kind) = (bytes.clone(), kind.clone());
            async move {
                client.auth(reference, &auth, RegistryOperation::Push).await?;
                client.push_manifest_raw(reference, bytes, kind).await
            }
        })
        .await
        .map(|_| ())
    }
}

/// Where cosign keeps an artifact's signatures.
fn signatures_of(artifact: &ImageRef, digest: &Digest) -> ImageRef {
    let tag = Some(format!("sha256-{}.sig", digest.hex()));
    ImageRef { tag, digest: None, ..artifact.clone() }
}

fn plugin_layer<'m>(from: &ImageRef, manifest: &'m OciImageManifest) -> Result<&'m OciDescriptor, Error> {
    match manifest.layers.as_slice() {
        [layer] if manifest.config.media_type == CONFIG && layer.media_type == LAYER => Ok(layer),
        _ => {
            let is = &manifest.config.media_type;
            let wanted = format!("a plugin's is `{CONFIG}` with one layer `{LAYER}`");
            let problem =
                format!("is no plugin: its configuration is `{is}`, and {wanted}; push it by `bespin plugin push`");
            Err(Error::artifact(from, problem))
        }
    }
}

/// A manifest, if it is the one that was asked for.
fn checked(image: &ImageRef, bytes: &Bytes) -> Result<(Digest, OciImageManifest), Error> {
    let digest = Digest::of(bytes);
    if image.digest.as_ref().is_some_and(|asked| *asked != digest) {
        return Err(damaged(image, "the registry answered with another manifest"));
    }
    let manifest = serde_json::from_slice(bytes);
    manifest.map(|manifest| (digest, manifest)).map_err(|_| damaged(image, "it has no manifest of an artifact"))
}

/// The component's digest, if it is the layer's.
fn component(from: &ImageRef, layer: &OciDescriptor, wasm: &Bytes) -> Result<Digest, Error> {
    let digest = Digest::of(wasm);
    if digest.as_str() == layer.digest {
        return Ok(digest);
    }
    Err(damaged(from, &format!("its layer is not {}", layer.digest)))
}

fn descriptor(media_type: &str, bytes: &Bytes) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.into(),
        digest: Digest::of(bytes).to_string(),
        size: i64::try_from(bytes.len()).expect("a blob in memory has a length that fits"),
        ..OciDescriptor::default()
    }
}

fn absent(from: &ImageRef) -> Error {
    Error::artifact(from, "is not in the registry; push it by `bespin plugin push`, or correct the reference")
}

fn too_long(from: &ImageRef, at_most: u64) -> Error {
    Error::artifact(from, format!("is longer than {at_most} bytes, which is as long as it may be"))
}

fn damaged(from: &ImageRef, how: &str) -> Error {
    Error::artifact(from, format!("is damaged in the registry: {how}; push it again"))
}
