//! Reading from a registry what has a bound: the client reads every answer
//! whole before anybody can ask how long it is.

use crate::error::Error;
use crate::registry::Registry;
use bytes::Bytes;
use futures::StreamExt;
use oci_client::client::ClientProtocol;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use pipeline::{Digest, ImageRef};
use reqwest::header::ACCEPT;
use std::time::Duration;

/// What a registry answered.
pub(crate) enum Got {
    /// All bytes of the answer, within what was asked for.
    Whole(Bytes),
    /// The registry has none of that name (404).
    Absent,
    /// There is more than was asked for.
    TooLong,
}

/// How much of an error's text is kept, in bytes.
const SAID: usize = 4096;

impl Registry {
    /// A manifest, by the tag or the digest; a digest goes first where both are written.
    pub(crate) async fn fetch_manifest(&self, image: &ImageRef, at_most: usize) -> Result<Got, Error> {
        let reference = self.located(image)?;
        let named = reference.digest().or(reference.tag()).unwrap_or("latest").to_owned();
        self.fetch(&reference, &format!("manifests/{named}"), at_most).await
    }

    /// A blob of the image's repository.
    pub(crate) async fn fetch_blob(&self, image: &ImageRef, digest: &Digest, at_most: usize) -> Result<Got, Error> {
        self.fetch(&self.located(image)?, &format!("blobs/{digest}"), at_most).await
    }

    /// The index of those artifacts of a type, as a query has it, that refer to another.
    pub(crate) async fn fetch_referrers(
        &self,
        image: &ImageRef,
        digest: &Digest,
        kind: &str,
        at_most: usize,
    ) -> Result<Got, Error> {
        let path = format!("referrers/{digest}?artifactType={kind}");
        self.fetch(&self.located(image)?, &path, at_most).await
    }

    /// Where an image is for the client, by its digest or else by its tag.
    pub(crate) fn located(&self, image: &ImageRef) -> Result<Reference, Error> {
        match &image.digest {
            Some(digest) => {
                let (repository, digest) = (image.repository.clone(), digest.to_string());
                Ok(Reference::with_digest(self.address.clone(), repository, digest))
            }
            None => self.reference(image),
        }
    }

    async fn fetch(&self, reference: &Reference, path: &str, at_most: usize) -> Result<Got, Error> {
        let scheme = if matches!(self.protocol, ClientProtocol::Http) { "http" } else { "https" };
        let url = format!("{scheme}://{}/v2/{}/{path}", self.address, reference.repository());
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .timeout(Duration::from_secs(300))
            .user_agent("bespin")
            .build()
            .map_err(|error| Error::Transient(format!("a client for {}: {error}", self.host)))?;
        self.ask(|client, auth| get(client, auth, http.clone(), reference, url.clone(), at_most)).await
    }
}

async fn get(
    client: Client,
    auth: RegistryAuth,
    http: reqwest::Client,
    reference: &Reference,
    url: String,
    at_most: usize,
) -> Result<Got, OciDistributionError> {
    let token = client.auth(reference, &auth, RegistryOperation::Pull).await?;
    let accepted = [OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE].join(", ");
    let request = http.get(&url).header(ACCEPT, accepted);
    let request = match (token, auth) {
        (Some(token), _) => request.bearer_auth(token),
        (None, RegistryAuth::Basic(user, password)) => request.basic_auth(user, Some(password)),
        (None, _) => request,
    };
    let answer = request.send().await.map_err(OciDistributionError::RequestError)?;
    let status = answer.status();
    if status == reqwest::StatusCode::NOT_FOUND {
        return Ok(Got::Absent);
    }
    let at_most = if status.is_success() { at_most } else { SAID };
    let mut body = Vec::new();
    let mut parts = answer.bytes_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(OciDistributionError::RequestError)?;
        if body.len() + part.len() > at_most && status.is_success() {
            return Ok(Got::TooLong);
        }
        body.extend_from_slice(&part[..part.len().min(at_most - body.len())]);
        if body.len() == at_most && !status.is_success() {
            break;
        }
    }
    if status.is_success() {
        return Ok(Got::Whole(body.into()));
    }
    let message = String::from_utf8_lossy(&body).into_owned();
    Err(OciDistributionError::ServerError { code: status.as_u16(), url, message })
}
