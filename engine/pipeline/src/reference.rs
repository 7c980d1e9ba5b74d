//! Names of images: `host/repository:tag@digest`, by the distribution grammar.
//!
//! The grammar is that of <https://github.com/distribution/reference>; a name
//! without a host is Docker Hub's, as every container tool reads it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A content digest, such as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The full name of an image. A tag moves; a digest does not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    /// The registry's host, with a port where one is written.
    pub host: String,
    /// The repository's path within the registry.
    pub repository: String,
    /// The tag, where one is written.
    pub tag: Option<String>,
    /// The digest, where one is written.
    pub digest: Option<Digest>,
}

/// Why a text is not the name of an image, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image's name: at character {at}, {message}; {help}")]
pub struct BadReference {
    /// The text as it was given.
    pub text: String,
    /// The first character that is wrong, counted from 1.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// A path of more bytes is refused by every registry.
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;

impl ImageRef {
    /// The name without tag and digest: `host/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// The same repository at this tag, without a digest. The tag must be of the grammar.
    pub fn tagged(&self, tag: &str) -> Result<ImageRef, BadReference> {
        check_tag(tag, tag, 0)?;
        Ok(ImageRef { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository at this digest, without a tag.
    pub fn pinned(&self, digest: &Digest) -> ImageRef {
        ImageRef { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }
}

impl Digest {
    /// The digest as it is written: `algorithm:hex`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest without its algorithm, in lowercase hexadecimal digits.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// The first twelve digits, as they are shown to people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// The SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes))))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Digest, BadReference> {
        check_digest(text, text, 0)?;
        Ok(Digest(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = BadReference;

    fn try_from(text: String) -> Result<Digest, BadReference> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ImageRef {
    type Error = BadReference;

    fn try_from(text: String) -> Result<ImageRef, BadReference> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> String {
        image.to_string()
    }
}

impl FromStr for ImageRef {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<ImageRef, BadReference> {
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            check_digest(text, digest, named.len() + 1)?;
        }
        // A colon after the last slash starts a tag; one before it, a port.
        let path_at = named.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match named[path_at..].find(':') {
            Some(colon) => (&named[..path_at + colon], Some(&named[path_at + colon + 1..])),
            None => (named, None),
        };
        if let Some(tag) = tag {
            check_tag(text, tag, name.len() + 1)?;
        }
        let (host, repository) = split_host(name);
        check_repository(text, repository, name.len() - repository.len())?;
        if let Some(host) = host {
            check_host(text, host)?;
        }
        let image = ImageRef {
            host: host.unwrap_or("docker.io").to_owned(),
            repository: match host {
                None if !repository.contains('/') => format!("library/{repository}"),
                _ => repository.to_owned(),
            },
            tag: tag.map(str::to_owned),
            digest: digest.map(|digest| Digest(digest.to_owned())),
        };
        // With the registry that is meant: what is written back has to be read again.
        let implied = image.name().len() - name.len();
        if name.len() + implied > LONGEST_NAME {
            let at = LONGEST_NAME - implied;
            return Err(bad(text, at, "the name is longer than 255 characters", "shorten it"));
        }
        Ok(image)
    }
}

/// The first component is a host when it could not be a path: a dot, a port,
/// `localhost`, or a capital letter.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

fn check_host(text: &str, host: &str) -> Result<(), BadReference> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    if let Some(port) = port
        && (port.parse::<u16>().is_err() || port.starts_with('+'))
    {
        return Err(bad(text, name.len() + 1, "the port is not a number up to 65535", "write it as `host:5000`"));
    }
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        let odd = address.bytes().position(|byte| !byte.is_ascii_hexdigit() && byte != b':');
        let odd = odd.or(address.is_empty().then_some(0));
        return odd.map_or(Ok(()), |odd| {
            Err(bad(text, odd + 1, "an address in brackets has hexadecimal digits and colons only", "correct the host"))
        });
    }
    let mut at = 0;
    for label in name.split('.') {
        let odd = label.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'-');
        if let Some(odd) = odd {
            return Err(bad(text, at + odd, "a host has letters, digits, dots and hyphens only", "correct the host"));
        }
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            let help = "each part of a host starts and ends with a letter or digit";
            return Err(bad(text, at, "a part of the host is empty or edged with a hyphen", help));
        }
        at += label.len() + 1;
    }
    Ok(())
}

fn check_repository(text: &str, repository: &str, start: usize) -> Result<(), BadReference> {
    let mut at = start;
    for component in repository.split('/') {
        check_component(text, component, at)?;
        at += component.len() + 1;
    }
    Ok(())
}

fn check_component(text: &str, component: &str, at: usize) -> Result<(), BadReference> {
    if component.is_empty() {
        return Err(bad(text, at, "a part of the path is empty", "write a name between the slashes"));
    }
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    if let Some(capital) = bytes.iter().position(u8::is_ascii_uppercase) {
        let message = format!("`{}` is a capital letter", char::from(bytes[capital]));
        return Err(bad(text, at + capital, &message, "a repository is written in small letters"));
    }
    let odd = bytes.iter().position(|&byte| !is_word(byte) && !b"._-".contains(&byte));
    if let Some(odd) = odd {
        let found = component[odd..].chars().next().unwrap_or(' ');
        let help = "a repository has small letters, digits, `.`, `_`, `-` and `/`";
        return Err(bad(text, at + odd, &format!("`{found}` has no place in a repository"), help));
    }
    let edge =
        |place: usize| bad(text, at + place, "a separator stands at the edge", "begin and end with a letter or digit");
    if !is_word(bytes[0]) {
        return Err(edge(0));
    }
    if !is_word(bytes[bytes.len() - 1]) {
        return Err(edge(bytes.len() - 1));
    }
    check_separators(text, component, at)
}

/// Between words: one dot, one or two underscores, or any number of hyphens.
fn check_separators(text: &str, component: &str, at: usize) -> Result<(), BadReference> {
    let mut place = 0;
    for run in component.split_inclusive(|c: char| c.is_ascii_alphanumeric()) {
        let separators = &run[..run.len() - 1];
        let fine = matches!(separators, "" | "." | "_" | "__") || separators.bytes().all(|byte| byte == b'-');
        if !fine {
            let message = format!("`{separators}` does not separate words");
            return Err(bad(text, at + place, &message, "use one of `.`, `_`, `__` or hyphens"));
        }
        place += run.len();
    }
    Ok(())
}

fn check_tag(text: &str, tag: &str, at: usize) -> Result<(), BadReference> {
    let help = "a tag has up to 128 letters, digits, `_`, `.` and `-`, and starts with none of the last two";
    if tag.is_empty() {
        return Err(bad(text, at, "the tag is empty", help));
    }
    let odd = |(place, c): (usize, char)| {
        let fine = c.is_ascii_alphanumeric() || c == '_' || (place > 0 && (c == '.' || c == '-'));
        (!fine).then_some((place, c))
    };
    if let Some((place, c)) = tag.char_indices().find_map(odd) {
        return Err(bad(text, at + place, &format!("`{c}` has no place in a tag there"), help));
    }
    if tag.len() > LONGEST_TAG {
        return Err(bad(text, at + LONGEST_TAG, "the tag is longer than 128 characters", help));
    }
    Ok(())
}

fn check_digest(text: &str, digest: &str, at: usize) -> Result<(), BadReference> {
    let help = "a digest is `sha256:` and 64 small hexadecimal digits";
    let (wanted, hex) = match digest.split_once(':') {
        Some(("sha256", hex)) => (64, hex),
        Some(("sha512", hex)) => (128, hex),
        _ => return Err(bad(text, at, "the digest's algorithm is not sha256 or sha512", help)),
    };
    let hex_at = at + digest.len() - hex.len();
    let odd = hex.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if let Some(odd) = odd {
        return Err(bad(text, hex_at + odd, "that is no small hexadecimal digit", help));
    }
    if hex.len() != wanted {
        return Err(bad(text, hex_at, &format!("the digest has {} digits, not {wanted}", hex.len()), help));
    }
    Ok(())
}

/// `at` counts bytes from 0 here, and characters from 1 in the error.
fn bad(text: &str, at: usize, message: &str, help: &str) -> BadReference {
    let characters = text.char_indices().take_while(|(place, _)| *place < at).count();
    BadReference { text: text.to_owned(), at: characters + 1, message: message.to_owned(), help: help.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn names_are_read_and_written_back() {
        let pinned = format!("localhost:5000/a/b__c.d-e---f:v1@{DIGEST}");
        let rows = [
            (
                "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was:v55-f31bdcc",
                "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was:v55-f31bdcc",
            ),
            ("busybox", "docker.io/library/busybox"),
            ("redis:7", "docker.io/library/redis:7"),
            ("bitnami/redis:7.2", "docker.io/bitnami/redis:7.2"),
            (&pinned, &pinned),
            ("localhost/x", "localhost/x"),
            ("[::1]:5000/x:1", "[::1]:5000/x:1"),
            ("Registry/x", "Registry/x"),
        ];
        for (text, canonical) in rows {
            let image: ImageRef = text.parse().expect(text);
            assert_eq!(image.to_string(), canonical, "{text}");
            assert_eq!(canonical.parse::<ImageRef>().expect(canonical), image, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let long_tag = format!("a.b/c:{}", "x".repeat(129));
        let long_name = format!("a.b/{}", "x".repeat(252));
        let rows = [
            ("", 1, "a part of the path is empty"),
            ("a.b/", 5, "a part of the path is empty"),
            ("a.b//c", 5, "a part of the path is empty"),
            ("petclinic/WAS:1", 11, "capital letter"),
            ("a.b/pet clinic", 8, "has no place in a repository"),
            ("a.b/-x", 5, "edge"),
            ("a.b/x.", 6, "edge"),
            ("a.b/x..y", 6, "does not separate"),
            ("a.b/x___y", 6, "does not separate"),
            ("a.b/x:", 7, "the tag is empty"),
            ("a.b/x:.y", 7, "has no place in a tag"),
            ("a.b/x:v1+2", 9, "has no place in a tag"),
            ("a.b/x:v1/y", 6, "has no place in a repository"),
            (&long_tag, 135, "longer than 128"),
            (&long_name, 256, "longer than 255"),
            ("a.b/x@md5:00", 7, "algorithm"),
            ("a.b/x@sha256:00", 14, "has 2 digits"),
            ("a.b/x@sha256:0G", 15, "hexadecimal"),
            ("a.b:x/y", 5, "port"),
            ("a.b:99999/y", 5, "port"),
            ("a..b/y", 3, "empty or edged"),
            ("a_.b/y", 2, "letters, digits, dots and hyphens"),
            ("ECR_REPO/petclinic-was:v1", 4, "letters, digits, dots and hyphens"),
        ];
        for (text, at, message) in rows {
            let error = text.parse::<ImageRef>().expect_err(text);
            assert!(error.message.contains(message), "{text}: {error}");
            assert_eq!(error.at, at, "{text}: {error}");
        }
    }

    #[test]
    fn a_digest_speaks_for_its_bytes() {
        let digest = Digest::of(b"");
        assert_eq!(digest.as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.short(), "e3b0c44298fc");
    }
}
