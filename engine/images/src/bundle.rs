//! Sigstore bundles: how cosign signs since its third major version.
//!
//! A bundle is an artifact of its own that refers to the one that was signed
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>).
//! It holds an in-toto statement in an envelope of DSSE. Its certificates and
//! entries of a log are not read: here a signature counts by its key.

use crate::error::Error;
use crate::fetch::{Got, MANIFEST};
use crate::plugin::{PAYLOAD, SIGNATURES};
use crate::registry::Registry;
use crate::signature::{Form, STATEMENT, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pipeline::{Digest, ImageRef};
use serde::Deserialize;

/// The type of a bundle, as an artifact, as a layer and in itself.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The same in a query.
const BUNDLE_IN_QUERY: &str = "application%2Fvnd.dev.sigstore.bundle.v0.3%2Bjson";

/// What refers to an artifact.
#[derive(Default, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Referrer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    digest: String,
    artifact_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<MessageSignature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
struct MessageSignature {
    signature: String,
}

impl Registry {
    /// The signatures in those bundles that refer to an artifact; whose they are was not looked at.
    pub(crate) async fn bundled(&self, artifact: &ImageRef, digest: &Digest) -> Result<Vec<Signature>, Error> {
        let mut signatures = Vec::new();
        for referrer in self.referrers(artifact, digest).await? {
            let place = artifact.pinned(&referrer);
            // What is damaged proves nothing, and hides nothing: the other bundles still count.
            let manifest = match self.manifest_of(&place).await {
                Ok(Some((_, _, manifest))) => manifest,
                Ok(None) | Err(Error::Artifact { .. }) => continue,
                Err(error) if error.is_refusal() => continue,
                Err(error) => return Err(error),
            };
            let layer = manifest.layers.iter().find(|layer| layer.media_type == BUNDLE);
            let Some(blob) = layer.and_then(|layer| layer.digest.parse::<Digest>().ok()) else { continue };
            if let Got::Whole(bytes) = self.fetch_blob(&place, &blob, PAYLOAD).await?
                && Digest::of(&bytes) == blob
            {
                signatures.extend(of_artifact(&bytes));
            }
        }
        Ok(signatures)
    }

    /// The bundles that refer to an artifact.
    async fn referrers(&self, artifact: &ImageRef, digest: &Digest) -> Result<Vec<Digest>, Error> {
        let found = self.fetch_referrers(artifact, digest, BUNDLE_IN_QUERY, MANIFEST).await;
        // A registry that does not know the question, as the specification has it, or in words of its own.
        let is_unknown = matches!(found, Ok(Got::Absent)) || found.as_ref().is_err_and(|error| error.is_refusal());
        let index = if is_unknown {
            let tag = Some(digest.as_str().replacen(':', "-", 1));
            let fallback = ImageRef { tag, digest: None, ..artifact.clone() };
            self.fetch_manifest(&fallback, MANIFEST).await?
        } else {
            found?
        };
        let Got::Whole(index) = index else { return Ok(Vec::new()) };
        let index: Index = serde_json::from_slice(&index).unwrap_or_default();
        let bundles =
            index.manifests.into_iter().filter(|one| one.artifact_type.as_ref().is_none_or(|of| of == BUNDLE));
        Ok(bundles.filter_map(|one| one.digest.parse().ok()).take(SIGNATURES).collect())
    }
}

/// The signatures in an artifact's bundle; none in what is no such bundle.
fn of_artifact(bundle: &[u8]) -> Vec<Signature> {
    let envelope = read(bundle).and_then(|bundle| bundle.dsse_envelope);
    let Some(envelope) = envelope.filter(|envelope| envelope.payload_type == STATEMENT) else { return Vec::new() };
    let Ok(payload) = BASE64.decode(envelope.payload) else { return Vec::new() };
    let signatures = envelope.signatures.iter().filter_map(|one| BASE64.decode(&one.sig).ok());
    let signature = |signature| Signature { form: Form::Statement, payload: payload.clone(), signature };
    signatures.take(SIGNATURES).map(signature).collect()
}

/// The signature in a file's bundle, which is over the file itself; `None` where it is no such bundle.
pub fn of_file(bundle: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(read(bundle)?.message_signature?.signature).ok()
}

fn read(bundle: &[u8]) -> Option<Bundle> {
    serde_json::from_slice(bundle).ok().filter(|bundle: &Bundle| bundle.media_type == BUNDLE)
}
