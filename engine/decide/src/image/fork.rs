//! What is cut from the builds of a fork's pull request beyond its permissions.
//!
//! BuildKit shares cache mounts among all builds of an engine, by name. What a
//! stranger leaves in one must not be found by the build of a deployment. Nor
//! may a stranger's commands, or the engine in their name, ask the network of
//! the machine for anything: its metadata, say.

use super::{Build, Network};
use crate::run::{Opened, Origin};

/// What BuildKit puts before the name of every cache mount, those of a base image's `ONBUILD` as well.
const CACHES: &str = "BUILDKIT_CACHE_MOUNT_NS";

/// The path, from the repository's top, of the Dockerfile that decides whether this build may be had; nothing where
/// the run is not for a fork's pull request.
pub fn dockerfile_to_read(run: &Opened, build: &Build) -> Option<String> {
    let path = format!("{}/{}", build.context.trim_matches('/'), build.dockerfile);
    (run.event.origin() == Some(Origin::Fork)).then(|| path.trim_start_matches('/').to_owned())
}

/// A fork's build as it may be had: with cache mounts of its own, and no network.
///
/// # Errors
/// The Dockerfile may fetch something, or chooses the program that reads it: that program could name any cache.
pub fn cut(run: &Opened, mut build: Build, path: &str, dockerfile: &str) -> Result<Build, String> {
    if chooses_its_reader(dockerfile) {
        let because = "a fork's pull request never gets a frontend of its own";
        return Err(format!("{path}: {because}; take `syntax` out of its head"));
    }
    if may_fetch(dockerfile) {
        let because = "a fork's build has no network, and an ADD with `:` or `$` may fetch something";
        return Err(format!("{path}: {because}; write COPY"));
    }
    build.network = Network::None;
    build.build_args.insert(CACHES.to_owned(), format!("{} {}", run.repository, run.event.reference));
    Ok(build)
}

/// Whether an `ADD` may name an address, which the engine itself would ask, whatever network the commands have.
/// Every line may begin an instruction here, and both escapes continue one. Rather once too often.
fn may_fetch(text: &str) -> bool {
    // From the end, so that what continues a line is known: its first words, and whether it may name an address.
    let (mut words, mut is_named) = (String::new(), false);
    for line in text.lines().rev().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (start, follows) = match line.strip_suffix(['\\', '`']) {
            Some(start) => (start, words.as_str()),
            None => (line, ""),
        };
        is_named = line.contains([':', '$']) || (is_named && start.len() < line.len());
        let shortened = format!("{start}{follows}");
        let shortened = shortened.split_whitespace().take(3).map(|word| word.chars().take(16).collect::<String>());
        words = shortened.collect::<Vec<_>>().join(" ").to_ascii_uppercase();
        let first = words.split(' ').find(|word| *word != "ONBUILD");
        if is_named && first == Some("ADD") {
            return true;
        }
    }
    false
}

/// Whether a Dockerfile's head may hold the directive `syntax`, in any of the forms that BuildKit knows:
/// a comment of `#` or `//`, or JSON. Rather once too often.
fn chooses_its_reader(text: &str) -> bool {
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.as_bytes()[0] {
            b'#' if line.to_ascii_lowercase().contains("syntax") => return true,
            b'#' => {}
            first => return matches!(first, b'/' | b'{'),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{chooses_its_reader, may_fetch};

    #[test]
    fn a_frontend_is_found_in_every_form() {
        for text in [
            "# syntax=evil/frontend\nFROM scratch",
            "#syntax = evil\n",
            "\u{feff}#SYNTAX=evil\n",
            "#!/bin/sh\n# escape=`\n\n#  Syntax=evil",
            "// syntax=evil\nFROM x",
            "{\"syntax\": \"evil\"}",
            "# a\r# syntax=evil\r\nFROM x",
        ] {
            assert!(chooses_its_reader(text), "{text:?}");
        }
        for text in ["FROM scratch\n# syntax=none\n", "# Built by hand.\nFROM scratch", "", "\n\nARG syntax\n"] {
            assert!(!chooses_its_reader(text), "{text:?}");
        }
    }

    #[test]
    fn whatever_may_name_an_address_is_found() {
        for text in [
            "FROM scratch\nADD http://169.254.169.254/ /x",
            "from scratch\nadd $where /x",
            "ONBUILD ADD git@host:a/b /x",
            "ONBUILD \\\n  ADD \\\n# between\n\n http://a /x",
            "AD\\\nD http://a /x",
            "# escape=`\nADD `\n http://a /x",
            "RUN x \\\\\nADD \\\n http://a /x",
            "RUN <<EOF\nADD http://a /x\nEOF",
            "ADD [\"http://a\", \"/x\"]",
            "ADD files /x\nADD --checksum=sha256:1 https://a /x",
        ] {
            assert!(may_fetch(text), "{text:?}");
        }
        for text in [
            "FROM a:1\nADD files.tar /x\nLABEL url=http://a\n",
            "RUN adduser a:b \\\n  && echo $x",
            "ADD files /x\nENV A=$b",
            "# ADD http://a /x",
            "COPY a \\\n b /x\nRUN curl http://a",
            "",
        ] {
            assert!(!may_fetch(text), "{text:?}");
        }
        assert!(!may_fetch(&"a\\\n".repeat(LONG)), "and it does not take long");
    }

    /// Lines; each would be read with all that follow, were they kept whole.
    const LONG: usize = 300_000;
}
