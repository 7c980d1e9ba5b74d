//! What a secret looks like where it is written otherwise than it stands.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;

/// An encoded form shorter than this many bytes would hide ordinary text.
pub(super) const SHORTEST_ENCODED: usize = 6;

/// What JavaScript's `encodeURIComponent` leaves as it is, beside letters, digits and `-._~`.
const COMPONENT: &str = "!'()*";

/// Adds each form of a secret, all of them without line breaks: as it stands, line by line, backwards, escaped for
/// JSON, HTML and shells, percent-encoded, in hexadecimal, and in base64 at all three alignments.
pub(super) fn add(secret: &str, forms: &mut BTreeSet<String>) {
    let whole = secret.trim();
    if whole.is_empty() {
        return;
    }
    forms.extend([flat(secret), flat(whole)]);
    let mut encoded = BTreeSet::from([hex::encode(whole), hex::encode_upper(whole), whole.chars().rev().collect()]);
    for alignment in 0..3 {
        encoded.insert(aligned(whole, alignment, |bytes| STANDARD_NO_PAD.encode(bytes)));
        encoded.insert(aligned(whole, alignment, |bytes| URL_SAFE_NO_PAD.encode(bytes)));
    }
    escaped(whole, &mut encoded);
    // A key file is logged line by line, so each of its lines is hidden too.
    for line in whole.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_ENCODED && *line != whole) {
        encoded.insert(line.to_owned());
        escaped(line, &mut encoded);
    }
    forms.extend(encoded.iter().map(|form| flat(form)).filter(|form| form.len() >= SHORTEST_ENCODED));
}

/// A secret of several lines that has too few characters to be known by them alone: it is hidden where it stands as it
/// is, line breaks included.
pub(super) fn short_lines(secret: &str) -> Option<String> {
    let whole = unix(secret.trim());
    (whole.contains('\n') && flat(&whole).len() < SHORTEST_ENCODED).then_some(whole)
}

/// A text with its line breaks as Unix has them.
pub(super) fn unix(text: &str) -> String {
    text.replace('\r', "")
}

/// A text without its line breaks: any form may be wrapped, at any width.
fn flat(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect()
}

/// The ways in which programs quote a text, so that another program reads it as it was.
fn escaped(text: &str, forms: &mut BTreeSet<String>) {
    let json = serde_json::Value::from(text).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or_default();
    forms.extend([json.to_owned(), ascii(json), json.replace('/', "\\/")]);
    // Go's encoder, and others that think of HTML.
    forms.insert(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"));
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    forms.extend([html.replace('\'', "&#39;"), html.replace('\'', "&#x27;"), html.replace('"', "&#34;"), html]);
    forms.insert(url::form_urlencoded::byte_serialize(text.as_bytes()).collect());
    for kept in ["", "/", COMPONENT] {
        let percent = percent(text, kept);
        forms.insert(lower(&percent));
        forms.insert(percent);
    }
    // Within '...', within "...", and without either.
    forms.extend([text.replace('\'', "'\\''"), text.replace('\'', "'\"'\"'")]);
    forms.insert(backslashed(text, |c| matches!(c, '"' | '$' | '`' | '\\')));
    forms.insert(backslashed(text, |c| matches!(c, '"' | '$' | '`' | '\\' | '!')));
    forms.insert(backslashed(text, |c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"%+-./:=@_".contains(c)));
    forms.insert(backslashed(text, |c| matches!(c, '\'' | '\\')).replace('\n', "\\n").replace('\t', "\\t"));
}

/// JSON of which every character is ASCII.
fn ascii(json: &str) -> String {
    let mut units = [0; 2];
    let escape = |c: char| match c.is_ascii() {
        true => c.to_string(),
        false => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    json.chars().map(escape).collect()
}

fn backslashed(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let escape = |c: char| if is_special(c) { format!("\\{c}") } else { c.to_string() };
    text.chars().map(escape).collect()
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
fn percent(text: &str, kept: &str) -> String {
    text.bytes()
        .map(|byte| match char::from(byte) {
            c if c.is_ascii_alphanumeric() || "-._~".contains(c) || kept.contains(c) && c.is_ascii() => c.to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The same with the digits of its escapes in lower case.
fn lower(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut text, part| {
        let (digits, rest) = part.split_at(part.len().min(2));
        text.push('%');
        text.push_str(&digits.to_ascii_lowercase());
        text.push_str(rest);
        text
    })
}
