//! Plugins in a registry: pushed, pulled, signed, and refused.

use crate::world::{HOST, Served};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use decide::retry::Retry;
use images::plugin::{New, Tag};
use images::signature::{PublicKey, Signature, SigningKey, signer};
use images::{Auth, Error, Registries, Registry, RegistrySettings};
use pipeline::{Digest, ImageRef};
use playground::faults::{Fault, Target};
use serde_json::{Value, json};
use std::path::PathBuf;

fn named(tag: &str) -> ImageRef {
    format!("{HOST}/acme/lint:{tag}").parse().unwrap()
}

fn plugin(text: &'static [u8]) -> New {
    let exports = vec!["bespin:plugin/guest@1.0.0".to_owned()];
    New { wasm: Bytes::from_static(text), imports: Vec::new(), exports }
}

fn key() -> SigningKey {
    let output = std::process::Command::new("openssl").args(["genpkey", "-algorithm", "ed25519"]).output().unwrap();
    SigningKey::from_pem(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

#[tokio::test]
async fn a_plugin_goes_and_comes_back_by_tag_and_by_digest() {
    let served = Served::start().await;
    let registries = served.known("secret");
    let registry = registries.of(HOST).unwrap();
    let one = plugin(b"\0asm one");
    let digest = registry.push_plugin(&named("1"), &one, Tag::Stays).await.unwrap();
    assert_eq!(registry.push_plugin(&named("1"), &one, Tag::Stays).await.unwrap(), digest, "again is free");
    for reference in [named("1"), named("1").pinned(&digest)] {
        let pulled = registry.pull_plugin(&reference, 1024).await.unwrap();
        assert_eq!((&pulled.manifest, &pulled.wasm), (&digest, &one.wasm));
        assert_eq!(pulled.component, Digest::of(&one.wasm));
    }
    let two = plugin(b"\0asm two");
    let refused = registry.push_plugin(&named("1"), &two, Tag::Stays).await.unwrap_err();
    assert!(matches!(&refused, Error::Taken(because) if because.contains("names sha256:")), "{refused}");
    let moved = registry.push_plugin(&named("1"), &two, Tag::Moves).await.unwrap();
    assert_eq!(registry.pull_plugin(&named("1"), 1024).await.unwrap().manifest, moved);
    assert_eq!(registry.pull_plugin(&named("1").pinned(&digest), 1024).await.unwrap().wasm, one.wasm);
}

#[tokio::test]
async fn signatures_gather_and_each_key_is_found_again() {
    let served = Served::start().await;
    let registries = served.known("secret");
    let registry = registries.of(HOST).unwrap();
    let digest = registry.push_plugin(&named("1"), &plugin(b"\0asm"), Tag::Stays).await.unwrap();
    assert!(registry.signatures(&named("1"), &digest).await.unwrap().is_empty());
    let (ann, ben, eve) = (key(), key(), key());
    for signing in [&ann, &ben, &ann] {
        registry.sign_plugin(&named("1"), &digest, signing).await.unwrap();
    }
    let signatures = registry.signatures(&named("1"), &digest).await.unwrap();
    assert_eq!(signatures.len(), 2, "signing again with a key that signs alike adds nothing");
    for (signing, found) in [(&ann, true), (&ben, true), (&eve, false)] {
        assert_eq!(signer(&digest, &signatures, &[signing.public()]).is_some(), found);
    }
}

#[tokio::test]
async fn what_is_absent_too_long_or_no_plugin_is_refused() {
    let served = Served::start().await;
    let registries = served.known("secret");
    let registry = registries.of(HOST).unwrap();
    let digest = registry.push_plugin(&named("1"), &plugin(b"\0asm and more"), Tag::Stays).await.unwrap();
    registry.sign_plugin(&named("1"), &digest, &key()).await.unwrap();
    let signature = named(&format!("sha256-{}.sig", digest.hex()));
    let nobody = named("1").pinned(&Digest::of(b"nothing"));
    for (reference, at_most, because) in [
        (named("2"), 1024, "is not in the registry"),
        (nobody, 1024, "is not in the registry"),
        (named("1"), 4, "longer than 4 bytes"),
        (signature, 1024, "is no plugin"),
    ] {
        let refused = registry.pull_plugin(&reference, at_most).await.unwrap_err();
        assert!(matches!(&refused, Error::Artifact { problem, .. } if problem.contains(because)), "{refused}");
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_a_transient_trouble() {
    let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let endpoint = Some("http://127.0.0.1:9".to_owned());
    let settings = RegistrySettings { host: HOST.into(), endpoint, auth: Auth::None };
    let registries = Registries::new(vec![settings]).unwrap();
    let refused = registries.of(HOST).unwrap().pull_plugin(&named("1"), 1024).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::PASSING, "{refused}");
}

/// Somebody who may push to the repository, and has none of the keys.
struct Intruder<'a> {
    served: &'a Served,
    http: reqwest::Client,
}

impl Intruder<'_> {
    fn of(served: &Served) -> Intruder<'_> {
        let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Intruder { served, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn send(&self, method: reqwest::Method, path: &str, kind: &str, body: Vec<u8>) -> reqwest::Response {
        let url = format!("http://{}{path}", self.served.address);
        let request = self.http.request(method, url).basic_auth("AWS", Some("secret")).header("content-type", kind);
        let answer = request.body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer
    }

    /// Uploads a payload, and describes it as a layer with this signature.
    async fn layer(&self, payload: &[u8], signature: &[u8]) -> Value {
        let digest = Digest::of(payload);
        let kind = "application/octet-stream";
        let begun = self.send(reqwest::Method::POST, "/v2/acme/lint/blobs/uploads/", kind, Vec::new()).await;
        let place = begun.headers()["location"].to_str().unwrap().to_owned();
        let sign = if place.contains('?') { '&' } else { '?' };
        self.send(reqwest::Method::PUT, &format!("{place}{sign}digest={digest}"), kind, payload.to_vec()).await;
        json!({
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": digest,
            "size": payload.len(),
            "annotations": { "dev.cosignproject.cosign/signature": BASE64.encode(signature) },
        })
    }

    /// Uploads a bundle whose manifest refers to an artifact. Answers how an index names it.
    async fn bundles(&self, digest: &Digest, bundle: &Value) -> Value {
        let bundle = bundle.to_string().into_bytes();
        let config = self.layer(b"{}", b"").await;
        let mut layer = self.layer(&bundle, b"").await;
        layer["mediaType"] = json!(BUNDLE);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "artifactType": BUNDLE, "config": config,
            "layers": [layer], "subject": { "mediaType": kind, "digest": digest, "size": 1 } });
        let manifest = manifest.to_string().into_bytes();
        let of = Digest::of(&manifest);
        let entry = json!({ "mediaType": kind, "digest": of, "size": manifest.len(), "artifactType": BUNDLE });
        self.send(reqwest::Method::PUT, &format!("/v2/acme/lint/manifests/{of}"), kind, manifest).await;
        entry
    }

    /// Puts layers in place of whatever signatures an artifact had. Answers the file that the registry keeps them in.
    async fn signs(&self, digest: &Digest, layers: &[Value]) -> PathBuf {
        let config = self.layer(b"{}", b"").await;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = |layers: &[Value]| {
            let of = json!({ "of": digest });
            json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers, "annotations": of })
        };
        let none = manifest(&[]).to_string().into_bytes();
        let file = self.served.dir.path().join("blobs").join(Digest::of(&none).hex());
        let path = format!("/v2/acme/lint/manifests/sha256-{}.sig", digest.hex());
        self.send(reqwest::Method::PUT, &path, kind, none).await;
        // A registry need not look at what it is given; this one does.
        std::fs::write(&file, manifest(layers).to_string()).unwrap();
        file
    }
}

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle as cosign 3 makes it, by a key, of a digest.
fn bundle(key: &SigningKey, digest: &Digest) -> Value {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest.hex() } }],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
    });
    let (statement, kind) = (statement.to_string(), "application/vnd.in-toto+json");
    let signed = key.sign(format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len()).as_bytes());
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": "x" } },
        "dsseEnvelope": {
            "payload": BASE64.encode(statement),
            "payloadType": kind,
            "signatures": [{ "sig": BASE64.encode(signed) }],
        },
    })
}

