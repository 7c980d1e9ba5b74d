//! Signatures of artifacts, as cosign makes them with a key: over a small JSON
//! text that names the manifest's digest, checked without asking anybody.
//!
//! Until its second major version the text is the payload of
//! <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>; since
//! the third it is a statement of in-toto, signed as
//! <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md> has it.
//! Keys are PEM files: ed25519, or ECDSA on P-256 as cosign has them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use pipeline::{Digest, ImageRef};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde_json::{Value, json};
use std::fmt;

/// What stands before the 32 bytes of an ed25519 key in its SubjectPublicKeyInfo (RFC 8410).
const ED25519_INFO: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before the 65 bytes of a point of P-256 in its SubjectPublicKeyInfo (RFC 5480).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The payload's type, in cosign's words.
const TYPE: &str = "cosign container image signature";
/// The type of a statement, where it stands in an envelope.
pub(crate) const STATEMENT: &str = "application/vnd.in-toto+json";
/// The same, where it stands in itself.
const STATEMENTS: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// What a statement has to say: the same key may also sign what it thinks of an artifact, and that it is bad.
const SIGNS: &str = "https://sigstore.dev/cosign/sign/v1";

/// A key that signatures are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    key: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Ed25519,
    P256,
}

/// A key that signs. It is never shown.
pub struct SigningKey(Pair);

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A signature, and the bytes that it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What the payload is.
    pub form: Form,
    /// The payload, as it was signed.
    pub payload: Vec<u8>,
    /// The signature itself: 64 bytes by ed25519, ASN.1 DER by ECDSA.
    pub signature: Vec<u8>,
}

/// What a signature's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The small text of cosign, signed as it stands.
    Payload,
    /// A statement of in-toto, signed in its envelope.
    Statement,
}

impl PublicKey {
    /// Reads a PEM file's text.
    ///
    /// # Errors
    /// It is no public key, or of another algorithm, with the help.
    pub fn from_pem(pem: &str) -> Result<PublicKey, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("it is a private key; name the public one, and keep this one where signatures are made".into());
        }
        let info = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "it is no PEM file with a PUBLIC KEY; `cosign generate-key-pair` writes one as cosign.pub")?;
        let known = |start: &[u8], algorithm, length| {
            let key = info.strip_prefix(start).filter(|key| key.len() == length)?;
            Some(PublicKey { algorithm, key: key.to_owned() })
        };
        known(&ED25519_INFO, Algorithm::Ed25519, 32)
            .or_else(|| known(&P256_INFO, Algorithm::P256, 65))
            .ok_or_else(|| "its key is neither ed25519 nor ECDSA on P-256; make one of these".to_owned())
    }

    /// Whether a signature over `bytes` was made with this key's other half.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.key).verify(bytes, signature).is_ok(),
            Algorithm::P256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.key).verify(bytes, signature).is_ok()
            }
        }
    }
}

/// The algorithm, and the beginning of the key's SHA-256, by which people tell keys apart.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.algorithm {
            Algorithm::Ed25519 => "ed25519",
            Algorithm::P256 => "ecdsa-p256",
        };
        write!(f, "{algorithm} {}", Digest::of(&self.key).short())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SigningKey {
    /// Reads a PEM file's text: PKCS #8, not encrypted.
    ///
    /// # Errors
    /// It is no such key, with the help; never what the file holds.
    pub fn from_pem(pem: &str) -> Result<SigningKey, String> {
        if pem.contains("ENCRYPTED") {
            return Err("it is encrypted: sign by `cosign sign --key`, or keep a key that is not encrypted; \
                        `openssl genpkey -algorithm ed25519` makes one"
                .into());
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(
            |_| "it is no PEM file with a PRIVATE KEY (PKCS #8); `openssl genpkey -algorithm ed25519` makes one",
        )?;
        let der = der.secret_pkcs8_der();
        // OpenSSL writes the first version of the format, without the public half.
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(SigningKey(Pair::Ed25519(pair)));
        }
        match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            Ok(pair) => Ok(SigningKey(Pair::P256(pair))),
            Err(_) => Err("its key is neither ed25519 nor ECDSA on P-256; make one of these".into()),
        }
    }

    /// The half that others may have.
    pub fn public(&self) -> PublicKey {
        let (algorithm, key) = match &self.0 {
            Pair::Ed25519(pair) => (Algorithm::Ed25519, pair.public_key().as_ref()),
            Pair::P256(pair) => (Algorithm::P256, pair.public_key().as_ref()),
        };
        PublicKey { algorithm, key: key.to_owned() }
    }

    /// A signature over these bytes, in the encoding that cosign verifies.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.0 {
            Pair::Ed25519(pair) => pair.sign(bytes).as_ref().to_owned(),
            Pair::P256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), bytes);
                signed.expect("a key that was read can sign").as_ref().to_owned()
            }
        }
    }

    /// Signs an artifact by its manifest's digest.
    pub fn sign_artifact(&self, artifact: &ImageRef, digest: &Digest) -> Signature {
        let payload = json!({
            "critical": {
                "identity": { "docker-reference": artifact.name() },
                "image": { "docker-manifest-digest": digest },
                "type": TYPE,
            },
            "optional": null,
        });
        let payload = payload.to_string().into_bytes();
        Signature { form: Form::Payload, signature: self.sign(&payload), payload }
    }
}

impl Signature {
    /// Whether it says that this digest was signed. Whose it is, is another question.
    fn is_for(&self, digest: &Digest) -> bool {
        let said: Value = serde_json::from_slice(&self.payload).unwrap_or_default();
        match self.form {
            Form::Payload => {
                let critical = &said["critical"];
                critical["type"] == TYPE && critical["image"]["docker-manifest-digest"] == digest.as_str()
            }
            Form::Statement => {
                let mut subjects = said["subject"].as_array().into_iter().flatten();
                STATEMENTS.iter().any(|kind| said["_type"] == *kind)
                    && said["predicateType"] == SIGNS
                    && subjects.any(|subject| subject["digest"]["sha256"] == digest.hex())
            }
        }
    }

    /// Whether a key made it.
    fn is_by(&self, key: &PublicKey) -> bool {
        match self.form {
            Form::Payload => key.verifies(&self.payload, &self.signature),
            Form::Statement => key.verifies(&enveloped(&self.payload), &self.signature),
        }
    }
}

/// What DSSE signs of a statement: its type and itself, each after its length.
fn enveloped(statement: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {STATEMENT} {} ", STATEMENT.len(), statement.len());
    [head.as_bytes(), statement].concat()
}

/// The first of the keys that signed this digest.
pub fn signer<'k>(digest: &Digest, signatures: &[Signature], keys: &'k [PublicKey]) -> Option<&'k PublicKey> {
    let ours = || signatures.iter().filter(|signature| signature.is_for(digest));
    keys.iter().find(|key| ours().any(|one| one.is_by(key)))
}

#[cfg(test)]
mod tests;
