use super::*;
use crate::faults::Faults;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

struct Served {
    url: String,
    client: Client,
    registry: Registry,
    _dir: tempfile::TempDir,
    _stop: CancellationToken,
}

async fn serve() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let (listener, addr) = crate::serve::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let stop = CancellationToken::new();
    let registry = Registry::open(dir.path(), Some("u".into()), Some("p".into()), Faults::default()).unwrap();
    tokio::spawn(crate::serve::run(listener, registry.clone(), stop.clone()));
    let client = Client::builder().no_proxy().build().unwrap();
    Served { url: format!("http://{addr}"), client, registry, _dir: dir, _stop: stop }
}

impl Served {
    async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let request = self.client.request(method, format!("{}{path}", self.url)).basic_auth("u", Some("p"));
        request.header("content-type", "application/vnd.oci.image.manifest.v1+json").body(body).send().await.unwrap()
    }

    async fn upload(&self, name: &str, bytes: &'static [u8]) -> String {
        let digest = digest(bytes);
        let begun = self.send(Method::POST, &format!("/v2/{name}/blobs/uploads/"), "").await;
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        let (first, second) = bytes.split_at(bytes.len() / 2);
        assert_eq!(self.send(Method::PATCH, &location, first).await.status(), StatusCode::ACCEPTED);
        let ended = self.send(Method::PUT, &format!("{location}?digest={digest}"), second).await;
        assert_eq!(ended.status(), StatusCode::CREATED);
        digest
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[tokio::test]
async fn an_image_is_pushed_and_pulled() {
    let served = serve().await;
    let (config, layer) = (served.upload("a/b", b"{}").await, served.upload("a/b", b"layer").await);
    let manifest =
        json!({ "schemaVersion": 2, "config": { "digest": config }, "layers": [{ "digest": layer }] }).to_string();
    let put = served.send(Method::PUT, "/v2/a/b/manifests/v1", manifest.clone()).await;
    assert_eq!(put.headers()["docker-content-digest"], digest(manifest.as_bytes()));
    let by_tag = served.send(Method::GET, "/v2/a/b/manifests/v1", "").await.text().await.unwrap();
    assert_eq!(by_tag, manifest);
    let tags: Value = served.send(Method::GET, "/v2/a/b/tags/list", "").await.json().await.unwrap();
    assert_eq!(tags["tags"], json!(["v1"]));
    let blob = served.send(Method::GET, &format!("/v2/a/b/blobs/{layer}"), "").await.bytes().await.unwrap();
    assert_eq!(&blob[..], b"layer");
    assert_eq!(served.registry.counters().blobs.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_is_not_as_it_was_said_is_refused() {
    let served = serve().await;
    let begun = served.send(Method::POST, "/v2/a/blobs/uploads/", "").await;
    let location = begun.headers()["location"].to_str().unwrap().to_owned();
    let wrong = served.send(Method::PUT, &format!("{location}?digest={}", digest(b"other")), "this").await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let missing = json!({ "config": { "digest": digest(b"nowhere") }, "layers": [] }).to_string();
    assert_eq!(served.send(Method::PUT, "/v2/a/manifests/v1", missing).await.status(), StatusCode::BAD_REQUEST);
    for path in ["/v2/../x/tags/list", "/v2/A/tags/list", "/v2/a/manifests/.x", "/v2/a/manifests/none"] {
        assert_eq!(served.send(Method::GET, path, "").await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let anonymous = served.client.get(format!("{}/v2/", served.url)).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_blob_is_mounted_from_where_it_is() {
    let served = serve().await;
    let layer = served.upload("from", b"layer").await;
    let mounted = served.send(Method::POST, &format!("/v2/to/blobs/uploads/?mount={layer}&from=from"), "").await;
    assert_eq!(mounted.status(), StatusCode::CREATED);
    assert_eq!(served.send(Method::HEAD, &format!("/v2/to/blobs/{layer}"), "").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn tags_come_in_pages() {
    let served = serve().await;
    let config = served.upload("a", b"{}").await;
    for tag in ["v1", "v2", "v3"] {
        let manifest = json!({ "config": { "digest": config }, "layers": [], "annotations": { "t": tag } }).to_string();
        assert_eq!(
            served.send(Method::PUT, &format!("/v2/a/manifests/{tag}"), manifest).await.status(),
            StatusCode::CREATED
        );
    }
    let first = served.send(Method::GET, "/v2/a/tags/list?n=2", "").await;
    assert_eq!(first.headers()["link"], "</v2/a/tags/list?last=v2&n=2>; rel=\"next\"");
    let second: Value = served.send(Method::GET, "/v2/a/tags/list?n=2&last=v2", "").await.json().await.unwrap();
    assert_eq!(second["tags"], json!(["v3"]));
}

#[tokio::test]
async fn what_refers_to_a_manifest_is_listed_by_its_type() {
    let served = serve().await;
    let config = served.upload("a/b", b"{}").await;
    let refers = |kind: &str, to: &str| {
        let manifest = json!({ "schemaVersion": 2, "artifactType": kind, "config": { "digest": config },
            "subject": { "digest": to }, "annotations": { "a": "1" } });
        manifest.to_string()
    };
    let (subject, other) = (digest(b"a manifest"), digest(b"another"));
    let (signature, bill) = (refers("x/signature+json", &subject), refers("x/bill", &subject));
    for manifest in [&signature, &bill, &refers("x/bill", &other)] {
        let path = format!("/v2/a/b/manifests/{}", digest(manifest.as_bytes()));
        let put = served.send(Method::PUT, &path, manifest.clone()).await;
        assert_eq!(put.status(), StatusCode::CREATED);
        assert_eq!(put.headers()["oci-subject"] == subject.as_str(), !manifest.contains(&other));
    }
    let list = async |name: &str, query: &str| {
        let listed = served.send(Method::GET, &format!("/v2/{name}/referrers/{subject}{query}"), "").await;
        assert_eq!(listed.headers()["content-type"], "application/vnd.oci.image.index.v1+json");
        let index: Value = listed.json().await.unwrap();
        index["manifests"].as_array().unwrap().clone()
    };
    assert_eq!(list("a/b", "").await.len(), 2);
    assert!(list("a/c", "").await.is_empty());
    let signatures = list("a/b", "?artifactType=x%2Fsignature%2Bjson").await;
    let expected = json!([{ "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(signature.as_bytes()), "size": signature.len(), "artifactType": "x/signature+json",
        "annotations": { "a": "1" } }]);
    assert_eq!(json!(signatures), expected);
    let malformed = served.send(Method::GET, "/v2/a/b/referrers/latest", "").await;
    assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    served.send(Method::DELETE, &format!("/v2/a/b/manifests/{}", digest(bill.as_bytes())), "").await;
    assert_eq!(list("a/b", "").await.len(), 1, "what was removed refers to nothing");
}