#[tokio::test]
async fn bundles_are_found_by_what_they_refer_to_and_a_bad_one_hides_no_other() {
    let served = Served::start().await;
    let registries = served.known("secret");
    let registry = &registries.of(HOST).unwrap();
    let (ann, eve) = (key(), key());
    let public = ann.public();
    let evil = registry.push_plugin(&named("1"), &plugin(b"\0asm evil"), Tag::Stays).await.unwrap();
    let honest = registry.push_plugin(&named("2"), &plugin(b"\0asm honest"), Tag::Stays).await.unwrap();
    let intruder = Intruder::of(&served);
    let good = bundle(&ann, &honest);
    let with = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        bad
    };
    let long = json!({ "mediaType": BUNDLE, "padding": " ".repeat(64 << 10), "dsseEnvelope": good["dsseEnvelope"] });
    let bad = [
        bundle(&eve, &honest),
        with("/mediaType", json!("application/vnd.dev.sigstore.bundle+json;version=0.1")),
        with("/dsseEnvelope", Value::Null),
        with("/dsseEnvelope/payload", json!("%")),
        with("/dsseEnvelope/payloadType", json!("text/plain")),
        with("/dsseEnvelope/signatures", json!([])),
        json!([]),
        long,
    ];
    for bundle in &bad {
        intruder.bundles(&honest, bundle).await;
        assert!(!accepted(registry, &honest, &public).await, "{bundle}");
    }
    // What Ann signed is hers and of that plugin only, wherever it is put.
    intruder.bundles(&evil, &good).await;
    assert!(!accepted(registry, &evil, &public).await);
    intruder.bundles(&honest, &good).await;
    assert!(accepted(registry, &honest, &public).await, "the bad ones hide the good one");
    assert!(!accepted(registry, &evil, &public).await);
}

