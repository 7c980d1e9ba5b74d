//! What is cut from the builds of a fork's pull request beyond its leave.
//!
//! BuildKit shares cache mounts among all builds of an engine, by name. What a
//! stranger leaves in one must not be found by the build of a deployment.

use decide::delivery::Origin;
use decide::run::Opened;
use forge::{Error, Mirror};
use sandbox::{Build, Failure};

/// What BuildKit puts before the name of every cache mount, those of a base image's `ONBUILD` as well.
const CACHES: &str = "BUILDKIT_CACHE_MOUNT_NS";
/// The longest Dockerfile, in bytes.
const LONGEST: usize = 1 << 20;

/// A build as its run may have it: a fork's gets cache mounts of its own.
///
/// # Errors
/// Rejected where a fork's Dockerfile is no plain file, or chooses the program that reads it: that program
/// could name any cache.
pub(super) async fn cut(mirror: &Mirror, run: &Opened, mut build: Build) -> Result<Build, Failure> {
    if run.event.origin() != Some(Origin::Fork) {
        return Ok(build);
    }
    let path = format!("{}/{}", build.context.trim_matches('/'), build.dockerfile);
    let path = path.trim_start_matches('/');
    let dockerfile = mirror.file(&run.commit.sha, path, LONGEST).await.map_err(|error| match error {
        Error::TooLarge { .. } => Failure::Rejected(error.to_string()),
        _ => Failure::Transient(error.to_string()),
    })?;
    let Some(dockerfile) = dockerfile else {
        return Err(Failure::Rejected(format!("there is no plain file {path} at this commit")));
    };
    if chooses_its_reader(&String::from_utf8_lossy(&dockerfile)) {
        let because = "a fork's pull request never gets a frontend of its own";
        return Err(Failure::Rejected(format!("{path}: {because}; take `syntax` out of its head")));
    }
    build.build_args.insert(CACHES.to_owned(), format!("{} {}", run.repository, run.event.reference));
    Ok(build)
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
    use super::chooses_its_reader;

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
}
