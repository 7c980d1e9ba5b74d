//! The form of values that plugins pass, checked before anybody acts on them.

use crate::abilities::Failure;

/// A path of the workspace in its one spelling: relative, `/` between names, empty for the top.
pub(super) fn path(written: &str) -> Result<String, Failure> {
    let refuse = |why: &str| Err(Failure::Rejected(format!("path `{}`: {why}", clip(written))));
    if written.starts_with('/') {
        return refuse("it has to be relative to the top of the repository");
    }
    if written.len() > 4096 || written.chars().any(|c| c == '\\' || c.is_control()) {
        return refuse("it is too long, or has characters that no path of a repository has");
    }
    // `./was` and `was/` are usual ways to write `was`.
    let bare = written.trim_start_matches("./").trim_end_matches('/');
    if matches!(bare, "" | ".") {
        return Ok(String::new());
    }
    if bare.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return refuse("it may not leave the repository");
    }
    Ok(bare.to_owned())
}

/// A path that names something below the top.
pub(super) fn file_path(written: &str) -> Result<String, Failure> {
    match path(written)?.as_str() {
        "" => Err(Failure::Rejected(format!("path `{}` names no file", clip(written)))),
        path => Ok(path.to_owned()),
    }
}

/// An image's tag, by the rule of the OCI distribution specification.
pub(super) fn tag(written: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let first = written.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    if first && written.len() <= 128 && written.chars().all(allowed) {
        return Ok(());
    }
    let why = "it is 1 to 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`";
    Err(Failure::Rejected(format!("tag `{}`: {why}", clip(written))))
}

/// The name of an artifact: a bare file name, and no hidden one.
pub(super) fn artifact(written: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !written.is_empty() && written.len() <= 128 && !written.starts_with('.') && written.chars().all(allowed) {
        return Ok(());
    }
    let why = "it is 1 to 128 letters, digits, `_`, `.` and `-`, and does not begin with `.`";
    Err(Failure::Rejected(format!("artifact `{}`: {why}", clip(written))))
}

/// A key of the cache, or the beginning of one.
pub(super) fn key(written: &str) -> Result<(), Failure> {
    if !written.is_empty() && written.len() <= 256 && written.chars().all(|c| (' '..='~').contains(&c)) {
        return Ok(());
    }
    Err(Failure::Rejected(format!("cache key `{}`: it is 1 to 256 printable ASCII characters", clip(written))))
}

/// The name of a variable: of an environment, or of a build.
pub(super) fn variable(written: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = written.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if first && written.chars().all(allowed) {
        return Ok(());
    }
    Err(Failure::Rejected(format!("variable `{}`: a name is letters, digits and `_`", clip(written))))
}

/// The name of a variable of a Terraform configuration; the host makes a variable of the environment of it.
pub(super) fn terraform_variable(written: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let first = written.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && written.len() <= 128 && written.chars().all(allowed) {
        return Ok(());
    }
    Err(Failure::Rejected(format!("variable `{}`: a name is letters, digits, `_` and `-`", clip(written))))
}

/// The name of a Terraform workspace, which is an argument of a program as well.
pub(super) fn workspace(written: Option<&str>) -> Result<(), Failure> {
    let Some(written) = written else { return Ok(()) };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let first = written.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && written.len() <= 90 && written.chars().all(allowed) {
        return Ok(());
    }
    let why = "it is 1 to 90 letters, digits, `_`, `.` and `-`, a letter or digit first";
    Err(Failure::Rejected(format!("workspace `{}`: {why}", clip(written))))
}

/// A digest in its one spelling.
pub(super) fn digest(what: &str, written: &str) -> Result<(), Failure> {
    let digits = written.strip_prefix("sha256:").unwrap_or_default();
    let allowed = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if digits.len() == 64 && digits.chars().all(allowed) {
        return Ok(());
    }
    Err(Failure::Rejected(format!("{what} `{}`: it is `sha256:` and 64 hexadecimal digits", clip(written))))
}

/// A word on its own: an image, a branch, a commit, a name.
pub(super) fn word(what: &str, written: &str) -> Result<(), Failure> {
    let odd = written.chars().any(|c| c.is_whitespace() || c.is_control());
    if written.is_empty() || odd || written.starts_with('-') || written.contains("..") || written.len() > 1024 {
        return Err(Failure::Rejected(format!("{what} `{}` is none", clip(written))));
    }
    Ok(())
}

/// The same, where it may be left out.
pub(super) fn optional_word(what: &str, written: Option<&String>) -> Result<(), Failure> {
    written.map_or(Ok(()), |written| word(what, written))
}

/// A text that somebody will keep or send, which therefore has a bound, in bytes.
pub(super) fn at_most(what: &str, length: usize, most: usize) -> Result<(), Failure> {
    if length > most {
        return Err(Failure::Rejected(format!("{what} is too long: it has {length} bytes, and {most} are the most")));
    }
    Ok(())
}

/// The beginning of a text, for a message.
pub(super) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

#[cfg(test)]
#[path = "value/tests.rs"]
mod tests;
