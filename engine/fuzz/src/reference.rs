//! Image references: what is read is written as it stood, the registry apart, and a mistake lies within the text.

use pipeline::ImageRef;

/// A host has these characters, or those of an address in brackets; a port is digits.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, "0"),
    };
    let name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)),
    };
    name && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Looks at bytes as a reference.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<ImageRef>() {
        Ok(image) => {
            let written = image.to_string();
            let implied = written.strip_suffix(text);
            assert!(implied.is_some_and(|implied| ["", "docker.io/", "docker.io/library/"].contains(&implied)));
            assert_eq!(written.parse(), Ok(image.clone()), "{written} is read otherwise than {text}");
            assert!(written.bytes().all(|byte| byte.is_ascii_graphic()) && is_host(&image.host), "{written:?}");
        }
        Err(bad) => {
            assert_eq!(bad.text, text);
            assert!((1..=text.chars().count() + 1).contains(&bad.at), "{bad:?}");
        }
    }
}
