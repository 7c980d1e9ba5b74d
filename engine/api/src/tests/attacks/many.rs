//! Attacks by being many, or large.

use super::slow::well;
use super::*;
use futures::FutureExt;

/// More connections than both the listener and one client may have.
const CROWD: usize = 60;

pub(super) const ROWS: &[Row] = &[
    Row {
        on: BOTH,
        name: "idle-many",
        tries: "holds connections open and sends nothing on them, more than there may be",
        allowed: "1,024 connections, 256 for one client; one that is too many takes the place of who waits for longest",
        seen: "all are let in; 2xx",
        attack: |target| crowd(target, HERE, "").boxed(),
    },
    Row {
        on: BOTH,
        name: "half-heads-many",
        tries: "the same, each with half a head",
        allowed: "the same",
        seen: "all are let in; 2xx",
        attack: |target| crowd(target, HERE, "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-").boxed(),
    },
    Row {
        on: BOTH,
        name: "half-bodies-many",
        tries: "the same from another address, each with half a body",
        allowed: "the same: a body that still comes gives way after those who only wait",
        seen: "all are let in; 2xx",
        attack: |target| {
            async move {
                let half = format!("{}content-length: 60000\r\n\r\nhalf", target.post());
                let from_there = crowd(target, THERE, &half).await;
                assert_eq!(target.honest_from(THERE).await.get(..1), Some("2"), "the same address, too");
                from_there
            }
            .boxed()
        },
    },
    Row {
        on: PAGES,
        name: "streams-many",
        tries: "opens streams of events, more than there may be",
        allowed: "512 streams, 64 for one client, beside the requests",
        seen: "3 × 200, 503; 2xx",
        attack: |target| streams(target).boxed(),
    },
    Row {
        on: BOTH,
        name: "pipelined",
        tries: "sends 500 requests at once on one connection",
        allowed: "one after the other",
        seen: "500 × 404; 2xx",
        attack: |target| {
            let one = "GET /nonsense HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
            both(target, one.repeat(500)).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "headers-many",
        tries: "sends 65 headers",
        allowed: "64",
        seen: "431; 2xx",
        attack: |target| {
            let many: String = (0..64).map(|n| format!("x-{n}: y\r\n")).collect();
            both(target, format!("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n{many}\r\n")).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "header-large",
        tries: "sends a header of 40 kB",
        allowed: "a head of 32 KiB",
        seen: "431; 2xx",
        attack: |target| {
            let large = "x".repeat(40_000);
            both(target, format!("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-large: {large}\r\n\r\n")).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "path-large",
        tries: "asks for a path of 40 kB",
        allowed: "a head of 32 KiB",
        seen: "431; 2xx",
        attack: |target| {
            both(target, format!("GET /{} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "x".repeat(40_000))).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "body-declared-too-large",
        tries: "declares a body of 1 GB",
        allowed: "64 KiB for the dashboard, 25 MiB for a webhook",
        seen: "413; 2xx",
        attack: |target| both(target, format!("{}content-length: 1000000000\r\n\r\n", target.post())).boxed(),
    },
    Row {
        on: BOTH,
        name: "chunks-without-end",
        tries: "sends a body in chunks that never end",
        allowed: "64 KiB for the dashboard, 25 MiB for a webhook",
        seen: "413; 2xx",
        attack: |target| {
            let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
            both(target, format!("{}transfer-encoding: chunked\r\n\r\n{}", target.post(), chunk.repeat(80))).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "chunks-of-one-byte",
        tries: "sends a body in 500 chunks of a byte with an extension each",
        allowed: "what they hold counts, and that is no JSON",
        seen: "400; 2xx",
        attack: |target| {
            let chunks = "1;extension=long\r\nx\r\n".repeat(500);
            both(target, format!("{}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n", target.post())).boxed()
        },
    },
    Row {
        on: BOTH,
        name: "chunk-overflows",
        tries: "declares a chunk whose length overflows 64 bits",
        allowed: "nothing",
        seen: "400; 2xx",
        attack: |target| {
            let body = "fffffffffffffffff\r\nx\r\n0\r\n\r\n";
            both(target, format!("{}transfer-encoding: chunked\r\n\r\n{body}", target.post())).boxed()
        },
    },
];

/// Sends this, and an honest request beside it.
pub(super) async fn both(target: &Target, bytes: String) -> String {
    let (said, others) = tokio::join!(target.send(bytes), well(target));
    format!("{said}; {others}")
}

async fn crowd(target: &Target, from: Ipv4Addr, sends: &str) -> String {
    let mut all = Vec::new();
    for _ in 0..CROWD {
        let mut stream = target.connect(from).await;
        stream.write_all(sends.as_bytes()).await.unwrap();
        all.push(stream);
    }
    let others = well(target).await;
    format!("all are let in; {others}")
}

async fn streams(target: &Target) -> String {
    let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n{}\r\n", target.cookie());
    let (mut all, mut statuses) = (Vec::new(), Vec::new());
    for _ in 0..=limits().streams_per_client {
        let mut stream = target.connect(HERE).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        statuses.push(String::from_utf8_lossy(&status[9..]).into_owned());
        all.push(stream);
    }
    let others = well(target).await;
    assert!(statuses[..limits().streams_per_client].iter().all(|status| status == "200"), "{statuses:?}");
    format!("{} × 200, {}; {others}", limits().streams_per_client, statuses[limits().streams_per_client])
}
