//! Attacks by being slow.

use super::*;
use crate::reading::{LogCursor, LogPlace, LogReader};
use crate::views::Line;
use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::watch;

pub(super) const ROWS: &[Row] = &[
    Row {
        on: BOTH,
        name: "slow-head",
        tries: "sends a request's head a byte at a time, without end",
        allowed: "a head within 10 s of the connection or of the answer before",
        seen: "no answer; 2xx",
        attack: |target| drip(target, "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ".to_owned()).boxed(),
    },
    Row {
        on: BOTH,
        name: "silent",
        tries: "connects and sends nothing",
        allowed: "10 s",
        seen: "no answer; 2xx",
        attack: |target| async move { format!("{}; {}", target.send("").await, well(target).await) }.boxed(),
    },
    Row {
        on: PAGES,
        name: "slow-body",
        tries: "sends a body a byte at a time",
        allowed: "5 s, and then 4 KiB each second",
        seen: "400; 2xx",
        attack: |target| drip(target, format!("{}content-length: 60000\r\n\r\n", target.post())).boxed(),
    },
    Row {
        on: HOOKS,
        name: "slow-body",
        tries: "sends a body a byte at a time",
        allowed: "5 s, and then 4 KiB each second; 10 s for the whole of it",
        seen: "408; 2xx",
        attack: |target| drip(target, format!("{}content-length: 60000\r\n\r\n", target.post())).boxed(),
    },
    Row {
        on: HOOKS,
        name: "body-on-request",
        tries: "waits to be asked for its body, and then sends none",
        allowed: "as a slow body",
        seen: "100, 408; 2xx",
        attack: |target| {
            async move {
                let head = format!("{}expect: 100-continue\r\ncontent-length: 9\r\n\r\n", target.post());
                format!("{}; {}", target.send(head).await, well(target).await)
            }
            .boxed()
        },
    },
    Row {
        on: HOOKS,
        name: "declared-large",
        tries: "three sockets each declare the largest body that there may be, and send nothing of it",
        allowed: "a body takes memory as it arrives; what is declared keeps nobody out",
        seen: "3 × 408; 2xx",
        attack: |target| {
            async move {
                let head = format!("{}content-length: 1048576\r\n\r\n", target.post());
                let three = async { tokio::join!(target.send(&head), target.send(&head), target.send(&head)) };
                let ((a, b, c), others) = tokio::join!(three, well(target));
                assert!(a == b && b == c, "{a} {b} {c}");
                format!("3 × {a}; {others}")
            }
            .boxed()
        },
    },
    Row {
        on: HOOKS,
        name: "held-back",
        tries: "three sockets each send nearly all of the largest body, and hold its end back",
        allowed: "36 MiB for one client and 96 MiB for all, of which large bodies leave a quarter to small ones",
        seen: "408, 503, 503; 2xx",
        attack: |target| held_back(target).boxed(),
    },
    Row {
        on: PAGES,
        name: "deaf-log",
        tries: "follows a log without end and never reads",
        allowed: "30 s in which nothing is taken",
        seen: "let go; 2xx",
        attack: |target| {
            async move {
                let path = format!("/api/v1/runs/{}/steps/bump/attempts/1/log", crate::tests::RUN);
                let _deaf = deaf(target, HERE, &path).await;
                read_by(target, 1).await;
                let others = well(target).await;
                read_by(target, 0).await;
                format!("let go; {others}")
            }
            .boxed()
        },
    },
    Row {
        on: PAGES,
        name: "deaf-many",
        tries: "downloads a log without end from one address, on as many connections as it is given, and never reads",
        allowed: "a quarter of the connections for one client",
        seen: "another connection: no answer; 2xx",
        attack: |target| {
            async move {
                let path = format!("/api/v1/runs/{}/steps/bump/attempts/1/log.txt", crate::tests::RUN);
                let mut all = Vec::new();
                for _ in 0..limits().per_client {
                    all.push(deaf(target, THERE, &path).await);
                }
                read_by(target, limits().per_client).await;
                let (mine, others) = tokio::join!(target.honest_from(THERE), well(target));
                format!("another connection: {mine}; {others}")
            }
            .boxed()
        },
    },
];

/// An honest request, whose status is a good one.
pub(super) async fn well(target: &Target) -> String {
    let status = target.honest().await;
    if status.starts_with('2') { "2xx".to_owned() } else { status }
}

/// Sends this at once, and then a byte now and then until the listener has had enough.
async fn drip(target: &Target, begins: String) -> String {
    let (mut read, mut write) = target.connect(HERE).await.into_split();
    write.write_all(begins.as_bytes()).await.unwrap();
    let dripping = async {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    let said = async {
        tokio::select! {
            said = rest(&mut read) => said,
            () = dripping => unreachable!("it waits for the end"),
        }
    };
    let (said, others) = tokio::join!(said, well(target));
    format!("{said}; {others}")
}

async fn held_back(target: &Target) -> String {
    let head = format!("{}content-length: 1048576\r\n\r\n", target.post());
    let most = [head.into_bytes(), vec![b' '; 1024 * 1024 - 1]].concat();
    let first = target.send(&most);
    let rest = async {
        let filled = async {
            while crate::hooks::tests::held(&target.hook_state) < 1024 * 1024 - 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANGS, filled).await.expect("the first body is held");
        let (second, third) = tokio::join!(target.send(&most), target.send(&most));
        (second, third, well(target).await)
    };
    let (first, (second, third, others)) = tokio::join!(first, rest);
    format!("{first}, {second}, {third}; {others}")
}

/// Asks for this, and reads nothing.
async fn deaf(target: &Target, from: Ipv4Addr, path: &str) -> TcpStream {
    let mut stream = target.connect(from).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{}\r\n", target.cookie());
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Waits until the log has so many readers.
async fn read_by(target: &Target, readers: usize) {
    let mut all = target.readers.subscribe();
    tokio::time::timeout(HANGS, all.wait_for(|now| *now == readers)).await.expect("it comes so far").unwrap();
}

/// A log without end, which counts its readers.
pub(super) struct Endless(pub(super) watch::Sender<usize>);

impl LogReader for Endless {
    fn follow(&self, _: &LogPlace, _: u64) -> std::io::Result<Box<dyn LogCursor>> {
        self.0.send_modify(|readers| *readers += 1);
        Ok(Box::new(EndlessRest(self.0.clone())))
    }
}

struct EndlessRest(watch::Sender<usize>);

#[async_trait]
impl LogCursor for EndlessRest {
    async fn next(&mut self, limit: usize) -> std::io::Result<Option<Vec<Line>>> {
        self.ready(limit).map(Some)
    }

    fn ready(&mut self, _: usize) -> std::io::Result<Vec<Line>> {
        Ok(vec![Line { n: 1, at: 1000, level: "info".into(), text: "long ".repeat(10_000) }])
    }
}

impl Drop for EndlessRest {
    fn drop(&mut self) {
        self.0.send_modify(|readers| *readers -= 1);
    }
}
