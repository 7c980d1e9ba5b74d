//! Keys as other programs write them, and what is refused.

use super::*;
use std::process::Command;

/// A pair as OpenSSL writes it, private and public.
fn pair(algorithm: &[&str]) -> (String, String) {
    let run = |arguments: &[&str], input: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, input).unwrap();
        let mut command = Command::new("openssl");
        command.args(arguments);
        if !input.is_empty() {
            command.arg("-in").arg(&file);
        }
        let output = command.output().expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let private = run(&[&["genpkey"], algorithm].concat(), "");
    let public = run(&["pkey", "-pubout"], &private);
    (private, public)
}

const ED25519_KEY: &[&str] = &["-algorithm", "ed25519"];
const P256_KEY: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

#[test]
fn keys_of_openssl_sign_and_verify() {
    let artifact: ImageRef = "host.example/acme/lint:1".parse().unwrap();
    let digest = Digest::of(b"a manifest");
    for algorithm in [ED25519_KEY, P256_KEY] {
        let (private, public) = pair(algorithm);
        let key = SigningKey::from_pem(&private).unwrap();
        let public = PublicKey::from_pem(&public).unwrap();
        assert_eq!(key.public(), public);
        let stranger = SigningKey::from_pem(&pair(algorithm).0).unwrap().public();
        let signature = key.sign_artifact(&artifact, &digest);
        let keys = [stranger.clone(), public.clone()];
        assert_eq!(signer(&digest, std::slice::from_ref(&signature), &keys), Some(&public));
        assert_eq!(signer(&digest, std::slice::from_ref(&signature), &[stranger]), None);
        assert_eq!(signer(&Digest::of(b"another"), std::slice::from_ref(&signature), &keys), None);
        let forged = Signature { payload: [&signature.payload[..], b" "].concat(), ..signature };
        assert_eq!(signer(&digest, &[forged], &keys), None);
    }
}

/// What a signature of cosign is over, made by hand with OpenSSL: cosign's own payload has other spaces and fields.
#[test]
fn a_signature_that_another_program_made_verifies() {
    let (private, public) = pair(P256_KEY);
    let digest = Digest::of(b"a manifest");
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"x"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":{{"creator":"me"}}}}"#
    );
    let dir = tempfile::tempdir().unwrap();
    let (key, data) = (dir.path().join("key"), dir.path().join("data"));
    std::fs::write(&key, private).unwrap();
    std::fs::write(&data, &payload).unwrap();
    let output = Command::new("openssl").args(["dgst", "-sha256", "-sign"]).arg(&key).arg(&data).output().unwrap();
    let signature = Signature { form: Form::Payload, payload: payload.into_bytes(), signature: output.stdout };
    let keys = [PublicKey::from_pem(&public).unwrap()];
    assert!(signer(&digest, &[signature], &keys).is_some());
}

/// A statement as cosign 3 signs it, with one thing wrong at a time.
#[test]
fn a_statement_counts_for_its_subject_and_only_as_a_signature() {
    let key = SigningKey::from_pem(&pair(ED25519_KEY).0).unwrap();
    let digest = Digest::of(b"a manifest");
    let good = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": Digest::of(b"another").hex() } }, { "digest": { "sha256": digest.hex() } }],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    });
    let signs = |statement: &Value, envelope: &dyn Fn(&str) -> String| {
        let payload = statement.to_string();
        let signature = key.sign(envelope(&payload).as_bytes());
        let signature = Signature { form: Form::Statement, payload: payload.into_bytes(), signature };
        signer(&digest, &[signature], &[key.public()]).is_some()
    };
    let enveloped = |payload: &str| format!("DSSEv1 28 application/vnd.in-toto+json {} {payload}", payload.len());
    assert!(signs(&good, &enveloped));
    for (pointer, wrong) in [
        ("/_type", json!("https://in-toto.io/Provenance/v1")),
        ("/predicateType", json!("https://cosign.sigstore.dev/attestation/vuln/v1")),
        ("/subject", json!([])),
        ("/subject/1/digest", json!({ "sha512": digest.hex() })),
        ("/subject/1/digest/sha256", json!(Digest::of(b"a third").hex())),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        assert!(!signs(&bad, &enveloped), "{pointer}");
    }
    assert!(!signs(&good, &str::to_owned), "a text that was signed for something else");
    let other = |payload: &str| format!("DSSEv1 16 application/json {} {payload}", payload.len());
    assert!(!signs(&good, &other), "an envelope of another type");
}

#[test]
fn what_is_no_key_is_refused_with_the_help_and_not_shown() {
    let (private, public) = pair(ED25519_KEY);
    let (rsa, rsa_public) = pair(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let secret = private.lines().nth(1).unwrap();
    for (refused, help) in [
        (PublicKey::from_pem("hello").err().unwrap(), "cosign generate-key-pair"),
        (PublicKey::from_pem(&private).err().unwrap(), "name the public one"),
        (PublicKey::from_pem(&rsa_public).err().unwrap(), "neither ed25519 nor ECDSA"),
        (SigningKey::from_pem(&public).err().unwrap(), "openssl genpkey"),
        (SigningKey::from_pem(&rsa).err().unwrap(), "neither ed25519 nor ECDSA"),
        (SigningKey::from_pem("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----").err().unwrap(), "cosign sign"),
    ] {
        assert!(refused.contains(help) && !refused.contains(secret), "{refused}");
    }
}
