//! What a builder's last words say about trying again. A builder passes on as text what a base image's registry
//! answered, and says in the same place what is wrong with a Dockerfile. Only recognised words of a mistake are final:
//! an outage has more words than anybody can list, and the stage bounds how long it is borne.

use decide::retry::Retry;

/// How BuildKit and the classic builder say that a command of the Dockerfile has failed. They quote the command, whose
/// own words count for nothing.
const COMMANDS: [&str; 3] = ["did not complete successfully", "returned a non-zero code", "executor failed running"];
/// Before the status that a registry answered: containerd's words, and the classic builder's.
const STATUSES: [&str; 3] = ["unexpected status", "unexpected HTTP status", "failed with status"];
/// How builders and registries say that the Dockerfile, or what it names, is wrong.
const MISTAKES: [&str; 15] = [
    "dockerfile parse error",
    "Dockerfile parse error",
    "dockerfile syntax error",
    "unknown instruction",
    "failed to parse stage name",
    "invalid reference format",
    "circular dependency detected",
    "no build stage in current context",
    "target stage",
    "file not found in build context",
    "no source files were specified",
    "forbidden path outside the build context",
    "manifest unknown",
    "no matching manifest",
    "no match for platform",
];
/// At the end of what names a file, an image or a stage that is not there.
const ABSENT: [&str; 2] = [": not found", ": file does not exist"];
/// How registries say that a login is missing or may not read.
const DENIED: [&str; 4] = ["pull access denied", "authorization failed", "unauthorized:", "no basic auth credentials"];

/// The class of a build that has failed with these words.
pub(super) fn class(text: &str) -> Retry {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&COMMANDS) {
        return Retry::Permanent;
    }
    match status(text) {
        // The base image that the Dockerfile names is not there.
        Some(404) => return Retry::Permanent,
        Some(status) => return Retry::of_status(status, None),
        None => {}
    }
    if has(&DENIED) {
        return Retry::NeedsPerson;
    }
    let is_mistake = has(&MISTAKES) || ABSENT.iter().any(|words| text.ends_with(words));
    if is_mistake { Retry::Permanent } else { Retry::PASSING }
}

/// The status in words such as `unexpected status from HEAD request to http://registry/v2/: 503 Service Unavailable`.
fn status(text: &str) -> Option<u16> {
    let rest = STATUSES.iter().find_map(|words| text.split_once(words)).map(|(_, rest)| rest)?;
    let numbers = rest.split(": ").filter_map(|part| part.trim_start().get(..3)?.parse().ok());
    numbers.filter(|status| (400..600).contains(status)).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_outage_passes_and_a_dockerfiles_mistake_does_not() {
        for (text, retry) in [
            // BuildKit.
            (
                "base:1: failed to resolve source metadata for 127.0.0.1:5000/base:1: unexpected status from HEAD \
                 request to http://127.0.0.1:5000/v2/base/manifests/1: 503 Service Unavailable",
                Retry::PASSING,
            ),
            (
                "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to \
                 https://auth.example/token: 401 Unauthorized",
                Retry::NeedsPerson,
            ),
            ("failed to do request: Head \"https://a.b/v2/\": dial tcp: lookup a.b: no such host", Retry::PASSING),
            ("failed to do request: Head \"https://a.b/v2/\": EOF", Retry::PASSING),
            ("docker.io/library/nowhere:1: not found", Retry::Permanent),
            (
                "pull access denied, repository does not exist or may require authorization: server message: \
                 insufficient_scope: authorization failed",
                Retry::NeedsPerson,
            ),
            (
                "process \"/bin/sh -c curl http://a.b || echo connection refused\" did not complete successfully: \
                 exit code: 1",
                Retry::Permanent,
            ),
            ("dockerfile parse error on line 2: unknown instruction: COPPY", Retry::Permanent),
            ("failed to compute cache key: \"/missing\": not found", Retry::Permanent),
            (
                "failed to compute cache key: failed to calculate checksum of ref k::p: \"/missing\": not found",
                Retry::Permanent,
            ),
            ("failed to compute cache key: failed to copy: httpReadSeeker: failed open: EOF", Retry::PASSING),
            ("target stage \"prod\" could not be found", Retry::Permanent),
            ("executor failed running [/bin/sh -c exit 3]: exit code: 3", Retry::Permanent),
            ("dial tcp 10.0.0.1:443: connect: connection timed out", Retry::PASSING),
            ("failed to copy: unexpected EOF", Retry::PASSING),
            ("http2: server sent GOAWAY and closed the connection; LastStreamID=3", Retry::PASSING),
            ("failed to copy: stream error: stream ID 7; INTERNAL_ERROR; received from peer", Retry::PASSING),
            ("read tcp 10.0.0.2:1->10.0.0.1:443: use of closed network connection", Retry::PASSING),
            ("dial tcp: lookup a.b: Temporary failure in name resolution", Retry::PASSING),
            ("rpc error: code = Canceled desc = context canceled", Retry::PASSING),
            ("failed to copy: short read: expected 100 bytes but got 50", Retry::PASSING),
            ("words that nobody has seen before", Retry::PASSING),
            // The classic builder.
            ("received unexpected HTTP status: 502 Bad Gateway", Retry::PASSING),
            ("toomanyrequests: You have reached your pull rate limit", Retry::PASSING),
            ("Get \"https://a.b/v2/\": net/http: TLS handshake timeout", Retry::PASSING),
            ("manifest for a.b/base:2 not found: manifest unknown: manifest unknown", Retry::Permanent),
            (
                "COPY failed: file not found in build context or excluded by .dockerignore: stat x: file does not exist",
                Retry::Permanent,
            ),
            ("ADD failed: Get \"http://a.b/x\": dial tcp: connect: connection timed out", Retry::PASSING),
            ("invalid reference format: repository name must be lowercase", Retry::Permanent),
            ("The command '/bin/sh -c exit 3' returned a non-zero code: 3", Retry::Permanent),
            ("write /var/lib/docker/tmp/x: no space left on device", Retry::PASSING),
        ] {
            assert_eq!(class(text), retry, "{text}");
        }
    }
}