/// A registry that lists no referrers: whoever signs keeps the index of them under a tag.
#[tokio::test]
async fn bundles_are_found_by_the_tag_where_a_registry_lists_no_referrers() {
    let served = Served::start().await;
    let registries = served.known("secret");
    let registry = &registries.of(HOST).unwrap();
    let ann = key();
    let digest = registry.push_plugin(&named("1"), &plugin(b"\0asm"), Tag::Stays).await.unwrap();
    let intruder = Intruder::of(&served);
    let entry = intruder.bundles(&digest, &bundle(&ann, &digest)).await;
    let lists_none =
        |status| served.faults.inject(Target::Registry, Some("GET"), "/referrers/", Fault::Status(status), 1);
    lists_none(404);
    assert!(!accepted(registry, &digest, &ann.public()).await, "nobody wrote an index");
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [entry] }).to_string();
    let tag = digest.as_str().replace(':', "-");
    intruder.send(reqwest::Method::PUT, &format!("/v2/acme/lint/manifests/{tag}"), kind, index.into_bytes()).await;
    for status in [404, 405] {
        lists_none(status);
        assert!(accepted(registry, &digest, &ann.public()).await, "{status}");
        assert_eq!(served.faults.left(), 0);
    }
    // Trouble that passes is no registry that lists none.
    lists_none(503);
    let refused = registry.signatures(&named("1"), &digest).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::PASSING, "{refused}");
}

async fn accepted(registry: &Registry, digest: &Digest, key: &PublicKey) -> bool {
    let signatures = registry.signatures(&named("1"), digest).await.unwrap();
    signer(digest, &signatures, std::slice::from_ref(key)).is_some()
}

