//! Attacks by what is not as it should be: names, lengths, methods, protocols.

use super::many::both;
use super::*;
use futures::FutureExt;

/// What hides a second request, or makes two readers see different ones.
pub(super) const LENGTHS: &[Row] = &[
    Row {
        on: PAGES,
        name: "length-and-chunks",
        tries: "frames its body in two ways at once, so that the rest would be a request of its own",
        allowed: "chunks count, and the connection is closed after them",
        seen: "400; 2xx",
        attack: |target| two_lengths(target, "content-length: 50\r\ntransfer-encoding: chunked").boxed(),
    },
    Row {
        on: HOOKS,
        name: "length-and-chunks",
        tries: "frames its body in two ways at once, so that the rest would be a request of its own",
        allowed: "chunks count, and the connection is closed after them",
        seen: "400; 2xx",
        attack: |target| two_lengths(target, "content-length: 50\r\ntransfer-encoding: chunked").boxed(),
    },
    Row {
        on: BOTH,
        name: "chunks-and-length",
        tries: "the same the other way round",
        allowed: "the same",
        seen: "400; 2xx",
        attack: |target| two_lengths(target, "transfer-encoding: chunked\r\ncontent-length: 50").boxed(),
    },
    Row {
        on: BOTH,
        name: "two-lengths",
        tries: "declares two lengths",
        allowed: "one",
        seen: "400; 2xx",
        attack: |target| two_lengths(target, "content-length: 5\r\ncontent-length: 50").boxed(),
    },
    Row {
        on: BOTH,
        name: "length-signed",
        tries: "declares a length with a sign",
        allowed: "digits",
        seen: "400; 2xx",
        attack: |target| two_lengths(target, "content-length: +50").boxed(),
    },
    Row {
        on: BOTH,
        name: "encoding-unknown",
        tries: "declares an encoding that only looks like chunks",
        allowed: "`chunked`",
        seen: "400; 2xx",
        attack: |target| two_lengths(target, "transfer-encoding: xchunked").boxed(),
    },
    Row {
        on: BOTH,
        name: "space-before-colon",
        tries: "hides a length from whoever is strict, by a space before its colon",
        allowed: "none",
        seen: "400; 2xx",
        attack: |target| two_lengths(target, "content-length : 50").boxed(),
    },
    Row {
        on: BOTH,
        name: "header-folded",
        tries: "folds a header over two lines",
        allowed: "none",
        seen: "400; 2xx",
        attack: |target| two_lengths(target, "x-a: b\r\n content-length: 50").boxed(),
    },
];

/// The rest of a body that ends after its first line where chunks count.
const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

async fn two_lengths(target: &Target, headers: &str) -> String {
    both(target, format!("{}{headers}\r\n\r\n{SMUGGLED}", target.post())).await
}

