//! Hides granted secrets in a log's text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// An encoded form shorter than this many bytes would hide ordinary text.
const SHORTEST_ENCODED: usize = 6;

/// Replaces secret values, and what they look like encoded, by `***`.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    /// Longest first, so that a secret that contains another is hidden whole.
    needles: Vec<String>,
}

impl Masker {
    /// Hides each of `secrets`: as it stands, line by line, backwards, escaped as JSON,
    /// percent-encoded, in hexadecimal, and in base64 at all three alignments.
    pub fn new<I, S>(secrets: I) -> Masker
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            add_forms(secret.as_ref(), &mut forms);
        }
        let mut masker = Masker::default();
        masker.join(Masker { needles: forms.into_iter().collect() });
        masker
    }

    /// Adds another masker's secrets.
    pub fn join(&mut self, other: Masker) {
        self.needles.extend(other.needles);
        // Those of one length in a certain order, too, or the same ones would not stand side by side.
        self.needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.needles.dedup();
    }

    /// The text with every secret hidden.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for needle in &self.needles {
            if masked.contains(needle.as_str()) {
                masked = masked.replace(needle.as_str(), HIDDEN);
            }
        }
        masked
    }
}

fn add_forms(secret: &str, forms: &mut BTreeSet<String>) {
    let whole = secret.trim();
    if whole.is_empty() {
        return;
    }
    forms.insert(secret.to_owned());
    forms.insert(whole.to_owned());
    // A key file is logged line by line, so each of its lines is hidden too.
    for line in whole.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_ENCODED) {
        forms.insert(line.to_owned());
    }
    let json = serde_json::Value::from(whole).to_string();
    let mut encoded = vec![json.trim_matches('"').to_owned(), hex::encode(whole), hex::encode_upper(whole)];
    encoded.push(url::form_urlencoded::byte_serialize(whole.as_bytes()).collect());
    encoded.push(percent(whole));
    encoded.push(whole.chars().rev().collect());
    for alignment in 0..3 {
        encoded.push(aligned(whole, alignment, |bytes| STANDARD_NO_PAD.encode(bytes)));
        encoded.push(aligned(whole, alignment, |bytes| URL_SAFE_NO_PAD.encode(bytes)));
    }
    forms.extend(encoded.into_iter().filter(|form| form.len() >= SHORTEST_ENCODED));
}

/// The characters of a base64 text that a secret alone decides when `before`
/// unknown bytes stand in front of it, as in `base64("user:" + secret)`.
fn aligned(secret: &str, before: usize, encode: impl Fn(&[u8]) -> String) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret.as_bytes());
    let encoded = encode(&bytes);
    let first = (before * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    encoded.get(first..last).unwrap_or_default().to_owned()
}

/// Percent-encoding as in a path: a space is `%20`, not `+`.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn masked(text: &str) -> String {
        Masker::new(["p@ss word/+1"]).mask(text)
    }

    #[test]
    fn hides_the_value_and_its_encodings() {
        assert_eq!(masked("login p@ss word/+1 ok"), "login *** ok");
        assert_eq!(masked("url https://x/?p=p%40ss%20word%2F%2B1"), "url https://x/?p=***");
        assert_eq!(masked("form p%40ss+word%2F%2B1"), "form ***");
        assert_eq!(masked("backwards 1+/drow ss@p"), "backwards ***");
        assert_eq!(masked(&format!("hex {}", hex::encode("p@ss word/+1"))), "hex ***");
    }

    #[test]
    fn hides_it_inside_base64_at_every_alignment() {
        for before in ["", "a", "ab", "user:", "x-access-token:"] {
            let encoded = STANDARD.encode(format!("{before}p@ss word/+1"));
            let line = masked(&format!("authorization: Basic {encoded}"));
            assert!(line.contains("***"), "{before:?} left {line}");
        }
    }

    #[test]
    fn hides_a_key_line_by_line_and_the_longer_secret_first() {
        let masker = Masker::new(["-----BEGIN KEY-----\nabcdefgh\nijklmnop\n", "abcd"]);
        assert_eq!(masker.mask("line abcdefgh"), "line ***");
        assert_eq!(masker.mask("ijklmnop"), "***");
    }

    #[test]
    fn a_secret_that_is_asked_for_again_adds_nothing() {
        let once = Masker::new(["p@ss word/+1", "another/one"]);
        let mut again = once.clone();
        for secret in ["p@ss word/+1", "another/one", "p@ss word/+1"] {
            again.join(Masker::new([secret]));
        }
        assert_eq!(again.needles, once.needles);
    }

    #[test]
    fn an_empty_secret_hides_nothing() {
        assert_eq!(Masker::new(["", "  "]).mask("a text"), "a text");
    }
}