#[tokio::test]
async fn what_an_intruder_puts_beside_a_plugin_signs_nothing_and_hides_nothing() {
    let served = Served::start().await;
    let registries = served.known("secret");
    let registry = &registries.of(HOST).unwrap();
    let (ann, eve) = (key(), key());
    let public = ann.public();
    let honest = registry.push_plugin(&named("2"), &plugin(b"\0asm honest"), Tag::Stays).await.unwrap();
    let evil = registry.push_plugin(&named("1"), &plugin(b"\0asm evil"), Tag::Stays).await.unwrap();
    let of_honest = ann.sign_artifact(&named("1"), &honest);
    let of_evil = eve.sign_artifact(&named("1"), &evil);
    let intruder = Intruder::of(&served);

    // Ann's signature of another plugin is hers, and for that one only.
    let copied = intruder.layer(&of_honest.payload, &of_honest.signature).await;
    // The evil payload under Ann's signature, and Ann's payload cut short where it still names the digest.
    let swapped = intruder.layer(&of_evil.payload, &of_honest.signature).await;
    let cut = of_honest.payload.len() - 1;
    let truncated = intruder.layer(&of_honest.payload[..cut], &of_honest.signature).await;
    let empty = intruder.layer(b"", b"").await;
    let eves = intruder.layer(&of_evil.payload, &of_evil.signature).await;
    let long = intruder.layer(&[b' '; (64 << 10) + 1], &of_honest.signature).await;
    let missing = json!({ "mediaType": copied["mediaType"], "digest": Digest::of(b"nowhere"), "size": 3,
        "annotations": copied["annotations"] });
    let malformed = json!({ "mediaType": copied["mediaType"], "digest": "sha256:x", "size": -1,
        "annotations": { "dev.cosignproject.cosign/signature": "%" } });
    let bad = [copied.clone(), swapped, truncated.clone(), empty, eves, long, missing, malformed];
    for layer in &bad {
        intruder.signs(&evil, std::slice::from_ref(layer)).await;
        assert!(!accepted(registry, &evil, &public).await, "{layer}");
    }
    intruder.signs(&honest, &[truncated]).await;
    assert!(!accepted(registry, &honest, &public).await, "a payload that is cut short proves nothing");

    // Whatever stands before it, what is good is found; and nothing of it becomes good.
    intruder.signs(&honest, &[&bad[1..], &[copied]].concat()).await;
    assert!(accepted(registry, &honest, &public).await, "the bad ones hide the good one");
    assert!(!accepted(registry, &evil, &public).await);
}

#[tokio::test]
async fn a_registry_that_lies_about_signatures_is_not_believed() {
    let served = Served::start().await;
    let registries = served.known("secret");
    let registry = &registries.of(HOST).unwrap();
    let ann = key();
    let digest = registry.push_plugin(&named("1"), &plugin(b"\0asm"), Tag::Stays).await.unwrap();
    let Signature { payload, signature, .. } = ann.sign_artifact(&named("1"), &digest);
    let intruder = Intruder::of(&served);
    let layer = intruder.layer(&payload, &signature).await;
    let manifest = intruder.signs(&digest, std::slice::from_ref(&layer)).await;
    assert!(accepted(registry, &digest, &ann.public()).await);
    let stored = served.dir.path().join("blobs").join(Digest::of(&payload).hex());

    // More signatures than are looked at: those behind them do not count, and nothing is read without an end.
    let others: Vec<_> = std::iter::repeat_n(intruder.layer(b"{}", b"x").await, 32).chain([layer.clone()]).collect();
    intruder.signs(&digest, &others).await;
    assert!(!accepted(registry, &digest, &ann.public()).await);
    intruder.signs(&digest, &[layer]).await;

    // The payload's bytes are others than its digest says: longer, shorter, or none.
    for bytes in [[&payload[..], b" "].concat(), payload[..payload.len() / 2].to_vec(), Vec::new()] {
        std::fs::write(&stored, bytes).unwrap();
        assert!(!accepted(registry, &digest, &ann.public()).await);
    }
    // A manifest of signatures without an end, or of nonsense, is a refusal, and not a plugin without signatures.
    let nonsense = (b"{\"layers\": 3}".to_vec(), "it has no manifest of an artifact");
    for (bytes, because) in [(vec![b' '; (4 << 20) + 1], "longer than 4194304 bytes"), nonsense] {
        std::fs::write(&manifest, bytes).unwrap();
        let refused = registry.signatures(&named("1"), &digest).await.unwrap_err();
        assert!(matches!(&refused, Error::Artifact { problem, .. } if problem.contains(because)), "{refused}");
    }
}
