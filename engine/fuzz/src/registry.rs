//! Answers of registries: what is no signature proves nothing, and what is no key is refused in words.

use images::bundle::of_file;
use images::signature::{Form, PublicKey, Signature, signer};
use pipeline::Digest;

/// A key whose other half nobody has.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

/// Looks at bytes as a bundle, as a signature's payload, and as a key.
pub(crate) fn check(bytes: &[u8]) {
    let key = PublicKey::from_pem(KEY).expect("it is one");
    let signature = of_file(bytes).unwrap_or_default();
    assert!(signature.len() <= bytes.len(), "a signature is longer than what holds it");
    assert!(!key.verifies(bytes, &signature));
    for form in [Form::Payload, Form::Statement] {
        for signature in [signature.clone(), bytes.to_vec()] {
            let signed = Signature { form, payload: bytes.to_vec(), signature };
            assert_eq!(signer(&Digest::of(b""), &[signed], std::slice::from_ref(&key)), None);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match PublicKey::from_pem(text) {
        Ok(key) => assert!(!key.verifies(bytes, &signature) && key.to_string().contains(' ')),
        Err(why) => assert!(!why.is_empty()),
    }
}
