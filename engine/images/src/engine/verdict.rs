//! What a builder's last words say about trying again. A builder passes on as text what a base image's registry
//! answered, and says in the same place what is wrong with a Dockerfile.

use decide::retry::Retry;

/// How BuildKit and the classic builder say that a command of the Dockerfile has failed. They quote the command, whose
/// own words count for nothing.
const COMMANDS: [&str; 2] = ["did not complete successfully", "returned a non-zero code"];
/// Before the status that a registry answered: containerd's words, and the classic builder's.
const STATUSES: [&str; 3] = ["unexpected status", "unexpected HTTP status", "failed with status"];
/// How Go's network library and gRPC say that there was no answer.
const UNANSWERED: [&str; 14] = [
    "connection refused",
    "connection reset",
    "broken pipe",
    "no such host",
    "server misbehaving",
    "i/o timeout",
    "deadline exceeded",
    "Client.Timeout",
    "TLS handshake",
    "server gave HTTP response to HTTPS client",
    "no route to host",
    "network is unreachable",
    "transport is closing",
    "no space left on device",
];
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
    if has(&UNANSWERED) || text.ends_with(": EOF") || text.contains("toomanyrequests") {
        return Retry::PASSING;
    }
    if has(&DENIED) { Retry::NeedsPerson } else { Retry::Permanent }
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
            // The classic builder.
            ("received unexpected HTTP status: 502 Bad Gateway", Retry::PASSING),
            ("toomanyrequests: You have reached your pull rate limit", Retry::PASSING),
            ("Get \"https://a.b/v2/\": net/http: TLS handshake timeout", Retry::PASSING),
            ("manifest for a.b/base:2 not found: manifest unknown: manifest unknown", Retry::Permanent),
            ("The command '/bin/sh -c exit 3' returned a non-zero code: 3", Retry::Permanent),
            ("write /var/lib/docker/tmp/x: no space left on device", Retry::PASSING),
        ] {
            assert_eq!(class(text), retry, "{text}");
        }
    }
}
