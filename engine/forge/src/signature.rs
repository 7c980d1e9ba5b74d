//! GitHub's signature: HMAC-SHA256 over the raw body.
//!
//! Source: GitHub's "Validating webhook deliveries". The comparison is in
//! constant time, and each secret is tried whatever the others said, so that
//! the time tells nothing of which one fits.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// What a signature turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One of the secrets made it.
    Authentic,
    /// None of the secrets made it, or it is no signature at all.
    Wrong,
}

/// Compares `X-Hub-Signature-256` (`sha256=` and 64 hexadecimal digits) with
/// what the secrets make of the body. Empty secrets never fit.
pub fn verify(secrets: &[SecretString], header: &[u8], body: &[u8]) -> Verdict {
    let mut given = [0u8; 32];
    let hex = header.strip_prefix(b"sha256=").unwrap_or_default();
    if hex::decode_to_slice(hex, &mut given).is_err() {
        return Verdict::Wrong;
    }
    let mut fits = Choice::from(0);
    for secret in secrets.iter().filter(|secret| !secret.expose_secret().is_empty()) {
        fits |= code(secret, body).ct_eq(&given);
    }
    if bool::from(fits) { Verdict::Authentic } else { Verdict::Wrong }
}

/// Signs a body as GitHub does; for tests, the demo and the benches.
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(code(secret, body)))
}

fn code(secret: &SecretString, body: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    let mut mac = mac.expect("HMAC takes keys of any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn githubs_own_example() {
        // From GitHub's documentation, "Testing the webhook payload validation".
        let secret = [SecretString::from("It's a Secret to Everybody")];
        let header = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(verify(&secret, header, b"Hello, World!"), Verdict::Authentic);
        assert_eq!(verify(&secret, header, b"Hello, World?"), Verdict::Wrong);
    }

    #[test]
    fn two_secrets_while_they_rotate_and_nothing_else() {
        let (old, new) = (SecretString::from("old"), SecretString::from("new"));
        let both = [old.clone(), new.clone()];
        for secret in [&old, &new] {
            assert_eq!(verify(&both, sign(secret, b"x").as_bytes(), b"x"), Verdict::Authentic);
        }
        assert_eq!(verify(&both, sign(&"other".into(), b"x").as_bytes(), b"x"), Verdict::Wrong);
        let empty = [SecretString::from("")];
        assert_eq!(verify(&empty, sign(&empty[0], b"x").as_bytes(), b"x"), Verdict::Wrong);
        assert_eq!(verify(&[], sign(&old, b"x").as_bytes(), b"x"), Verdict::Wrong);
    }

    #[test]
    fn what_is_no_signature_is_wrong() {
        let secrets = [SecretString::from("s")];
        let right = sign(&secrets[0], b"x");
        for header in ["", "sha256=", "sha1=00", &right[7..], &right[..70], &format!("{right}0"), "sha256=zz"] {
            assert_eq!(verify(&secrets, header.as_bytes(), b"x"), Verdict::Wrong, "{header}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        /// What was signed is authentic, and nothing that differs from it in one bit: of the body, or of the signature.
        #[test]
        fn one_other_bit_is_none_of_ours(
            secret in "[^\u{0}]{1,40}",
            body in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0u32..8,
        ) {
            let secrets = [SecretString::from(secret)];
            let signed = sign(&secrets[0], &body);
            prop_assert_eq!(verify(&secrets, signed.as_bytes(), &body), Verdict::Authentic);
            let flip = |bytes: &[u8]| {
                let (at, mut bytes) = (at.index(bytes.len()), bytes.to_vec());
                bytes[at] ^= 1 << bit;
                bytes
            };
            let longer = [&body[..], b"\0"].concat();
            prop_assert_eq!(verify(&secrets, signed.as_bytes(), &longer), Verdict::Wrong);
            if !body.is_empty() {
                prop_assert_eq!(verify(&secrets, signed.as_bytes(), &flip(&body)), Verdict::Wrong);
                prop_assert_eq!(verify(&secrets, signed.as_bytes(), &body[1..]), Verdict::Wrong);
            }
            let forged = flip(signed.as_bytes());
            // A digit is the same in capitals.
            let is_same = forged.eq_ignore_ascii_case(signed.as_bytes()) && forged.starts_with(b"sha256=");
            prop_assert_eq!(verify(&secrets, &forged, &body) == Verdict::Authentic, is_same);
        }

        #[test]
        fn no_bytes_are_a_signature(header in prop::collection::vec(any::<u8>(), 0..90), body in any::<[u8; 4]>()) {
            prop_assert_eq!(verify(&[SecretString::from("s")], &header, &body), Verdict::Wrong);
        }
    }
}
