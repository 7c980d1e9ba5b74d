//! What refers to a manifest: signatures, above all
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>).

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::protocol::{answer, asked, refused};
use super::store::{Digest, Storage};
use crate::serve::{Body, BoxError, full};

/// The type of the answer.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Answers an index of the manifests that refer to one, of one type if the query names it.
pub(super) async fn list(store: &Storage, name: &str, subject: &str, query: &str) -> Result<Response<Body>, BoxError> {
    let Some(subject) = Digest::parse(subject) else {
        return Ok(refused(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "referrers are listed by a digest"));
    };
    let wanted = asked(query, "artifactType");
    let mut manifests = Vec::new();
    for digest in store.referrers(name, &subject).await {
        let Some((digest, kind, bytes)) = store.manifest(name, digest.as_str()).await else { continue };
        let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let of = manifest["artifactType"].as_str().or(manifest["config"]["mediaType"].as_str()).unwrap_or_default();
        if wanted.as_ref().is_none_or(|wanted| wanted == of) {
            manifests.push(json!({
                "mediaType": kind,
                "digest": digest.as_str(),
                "size": bytes.len(),
                "artifactType": of,
                "annotations": manifest["annotations"],
            }));
        }
    }
    let mut response = answer(StatusCode::OK).header("content-type", INDEX);
    if wanted.is_some() {
        response = response.header("oci-filters-applied", "artifactType");
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    Ok(response.body(full(index.to_string()))?)
}
