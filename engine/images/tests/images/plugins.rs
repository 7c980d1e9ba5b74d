//! Plugins in a registry: pushed, pulled, signed, and refused.

use crate::world::{HOST, Served};
use bytes::Bytes;
use decide::image::{Digest, ImageRef};
use images::plugin::{New, Tag};
use images::signature::{SigningKey, signer};
use images::{Auth, Error, Registries, RegistrySettings};

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
    assert!(matches!(&refused, Error::Refused(because) if because.contains("names sha256:")), "{refused}");
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
        assert!(matches!(&refused, Error::Refused(text) if text.contains(because)), "{refused}");
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_a_transient_trouble() {
    let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let endpoint = Some("http://127.0.0.1:9".to_owned());
    let settings = RegistrySettings { host: HOST.into(), endpoint, auth: Auth::None };
    let registries = Registries::new(vec![settings]).unwrap();
    let refused = registries.of(HOST).unwrap().pull_plugin(&named("1"), 1024).await.unwrap_err();
    assert!(matches!(&refused, Error::Transient(_)), "{refused}");
}