/// What names another host, another site, another file.
pub(super) const NAMES: &[Row] = &[
    Row {
        on: PAGES,
        name: "rebinding",
        tries: "names a host of its own that leads to this machine",
        allowed: "the configured name, `localhost`, an IP address",
        seen: "421; 2xx",
        attack: |target| get(target, "/api/v1/session", "host: evil.example").boxed(),
    },
    Row {
        on: PAGES,
        name: "no-host",
        tries: "names no host",
        allowed: "one",
        seen: "421; 2xx",
        attack: |target| both(target, "GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned()).boxed(),
    },
    Row {
        on: PAGES,
        name: "two-hosts",
        tries: "names two hosts, of which the second is its own",
        allowed: "one",
        seen: "400; 2xx",
        attack: |target| get(target, "/api/v1/session", "host: 127.0.0.1\r\nhost: evil.example").boxed(),
    },
    Row {
        on: PAGES,
        name: "host-in-the-line",
        tries: "names its own host in the request line, behind a right `Host`",
        allowed: "both are right",
        seen: "421; 2xx",
        attack: |target| get(target, "http://evil.example/api/v1/session", "host: 127.0.0.1").boxed(),
    },
    Row {
        on: PAGES,
        name: "cross-origin",
        tries: "has a page of another site send a form",
        allowed: "our own pages",
        seen: "403; 2xx",
        attack: |target| {
            let body = "content-length: 2\r\nconnection: close\r\norigin: http://evil.example\r\n\r\n{}";
            both(target, format!("{}{body}", target.post())).boxed()
        },
    },
    Row {
        on: PAGES,
        name: "sibling-origin",
        tries: "the same from another port of this machine",
        allowed: "our own pages",
        seen: "403; 2xx",
        attack: |target| {
            let body = "content-length: 2\r\nconnection: close\r\norigin: http://127.0.0.1:1\r\n\r\n{}";
            both(target, format!("{}{body}", target.post())).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "path-parent",
        tries: "leaves the dashboard's files by `..`, plain and encoded",
        allowed: "files of the binary",
        seen: "2 × 404; 2xx",
        attack: |target| {
            let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
            let plain = one("/assets/../../../../etc/passwd");
            both(target, plain + &one("/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd")).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "path-nul",
        tries: "ends a path early by a NUL",
        allowed: "none",
        seen: "400; 2xx",
        attack: |target| get(target, "/\0", "host: 127.0.0.1").boxed(),
    },
];

async fn get(target: &Target, path: &str, headers: &str) -> String {
    both(target, format!("GET {path} HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n")).await
}

/// What speaks something else.
pub(super) const PROTOCOLS: &[Row] = &[
    Row {
        on: BOTH,
        name: "compressed",
        tries: "sends a bomb that gzip unpacks",
        allowed: "nothing is unpacked: it is read as it comes",
        seen: "400; 2xx",
        attack: |target| {
            let head = "content-encoding: gzip\r\ncontent-length: 12\r\nconnection: close\r\n\r\n";
            both(target, format!("{}{head}\x1f\x08\0\0\0\0\0\0\x03\x01\x02\x03", target.post())).boxed()
        },
    },
    Row {
        on: PAGES,
        name: "method-unknown",
        tries: "uses a method that there is not, and TRACE",
        allowed: "GET, HEAD and POST",
        seen: "2 × 405; 2xx",
        attack: |target| methods(target, "/").boxed(),
    },
    Row {
        on: HOOKS,
        name: "method-unknown",
        tries: "uses a method that there is not, and TRACE",
        allowed: "POST",
        seen: "2 × 405; 2xx",
        attack: |target| methods(target, "/hooks/github").boxed(),
    },
    Row {
        on: PAGES,
        name: "tunnel",
        tries: "opens a tunnel to another host by CONNECT",
        allowed: "none",
        seen: "405; 2xx",
        attack: |target| tunnel(target).boxed(),
    },
    Row {
        on: HOOKS,
        name: "tunnel",
        tries: "opens a tunnel to another host by CONNECT",
        allowed: "none",
        seen: "404; 2xx",
        attack: |target| tunnel(target).boxed(),
    },
    Row {
        on: BOTH,
        name: "http-2",
        tries: "begins as HTTP/2",
        allowed: "HTTP/1.1",
        seen: "no answer; 2xx",
        attack: |target| both(target, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned()).boxed(),
    },
    Row {
        on: BOTH,
        name: "upgrade",
        tries: "asks to go on as HTTP/2 or as a WebSocket",
        allowed: "it is answered as if it had not asked",
        seen: "2 × 404; 2xx",
        attack: |target| {
            let one = |to: &str| {
                format!("GET /nonsense HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: {to}\r\n\r\n")
            };
            both(target, one("h2c") + &one("websocket")).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "tls",
        tries: "begins a handshake of TLS where there is none",
        allowed: "nothing",
        seen: "400; 2xx",
        attack: |target| both(target, "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03 and so on".to_owned()).boxed(),
    },
];

async fn methods(target: &Target, path: &str) -> String {
    let one = |method: &str| format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    both(target, one("BREW") + &one("TRACE")).await
}

async fn tunnel(target: &Target) -> String {
    let head = "CONNECT 169.254.169.254:80 HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    both(target, head.to_owned()).await
}
