//! Requests of our own to a registry. Its client reads every answer whole before anybody can ask how long it is, and
//! hands on no `Retry-After`.

use crate::error::Error;
use crate::refusal::RegistryRefusal;
use crate::registry::Registry;
use bytes::Bytes;
use decide::retry::retry_after_ms;
use futures::StreamExt;
use oci_client::client::ClientProtocol;
use oci_client::manifest::{IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use pipeline::{Digest, ImageRef};
use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a registry answered.
pub(crate) enum Got {
    /// All bytes of the answer, within what was asked for.
    Whole(Bytes),
    /// The registry has none of that name (404).
    Absent,
    /// There is more than was asked for.
    TooLong,
}

/// The longest manifest, in bytes; the specification's advice is the same.
pub(crate) const MANIFEST: usize = 4 << 20;
/// The longest text of an error that is read, in bytes.
const SAID: usize = 64 << 10;

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

    /// The digest that a name has; `None` where there is no such name.
    pub(crate) async fn fetch_digest(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let path = format!("manifests/{}", reference.tag().unwrap_or("latest"));
        let (http, url) = (self.http()?, self.url(reference, &path));
        let answer = self.ask(|client, auth| {
            let request = http.request(Method::HEAD, &url);
            async move { send(&client, auth, request, reference).await }
        });
        let Some(answer) = answer.await? else { return Ok(None) };
        if let Some(digest) = answer.headers().get("docker-content-digest") {
            let digest = digest.to_str().ok().and_then(|digest| digest.parse().ok());
            return digest.map(Some).ok_or_else(|| self.odd("answered with a malformed digest"));
        }
        match self.fetch(reference, &path, MANIFEST).await? {
            Got::Whole(manifest) => Ok(Some(Digest::of(&manifest))),
            Got::Absent => Ok(None),
            Got::TooLong => Err(Error::artifact(reference, format!("has a manifest of more than {MANIFEST} bytes"))),
        }
    }

    fn url(&self, reference: &Reference, path: &str) -> String {
        let scheme = if matches!(self.protocol, ClientProtocol::Http) { "http" } else { "https" };
        format!("{scheme}://{}/v2/{}/{path}", self.address, reference.repository())
    }

    async fn fetch(&self, reference: &Reference, path: &str, at_most: usize) -> Result<Got, Error> {
        let (http, url) = (self.http()?, self.url(reference, path));
        self.ask(|client, auth| {
            let request = http.request(Method::GET, &url);
            async move {
                match send(&client, auth, request, reference).await? {
                    Some(answer) => Ok(body(answer, at_most).await?.map_or(Got::TooLong, Got::Whole)),
                    None => Ok::<_, RegistryRefusal>(Got::Absent),
                }
            }
        })
        .await
    }
}

/// The answer to a request, once it is allowed in; `None` where there is nothing of that name.
async fn send(
    client: &Client,
    auth: RegistryAuth,
    request: reqwest::RequestBuilder,
    reference: &Reference,
) -> Result<Option<Response>, RegistryRefusal> {
    let token = client.auth(reference, &auth, RegistryOperation::Pull).await?;
    let accepted = [OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE].join(", ");
    let request = request.header(ACCEPT, accepted);
    let request = match (token, auth) {
        (Some(token), _) => request.bearer_auth(token),
        (None, RegistryAuth::Basic(user, password)) => request.basic_auth(user, Some(password)),
        (None, _) => request,
    };
    let answer = request.send().await?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => Ok(Some(answer)),
        status => {
            let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
            let after_ms = after.and_then(|after| retry_after_ms(after, now_ms()));
            // What cannot be read of its text takes nothing from the status.
            let said = body(answer, SAID).await.ok().flatten().unwrap_or_default();
            let body = String::from_utf8_lossy(&said).into_owned();
            Err(RegistryRefusal::Answer { status: status.as_u16(), body, after_ms })
        }
    }
}

/// The bytes of an answer; `None` where there are more than `at_most`.
async fn body(answer: Response, at_most: usize) -> Result<Option<Bytes>, reqwest::Error> {
    let mut body = Vec::new();
    let mut parts = answer.bytes_stream();
    while let Some(part) = parts.next().await {
        let part = part?;
        if body.len() + part.len() > at_most {
            return Ok(None);
        }
        body.extend_from_slice(&part);
    }
    Ok(Some(body.into()))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
