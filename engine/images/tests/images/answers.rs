//! Answers of registries that nobody can foresee, and signatures that are nearly right.

use super::corpus;
use super::registry;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use images::signature::{SigningKey, signer};
use pipeline::{Digest, ImageRef};
use proptest::prelude::*;

#[test]
fn the_corpus_holds() {
    corpus::hold("registry", registry::check);
}

/// The key of a seed, as OpenSSL writes one of ed25519.
fn key(seed: [u8; 32]) -> SigningKey {
    let der = [&hex::decode("302e020100300506032b657004220420").expect("it is hexadecimal")[..], &seed].concat();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der));
    SigningKey::from_pem(&pem).expect("it is a key")
}

proptest! {
    #![proptest_config(corpus::cases(192))]

    #[test]
    fn nearly_answers(bytes in corpus::nearly("registry"), any in prop::collection::vec(any::<u8>(), 0..100)) {
        registry::check(&bytes);
        registry::check(&any);
    }

    /// A signature is for its digest and by its key alone, and not with another bit.
    #[test]
    fn one_other_bit_proves_nothing(
        seeds in any::<([u8; 32], [u8; 32])>(),
        at in any::<prop::sample::Index>(),
        bit in 0u32..8,
    ) {
        prop_assume!(seeds.0 != seeds.1);
        let (ours, theirs) = (key(seeds.0), key(seeds.1));
        let artifact: ImageRef = "ghcr.io/acme/lint:1".parse().expect("it is one");
        let (digest, other) = (Digest::of(&seeds.0), Digest::of(&seeds.1));
        let signature = ours.sign_artifact(&artifact, &digest);
        let keys = [theirs.public(), ours.public()];
        let all = [signature.clone()];
        prop_assert_eq!(signer(&digest, &all, &keys), Some(&keys[1]));
        prop_assert_eq!(signer(&other, &all, &keys), None);
        prop_assert_eq!(signer(&digest, &all, &keys[..1]), None);
        let flip = |bytes: &mut Vec<u8>| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        };
        let (mut payload, mut forged) = (signature.clone(), signature);
        flip(&mut payload.payload);
        flip(&mut forged.signature);
        prop_assert_eq!(signer(&digest, &[payload], &keys), None);
        prop_assert_eq!(signer(&digest, &[forged], &keys), None);
    }
}
