//! Pushing: what the registry has is skipped, what it lacks is streamed from the layout.

use crate::error::Error;
use crate::layout::Layout;
use crate::registry::Registry;
use crate::sink::{LogSink, Stream};
use bytes::Bytes;
use futures::TryStreamExt;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use pipeline::{Digest, ImageRef};
use tokio_util::io::ReaderStream;

/// What a push moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes that were uploaded.
    pub uploaded: u64,
    /// Bytes that the registry had already.
    pub skipped: u64,
}

impl Registry {
    /// Makes a tag name this image of the layout. Doing it again changes nothing.
    ///
    /// # Errors
    /// The layout lacks the image, or the registry refuses or cannot be reached.
    pub async fn push(
        &self,
        layout: &Layout,
        digest: &Digest,
        to: &ImageRef,
        sink: &dyn LogSink,
    ) -> Result<Pushed, Error> {
        let reference = self.reference(to)?;
        let reference = &reference;
        let (bytes, manifest) = layout.manifest(digest)?;
        self.not_another(to, digest).await?;
        let mut pushed = Pushed::default();
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let size = u64::try_from(blob.size).unwrap_or_default();
            let short = blob.digest.get(7..19).unwrap_or(&blob.digest);
            if self.ask(|client, auth| exists(client, auth, reference, &blob.digest)).await? {
                pushed.skipped += size;
                sink.line(Stream::Progress, &format!("{short}: {size} bytes, which the registry has"));
                continue;
            }
            sink.line(Stream::Progress, &format!("{short}: uploading {size} bytes"));
            self.ask(|client, auth| upload(client, auth, reference, layout, blob)).await?;
            pushed.uploaded += size;
        }
        let kind = reqwest::header::HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        self.ask(|client, auth| {
            let (bytes, kind) = (bytes.clone(), kind.clone());
            async move {
                client.auth(reference, &auth, RegistryOperation::Push).await?;
                client.push_manifest_raw(reference, bytes, kind).await
            }
        })
        .await?;
        if self.digest(to).await?.as_ref() != Some(digest) {
            return Err(self.odd(format!("{to} was pushed, and {digest} is not shown yet")));
        }
        let (uploaded, skipped) = (pushed.uploaded, pushed.skipped);
        sink.line(Stream::Progress, &format!("{to}: {uploaded} bytes uploaded, {skipped} bytes were there"));
        Ok(pushed)
    }

    /// The last look before the tag is written: one that names another image stays.
    async fn not_another(&self, to: &ImageRef, digest: &Digest) -> Result<(), Error> {
        match self.digest(to).await? {
            Some(other) if other != *digest => Err(Error::Taken(format!(
                "{to} exists already with {other}; a tag is never overwritten: choose another tag"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

async fn exists(
    client: Client,
    auth: RegistryAuth,
    to: &Reference,
    digest: &str,
) -> Result<bool, OciDistributionError> {
    client.auth(to, &auth, RegistryOperation::Pull).await?;
    client.blob_exists(to, digest).await
}

async fn upload(
    client: Client,
    auth: RegistryAuth,
    to: &Reference,
    layout: &Layout,
    blob: &OciDescriptor,
) -> Result<(), OciDistributionError> {
    client.auth(to, &auth, RegistryOperation::Push).await?;
    let digest =
        blob.digest.parse().map_err(|_| OciDistributionError::GenericError(Some("a malformed digest".into())))?;
    let file = tokio::fs::File::open(layout.blob(&digest)).await?;
    let size = file.metadata().await?.len();
    let stream = ReaderStream::new(file).map_ok(Bytes::from).map_err(OciDistributionError::from);
    client.push_blob_stream(to, stream, &blob.digest, Some(size)).await?;
    Ok(())
}
