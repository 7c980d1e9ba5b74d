//! How many deliveries a second are accepted, durable before the 202, and how long one waits for its answer.

use super::{Better, Figure};
use hmac::{Hmac, KeyInit, Mac};
use playground::sample::APPLICATION;
use serde_json::json;
use sha2::Sha256;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use world::estate::{Estate, HOOK_SECRET, Kind};

/// How many connections send at once.
const CONNECTIONS: usize = 32;
/// How many deliveries each of them sends.
const EACH: usize = 400;

/// Measures both figures in one run. The pushes are real ones, to a path that no pipeline listens to.
pub(crate) async fn measure() {
    let estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    let head = estate.application().head();
    let address = estate.bespin.hooks.trim_start_matches("http://").to_owned();
    let requests = |client: usize| -> Vec<Vec<u8>> {
        (0..EACH).map(|n| request(&address, &head, &format!("bench-{client}-{n}"))).collect()
    };
    let ready: Vec<_> = (0..CONNECTIONS).map(requests).collect();
    let begin = Instant::now();
    let clients: Vec<_> = ready.into_iter().map(|requests| tokio::spawn(send(address.clone(), requests))).collect();
    let mut waits = Vec::new();
    for client in clients {
        waits.extend(client.await.expect("every delivery is accepted"));
    }
    let took = begin.elapsed();
    waits.sort();
    let n = waits.len();
    let p99 = waits[n * 99 / 100].as_secs_f64() * 1000.0;
    let rate = n as f64 / took.as_secs_f64();
    Figure { bench: "webhook/rate", ours: rate, peer: None, better: Better::Higher, unit: "1/s", n }.print();
    Figure { bench: "webhook/p99", ours: p99, peer: None, better: Better::Lower, unit: "ms", n }.print();
}

fn request(address: &str, head: &str, id: &str) -> Vec<u8> {
    let commit = json!({
        "id": head, "message": "Words", "distinct": true, "author": { "name": "A Developer" },
        "added": [], "removed": [], "modified": ["docs/words.md"],
    });
    let body = json!({
        "ref": "refs/heads/main", "before": "1".repeat(40), "after": head,
        "created": false, "deleted": false, "forced": false,
        "repository": { "full_name": APPLICATION }, "pusher": { "name": "developer" },
        "head_commit": commit, "commits": [commit],
    })
    .to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(HOOK_SECRET.as_bytes()).expect("any length is a key");
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let head = format!(
        "POST /hooks/github/default HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         x-github-event: push\r\nx-github-delivery: {id}\r\nx-hub-signature-256: sha256={signature}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

/// Sends one after the other over one connection; how long each waited for its 202.
async fn send(address: String, requests: Vec<Vec<u8>>) -> Vec<Duration> {
    let stream = TcpStream::connect(&address).await.expect("the listener is open");
    stream.set_nodelay(true).expect("a socket can be told");
    let mut stream = BufReader::new(stream);
    let mut waits = Vec::with_capacity(requests.len());
    for request in requests {
        let begin = Instant::now();
        stream.write_all(&request).await.expect("the listener reads");
        let answer = answer(&mut stream).await;
        waits.push(begin.elapsed());
        assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("\"accepted\""), "{answer}");
    }
    waits
}

async fn answer(stream: &mut BufReader<TcpStream>) -> String {
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let start = text.len();
        stream.read_line(&mut text).await.expect("the listener answers");
        let line = &text[start..];
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length is a number");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("the body is whole");
    text + &String::from_utf8_lossy(&body)
}
